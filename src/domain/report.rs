//! What a script says of itself beside its exit code: a summary in Markdown, and the results of tests.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::outcome::Machine;

/// The longest summary, bytes.
pub const SUMMARY_LIMIT: usize = 32 * 1024;
/// Failed tests that are named; more are only counted.
pub const NAMED_FAILURES: usize = 50;
/// The longest name or message of a test, bytes.
pub const TEXT_LIMIT: usize = 300;

/// The longest report as JSON, bytes; serve refuses a longer one.
pub const REPORT_LIMIT: usize = 64 * 1024;

/// The beginning of a text: at most so many bytes, and no character cut in two.
#[must_use]
pub fn clipped(text: &str, most: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= most).last().unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A build's report, as its controller sends it to serve: whole, and again after each change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Markdown; untrusted text, at most 32 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Test results; none where no tests were reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// Why a build whose script ended well is none: an artifact that could not be kept. Our own words around the
    /// script's names, at most 300 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Of a build in a machine of its own: what its host has told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

/// Results of tests, over all files that were reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tests {
    /// How many.
    #[serde(flatten)]
    pub counts: TestCounts,
    /// The first failed ones, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedTest>,
}

/// How many tests there were; the record of a build keeps these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestCounts {
    /// All of them.
    pub total: u64,
    /// Failed, or ended in an error.
    pub failed: u64,
    /// Not run.
    pub skipped: u64,
}

/// A failed test; all of it is the script's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailedTest {
    /// `classname` and `name`.
    pub name: String,
    /// The first line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Report {
    /// All of it is the script's text: within its bounds, and without what a terminal or a page would obey.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let tests = self.tests.map(|tests| Tests {
            counts: tests.counts,
            failures: tests.failures.into_iter().take(NAMED_FAILURES).map(FailedTest::cleaned).collect(),
        });
        let trouble = self.trouble.map(|text| clean(&text, TEXT_LIMIT, |_| false));
        let machine = self.machine.map(|machine| match machine {
            Machine::Failed { why } => Machine::Failed { why: clean(&why, TEXT_LIMIT, |_| false) },
            told @ (Machine::Running | Machine::Ended { .. }) => told,
        });
        Self { summary: clean(&self.summary, SUMMARY_LIMIT, |c| matches!(c, '\n' | '\t')), tests, trouble, machine }
    }
}

impl FailedTest {
    fn cleaned(self) -> Self {
        let line = |text: &str| clean(text, TEXT_LIMIT, |_| false);
        Self { name: line(&self.name), message: line(&self.message) }
    }
}

impl TestCounts {
    /// For people: `3 of 214 tests failed`, `214 tests passed`; none where there were no tests.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let passed = self.total.saturating_sub(self.failed).saturating_sub(self.skipped);
        match (self.total, self.failed, passed) {
            (0, 0, _) => None,
            (1, 0, 1) => Some("1 test passed".to_owned()),
            (1, 1, _) => Some("1 test failed".to_owned()),
            (total, 0, passed) if passed == total => Some(format!("{total} tests passed")),
            (total, 0, passed) => Some(format!("{passed} of {total} tests passed")),
            (total, failed, _) => Some(format!("{failed} of {} tests failed", total.max(failed))),
        }
    }
}

/// Without control characters and marks that turn the direction of text, but for those that are `kept`; at
/// most so many bytes.
fn clean(text: &str, most: usize, kept: impl Fn(char) -> bool) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = text.chars().filter(|c| kept(*c) || !(c.is_control() || turns(*c))).collect();
    clipped(&clean, most).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_report_is_kept_within_its_bounds_and_obeyed_by_no_terminal() {
        let failure = FailedTest { name: "a\u{1b}[31m\nb".to_owned(), message: "é".repeat(TEXT_LIMIT) };
        let report = Report {
            trouble: Some("a\nb".to_owned()),
            machine: Some(Machine::Failed { why: format!("no\n{}", "x".repeat(TEXT_LIMIT)) }),
            summary: format!("# ok\r\n\u{202e}|\t{}", "x".repeat(2 * SUMMARY_LIMIT)),
            tests: Some(Tests { counts: TestCounts::default(), failures: vec![failure; NAMED_FAILURES + 1] }),
        };
        let cleaned = report.cleaned();
        let why = format!("no{}", "x".repeat(TEXT_LIMIT - 2));
        assert_eq!(cleaned.machine, Some(Machine::Failed { why }));
        assert!(cleaned.summary.starts_with("# ok\n|\tx"));
        assert_eq!(cleaned.summary.len(), SUMMARY_LIMIT);
        let failures = cleaned.tests.unwrap().failures;
        assert_eq!(failures.len(), NAMED_FAILURES);
        assert_eq!(failures[0].name, "a[31mb");
        assert_eq!(failures[0].message.len(), TEXT_LIMIT);
    }

    proptest! {
        #[test]
        fn what_is_clean_stays_as_it_is(summary in any::<String>(), name in any::<String>()) {
            let failures = vec![FailedTest { name: name.clone(), message: name }];
            let tests = Some(Tests { counts: TestCounts::default(), failures });
            let once = Report { summary, tests, trouble: None, machine: None }.cleaned();
            prop_assert_eq!(once.clone().cleaned(), once);
        }
    }

    #[test]
    fn counts_are_told_in_a_few_words() {
        let told = |total, failed, skipped| TestCounts { total, failed, skipped }.sentence();
        assert_eq!(told(214, 3, 0).as_deref(), Some("3 of 214 tests failed"));
        assert_eq!(told(214, 0, 0).as_deref(), Some("214 tests passed"));
        assert_eq!(told(1, 0, 0).as_deref(), Some("1 test passed"));
        assert_eq!(told(1, 1, 0).as_deref(), Some("1 test failed"));
        assert_eq!(told(214, 0, 4).as_deref(), Some("210 of 214 tests passed"));
        assert_eq!(told(0, 0, 0), None);
        assert_eq!(told(0, 9, u64::MAX).as_deref(), Some("9 of 9 tests failed"), "a script may count wrongly");
    }
}
