//! What the script has reported so far, and how much of it has been delivered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::answer::Refusal;
use crate::api::controller::Reported;
use crate::domain::outcome::Machine;
use crate::domain::report::{NAMED_FAILURES, REPORT_LIMIT, Report, SUMMARY_LIMIT, TEXT_LIMIT, Tests, clipped};

/// Files of test results under names of their own.
const FILES: usize = 64;

/// The report as it grows.
#[derive(Debug)]
pub(crate) struct Reports {
    kept: Mutex<Kept>,
    /// Counts changes.
    version: watch::Sender<u64>,
    /// The last change that serve has, or never will have.
    delivered: watch::Sender<u64>,
    /// No more changes are waited for.
    pub(super) at_once: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    summary: String,
    files: BTreeMap<String, Tests>,
    trouble: Option<String>,
    machine: Option<Machine>,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            version: watch::channel(0).0,
            delivered: watch::channel(0).0,
            at_once: Notify::new(),
        }
    }
}

impl Reports {
    /// Takes a summary, in place of the one before or behind it.
    pub(super) fn summary(&self, text: &str, append: bool) -> Result<Reported, Refusal> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if append { kept.summary.len() } else { 0 };
        if before + text.len() > SUMMARY_LIMIT {
            return Err(Refusal::too_large(format!("the summary would be longer than {SUMMARY_LIMIT} bytes")));
        }
        kept.summary.truncate(before);
        // A terminal's commands have no place in Markdown.
        kept.summary.extend(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')));
        Ok(self.changed(&kept))
    }

    /// Takes a file of test results, in place of what was reported under its name.
    pub(super) fn tests(&self, name: &str, tests: Tests) -> Result<Reported, Refusal> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.files.len() >= FILES && !kept.files.contains_key(name) {
            return Err(Refusal::too_large(format!("more than {FILES} names of test results")));
        }
        kept.files.insert(name.to_owned(), tests);
        Ok(self.changed(&kept))
    }

    /// Takes the reason why the build is none, whatever its script has ended with.
    pub(super) fn trouble(&self, sentence: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.trouble = Some(clipped(sentence, TEXT_LIMIT).to_owned());
        self.changed(&kept);
    }

    /// Takes what the build's host says of its machine.
    pub(super) fn machine(&self, told: Machine) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.machine.as_ref() != Some(&told) {
            kept.machine = Some(told);
            self.changed(&kept);
        }
    }

    fn changed(&self, kept: &Kept) -> Reported {
        self.version.send_modify(|version| *version += 1);
        Reported { summary: kept.summary.len(), tests: kept.tests().map(|tests| tests.counts) }
    }

    /// The report as it is now, and the change it is of; small enough for serve.
    pub(super) fn now(&self) -> (u64, Report) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (summary, trouble, machine) = (kept.summary.clone(), kept.trouble.clone(), kept.machine.clone());
        (*self.version.borrow(), fit(Report { summary, tests: kept.tests(), trouble, machine }))
    }

    /// Tells of changes.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// serve has this change, or never will.
    pub(super) fn settled(&self, version: u64) {
        self.delivered.send_replace(version);
    }

    /// Has the report delivered at once, and waits for it; false if that took too long.
    pub(super) async fn delivered(&self, within: Duration) -> bool {
        let wanted = *self.version.borrow();
        self.at_once.notify_one();
        let mut delivered = self.delivered.subscribe();
        let waited = timeout(within, delivered.wait_for(|delivered| *delivered >= wanted)).await;
        waited.is_ok_and(|settled| settled.is_ok())
    }
}

impl Kept {
    fn tests(&self) -> Option<Tests> {
        if self.files.is_empty() {
            return None;
        }
        let mut all = Tests::default();
        for tests in self.files.values() {
            all.counts.total = all.counts.total.saturating_add(tests.counts.total);
            all.counts.failed = all.counts.failed.saturating_add(tests.counts.failed);
            all.counts.skipped = all.counts.skipped.saturating_add(tests.counts.skipped);
            let room = NAMED_FAILURES.saturating_sub(all.failures.len());
            all.failures.extend(tests.failures.iter().take(room).cloned());
        }
        Some(all)
    }
}

/// Quotes and line ends take twice their room in JSON: names go first, then the summary's end.
fn fit(mut report: Report) -> Report {
    while serde_json::to_vec(&report).is_ok_and(|body| body.len() > REPORT_LIMIT) {
        let dropped = report.tests.as_mut().and_then(|tests| tests.failures.pop());
        if dropped.is_none() {
            report.summary = clipped(&report.summary, report.summary.len() / 4 * 3).to_owned();
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::{FailedTest, TestCounts};

    #[test]
    fn a_summary_is_replaced_or_grows_up_to_its_limit() {
        let reports = Reports::default();
        assert_eq!(reports.summary("one\r\n", false).unwrap().summary, 4);
        assert_eq!(reports.summary("two", true).unwrap().summary, 7);
        assert_eq!(
            reports.now(),
            (2, Report { summary: "one\ntwo".to_owned(), tests: None, trouble: None, machine: None })
        );
        assert!(reports.summary(&"x".repeat(SUMMARY_LIMIT), true).is_err());
        assert_eq!(reports.summary(&"x".repeat(SUMMARY_LIMIT), false).unwrap().summary, SUMMARY_LIMIT);
    }

    #[test]
    fn files_add_up_and_the_same_name_replaces() {
        let tests = |total| Tests { counts: TestCounts { total, failed: 1, skipped: 0 }, failures: Vec::new() };
        let reports = Reports::default();
        reports.tests("a", tests(3)).unwrap();
        reports.tests("b", tests(4)).unwrap();
        let counts = reports.tests("a", tests(10)).unwrap().tests.unwrap();
        assert_eq!((counts.total, counts.failed), (14, 2));
        for number in 0..FILES - 2 {
            reports.tests(&format!("file {number}"), tests(1)).unwrap();
        }
        assert!(reports.tests("one more", tests(1)).is_err());
        assert!(reports.tests("a", tests(1)).is_ok());
    }

    #[test]
    fn the_most_hostile_report_still_fits() {
        let reports = Reports::default();
        reports.summary(&"\"".repeat(SUMMARY_LIMIT), false).unwrap();
        let failure = FailedTest { name: "\\".repeat(TEXT_LIMIT), message: "\"".repeat(TEXT_LIMIT) };
        let failures = vec![failure; NAMED_FAILURES];
        reports.tests("a", Tests { counts: TestCounts::default(), failures }).unwrap();
        let (_, report) = reports.now();
        assert!(serde_json::to_vec(&report).unwrap().len() <= REPORT_LIMIT);
        assert!(report.summary.len() > SUMMARY_LIMIT / 2);
    }
}
