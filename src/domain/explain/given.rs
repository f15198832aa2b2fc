//! What a build would be given, in words: names, never values.

use jiff::Timestamp;

use crate::domain::builder::BuilderShape;
use crate::domain::config::RepoConfig;
use crate::domain::grant::{Checkout, Grant};
use crate::domain::params::Params;
use crate::domain::plan::{self, Plan};
use crate::domain::record::Phase;
use crate::domain::secret::Secret;

/// A sentence a thing. `shape` is the builder's, where somebody has shown it.
pub(super) fn given(plan: &Plan, config: &RepoConfig, shape: Option<&BuilderShape>) -> Vec<String> {
    // The same decision as at the exchange, whose record has neither nonce nor time that counts for it.
    let record = plan::record(plan, Phase::Claimed, String::new(), Timestamp::UNIX_EPOCH);
    // A change names no parameters: only a job's grant can fail.
    let grant = match Grant::of(&plan.claim, &record, config) {
        Ok(grant) => grant,
        Err(why) => return vec![why.to_string()],
    };
    let mut given = vec![parameters(grant.inject.as_ref(), plan.trust.trusted)];
    if shape.is_some_and(|shape| !shape.has_controller) {
        if grant.inject.is_some() {
            given.push("all of it as the payload, since the builder has no controller".to_owned());
        }
        return given;
    }
    given.extend(checkout(&grant.checkout));
    given
}

fn parameters(inject: Option<&Secret>, trusted: bool) -> String {
    let Some(inject) = inject else {
        let why = if trusted { "the configuration has none" } else { "it is not trusted" };
        return format!("no parameters: {why}");
    };
    match Params::parse(inject.expose()) {
        Ok(params) => {
            let names: Vec<&str> = params.names().collect();
            match names.len() {
                0 => "a file at SECRET_PATH with no parameter in it".to_owned(),
                1 => format!("the parameter {}", names.concat()),
                _ => format!("the parameters {}", names.join(", ")),
            }
        }
        Err(why) => format!("the file at SECRET_PATH alone, which is no env file ({why})"),
    }
}

fn checkout(checkout: &Checkout) -> Vec<String> {
    let mut given = Vec::new();
    match (checkout.submodules, checkout.lfs) {
        (false, false) => {}
        (true, false) => given.push("a checkout with its submodules".to_owned()),
        (false, true) => given.push("a checkout with its files of git LFS".to_owned()),
        (true, true) => given.push("a checkout with its submodules and files of git LFS".to_owned()),
    }
    if let Some(credential) = &checkout.credential {
        given.push(format!("the forge's token, for the checkout of {} and nothing else", credential.scope));
    }
    given
}
