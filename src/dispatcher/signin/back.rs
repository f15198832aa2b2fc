//! Where somebody is sent after a form: always a path of ours.

use url::Url;

/// The longest; a page's own address is shorter.
const MOST: usize = 2048;
/// Where everybody may go.
const HOME: &str = "/builds";
/// Stands for our own address: what leads away from it leads away from us.
const HERE: &str = "http://here.invalid";

/// A path of this server, as its routes have it, with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Back(String);

impl Default for Back {
    fn default() -> Self {
        Self(HOME.to_owned())
    }
}

impl Back {
    /// What was asked for, if it is a path of ours; else the list of builds. It is read as a browser reads it, and what
    /// it was read as is kept. A token is left out of its query: who comes back has signed in.
    pub(crate) fn of(asked: &str) -> Self {
        Self::read(asked).unwrap_or_default()
    }

    fn read(asked: &str) -> Option<Self> {
        let is_plain = asked.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if asked.len() > MOST || !asked.starts_with('/') || !is_plain {
            return None;
        }
        let here = Url::parse(HERE).ok()?;
        let mut url = here.join(asked).ok()?;
        // `/.//host` is read as `//host`, which a browser takes for another server.
        if url.origin() != here.origin() || url.path().starts_with("//") {
            return None;
        }
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != "token")
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        if kept.is_empty() {
            url.set_query(None);
        } else {
            url.query_pairs_mut().clear().extend_pairs(kept);
        }
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        Some(Self(format!("{}{query}", url.path())))
    }

    /// The path and its query.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_ours_is_come_back_to() {
        for path in ["/", "/builds", "/builds/a%2Fb/dispatch-1-2", "/builds?repo=https%3A%2F%2Fgit.example%2Fo%2Fr"] {
            assert_eq!(Back::of(path).as_str(), path);
        }
        assert_eq!(Back::of("/builds/b/c?token=s3cr3t&key=1").as_str(), "/builds/b/c?key=1");
        assert_eq!(Back::of("/builds/../builds#x").as_str(), "/builds");
    }

    #[test]
    fn nothing_leads_to_another_server() {
        let hostile = [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "http:evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e//evil.example",
            "/a/..//evil.example",
            "evil.example",
            "/ö",
            "/%2e%2e//evil.example",
            "/builds\r\nSet-Cookie: a=b",
            "@evil.example",
            "/\u{0}",
        ];
        for asked in hostile {
            assert_eq!(Back::of(asked).as_str(), HOME, "{asked:?}");
        }
        // Read as a browser reads them these stay here.
        for asked in ["/%2F/evil.example", "/%5Cevil.example", "/@evil.example", "/https://evil.example"] {
            assert_eq!(Back::of(asked).as_str(), asked, "{asked:?}");
        }
        assert_eq!(Back::of(&format!("/{}", "a".repeat(MOST))).as_str(), HOME);
    }
}
