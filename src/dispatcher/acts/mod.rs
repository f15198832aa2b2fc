//! Cancel, retry and approve from a page: which buttons it shows, and what comes of pressing one.

mod post;

use super::App;
use super::access::{self, Credentials};
use super::claim::{nonce, url_encoded};
use super::view::BuildView;
use crate::domain::id::{BuildId, ClaimId};

pub(crate) use post::Post;

/// What a page offers, for `acts.html` as its field `offered`: what makes sense for a build now, and whether this visitor
/// may press it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offered {
    pub(crate) cancel: bool,
    pub(crate) retry: bool,
    /// It is held.
    pub(crate) approve: bool,
    /// Its sender can be approved always, along with it.
    pub(crate) always: bool,
    /// The visitor has signed in with a token that may act here.
    pub(crate) may: bool,
    /// The page that the forms' addresses are beneath: a path of ours.
    pub(crate) page: String,
    /// What is approved: the whole commit.
    pub(crate) commit: String,
    /// Whose it is.
    pub(crate) sender: String,
    /// Of this showing of the page: pressing a button of it twice is one wish.
    pub(crate) once: String,
}

impl Offered {
    /// Whether there is anything.
    pub(crate) fn is_any(&self) -> bool {
        self.cancel || self.retry || self.approve
    }

    /// What a stranger is told that signing in is good for.
    pub(crate) fn verb(&self) -> &'static str {
        match (self.approve, self.cancel) {
            (true, _) => "approve",
            (false, true) => "cancel",
            (false, false) => "retry",
        }
    }
}

/// What a page of `view` offers to who has these credentials. Only a cookie presses buttons: a bearer in a page's address
/// is not handed on to its forms.
pub(crate) async fn offered(app: &App, credentials: &Credentials, view: &BuildView) -> Offered {
    let Some(page) = page_of(view.build.as_ref(), view.claim.as_ref()) else { return Offered::default() };
    let is_held = !view.ended && view.state == "held";
    Offered {
        cancel: !view.ended,
        retry: view.ended && view.job.is_none() && view.claim.is_some(),
        approve: is_held,
        always: is_held && view.job.is_none() && view.pull_request.is_some(),
        may: may(app, credentials, view).await,
        page,
        commit: view.commit.clone().unwrap_or_default(),
        sender: view.sender.clone().unwrap_or_default(),
        once: nonce().unwrap_or_default(),
    }
}

/// Where it cannot be read who may, nobody is shown a button; pressing one would fail as well.
async fn may(app: &App, credentials: &Credentials, view: &BuildView) -> bool {
    let Some(repo) = view.repo.as_ref().filter(|_| credentials.has_ticket()) else { return false };
    let config = access::config_of(app, repo).await.ok().flatten();
    config.is_some_and(|config| credentials.would_act(app, &config))
}

/// The page of a build, else of its claim: a path of ours.
fn page_of(build: Option<&BuildId>, claim: Option<&ClaimId>) -> Option<String> {
    build.map(page).or_else(|| claim.map(page_of_claim))
}

/// The page of a build: a path of ours.
pub(crate) fn page(build: &BuildId) -> String {
    format!("/builds/{}/{}", url_encoded(build.builder()), url_encoded(build.child()))
}

/// The page of a change that may have no build: a path of ours.
pub(crate) fn page_of_claim(claim: &ClaimId) -> String {
    format!("/builds/claim/{claim}")
}
