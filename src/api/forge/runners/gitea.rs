//! Gitea's and Forgejo's way: jobs of a whole scope in one list, and a registration as `act_runner` does it.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Listing, PAGES, Registered, Runners, wire};
use crate::api::forge::{ForgeError, call};
use crate::domain::runner_wire::RunnerRegistration;
use crate::domain::runners::{Label, Runner, SeenJob};
use crate::domain::secret::Secret;

/// What a runner's registration is asked for with.
const REGISTER: [&str; 4] = ["api", "actions", "runner.v1.RunnerService", "Register"];

#[derive(Deserialize)]
struct Token {
    token: Secret,
}

#[derive(Deserialize)]
struct Answered {
    runner: Answer,
}

/// Numbers of 64 bits are texts in JSON of protobuf; what is empty is left out.
#[derive(Deserialize)]
struct Answer {
    id: Number,
    uuid: String,
    token: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn get(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Runners {
    pub(super) async fn gitea_jobs(&self) -> Result<Listing<SeenJob>, ForgeError> {
        let (mut entries, mut read, mut is_whole) = (Vec::<SeenJob>::new(), 0, false);
        let open = [("status", "queued"), ("status", "in_progress")];
        for page in 1..=PAGES {
            let listed: wire::Jobs = self.page("list jobs of workflows", &["jobs"], &open, page).await?;
            let news = listed.jobs.len();
            read += news;
            for job in listed.jobs {
                let Some((owner, name)) = job.owner_and_name() else { continue };
                let job = job.seen(self.address(&owner, &name));
                if !entries.iter().any(|known| known.at == job.at) {
                    entries.push(job);
                }
            }
            is_whole = read >= listed.total_count;
            if is_whole || news == 0 {
                break;
            }
        }
        Ok(Listing { entries, is_whole, hidden: Vec::new() })
    }

    pub(super) async fn gitea_register(&self, runner: &Runner) -> Result<Registered, ForgeError> {
        let what = "register a runner";
        let token = self.registration_token().await?;
        let labels: Vec<Label> = runner.labels.iter().filter_map(|label| label.parse().ok()).collect();
        let names: Vec<&str> = labels.iter().map(Label::name).collect();
        let body = json!({
            "name": runner.name, "token": token.expose(), "version": concat!("albatros/", env!("CARGO_PKG_VERSION")),
            "labels": names, "ephemeral": true,
        });
        let address = self.address_of_register()?;
        let answer = self.forge.post_as_anybody(what, address, &body).await?;
        let answer = refused(answer, what)?;
        let answered: Answered = answer.json()?;
        let id = answered.runner.id.get();
        let id = id.ok_or_else(|| ForgeError::Refused("the forge gives a runner that has no number".to_owned()))?;
        let file = json!({
            "id": id, "uuid": answered.runner.uuid, "name": runner.name, "token": answered.runner.token,
            "address": self.forge.url.as_str().trim_end_matches('/'),
            "labels": labels.iter().map(Label::as_str).collect::<Vec<_>>(), "ephemeral": true,
        });
        let files = BTreeMap::from([(".runner".to_owned(), file.to_string())]);
        Ok(Registered { id, registration: RunnerRegistration::Gitea { files } })
    }

    /// It registers any number of runners until it is reset: it stays here.
    async fn registration_token(&self) -> Result<Secret, ForgeError> {
        let what = "get a registration token";
        let path = ["runners", "registration-token"];
        let mut answer = self.send(what, &Method::POST, (&path, &[]), None).await?;
        // Gitea before 1.25, and Forgejo, give it to who reads it.
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            answer = self.send(what, &Method::GET, (&path, &[]), None).await?;
        }
        Ok(self.read::<Token>(answer, what)?.token)
    }

    fn address_of_register(&self) -> Result<Url, ForgeError> {
        let mut url = self.forge.url.clone();
        let refused = |()| ForgeError::Refused("the forge's address cannot be built upon".to_owned());
        url.path_segments_mut().map_err(refused)?.pop_if_empty().extend(REGISTER);
        Ok(url)
    }
}

/// What Gitea says, with 500 as it says everything, when asking again is of no use.
const FINAL: [&str; 3] = ["token not found", "invalidated", "missing runner"];

/// Connect's refusals are all 500: what passes is told from what does not by the words alone.
fn refused(answer: crate::api::http::Answer, what: &str) -> Result<crate::api::http::Answer, ForgeError> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    if answer.status == StatusCode::INTERNAL_SERVER_ERROR
        && let Ok(refusal) = answer.json::<Refusal>()
        && FINAL.iter().any(|words| refusal.message.contains(words))
    {
        let words: String = refusal.message.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(ForgeError::Refused(format!("cannot {what}: {words}")));
    }
    call::accepted(answer, what)
}
