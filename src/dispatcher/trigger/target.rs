//! What is to be built: from what a person named to a ref and a commit, by what the forge says of them.

use axum::http::StatusCode;

use super::Wanted;
use crate::api::forge::{Forge, ForgeError};
use crate::dispatcher::App;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::start;
use crate::domain::event::{Change, EventKind, Pull};
use crate::domain::id::CommitSha;
use crate::registry::Found;

/// The fewest digits of a commit that say which one is meant.
const DIGITS_LEAST: usize = 4;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The repository's default branch.
    Default,
    Branch(String),
    Tag(String),
    Pull(u64),
}

/// A commit as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Commit {
    Whole(CommitSha),
    /// Its first digits.
    Begins(String),
}

impl Target {
    pub(super) fn of(wanted: &Wanted) -> Result<Self, Problem> {
        match (&wanted.git_ref, &wanted.branch, &wanted.tag, wanted.pull_request) {
            (None, None, None, None) => Ok(Self::Default),
            (Some(git_ref), None, None, None) => Self::of_ref(git_ref),
            (None, Some(branch), None, None) => Ok(Self::Branch(branch.clone())),
            (None, None, Some(tag), None) => Ok(Self::Tag(tag.clone())),
            (None, None, None, Some(number)) => Ok(Self::Pull(number)),
            _ => Err(Problem::bad_request("name one of ref, branch, tag and pull_request, and not several")),
        }
    }

    fn of_ref(git_ref: &str) -> Result<Self, Problem> {
        let Some(rest) = git_ref.strip_prefix("refs/") else { return Ok(Self::Branch(git_ref.to_owned())) };
        let number = |name: &str| name.strip_suffix("/head").and_then(|number| number.parse().ok());
        let target = match rest.split_once('/') {
            Some(("heads", name)) => Some(Self::Branch(name.to_owned())),
            Some(("tags", name)) => Some(Self::Tag(name.to_owned())),
            Some(("pull", name)) => number(name).map(Self::Pull),
            Some(_) | None => None,
        };
        let sentence = "ref: expected a branch, refs/heads/…, refs/tags/… or refs/pull/N/head";
        target.ok_or_else(|| Problem::bad_request(sentence))
    }
}

impl Commit {
    pub(super) fn parse(typed: &str) -> Result<Self, Problem> {
        if let Ok(whole) = typed.parse::<CommitSha>() {
            return Ok(Self::Whole(whole));
        }
        let digits = typed.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits && (DIGITS_LEAST..40).contains(&typed.len()) {
            return Ok(Self::Begins(typed.to_ascii_lowercase()));
        }
        Err(Problem::bad_request("commit: expected 40 or 64 hexadecimal digits, or at least the first 4 of them"))
    }
}

/// The change that is asked for.
pub(super) async fn change(
    app: &App,
    target: Target,
    commit: Option<Commit>,
    found: &Found,
) -> Result<Change, Problem> {
    let asked = Asked { app, found };
    match target {
        Target::Default => asked.on_default(commit).await,
        Target::Branch(name) => asked.on_ref(EventKind::Push, format!("refs/heads/{name}"), name, commit).await,
        Target::Tag(name) => asked.on_ref(EventKind::Tag, format!("refs/tags/{name}"), name, commit).await,
        Target::Pull(number) => asked.of_pull(number, commit).await,
    }
}

/// What the forge is asked about.
struct Asked<'a> {
    app: &'a App,
    found: &'a Found,
}

impl Asked<'_> {
    fn forge(&self, why: &str) -> Result<Forge, Problem> {
        let config = self.found.config.forge.as_ref().ok_or_else(|| Problem::bad_request(why))?;
        Forge::new(self.app.forge_client.clone(), config, &self.found.repo).map_err(|error| unasked(&error))
    }

    async fn on_default(&self, commit: Option<Commit>) -> Result<Change, Problem> {
        let forge =
            self.forge("branch: needed, since no forge is configured that could be asked for the default one")?;
        let name = forge.default_branch().await.map_err(|error| unasked(&error))?;
        let name = name.ok_or_else(|| unknown("the repository has no branch yet"))?;
        let git_ref = format!("refs/heads/{name}");
        if let Some(Commit::Whole(commit)) = &commit {
            on(&forge, &git_ref, commit).await?;
        }
        self.on_ref(EventKind::Push, git_ref, name, commit).await
    }

    async fn on_ref(
        &self,
        kind: EventKind,
        git_ref: String,
        name: String,
        commit: Option<Commit>,
    ) -> Result<Change, Problem> {
        let commit = match commit {
            // Nobody is asked: prepare and the check before secrets are handed over see whether it is there.
            Some(Commit::Whole(commit)) => commit,
            Some(Commit::Begins(digits)) => {
                let forge = self.forge(SHORT)?;
                let commit = whole(&forge, &digits).await?;
                on(&forge, &git_ref, &commit).await?;
                commit
            }
            None => {
                let forge = self.forge("commit: needed, since no forge is configured that could be asked")?;
                let head = forge.head(&git_ref).await.map_err(|error| unasked(&error))?;
                head.ok_or_else(|| unknown(format!("ref: the forge does not know it ({git_ref})")))?
            }
        };
        let private = self.found.config.private.unwrap_or(true);
        Ok(Place { kind, git_ref, branch: name, private, pull: None }.at(commit, self.found))
    }

    /// A status of the pull request must not come to stand on another one's commit.
    async fn of_its_commits(&self, forge: &Forge, number: u64, commit: CommitSha) -> Result<CommitSha, Problem> {
        on(forge, &format!("refs/pull/{number}/head"), &commit).await?;
        Ok(commit)
    }

    /// Its head, never trusted; who asks for it has approved it.
    async fn of_pull(&self, number: u64, commit: Option<Commit>) -> Result<Change, Problem> {
        let forge = self.forge("pull_request: no forge is configured that could be asked")?;
        let opened = forge.pull(number).await.map_err(|error| unasked(&error))?;
        let opened = opened.ok_or_else(|| unknown(format!("pull_request: the forge knows no {number}")))?;
        let commit = match commit {
            None => opened.head,
            Some(Commit::Whole(commit)) => self.of_its_commits(&forge, number, commit).await?,
            Some(Commit::Begins(digits)) => {
                let commit = whole(&forge, &digits).await?;
                self.of_its_commits(&forge, number, commit).await?
            }
        };
        let place = Place {
            kind: EventKind::PullRequest,
            git_ref: format!("refs/pull/{number}/head"),
            branch: format!("pull/{number}/head"),
            private: opened.private,
            pull: Some(opened.pull),
        };
        Ok(place.at(commit, self.found))
    }
}

const SHORT: &str =
    "commit: all of its digits are needed, since no forge is configured that could be asked for the rest";

/// A ref, before it is known at which commit.
struct Place {
    kind: EventKind,
    git_ref: String,
    branch: String,
    private: bool,
    pull: Option<Pull>,
}

impl Place {
    fn at(self, commit: CommitSha, found: &Found) -> Change {
        Change {
            kind: self.kind,
            git_ref: self.git_ref,
            branch: self.branch,
            before: String::new(),
            commit,
            sender: start::sender(),
            // It is asked for by the repository's own credential.
            repository_id: found.config.repository_id,
            // Unless the forge has said otherwise, nothing says that it is public.
            private: self.private,
            message: None,
            pull: self.pull,
        }
    }
}

async fn whole(forge: &Forge, digits: &str) -> Result<CommitSha, Problem> {
    let commit = forge.commit(digits).await.map_err(|error| unasked(&error))?;
    commit.ok_or_else(|| unknown(format!("commit: the forge knows none that begins with {digits}, or several")))
}

/// That a commit is on a ref.
async fn on(forge: &Forge, git_ref: &str, commit: &CommitSha) -> Result<(), Problem> {
    if forge.holds(git_ref, commit).await.map_err(|error| unasked(&error))? {
        return Ok(());
    }
    let short = commit.short();
    Err(unknown(format!("commit: {short} is not on {git_ref}; name the branch, tag or pull request that has it")))
}

fn unknown(sentence: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
}

const UNASKED: &str = "the forge could not be asked what is to be built; name ref and commit, or try again";

pub(super) fn slow() -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, UNASKED)
}

fn unasked(error: &ForgeError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "the forge did not say what is to be built");
    let sentence = match error {
        ForgeError::Refused(why) => format!("the forge refused: {why}"),
        ForgeError::Unanswered(_) | ForgeError::Unavailable(_) => UNASKED.to_owned(),
    };
    Problem::new(StatusCode::BAD_GATEWAY, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(fields: &str) -> Result<Target, Problem> {
        let wanted = format!(r#"{{"repo": "https://git.example/a/b"{fields}}}"#);
        Target::of(&serde_json::from_str(&wanted).unwrap())
    }

    #[test]
    fn a_target_is_one_thing() {
        let branch = |name: &str| Ok(Target::Branch(name.to_owned()));
        assert_eq!(target(""), Ok(Target::Default));
        assert_eq!(target(r#","ref": "main""#), branch("main"));
        assert_eq!(target(r#","ref": "refs/heads/refs/tags/v9""#), branch("refs/tags/v9"));
        assert_eq!(target(r#","branch": "refs/heads/x""#), branch("refs/heads/x"));
        assert_eq!(target(r#","tag": "v1""#), Ok(Target::Tag("v1".to_owned())));
        assert_eq!(target(r#","ref": "refs/pull/3/head""#), Ok(Target::Pull(3)));
        for fields in [
            r#","ref": "main", "branch": "main""#,
            r#","tag": "v1", "pull_request": 3"#,
            r#","ref": "refs/notes/x""#,
            r#","ref": "refs/pull/x/head""#,
        ] {
            assert_eq!(target(fields).unwrap_err().status, StatusCode::BAD_REQUEST, "{fields}");
        }
    }

    #[test]
    fn a_commit_is_whole_or_its_first_digits() {
        assert!(matches!(Commit::parse(&"a".repeat(40)), Ok(Commit::Whole(_))));
        assert_eq!(Commit::parse("ABC1"), Ok(Commit::Begins("abc1".to_owned())));
        for typed in ["", "abc", "main", "HEAD~1", "abcx", &"a".repeat(41)] {
            assert!(Commit::parse(typed).is_err(), "{typed}");
        }
    }
}
