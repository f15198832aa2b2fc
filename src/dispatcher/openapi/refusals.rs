//! What requests are refused with, for the descriptions of handlers that share it. In which forms that is said, all share.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use crate::domain::described::refusals;

macro_rules! refusals {
    ($(#[$doc:meta])* $name:ident: $($status:literal $description:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refusals(&[$(($status, $description)),+])
            }
        }
    };
}

refusals! {
    /// Of who wants to see something.
    Reading:
    "400" "The address or its query cannot be read.",
    "404" "There is no such thing, or a credential is needed to see it.",
    "503" "Nomad, Consul or the store does not answer, or too many ask at once. Try again.",
}

refusals! {
    /// Of who wants to see a list; what may not be seen is not in it.
    Listing:
    "400" "The query cannot be read.",
    "503" "Consul does not answer. Try again.",
}

refusals! {
    /// Of who wants a log.
    LogRefused:
    "400" "The address or its query cannot be read.",
    "404" "There is no such build, no such task, or a credential is needed to see it.",
    "409" "It has no log: it was never placed.",
    "410" "The log is not kept any more; the sentence says why.",
    "416" "The log has no such bytes.",
    "503" "Nomad, Consul or the store does not answer, or too many read at once. Try again.",
}

refusals! {
    /// Of who wants something done.
    Acting:
    "400" "The address, the query or a header cannot be read.",
    "401" "A token is needed that may act for the repository.",
    "404" "There is no such thing, or a credential is needed to see it.",
    "503" "Nomad or Consul does not answer. Try again.",
}

refusals! {
    /// Of a build's controller.
    Session:
    "400" "Something in the request is malformed; the detail says what.",
    "401" "A bearer token is needed.",
    "403" "This is not the secret of the build's session, or it is not for this build.",
    "410" "The build is over.",
    "503" "Not now: something does not answer, or too many ask at once. Try again after `Retry-After`.",
}

refusals! {
    /// Of who sends a body.
    Sending:
    "408" "The body did not arrive in time.",
    "413" "The body is too large.",
}

refusals! {
    /// Of a form; and where a form that acts leads.
    Pressing:
    "303" "To a form: the page of what came of it.",
    "403" "The form is of another site, or of an earlier sign-in.",
    "408" "The form did not arrive in time.",
    "413" "The form is too large.",
}
