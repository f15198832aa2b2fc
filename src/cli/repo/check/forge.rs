//! What the forge says of a repository, its webhook, its people and our token.

use url::Url;

use super::runners;
use crate::api::forge::{About, Forge, Hook};
use crate::cli::repo::RepoError;
use crate::cli::repo::operator::Operator;
use crate::cli::repo::webhook::{self, Ours, refused};
use crate::domain::config::RepoConfig;
use crate::domain::finding::Finding;
use crate::domain::repo_url::RepoUrl;

/// What is wrong at the forge; with `test` it is made to send a test delivery.
pub(super) async fn check(
    operator: &Operator,
    repo: &RepoUrl,
    config: &RepoConfig,
    test: bool,
) -> Result<Vec<Finding>, RepoError> {
    let Some(named) = &config.forge else { return Ok(Vec::from_iter(webhook::server(operator, repo, config).await)) };
    if runners::is_wide(repo, named) {
        return Ok(runners::check(operator, repo, config).await);
    }
    let forge = operator.forge(named, repo)?;
    let about = match forge.about().await {
        Ok(about) => about,
        Err(error) => return Ok(vec![refused("repository-hidden", "the forge does not show the repository", &error)]),
    };
    let mut found = home(repo, &about, config);
    if let Err(error) = forge.may_post().await {
        found.push(refused("statuses-refused", "no commit status can be posted", &error));
    }
    found.extend(runners::check(operator, repo, config).await);
    found.extend(people(&forge, repo, config).await);
    found.extend(hooks(operator, &forge, repo, config, test).await?);
    Ok(found)
}

/// The repository itself.
fn home(repo: &RepoUrl, about: &About, config: &RepoConfig) -> Vec<Finding> {
    let mut found = Vec::new();
    let canonical = about.clone_url.parse::<RepoUrl>().ok();
    let canonical = canonical.as_ref().map(RepoUrl::canonical).unwrap_or_default();
    if canonical != repo.canonical() {
        let sentence = format!("deliveries name the repository {canonical}, so this entry is not found by them");
        found.push(Finding::error("clone-url", sentence, format!("albatros repo add {canonical} --update")));
    }
    if let Some(id) = config.repository_id.filter(|id| *id != about.id) {
        let sentence = format!("repository_id is {id}, and the forge says {}: no push is trusted", about.id);
        found.push(Finding::error("repository-id", sentence, "correct or remove repository_id"));
    }
    if (about.private || about.internal) && config.private == Some(false) {
        let sentence = "the repository is private, and its builds and logs are shown to everybody";
        let fix = format!("albatros repo add {} --update --private", repo.canonical());
        found.push(Finding::warning("private-shown", sentence, fix));
    }
    found
}

/// The senders that are trusted.
async fn people(forge: &Forge, repo: &RepoUrl, config: &RepoConfig) -> Vec<Finding> {
    let mut found = Vec::new();
    for sender in config.trusted.iter().filter(|sender| !sender.login.starts_with('@')) {
        let login = &sender.login;
        let fix =
            format!("correct trusted.senders, or: albatros repo add {} --update --trusted {login}", repo.canonical());
        match forge.account(login).await {
            Ok(Some((_, number))) => {
                if let Some(id) = sender.id.filter(|id| *id != number) {
                    let sentence = format!("{login} is trusted with the number {id}, and the forge says {number}");
                    found.push(Finding::error("sender-other-id", sentence, fix));
                }
            }
            Ok(None) => {
                let sentence = format!("{login} is trusted, and the forge knows no such account");
                found.push(Finding::warning("sender-unknown", sentence, fix));
            }
            Err(error) => {
                let sentence = format!("whether {login} exists cannot be asked: {error}");
                found.push(Finding::note("sender-not-asked", sentence, "give the token the scope read:user"));
                break;
            }
        }
    }
    found
}

async fn hooks(
    operator: &Operator,
    forge: &Forge,
    repo: &RepoUrl,
    config: &RepoConfig,
    test: bool,
) -> Result<Vec<Finding>, RepoError> {
    let Some(address) = operator.hook() else {
        let fix = "set ALBATROS_URL or --server to where serve is reached";
        return Ok(vec![Finding::note("webhook-not-checked", "the webhook was not looked at", fix)]);
    };
    let hooks = match forge.hooks().await {
        Ok(hooks) => hooks,
        Err(error) => return Ok(vec![refused("webhook-unseen", "the webhooks cannot be read", &error)]),
    };
    let ours = webhook::leading_to(&hooks, &address);
    let Some(first) = ours.first() else { return Ok(vec![missing(&hooks, &address, repo)]) };
    let mut found = faults(&ours, forge, repo);
    found.extend(runners::told(&ours, config));
    if first.active && test {
        found.extend(
            webhook::test(operator, forge, Ours { id: first.id, is_new: false }, (repo, config)).await?.findings,
        );
    } else {
        found.extend(webhook::server(operator, repo, config).await);
    }
    Ok(found)
}

fn mend(repo: &RepoUrl) -> String {
    format!("albatros repo add {} --update (makes it anew)", repo.canonical())
}

/// What is wrong with webhooks of ours.
fn faults(ours: &[&Hook], forge: &Forge, repo: &RepoUrl) -> Vec<Finding> {
    let mut found = Vec::new();
    if ours.len() > 1 {
        let sentence = format!("{} webhooks lead here, and each delivers everything", ours.len());
        found.push(Finding::warning("webhook-double", sentence, mend(repo)));
    }
    for hook in ours {
        if !hook.active {
            found.push(Finding::error("webhook-inactive", "the webhook is switched off at the forge", mend(repo)));
        }
        let lacks = hook.lacks(forge.kind());
        if !lacks.is_empty() {
            let sentence = format!("the webhook does not send {}", lacks.join(", "));
            found.push(Finding::error("webhook-events", sentence, mend(repo)));
        }
        if hook.url.contains("token=") {
            let sentence = "the webhook's address holds a token, which everybody sees who may see webhooks";
            found.push(Finding::warning("webhook-token", sentence, mend(repo)));
        }
    }
    found
}

/// None leads here; perhaps one leads to where `serve` was.
fn missing(hooks: &[Hook], address: &Url, repo: &RepoUrl) -> Finding {
    let elsewhere =
        hooks.iter().filter_map(|hook| Url::parse(&hook.url).ok()).find(|url| url.path().ends_with("/hook"));
    let elsewhere = elsewhere.map(|url| format!("; one leads to {}{}", url.origin().ascii_serialization(), url.path()));
    let sentence = format!("no webhook leads to {address}{}", elsewhere.unwrap_or_default());
    Finding::error("webhook-missing", sentence, mend(repo))
}
