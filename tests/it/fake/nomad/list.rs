//! `GET /v1/jobs`: prefix, filter, pages.

use axum::response::Response;
use serde_json::Value;

use super::cluster::Cluster;
use super::shape;
use crate::fake::wire::{self, Call, text};

/// One page, and the token of the next.
pub(super) fn answer(cluster: &Cluster, call: &Call) -> Response {
    let namespace = call.param("namespace").unwrap_or("default");
    let prefix = call.param("prefix").unwrap_or_default();
    let filter = match call.param("filter").map(Filter::parse).transpose() {
        Ok(filter) => filter,
        Err(refused) => return refused,
    };
    let mut found: Vec<&Value> = cluster
        .jobs
        .iter()
        .filter(|((one, id), _)| (namespace == "*" || one == namespace) && id.starts_with(prefix))
        .map(|(_, job)| job)
        .filter(|job| filter.as_ref().is_none_or(|filter| filter.fits(job)))
        .collect();
    if call.param("reverse") == Some("true") {
        found.reverse();
    }
    let id_of = |job: &Value| format!("{}.{}", job["Namespace"].as_str().unwrap(), job["ID"].as_str().unwrap());
    if let Some(token) = call.param("next_token") {
        found = found.into_iter().skip_while(|job| id_of(job) != token).collect();
    }
    let per_page = match call.param("per_page").map(str::parse::<i64>) {
        None | Some(Ok(0)) => found.len(),
        Some(Ok(most)) => usize::try_from(most).unwrap_or(0),
        Some(Err(_)) => return text(400, "failed to parse per_page"),
    };
    let next = found.get(per_page).map(|job| id_of(job));
    let with_meta = call.param("meta") == Some("true");
    let page: Vec<Value> = found.iter().take(per_page).map(|job| shape::stub(job, with_meta)).collect();
    let mut answer = wire::json(200, &page.into());
    if let Some(next) = next {
        answer.headers_mut().insert("x-nomad-nexttoken", next.parse().unwrap());
    }
    answer
}

/// `Field == "value" and Meta.KEY != "value"`: the part of Nomad's language that a CI uses.
#[derive(Debug)]
struct Filter(Vec<(Vec<String>, bool, String)>);

impl Filter {
    fn parse(words: &str) -> Result<Self, Response> {
        let broken = || {
            text(400, "failed to create result paginator: failed to read filter expression: 1:8 (7): no match found")
        };
        let mut terms = Vec::new();
        for term in words.split(" and ") {
            let (equal, (field, value)) = match (term.split_once("=="), term.split_once("!=")) {
                (Some(parts), _) => (true, parts),
                (None, Some(parts)) => (false, parts),
                (None, None) => return Err(broken()),
            };
            let value = value.trim();
            let quoted = ['"', '`'].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
            let value = match quoted {
                Some(inner) if !inner.contains('"') || value.starts_with('`') => inner.to_owned(),
                Some(_) => return Err(broken()),
                None if value.is_empty() || value.contains(' ') => return Err(broken()),
                None => value.to_owned(),
            };
            let path = field.trim().replace("[\"", ".").replace("\"]", "");
            let path: Vec<String> = path.split('.').map(ToOwned::to_owned).collect();
            let known = [
                "ID",
                "ParentID",
                "Name",
                "Namespace",
                "Status",
                "Stop",
                "Type",
                "Dispatched",
                "DispatchIdempotencyToken",
                "Meta",
                "SubmitTime",
            ];
            if !known.contains(&path[0].as_str()) {
                let words = "failed to read result page: error finding value in datum: /{} at part 0: couldn't find key: struct field with name \"{}\"";
                return Err(text(400, words.replace("{}", &path[0])));
            }
            terms.push((path, equal, value));
        }
        Ok(Self(terms))
    }

    fn fits(&self, job: &Value) -> bool {
        self.0.iter().all(|(path, equal, wanted)| {
            let found = path.iter().try_fold(job, |value, part| value.get(part));
            let text = found.map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned));
            // Seen: a missing key is simply false.
            text.is_some_and(|text| (text == *wanted) == *equal)
        })
    }
}
