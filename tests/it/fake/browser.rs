//! What a browser does with a server: keeps its cookie, says where a form stood, follows nothing by itself.

use super::http::{Reply, client};
use super::serve::Serve;

/// A browser on a server's pages.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    url: String,
    /// `name=value`, once it has been given one.
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// Nobody has signed in with it.
    pub(crate) fn new(serve: &Serve) -> Self {
        Self { url: serve.url.clone(), cookie: None }
    }

    /// Somebody has signed in with this token.
    pub(crate) async fn signed_in(serve: &Serve, token: &str) -> Self {
        let mut browser = Self::new(serve);
        let reply = browser.sign_in(token, "/builds").await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        browser
    }

    /// The same browser at another replica.
    pub(crate) fn at(&self, serve: &Serve) -> Self {
        Self { url: serve.url.clone(), cookie: self.cookie.clone() }
    }

    /// The same browser with another cookie.
    pub(crate) fn with_cookie(&self, cookie: impl Into<String>) -> Self {
        Self { url: self.url.clone(), cookie: Some(cookie.into()) }
    }

    /// A page.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None).await
    }

    /// A form that stood on a page of the server.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let own = [("origin", self.url.as_str()), ("sec-fetch-site", "same-origin")];
        self.send("POST", path, &own, Some(fields)).await
    }

    /// Any request, with its cookie and these headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: Option<&[(&str, &str)]>,
    ) -> Reply {
        let mut request = client().request(method.parse().unwrap(), format!("{}{path}", self.url));
        request = request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(fields) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        Reply::read(request.send().await.unwrap()).await
    }

    /// A token is typed; the cookie that comes of it is kept.
    pub(crate) async fn sign_in(&mut self, token: &str, back: &str) -> Reply {
        let reply = self.post("/signin", &[("token", token), ("back", back)]).await;
        if let Some(cookie) = set_cookie(&reply) {
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        reply
    }

    /// What the forms of its pages carry.
    pub(crate) async fn csrf(&self) -> String {
        let page = self.get("/signin").await.text;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).expect("a page of who has signed in");
        csrf.split('"').next().unwrap().to_owned()
    }
}

/// The cookie that an answer sets.
pub(crate) fn set_cookie(reply: &Reply) -> Option<String> {
    reply.headers.get("set-cookie").map(|value| value.to_str().unwrap().to_owned())
}

/// Where an answer sends a browser.
pub(crate) fn location(reply: &Reply) -> String {
    assert_eq!(reply.status, 303, "{}", reply.text);
    reply.headers["location"].to_str().unwrap().to_owned()
}
