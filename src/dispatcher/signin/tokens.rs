//! The tokens that somebody may sign in with: of any repository's entry, or of the instance.

use crate::dispatcher::App;
use crate::domain::config::RepoConfig;
use crate::domain::secret::Secret;
use crate::domain::ticket::Ticket;
use crate::registry::{Found, RegistryError};

/// All tokens there are, as of now.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    app: &'a App,
    entries: Vec<Found>,
}

impl<'a> Tokens<'a> {
    /// From the local copy, so that strangers cost Consul nothing.
    pub(super) async fn of(app: &'a App) -> Result<Self, RegistryError> {
        Ok(Self { app, entries: app.registry.entries().await? })
    }

    fn all(&self) -> impl Iterator<Item = &Secret> {
        let people = &self.app.settings.people;
        let theirs = self.entries.iter().flat_map(|found| of_people(&found.config));
        people.read.iter().chain(&people.act).chain(theirs)
    }

    /// The token that was typed, if there is such a one. All are compared, so that the time does not tell which it was.
    pub(super) fn find(&self, given: &str) -> Option<Secret> {
        let found = self.all().fold(None, |found, secret| if secret.matches(given) { Some(secret) } else { found });
        found.cloned()
    }

    /// Those that a ticket stands for, in its order.
    pub(super) fn of_ticket(&self, ticket: &Ticket) -> Vec<Secret> {
        let mut found: Vec<(usize, &Secret)> =
            self.all().filter_map(|secret| Some((ticket.place_of(secret)?, secret))).collect();
        found.sort_by_key(|(place, _)| *place);
        found.dedup_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, secret)| secret.clone()).collect()
    }
}

/// The bearers of a repository's people.
fn of_people(config: &RepoConfig) -> impl Iterator<Item = &Secret> {
    let own = config.tokens.iter().flat_map(|tokens| tokens.read.iter().chain(&tokens.act));
    let hook = config.tokens.is_none().then_some(&config.hook_tokens);
    own.chain(hook.into_iter().flatten())
}

/// Whether any token of today stands behind a ticket. Where that cannot be read, a ticket that looks right counts: what
/// it opens is decided elsewhere.
pub(super) async fn stand_behind(app: &App, ticket: &Ticket) -> bool {
    match Tokens::of(app).await {
        Ok(tokens) => tokens.all().fold(false, |found, secret| ticket.is_of(secret) | found),
        Err(_unread) => true,
    }
}
