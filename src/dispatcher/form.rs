//! In which form a caller wants his answer: `Accept` decides, the address is the same.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Form {
    /// A page, for a browser.
    Page,
    /// Lines, for curl and for whoever says nothing.
    #[default]
    Text,
    /// An object, for a program.
    Json,
    /// What changes from now on, as server-sent events.
    Events,
}

/// The media types that are understood, in the order in which they win among equals.
const KNOWN: [(&str, Form); 7] = [
    ("text/html", Form::Page),
    ("application/xhtml+xml", Form::Page),
    ("text/event-stream", Form::Events),
    ("application/json", Form::Json),
    ("application/problem+json", Form::Json),
    ("text/plain", Form::Text),
    ("*/*", Form::Text),
];

impl Form {
    /// By `Accept` ([RFC 9110, 12.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1)): the highest weight, and
    /// among equals the order of [`KNOWN`]. Where nothing is understood it is text.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let told = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = told.flat_map(|value| value.split(',')).filter_map(range);
        let best = ranges.filter_map(|(media, weight)| {
            let place = KNOWN.iter().position(|(known, _)| media.eq_ignore_ascii_case(known))?;
            Some((weight, std::cmp::Reverse(place)))
        });
        let best = best.filter(|(weight, _)| *weight > 0).max();
        best.and_then(|(_, place)| KNOWN.get(place.0)).map_or(Self::Text, |(_, form)| *form)
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// A media range and its weight in thousandths.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight: f32 = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
    let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
    Some((media, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Form::of(&headers)
    }

    #[test]
    fn browsers_get_pages_curl_text_and_programs_objects() {
        assert_eq!(form("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"), Form::Page);
        assert_eq!(form("*/*"), Form::Text);
        assert_eq!(Form::of(&HeaderMap::new()), Form::Text);
        assert_eq!(form("application/json"), Form::Json);
        assert_eq!(form("application/json, text/plain, */*"), Form::Json);
        assert_eq!(form("text/event-stream"), Form::Events);
        assert_eq!(form("application/problem+json"), Form::Json);
    }

    #[test]
    fn weights_decide_and_nonsense_is_text() {
        assert_eq!(form("text/html;q=0.1, application/json;q=0.9"), Form::Json);
        assert_eq!(form("text/html;q=0, */*"), Form::Text);
        for accept in ["", ",,;;", "text/html;q=x", "image/png", "text/html;q=-1"] {
            assert_eq!(form(accept), Form::Text, "{accept}");
        }
    }
}
