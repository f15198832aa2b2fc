//! What a build's controller, and the verbs in a build, are told by Nomad and by the builder.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::source::{Environment, SettingsError, Source, parse};
use crate::api::controller::ControllerAddress;
use crate::domain::event::EventKind;
use crate::domain::grant::Facts;
use crate::domain::id::ClaimId;
use crate::domain::runner::{IDENTITY, SHARED_LOOPBACK};
use crate::domain::secret::Secret;

/// All that `controller` is told.
#[derive(Debug, Clone)]
pub struct ControllerSettings {
    /// `NOMAD_ALLOC_DIR`.
    pub alloc_dir: PathBuf,
    /// `NOMAD_JOB_ID`.
    pub build: String,
    /// `NOMAD_META_*`.
    pub facts: Facts,
    /// `ALBATROS_CONTROLLER_LISTEN`.
    pub listen: Option<SocketAddr>,
    /// `NOMAD_HOST_ADDR_service`, `NOMAD_ADDR_service`: that port, as others reach it.
    pub reached_at: Option<String>,
    /// `NOMAD_TASK_DIR`.
    pub task_dir: Option<PathBuf>,
    /// Where to ask for a session, or why there is nowhere to ask.
    pub session: Result<SessionSettings, &'static str>,
}

/// Where and with what a session is asked for.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// `ALBATROS_SERVER`.
    pub server: Url,
    /// `ALBATROS_SERVER_CACERT`: the one authority to trust for it.
    pub ca: Option<PathBuf>,
    /// `ALBATROS_IDENTITY_FILE`.
    pub identity: PathBuf,
    /// `NOMAD_META_ALBATROS_CLAIM`.
    pub claim: ClaimId,
}

/// Reads everything that `controller` needs.
///
/// # Errors
/// Names the variable and what it should hold.
pub fn controller(environment: Environment<'_>) -> Result<ControllerSettings, SettingsError> {
    let from = Source::new(environment);
    let build = need(from, "NOMAD_JOB_ID")?;
    let listen = from.text("ALBATROS_CONTROLLER_LISTEN").map(|text| parse("ALBATROS_CONTROLLER_LISTEN", &text));
    Ok(ControllerSettings {
        alloc_dir: PathBuf::from(need(from, "NOMAD_ALLOC_DIR")?),
        build,
        facts: facts(from)?,
        listen: listen.transpose()?,
        reached_at: from.text("NOMAD_HOST_ADDR_service").or_else(|| from.text("NOMAD_ADDR_service")),
        task_dir: from.path("NOMAD_TASK_DIR"),
        session: session(from)?,
    })
}

fn need(from: Source<'_>, name: &str) -> Result<String, SettingsError> {
    let missing =
        || SettingsError::new(name, "is not set: `albatros controller` runs in the controller task of a build");
    from.text(name).ok_or_else(missing)
}

fn facts(from: Source<'_>) -> Result<Facts, SettingsError> {
    let (commit, flavor) = ("NOMAD_META_COMMIT", "NOMAD_META_FLAVOR");
    Ok(Facts {
        repo_url: need(from, "NOMAD_META_REPO_URL")?,
        commit: parse(commit, &need(from, commit)?)?,
        branch: need(from, "NOMAD_META_BRANCH")?,
        flavor: parse(flavor, &need(from, flavor)?)?,
        git_ref: from.text("NOMAD_META_REF"),
        // Who dispatches by hand may write what he likes.
        event: from.text("NOMAD_META_EVENT").and_then(|text| event(&text)),
        sender: from.text("NOMAD_META_SENDER"),
        pull_request: from.text("NOMAD_META_PULL_REQUEST").and_then(|text| text.parse().ok()),
        trusted: false,
    })
}

fn event(text: &str) -> Option<EventKind> {
    [EventKind::Push, EventKind::Tag, EventKind::PullRequest, EventKind::WorkflowJob]
        .into_iter()
        .find(|kind| kind.as_str() == text)
}

fn session(from: Source<'_>) -> Result<Result<SessionSettings, &'static str>, SettingsError> {
    let name = "ALBATROS_SERVER";
    let Some(text) = from.text(name) else {
        return Ok(Err("ALBATROS_SERVER is not set for the controller: there is no server to ask"));
    };
    let server: Url = parse(name, &text)?;
    if !matches!(server.scheme(), "http" | "https") || !server.username().is_empty() || server.password().is_some() {
        return Err(SettingsError::new(name, "expected an address such as https://ci.example.org"));
    }
    let Some(claim) = from.text("NOMAD_META_ALBATROS_CLAIM") else {
        return Ok(Err(
            "it has no ALBATROS_CLAIM: it was dispatched by hand, or its builder does not declare that key",
        ));
    };
    let Ok(claim) = claim.parse() else {
        return Ok(Err("its ALBATROS_CLAIM is none: it was dispatched by hand"));
    };
    let of_nomad = || from.path("NOMAD_SECRETS_DIR").map(|folder| folder.join(format!("nomad_{IDENTITY}.jwt")));
    let missing = || SettingsError::new("NOMAD_SECRETS_DIR", "is not set, nor is ALBATROS_IDENTITY_FILE");
    let identity = from.path("ALBATROS_IDENTITY_FILE").or_else(of_nomad).ok_or_else(missing)?;
    Ok(Ok(SessionSettings { server, ca: from.path("ALBATROS_SERVER_CACERT"), identity, claim }))
}

/// `ALBATROS_API` and `ALBATROS_TOKEN`: what a script has to ask its controller with.
///
/// # Errors
/// Where one is missing, which means that this is no script of a build.
pub fn in_build(environment: Environment<'_>) -> Result<(ControllerAddress, Secret), SettingsError> {
    let from = Source::new(environment);
    let missing =
        |name: &str| SettingsError::new(name, "is not set: this works in the script of a build with a controller");
    let name = "ALBATROS_API";
    let address = parse(name, &from.text(name).ok_or_else(|| missing(name))?)?;
    let token = from.secret("ALBATROS_TOKEN").ok_or_else(|| missing("ALBATROS_TOKEN"))?;
    Ok((address, token))
}

/// Whether the services of a build are on its script's own loopback.
pub fn shared_loopback(environment: Environment<'_>) -> bool {
    Source::new(environment).text(SHARED_LOOPBACK).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn told(more: &[(&str, &str)]) -> Result<ControllerSettings, SettingsError> {
        let base = [
            ("NOMAD_ALLOC_DIR", "/alloc"),
            ("NOMAD_SECRETS_DIR", "/secrets"),
            ("NOMAD_JOB_ID", "builder/dispatch-1-a"),
            ("NOMAD_META_REPO_URL", "https://git.example/o/r"),
            ("NOMAD_META_COMMIT", "0123456789012345678901234567890123456789"),
            ("NOMAD_META_BRANCH", "main"),
            ("NOMAD_META_FLAVOR", "default"),
        ];
        let look = |name: &str| {
            let found = more.iter().chain(&base).find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        controller(&look)
    }

    #[test]
    fn without_server_or_claim_there_is_nowhere_to_ask() {
        assert!(told(&[]).unwrap().session.unwrap_err().contains("ALBATROS_SERVER"));
        let server = ("ALBATROS_SERVER", "https://ci.example");
        assert!(told(&[server]).unwrap().session.unwrap_err().contains("ALBATROS_CLAIM"));
        assert!(told(&[server, ("NOMAD_META_ALBATROS_CLAIM", "guess")]).unwrap().session.is_err());
        let session = told(&[server, ("NOMAD_META_ALBATROS_CLAIM", CLAIM)]).unwrap().session.unwrap();
        assert_eq!(session.identity, PathBuf::from("/secrets/nomad_albatros.jwt"));
    }

    #[test]
    fn what_is_missing_or_senseless_is_named() {
        for (name, value) in [
            ("NOMAD_META_COMMIT", "--x"),
            ("NOMAD_JOB_ID", ""),
            ("ALBATROS_SERVER", "ftp://x"),
            ("ALBATROS_SERVER", "https://u:p@x"),
            ("ALBATROS_CONTROLLER_LISTEN", "here"),
        ] {
            assert_eq!(told(&[(name, value)]).unwrap_err().name, name);
        }
    }

    #[test]
    fn the_metas_words_are_taken_but_for_trust() {
        let facts = told(&[("NOMAD_META_EVENT", "pull_request"), ("NOMAD_META_PULL_REQUEST", "7")]).unwrap().facts;
        assert_eq!((facts.event, facts.pull_request, facts.trusted), (Some(EventKind::PullRequest), Some(7), false));
    }

    #[test]
    fn outside_of_a_build_the_missing_variable_is_named() {
        assert_eq!(in_build(&|_name| None).unwrap_err().name, "ALBATROS_API");
        let half = |name: &str| (name == "ALBATROS_API").then(|| "unix:/x".to_owned());
        assert_eq!(in_build(&half).unwrap_err().name, "ALBATROS_TOKEN");
    }
}
