//! One call to a forge: address, token, redirects of renamed repositories, and what an answer means.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::{Forge, ForgeError};
use crate::api::http::{Answer, HttpError};
use crate::api::meter::Callee;
use crate::domain::config::ForgeKind;

/// The whole of a call: forges are far away, and a status can wait.
const CALL: Duration = Duration::from_secs(10);
/// A comparison lists its commits.
const CAP: usize = 32 * 1024 * 1024;
/// A repository that was renamed and moved.
const HOPS: usize = 2;
/// The longest that a forge may ask us to wait.
const PATIENCE: Duration = Duration::from_secs(3_600);

impl Forge {
    pub(super) async fn get(
        &self,
        what: &'static str,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, ForgeError> {
        let url = self.address(path, query)?;
        self.send(what, &Method::GET, url, |request| request).await
    }

    pub(super) async fn post(
        &self,
        what: &'static str,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Answer, ForgeError> {
        let url = self.address(path, &[])?;
        self.send(what, &Method::POST, url, |request| request.json(body)).await
    }

    pub(super) async fn patch(
        &self,
        what: &'static str,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<Answer, ForgeError> {
        let url = self.address(path, &[])?;
        self.send(what, &Method::PATCH, url, |request| request.json(body)).await
    }

    pub(super) async fn delete(&self, what: &'static str, path: &[&str]) -> Result<Answer, ForgeError> {
        let url = self.address(path, &[])?;
        self.send(what, &Method::DELETE, url, |request| request).await
    }

    /// Something that belongs to no repository, asked for without our token.
    pub(super) async fn get_as_anybody(&self, what: &'static str, path: &[&str]) -> Result<Answer, ForgeError> {
        let request = self.client.http.request(Method::GET, self.within(path, &[])?).timeout(CALL);
        self.measured(what, request.header(ACCEPT, "application/json")).await
    }

    /// The same with a body, to an address that is none of the API.
    pub(super) async fn post_as_anybody(
        &self,
        what: &'static str,
        url: Url,
        body: &impl Serialize,
    ) -> Result<Answer, ForgeError> {
        let request = self.client.http.request(Method::POST, url).timeout(CALL).json(body);
        self.measured(what, request.header(ACCEPT, "application/json")).await
    }

    pub(super) async fn send(
        &self,
        what: &'static str,
        method: &Method,
        mut url: Url,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, ForgeError> {
        for _ in 0..HOPS {
            let answer = self.once(what, method, url.clone(), &fill).await?;
            match moved(&answer, &url, method) {
                Some(next) => url = next,
                None => return Ok(answer),
            }
        }
        self.once(what, method, url, &fill).await
    }

    async fn once(
        &self,
        what: &'static str,
        method: &Method,
        url: Url,
        fill: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, ForgeError> {
        let (accept, scheme) = match self.kind {
            ForgeKind::Gitea => ("application/json", "token"),
            ForgeKind::Github => ("application/vnd.github+json", "Bearer"),
        };
        let mut token = HeaderValue::from_str(&format!("{scheme} {}", self.token.expose()))
            .map_err(|_| ForgeError::Refused("the forge's token holds what a header cannot carry".to_owned()))?;
        token.set_sensitive(true);
        let request = self.client.http.request(method.clone(), url).timeout(CALL);
        let request = fill(request.header(ACCEPT, accept).header(AUTHORIZATION, token));
        self.measured(what, request).await
    }

    async fn measured(&self, what: &'static str, request: RequestBuilder) -> Result<Answer, ForgeError> {
        let running = self.client.meter.begin(Callee::Forge, what);
        let answer = match request.send().await.map_err(HttpError::no_answer) {
            Ok(response) => Answer::read(response, CAP).await,
            Err(error) => Err(error),
        };
        running.end(answer.as_ref().map(|answer| answer.status));
        Ok(answer?)
    }

    /// A call about the forge itself, not about the repository.
    pub(super) async fn of_forge(
        &self,
        what: &'static str,
        method: &Method,
        path: &[&str],
    ) -> Result<Answer, ForgeError> {
        self.send(what, method, self.within(path, &[])?, |request| request).await
    }

    fn address(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, ForgeError> {
        let all: Vec<&str> = ["repos", &self.owner, &self.name].into_iter().chain(path.iter().copied()).collect();
        self.within(&all, query)
    }

    pub(super) fn within(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, ForgeError> {
        let refused = || ForgeError::Refused("the forge's address cannot be built upon".to_owned());
        let mut url = self.url.clone();
        let api: &[&str] = match self.kind {
            ForgeKind::Gitea => &["api", "v1"],
            ForgeKind::Github => &[],
        };
        // The URL standard drops `.` and `..`, which would name something else.
        if path.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(refused());
        }
        url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(api).extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

/// Where a renamed repository is now. Only within the same origin: the token goes along.
fn moved(answer: &Answer, from: &Url, method: &Method) -> Option<Url> {
    let keeps_method = match answer.status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::GET,
        _ => false,
    };
    let to = from.join(answer.headers.get(LOCATION)?.to_str().ok()?).ok()?;
    (keeps_method && to.origin() == from.origin()).then_some(to)
}

/// A page for a browser, not an answer of the API.
pub(super) fn is_page(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().starts_with(b"<")
}

/// JSON with an empty message.
pub(super) fn is_wordless(answer: &Answer) -> bool {
    answer.json::<Value>().is_ok_and(|body| body.get("message").and_then(Value::as_str) == Some(""))
}

/// An answer of success that is JSON; anything else sorted into what is for good and what passes.
pub(super) fn accepted(answer: Answer, what: &str) -> Result<Answer, ForgeError> {
    if answer.status.is_success() {
        answer.json::<serde::de::IgnoredAny>()?;
        return Ok(answer);
    }
    let retry_after = wait(&answer.headers);
    let advice = match answer.status {
        _ if is_page(&answer) || retry_after.is_some() => None,
        StatusCode::UNAUTHORIZED => Some("the forge does not take our token"),
        StatusCode::FORBIDDEN => Some("the forge's token lacks a right"),
        StatusCode::NOT_FOUND => Some("the forge knows no such repository, or not for our token"),
        StatusCode::UNPROCESSABLE_ENTITY => Some("the forge refuses the request"),
        _ => None,
    };
    match advice {
        Some(advice) => Err(ForgeError::Refused(format!(
            "cannot {what}: {advice} ({}{}{})",
            answer.status.as_u16(),
            if answer.body.is_empty() { "" } else { ": " },
            message(&answer)
        ))),
        None => Err(passing(&answer, retry_after)),
    }
}

/// An answer of success that need not have a body.
pub(super) fn done(answer: Answer, what: &str) -> Result<(), ForgeError> {
    if answer.status.is_success() { Ok(()) } else { accepted(answer, what).map(drop) }
}

/// An answer that may be another next time. One that names a wait was not acted upon; of others nobody knows.
fn passing(answer: &Answer, retry_after: Option<Duration>) -> ForgeError {
    let error = HttpError::Status { status: answer.status, words: message(answer) };
    match retry_after {
        Some(wait) => ForgeError::Unavailable(Box::new(Busy { wait_s: wait.as_secs(), source: error })),
        None if answer.status == StatusCode::TOO_MANY_REQUESTS => ForgeError::Unavailable(Box::new(error)),
        None => ForgeError::Unanswered(Box::new(error)),
    }
}

/// The forge has had enough of us for now.
#[derive(Debug, thiserror::Error)]
#[error("the forge asks to wait {wait_s} s")]
struct Busy {
    wait_s: u64,
    #[source]
    source: HttpError,
}

/// How long, where that is the reason.
pub(super) fn asked_to_wait(why: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Duration> {
    why.downcast_ref::<Busy>().map(|busy| Duration::from_secs(busy.wait_s))
}

fn message(answer: &Answer) -> String {
    let body = answer.json::<Value>().ok();
    let words = body.as_ref().and_then(|body| body.get("message")).and_then(Value::as_str);
    words.map_or_else(|| answer.words(), |words| words.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// How long the forge asks us to wait, if it does: `Retry-After`, or GitHub's used up rate limit.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
    // Times are compared with the forge's own clock, not with ours.
    let now = text("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let until = |time: std::time::SystemTime| now.and_then(|now| time.duration_since(now).ok()).unwrap_or_default();
    if let Some(after) = text("retry-after") {
        let seconds = after.parse().ok().map(Duration::from_secs);
        let wait = seconds.or_else(|| httpdate::parse_http_date(after).ok().map(until));
        return Some(wait.unwrap_or_default().min(PATIENCE));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").map(|at| std::time::UNIX_EPOCH + Duration::from_secs(at));
        return Some(reset.map(until).unwrap_or_default().min(PATIENCE));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
    }

    #[test]
    fn a_used_up_rate_limit_is_waited_for_though_its_status_is_403() {
        let date = ("date", "Sat, 21 Nov 2026 12:00:00 GMT");
        let until = "1795262460";
        for (headers, seconds) in [
            (vec![date, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", until)], 60),
            (vec![("retry-after", "7")], 7),
            (vec![date, ("retry-after", "Sat, 21 Nov 2026 12:00:09 GMT")], 9),
            (vec![("retry-after", "999999")], 3_600),
        ] {
            let refused = answer(403, &headers, r#"{"message": "API rate limit exceeded"}"#);
            assert_eq!(wait(&refused.headers), Some(Duration::from_secs(seconds)), "{headers:?}");
            let refused = accepted(refused, "x").unwrap_err();
            assert!(matches!(refused, ForgeError::Unavailable(_)));
            assert_eq!(refused.wait(), Some(Duration::from_secs(seconds)));
        }
        let refused = answer(403, &[("x-ratelimit-remaining", "4999")], r#"{"message": "Resource not accessible"}"#);
        assert!(matches!(accepted(refused, "x"), Err(ForgeError::Refused(_))));
    }

    #[test]
    fn a_renamed_repository_is_followed_only_within_its_forge() {
        let from: Url = "https://git.example/api/v1/repos/a/old/statuses/1".parse().unwrap();
        let to = |status, location| moved(&answer(status, &[("location", location)], ""), &from, &Method::POST);
        let new = "/api/v1/repos/a/new/statuses/1";
        assert_eq!(to(307, new).unwrap().as_str(), "https://git.example/api/v1/repos/a/new/statuses/1");
        assert_eq!(to(307, "https://other.example/x"), None);
        assert_eq!(to(307, "http://git.example/x"), None);
        // What a POST must not become.
        assert_eq!(to(302, new), None);
    }
}
