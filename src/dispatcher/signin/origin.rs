//! Whether a form was sent by a page of ours.

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use url::Url;

use crate::dispatcher::App;
use crate::dispatcher::answer::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site's page has a browser send. Browsers say where a form stood, in one header or in both;
/// programs need not.
pub(crate) fn is_own(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let said = |name: HeaderName| headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default());
    // `none` is a person's own doing: a page that was restored or sent again. No page can have a browser say it.
    let site = said(FETCH_SITE).all(|site| matches!(site, "same-origin" | "none"));
    let origin = said(ORIGIN).all(|origin| is_ours(app, origin, headers));
    if site && origin {
        return Ok(());
    }
    let sentence = "the form did not come from a page of this server: open its page here and press the button there \
                    (behind a proxy, ALBATROS_URL must be the address that browsers use)";
    Err(Problem::new(StatusCode::FORBIDDEN, sentence))
}

/// The server as the browser named it, which no page can choose, or as it is known outside.
fn is_ours(app: &App, origin: &str, headers: &HeaderMap) -> bool {
    // `null`, and whatever is no address, is nobody's.
    let Ok(origin) = Url::parse(origin) else { return false };
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = named.and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    [named.as_ref(), app.settings.url.as_ref()].into_iter().flatten().any(|own| is_same(own, &origin))
}

fn is_same(own: &Url, origin: &Url) -> bool {
    own.origin().is_tuple() && own.origin() == origin.origin()
}
