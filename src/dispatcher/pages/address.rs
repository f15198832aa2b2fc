//! Where the pages of a build are, seen from a browser.

use crate::domain::id::{BuildId, ClaimId};
use crate::domain::percent;

/// Paths of one build or change; each of them keeps the key that opened its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    path: String,
    key: Option<String>,
}

impl Address {
    /// `base` is what stands before each of our paths.
    pub(crate) fn of_build(base: &str, build: &BuildId, key: Option<&str>) -> Self {
        let (builder, child) = (percent::encode(build.builder()), percent::encode(build.child()));
        Self { path: format!("{base}/builds/{builder}/{child}"), key: key.map(str::to_owned) }
    }

    /// Of a change that may have no build.
    pub(crate) fn of_claim(base: &str, claim: &ClaimId, key: Option<&str>) -> Self {
        Self { path: format!("{base}/builds/claim/{claim}"), key: key.map(str::to_owned) }
    }

    /// The page itself.
    pub(crate) fn page(&self) -> String {
        self.beneath("", "")
    }

    /// Something below it: `/log`, with a query such as `log=stderr`.
    pub(crate) fn beneath(&self, below: &str, query: &str) -> String {
        let key = self.key.as_ref().map(|key| format!("key={}", percent::encode(key)));
        let query: Vec<&str> =
            [query, key.as_deref().unwrap_or_default()].into_iter().filter(|it| !it.is_empty()).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{below}{mark}{}", self.path, query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_with_slashes_is_one_segment_and_the_key_goes_along() {
        let build: BuildId = "team/builder/dispatch-1766000000-1a2b3c4d".parse().unwrap();
        let open = Address::of_build("/ci", &build, None);
        assert_eq!(open.page(), "/ci/builds/team%2Fbuilder/dispatch-1766000000-1a2b3c4d");
        assert_eq!(
            Address::of_build("", &build, Some("a&b")).beneath("/log", "log=stderr"),
            "/builds/team%2Fbuilder/dispatch-1766000000-1a2b3c4d/log?log=stderr&key=a%26b"
        );
    }
}
