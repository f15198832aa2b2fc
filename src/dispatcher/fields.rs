//! What a form of a page says.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use url::form_urlencoded;

use super::App;
use super::answer::Problem;

/// The longest form: a token, an address to come back to, and a commit are much shorter.
const FORM_MOST: usize = 16 * 1024;
/// A form of ours has a handful.
const FIELDS_MOST: usize = 32;

/// The fields of a form.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Whether a request's body says that it is a form.
    pub(crate) fn are_in(headers: &HeaderMap) -> bool {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// Takes the body, which is bounded as others are.
    pub(crate) async fn take(app: &App, body: Body, headers: &HeaderMap) -> Result<Self, Problem> {
        let taken = app.bodies.take(body, headers, FORM_MOST).await?;
        let fields = form_urlencoded::parse(&taken.bytes).into_owned().take(FIELDS_MOST);
        Ok(Self(fields.collect()))
    }

    /// The value of a field that stands there once and says something.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.trim());
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then_some(value)
    }
}

/// A token may be among them.
impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
