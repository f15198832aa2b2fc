//! The webhook at the forge: which is ours, and whether a test of it arrives.

use std::io::IsTerminal as _;

use reqwest::StatusCode;
use url::Url;

use super::RepoError;
use super::operator::Operator;
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::api::forge::{Forge, ForgeError, Hook, TestAsked};
use crate::cli::waiting::Waiting;
use crate::domain::config::{ForgeKind, RepoConfig};
use crate::domain::delivery::{Tested, own_test};
use crate::domain::finding::Finding;
use crate::domain::repo_url::RepoUrl;

/// The webhooks that lead to `address` for the default flavor, whatever token they carry.
pub(super) fn leading_to<'a>(hooks: &'a [Hook], address: &Url) -> Vec<&'a Hook> {
    let is_ours = |hook: &&Hook| {
        let Ok(url) = Url::parse(&hook.url) else { return false };
        let mut plain = url.clone();
        plain.set_query(None);
        let flavor = url.query_pairs().find(|(name, _)| name == "flavor");
        plain == *address && flavor.is_none_or(|(_, flavor)| flavor == "default")
    };
    hooks.iter().filter(is_ours).collect()
}

/// What a test of the webhook came to.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// What arrived.
    pub(super) arrived: Option<Tested>,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
}

impl Trial {
    fn found(finding: Finding) -> Self {
        Self { arrived: None, findings: vec![finding] }
    }
}

/// A webhook of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ours {
    pub(super) id: u64,
    /// Just made, so that its secret is the entry's.
    pub(super) is_new: bool,
}

/// Has the forge send a test, and waits for it; where none arrives, finds out why.
pub(super) async fn test(
    operator: &Operator,
    forge: &Forge,
    ours: Ours,
    (repo, config): (&RepoUrl, &RepoConfig),
) -> Result<Trial, RepoError> {
    let before = operator.entries.tested(repo.canonical()).await?.map(|(index, _)| index);
    match forge.test_hook(ours.id).await {
        Ok(TestAsked::Sent) => {}
        Ok(TestAsked::NoCommits) => {
            let sentence = "the repository has no commits yet, so the forge sends no test delivery";
            let fix = format!("push something, then: albatros repo check {}", repo.canonical());
            let mut trial = Trial::found(Finding::note("no-commits", sentence, fix));
            trial.findings.extend(server(operator, repo, config).await);
            return Ok(trial);
        }
        Err(error) => return Ok(Trial::found(refused("test-not-sent", "no test delivery can be sent", &error))),
    }
    let mut waiting = Waiting::default();
    if std::io::stderr().is_terminal() {
        waiting.tell("waiting for the forge's test delivery")?;
    }
    let arrived = operator.entries.next_tested(repo.canonical(), before, operator.wait).await?;
    drop(waiting);
    if arrived.is_some() {
        return Ok(Trial { arrived, findings: Vec::new() });
    }
    let finding = match server(operator, repo, config).await {
        Some(finding) => finding,
        None => not_delivered(operator, forge, ours, repo).await,
    };
    Ok(Trial::found(finding))
}

/// What the forge refuses, or that it does not answer.
pub(super) fn refused(name: &'static str, what: &str, error: &ForgeError) -> Finding {
    match error {
        ForgeError::Refused(why) => {
            let fix = "give the token what it lacks: Gitea and Forgejo `write:repository` of somebody who administers the \
                       repository, GitHub `Webhooks` and `Commit statuses` (read and write)";
            Finding::error(name, format!("{what}: {why}"), fix)
        }
        ForgeError::Unanswered(cause) | ForgeError::Unavailable(cause) => {
            let fix = "see that the forge is up and that its address in the entry is right, then run this again";
            Finding::warning("forge-unreachable", format!("{what}: {error}: {cause}"), fix)
        }
    }
}

/// Whether `serve` takes a delivery of this repository; what is wrong where it does not.
pub(super) async fn server(operator: &Operator, repo: &RepoUrl, config: &RepoConfig) -> Option<Finding> {
    let url = operator.server.clone()?;
    let shown = url.as_str().trim_end_matches('/').to_owned();
    let (headers, body) = own_test(config, repo.sent());
    let answer = match Albatros::new(url, None, operator.server_ca.as_deref()) {
        Ok(server) => server.deliver(&headers, body).await,
        Err(error) => Err(error),
    };
    let folder = operator.entries.folder();
    match answer {
        Ok(_) => None,
        Err(AlbatrosError::Refused { status: StatusCode::UNAUTHORIZED, .. }) => Some(Finding::error(
            "server-elsewhere",
            format!("serve at {shown} does not know this entry, or with another secret: it reads other keys"),
            format!(
                "start it with this Consul and prefix (CONSUL_HTTP_ADDR, ALBATROS_PREFIX); here the entry is under {folder}"
            ),
        )),
        Err(AlbatrosError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, sentence }) => Some(Finding::error(
            "server-unavailable",
            format!("serve at {shown} cannot take deliveries now: {sentence}"),
            format!("see its log and {shown}/readyz"),
        )),
        Err(AlbatrosError::Refused { status, .. }) => Some(Finding::error(
            "server-strange",
            format!("{shown}/hook answers {status}, which is none of Albatros's answers"),
            "set ALBATROS_URL (or --server) to the address of serve; a proxy before it must hand POST /hook on",
        )),
        Err(AlbatrosError::Strange(_)) => Some(Finding::error(
            "server-strange",
            format!("what answers at {shown}/hook is no Albatros"),
            "set ALBATROS_URL (or --server) to the address of serve",
        )),
        Err(error @ (AlbatrosError::Unreachable { .. } | AlbatrosError::Client(_))) => Some(Finding::error(
            "server-unreachable",
            format!("{error}"),
            "start serve, or set ALBATROS_URL (or --server) to where it is",
        )),
    }
}

/// `serve` takes deliveries, and the forge's did not come.
async fn not_delivered(operator: &Operator, forge: &Forge, ours: Ours, repo: &RepoUrl) -> Finding {
    let host = operator.server.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
    let sentence = "serve takes deliveries, but the forge's test did not arrive";
    let (sentence, anew) = if ours.is_new {
        (sentence.to_owned(), String::new())
    } else {
        let anew =
            format!("albatros repo add {} --update makes the webhook anew; if it does not help, ", repo.canonical());
        (format!("{sentence}, or not signed with the entry's secret"), anew)
    };
    match forge.kind() {
        ForgeKind::Gitea => Finding::error(
            "test-not-delivered",
            format!("{sentence}: Gitea and Forgejo send webhooks only to hosts that they are allowed to"),
            format!(
                "{anew}in their app.ini: [webhook] ALLOWED_HOST_LIST = external, {host} (then restart); and {host} must \
                 be reached from there, with a certificate that they trust; the webhook's page at the forge says why"
            ),
        ),
        ForgeKind::Github => {
            let said = forge.last_test(ours.id).await.ok().flatten();
            let said = said.map(|said| format!(" (GitHub says: {said})")).unwrap_or_default();
            let fix = format!("{anew}{host} must be reached from the internet, with a certificate that GitHub trusts");
            Finding::error("test-not-delivered", format!("{sentence}{said}"), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_webhook_of_the_default_flavor_at_our_address_is_ours() {
        let address: Url = "https://ci.example/albatros/hook".parse().unwrap();
        for (url, ours) in [
            ("https://ci.example/albatros/hook", true),
            ("https://ci.example:443/albatros/hook?token=x", true),
            ("https://ci.example/albatros/hook?flavor=default", true),
            ("https://ci.example/albatros/hook?flavor=big", false),
            ("https://ci.example/hook", false),
            ("http://ci.example/albatros/hook", false),
            ("nonsense", false),
        ] {
            let hook = Hook { id: 1, url: url.to_owned(), active: true, events: Default::default() };
            assert_eq!(leading_to(std::slice::from_ref(&hook), &address).len() == 1, ours, "{url}");
        }
    }
}
