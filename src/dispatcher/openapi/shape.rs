//! What holds for all of the API: how callers show who they are, and in which forms they are refused.

use utoipa::Modify;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ObjectBuilder, OpenApi, Ref, RefOr};

use crate::domain::described::{operations, says, tell_of_bytes, tell_of_caches, tell_once};
use crate::domain::problem;

/// What is described for artifacts alone, and is the same for caches.
const OF_BOTH_KINDS: [&str; 2] = ["/session/{claim}/artifacts/{id}", "/session/{claim}/artifacts/{id}/commit"];
/// The tag of those who are always refused in one form.
const CONTROLLERS: &str = "controllers";

/// Rounds the description off.
#[derive(Debug)]
pub(super) struct Shape;

impl Modify for Shape {
    fn modify(&self, api: &mut OpenApi) {
        tell_of_caches(api, &OF_BOTH_KINDS);
        for operation in api.paths.paths.values_mut().flat_map(operations) {
            tell_once(operation);
            tell_of_bytes(operation);
            refused_in_all_forms(operation);
        }
        let components = api.components.get_or_insert_default();
        for (name, scheme) in schemes() {
            components.add_security_scheme(name, scheme);
        }
    }
}

/// A refusal is written down once, by its status and its reason: here it gets the forms that `answer::in_form` gives it.
fn refused_in_all_forms(operation: &mut Operation) {
    let is_of_controllers = operation.tags.iter().flatten().any(|tag| tag == CONTROLLERS);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if !status.starts_with(['4', '5']) || !response.content.is_empty() {
            continue;
        }
        says(response, problem::CONTENT_TYPE, Ref::from_schema_name("Problem").into());
        if !is_of_controllers {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            says(response, "text/plain", text.clone().into());
            says(response, "text/html", text.into());
        }
    }
}

fn schemes() -> Vec<(&'static str, SecurityScheme)> {
    let bearer = |about: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build())
    };
    let query = |name, about| SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(name, about)));
    let header = |name, about| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)));
    let signed = "HMAC-SHA256 of the raw body under the hook's secret, in hexadecimal digits";
    let cookie =
        "What signing in gives a browser; behind https `__Host-albatros`. It acts with the `csrf` of a form alone.";
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("albatros", cookie)));
    vec![
        ("bearer", bearer("One of the repository's `tokens`, else its `hook.token`; or a token of the instance.")),
        ("token", query("token", "The same as the bearer, in the address. It may end up in logs of proxies.")),
        ("key", query("key", "What a status links with: good for seeing one private build, and for nothing else.")),
        ("signin", cookie),
        ("hookToken", query("token", "`hook.token`; only where the repository has no `hook.secret`.")),
        ("giteaSignature", header("X-Gitea-Signature", signed)),
        ("forgejoSignature", header("X-Forgejo-Signature", signed)),
        ("githubSignature", header("X-Hub-Signature-256", "The same behind `sha256=`.")),
        ("identity", bearer("The build's identity, a JWT that Nomad signed for the task `controller`.")),
        ("session", bearer("The secret that the controller made up at the exchange: 64 hexadecimal digits.")),
    ]
}
