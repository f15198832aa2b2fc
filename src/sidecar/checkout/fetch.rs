//! Getting a commit from its forge.

use tokio::time::{Duration, Instant, sleep};

use super::CheckoutError;
use super::repository::Repository;
use crate::api::git::{GitError, Refusal};
use crate::sidecar::say;

/// Where a fetched ref is kept while the commit is looked for in it.
const FETCHED: &str = "refs/albatros/ref";
/// How much of a ref is fetched first, where the server does not give the commit by itself.
const DEPTH: &str = "--depth=50";
/// Before a forge that could not be reached is asked again for the first time; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Repository {
    /// The commit alone where the server gives it, else one of the refs, which must hold it.
    pub(super) async fn fetch(&self, refs: &[String]) -> Result<(), CheckoutError> {
        let (url, commit) = (self.url.as_str(), self.commit.as_str());
        let alone = match self.talk(&["fetch", "-q", "--depth=1", "--no-tags", "--", url, commit]).await {
            Ok(()) => return Ok(()),
            Err(error) if is_final(&error) => return Err(self.not_fetched(error)),
            Err(error) => error,
        };
        let mut refused = None;
        for name in refs {
            match self.fetch_ref(name).await {
                Ok(()) if self.holds(commit).await => return Ok(()),
                Ok(()) => return Err(CheckoutError::NotOnRef(commit.to_owned(), name.clone())),
                Err(error) if is_final(&error) => return Err(self.not_fetched(error)),
                Err(error) => refused = refused.or(Some((name, error))),
            }
        }
        match refused {
            Some((name, error)) if Refusal::of(&error) == Refusal::NoRef => {
                Err(CheckoutError::RefGone(commit.to_owned(), name.clone()))
            }
            Some((_, error)) => Err(self.not_fetched(error)),
            None => Err(self.not_fetched(alone)),
        }
    }

    /// The newest commits of a ref, then all of it.
    async fn fetch_ref(&self, name: &str) -> Result<(), GitError> {
        let to = if name.ends_with("/*") { "refs/remotes/origin/*" } else { FETCHED };
        let spec = format!("+{name}:{to}");
        let newest = self.talk(&["fetch", "-q", DEPTH, "--no-tags", "--", &self.url, &spec]).await;
        match newest {
            Ok(()) if self.holds(self.commit.as_str()).await => return Ok(()),
            Err(error) if is_final(&error) || Refusal::of(&error) == Refusal::NoRef => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let whole = if self.dir.join(".git/shallow").exists() { "--unshallow" } else { "--no-tags" };
        self.talk(&["fetch", "-q", whole, "--no-tags", "--", &self.url, &spec]).await
    }

    /// One conversation with the forge: again while its trouble may pass, and once more without the credential where it
    /// sends us elsewhere, for then that place is everybody's or not for us.
    pub(super) async fn talk(&self, args: &[&str]) -> Result<(), GitError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let git = self.git.clone().with_credential(self.credential.as_ref());
            let Err(error) = git.run(args).await else { return Ok(()) };
            match Refusal::of(&error) {
                Refusal::Moved if self.credential.is_some() => {
                    let elsewhere = self.git.run(args).await;
                    return elsewhere.map(drop).map_err(|_refused| error);
                }
                Refusal::Unreachable if Instant::now() + pause < self.deadline => {
                    say(&format!("{}; trying again in {} s", self.told(error), pause.as_secs()));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Refusal::Unreachable
                | Refusal::Moved
                | Refusal::Credential
                | Refusal::Forbidden
                | Refusal::NoRepository
                | Refusal::NoRef
                | Refusal::Certificate
                | Refusal::NoLfs
                | Refusal::Other => return Err(error),
            }
        }
    }

    /// An error as it may stand in the log.
    pub(super) fn told(&self, error: GitError) -> GitError {
        if self.foreign { error.hushed() } else { error }
    }

    /// What is here came with the ref and nothing else, so being here is being on it.
    async fn holds(&self, commit: &str) -> bool {
        self.git.run(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).await.is_ok()
    }

    fn not_fetched(&self, source: GitError) -> CheckoutError {
        let (commit, url) = (self.commit.to_string(), self.url.clone());
        let (why, shown) = (Refusal::of(&source), self.credential.is_some());
        CheckoutError::Fetch { commit, url, why, shown, source: self.told(source) }
    }
}

/// Whether asking in another way would be answered in the same way.
fn is_final(error: &GitError) -> bool {
    match Refusal::of(error) {
        Refusal::Credential
        | Refusal::Forbidden
        | Refusal::NoRepository
        | Refusal::Moved
        | Refusal::Certificate
        | Refusal::Unreachable => true,
        Refusal::NoRef | Refusal::NoLfs | Refusal::Other => matches!(error, GitError::Start(_)),
    }
}
