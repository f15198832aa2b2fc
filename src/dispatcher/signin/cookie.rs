//! The cookie of who has signed in.
//!
//! `SameSite=Lax`, not `Strict`: the link in a forge's status comes from another site, and a strict cookie is not sent
//! along with it, so that a private build would not be there for whoever has signed in. What a cookie alone can do is
//! read; acting takes what only a page of ours knows, see [`super::origin`] and [`Ticket::csrf`].

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

use crate::dispatcher::App;
use crate::domain::ticket::Ticket;

/// Cookies of a request that are looked at; a browser keeps no more for one site than a few hundred.
const COOKIES_MOST: usize = 256;

/// Its name and where it goes.
#[derive(Debug)]
pub(crate) struct Cookie {
    name: &'static str,
    path: String,
    secure: bool,
}

impl Cookie {
    /// By `ALBATROS_URL`. Behind https its name has a browser refuse it from a neighbour and from plain http; the
    /// strictest of these names is for servers at the root alone.
    pub(crate) fn of(app: &App) -> Self {
        let url = app.settings.url.as_ref();
        let base = url.map(|url| url.path().trim_end_matches('/')).unwrap_or_default();
        let secure = url.is_some_and(|url| url.scheme() == "https");
        let name = match (secure, base.is_empty()) {
            (true, true) => "__Host-albatros",
            (true, false) => "__Secure-albatros",
            (false, _) => "albatros",
        };
        Self { name, path: if base.is_empty() { "/".to_owned() } else { base.to_owned() }, secure }
    }

    /// What a request brings along, if its time is not over. Of several cookies the first counts, as browsers send the
    /// closest one first.
    pub(crate) fn ticket(&self, headers: &HeaderMap, now: Timestamp) -> Option<Ticket> {
        let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let cookies = lines.flat_map(|line| line.split(';')).take(COOKIES_MOST);
        let mut ours = cookies.filter_map(|cookie| cookie.split_once('=')).filter(|(name, _)| name.trim() == self.name);
        let (_, value) = ours.next()?;
        Ticket::parse(value.trim()).filter(|ticket| !ticket.is_over(now))
    }

    /// Has a browser keep it.
    pub(crate) fn set(&self, ticket: &Ticket, now: Timestamp) -> Option<HeaderValue> {
        let seconds = ticket.until().duration_since(now).as_secs().max(0);
        self.line(ticket.as_str(), seconds)
    }

    /// Has a browser forget it.
    pub(crate) fn clear(&self) -> Option<HeaderValue> {
        self.line("", 0)
    }

    fn line(&self, value: &str, seconds: i64) -> Option<HeaderValue> {
        let Self { name, path, secure } = self;
        let secure = if *secure { "; Secure" } else { "" };
        let line = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(line).ok()
    }
}
