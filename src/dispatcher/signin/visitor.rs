//! Who looks at a page, as far as its header and its forms want to know.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use jiff::Timestamp;

use super::back::Back;
use super::cookie::Cookie;
use super::tokens;
use crate::dispatcher::claim::url_encoded;
use crate::dispatcher::{App, SharedApp};
use crate::domain::ticket::Ticket;

/// A browser, signed in or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visitor {
    ticket: Option<Ticket>,
    csrf: Option<String>,
    here: Back,
}

impl Visitor {
    /// By the cookie of a request. A cookie that no token of today stands behind is none.
    pub(crate) async fn of(app: &App, headers: &HeaderMap, uri: &Uri) -> Self {
        let here = Back::of(uri.path_and_query().map(axum::http::uri::PathAndQuery::as_str).unwrap_or_default());
        let ticket = Cookie::of(app).ticket(headers, Timestamp::now());
        let ticket = match ticket {
            Some(ticket) if tokens::stand_behind(app, &ticket).await => Some(ticket),
            Some(_) | None => None,
        };
        Self { csrf: ticket.as_ref().map(Ticket::csrf), ticket, here }
    }

    /// The same visitor, who is to come back to another page than this.
    pub(crate) fn back_to(self, here: Back) -> Self {
        Self { here, ..self }
    }

    /// Whether he has signed in with a token that still holds for something.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.ticket.is_some()
    }

    /// What each form carries as its hidden field `csrf`.
    pub(crate) fn csrf(&self) -> Option<&str> {
        self.csrf.as_deref()
    }

    /// What he has signed in with.
    pub(super) fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// Where he is, to come back to: a path and its query, as the value of a query.
    pub(crate) fn here_encoded(&self) -> String {
        url_encoded(self.here.as_str())
    }
}

impl FromRequestParts<SharedApp> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Infallible> {
        let uri = parts.extensions.get::<OriginalUri>().map_or_else(|| parts.uri.clone(), |uri| uri.0.clone());
        Ok(Self::of(app, &parts.headers, &uri).await)
    }
}
