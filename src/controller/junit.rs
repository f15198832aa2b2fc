//! Test results in JUnit XML, as a stranger writes it: counted as they come, and nothing in them is expanded.
//!
//! There is no standard; this reads what Surefire, pytest, gotestsum, cargo-nextest, Jest and googletest write: `testcase`
//! elements at any depth below `testsuite` or `testsuites`. What the suites' own attributes count is not looked at.

use std::borrow::Cow;
use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::domain::report::{FailedTest, NAMED_FAILURES, TEXT_LIMIT, Tests, clipped};

/// Elements within elements; real files have six.
const DEPTH: usize = 64;
/// Attributes of one element that are looked at; real ones have ten.
const ATTRIBUTES: usize = 64;
/// So much of a text is looked at for its first line, bytes.
const RAW: usize = 8 * TEXT_LIMIT;

/// Why a file is no test results.
#[derive(Debug, thiserror::Error)]
pub(super) enum JunitError {
    #[error("the file is not XML: {0}")]
    Xml(#[from] quick_xml::Error),
    #[error("the file ends too early")]
    Cut,
    #[error("the file is not JUnit: its outermost element is neither testsuites nor testsuite")]
    Other,
    #[error("elements are nested deeper than {DEPTH}")]
    Depth,
    #[error("a document type is not taken")]
    DocType,
}

/// Counts a file's tests.
///
/// # Errors
/// When it is not JUnit XML.
pub(super) fn read(file: impl BufRead) -> Result<Tests, JunitError> {
    let mut reader = Reader::from_reader(file);
    reader.config_mut().expand_empty_elements = true;
    let (mut counting, mut buffer) = (Counting::default(), Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Start(element) => counting.start(&element)?,
            Event::End(_) => counting.end(),
            Event::Text(text) => counting.text(&text),
            Event::CData(text) => counting.text(&text),
            Event::DocType(_) => return Err(JunitError::DocType),
            Event::Eof => break,
            Event::GeneralRef(name) => counting.text(referred(&name).as_bytes()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match (counting.begun, counting.depth) {
        (true, 0) => Ok(counting.tests),
        (true, _) => Err(JunitError::Cut),
        (false, _) => Err(JunitError::Other),
    }
}

#[derive(Debug, Default)]
struct Counting {
    begun: bool,
    depth: usize,
    /// The test that is open, and how deep it lies.
    case: Option<(usize, Case)>,
    tests: Tests,
}

#[derive(Debug, Default)]
struct Case {
    name: String,
    verdict: Verdict,
    message: String,
    /// How deep the element lies whose text may be the message, while it is open.
    telling: Option<usize>,
    /// Its text so far.
    text: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Passed,
    Failed,
    Skipped,
}

impl Counting {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), JunitError> {
        let name = element.local_name();
        if self.depth == 0 {
            if self.begun || !matches!(name.as_ref(), b"testsuites" | b"testsuite") {
                return Err(JunitError::Other);
            }
            self.begun = true;
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(JunitError::Depth);
        }
        match &mut self.case {
            None if name.as_ref() == b"testcase" => self.case = Some((self.depth, Case::of(element))),
            Some((depth, case)) if *depth + 1 == self.depth => case.child(element, self.depth),
            None | Some(_) => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some((_, case)) = &mut self.case
            && case.telling == Some(self.depth)
        {
            case.told();
        }
        if let Some((_, case)) = self.case.take_if(|(depth, _)| *depth == self.depth) {
            self.count(case);
        }
        // The reader refuses an end without a start.
        self.depth = self.depth.saturating_sub(1);
    }

    fn text(&mut self, text: &[u8]) {
        let Some((_, case)) = &mut self.case else { return };
        if case.telling.is_some() && case.text.len() < RAW {
            case.text.push_str(&String::from_utf8_lossy(text.get(..RAW).unwrap_or(text)));
        }
    }

    fn count(&mut self, case: Case) {
        let counts = &mut self.tests.counts;
        counts.total = counts.total.saturating_add(1);
        match case.verdict {
            Verdict::Passed => {}
            Verdict::Skipped => counts.skipped = counts.skipped.saturating_add(1),
            Verdict::Failed => {
                counts.failed = counts.failed.saturating_add(1);
                if self.tests.failures.len() < NAMED_FAILURES {
                    self.tests.failures.push(FailedTest { name: case.name, message: case.message });
                }
            }
        }
    }
}

impl Case {
    fn of(element: &BytesStart<'_>) -> Self {
        let words = [attribute(element, b"classname"), attribute(element, b"name")];
        let name = words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        // What googletest says of a test that is disabled.
        let not_run =
            attribute(element, b"status").is_some_and(|status| matches!(status.as_str(), "notrun" | "skipped"));
        let verdict = if not_run { Verdict::Skipped } else { Verdict::Passed };
        Self { name: clipped(&name, TEXT_LIMIT).to_owned(), verdict, ..Self::default() }
    }

    /// The failure's element ends: where it had no message of its own, its text has one.
    fn told(&mut self) {
        self.telling = None;
        let text = std::mem::take(&mut self.text);
        if self.message.is_empty() {
            self.message = line(&text);
        }
    }

    fn child(&mut self, element: &BytesStart<'_>, depth: usize) {
        match element.local_name().as_ref() {
            b"failure" | b"error" if self.verdict != Verdict::Failed => {
                self.verdict = Verdict::Failed;
                self.message = attribute(element, b"message").unwrap_or_default();
                self.telling = Some(depth);
            }
            b"skipped" | b"disabled" if self.verdict == Verdict::Passed => self.verdict = Verdict::Skipped,
            _ => {}
        }
    }
}

/// An attribute's first line. The five entities of XML and characters by number are read, others stay as they stand.
fn attribute(element: &BytesStart<'_>, name: &[u8]) -> Option<String> {
    // Without checks: looking for double names takes time by the square of how many there are.
    let mut attributes = element.attributes();
    let mut read = attributes.with_checks(false).take(ATTRIBUTES).filter_map(Result::ok);
    let found = read.find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let raw = String::from_utf8_lossy(&found.value);
    let raw = clipped(&raw, RAW);
    Some(line(&unescape(raw).unwrap_or(Cow::Borrowed(raw))))
}

/// What `&name;` stands for, if it is one of XML's own or a character's number; else itself.
fn referred(name: &BytesRef<'_>) -> String {
    let text = String::from_utf8_lossy(name);
    let known = resolve_predefined_entity(&text).map(str::to_owned);
    known.or_else(|| name.resolve_char_ref().ok().flatten().map(String::from)).unwrap_or_else(|| format!("&{text};"))
}

/// The first line that says something, without what would command a terminal.
fn line(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let shown: String = clipped(first, TEXT_LIMIT).chars().filter(|c| !c.is_control()).collect();
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn counted(xml: &str) -> (u64, u64, u64) {
        let counts = read(xml.as_bytes()).unwrap().counts;
        (counts.total, counts.failed, counts.skipped)
    }

    #[test]
    fn suites_are_counted_at_any_depth() {
        let xml = r#"<?xml version="1.0"?><testsuites><testsuite name="a"><testcase name="1"/><testsuite><testcase
            classname="c" name="2"><failure message="1 &lt; 2&#10;more">trace</failure></testcase><testcase name="3">
            <skipped/></testcase></testsuite></testsuite><testsuite><testcase name="4"><error><![CDATA[

            boom &amp;]]> &lt;&#62; &unknown;<![CDATA[
            at x]]></error><system-out>&unknown;</system-out></testcase></testsuite></testsuites>"#;
        assert_eq!(counted(xml), (4, 2, 1));
        let failures = read(xml.as_bytes()).unwrap().failures;
        let told: Vec<_> = failures.iter().map(|it| (it.name.as_str(), it.message.as_str())).collect();
        assert_eq!(told, [("c 2", "1 < 2"), ("4", "boom &amp; <> &unknown;")]);
    }

    #[test]
    fn a_suite_alone_and_an_empty_one_are_results() {
        assert_eq!(counted("<testsuite><testcase name='x' status='notrun'/></testsuite>"), (1, 0, 1));
        assert_eq!(counted("<testsuites/>"), (0, 0, 0));
    }

    #[test]
    fn what_a_test_prints_is_no_verdict() {
        let xml =
            "<testsuite><testcase name='x'><system-out>&lt;failure/&gt;</system-out><properties><failure/></properties>
            <rerunFailure/></testcase><failure/></testsuite>";
        assert_eq!(counted(xml), (1, 0, 0));
    }

    #[test]
    fn a_test_counts_once_however_often_it_failed() {
        let xml =
            "<testsuite><testcase name='x'><skipped/><failure message='a'/><error message='b'/></testcase></testsuite>";
        assert_eq!(counted(xml), (1, 1, 0));
        assert_eq!(read(xml.as_bytes()).unwrap().failures[0].message, "a");
    }

    #[test]
    fn what_is_no_junit_is_refused() {
        for xml in [
            "",
            "{}",
            "<html/>",
            "<testsuite>",
            "<testsuite></testsuites>",
            "<testsuite/><testsuite/>",
            "<testsuite><testcase></testsuite>",
            "<testsuite",
            "</testsuite>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><testsuite name=\"&a;\"/>",
        ] {
            assert!(read(xml.as_bytes()).is_err(), "{xml}");
        }
        let deep = "<testsuite>".repeat(100_000);
        assert!(matches!(read(deep.as_bytes()), Err(JunitError::Depth)));
    }

    #[test]
    fn names_and_messages_are_bounded_in_length_and_number() {
        let case = format!("<testcase name='{0}'><failure message='{0}'>x</failure></testcase>", "é".repeat(10_000));
        let xml = format!("<testsuite>{}</testsuite>", case.repeat(NAMED_FAILURES + 5));
        let tests = read(xml.as_bytes()).unwrap();
        assert_eq!(tests.counts.failed, NAMED_FAILURES as u64 + 5);
        assert_eq!(tests.failures.len(), NAMED_FAILURES);
        assert!(tests.failures.iter().all(|it| it.name.len() <= TEXT_LIMIT && it.message.len() <= TEXT_LIMIT));
    }

    proptest! {
        #[test]
        fn what_is_written_is_counted(verdicts in proptest::collection::vec(0_u64..3, 0..40), every in 1_usize..5) {
            let mut xml = "<testsuites>".to_owned();
            for suite in verdicts.chunks(every) {
                xml.push_str("<testsuite><testsuite>");
                for verdict in suite {
                    let inner = ["", "<failure>no</failure>", "<skipped/>"][usize::try_from(*verdict).unwrap()];
                    xml.push_str(&format!("<testcase name=\"&amp;\">{inner}<system-out>x</system-out></testcase>"));
                }
                xml.push_str("</testsuite></testsuite>");
            }
            xml.push_str("</testsuites>");
            let count = |wanted: u64| verdicts.iter().filter(|verdict| **verdict == wanted).count() as u64;
            prop_assert_eq!(counted(&xml), (verdicts.len() as u64, count(1), count(2)));
        }

        #[test]
        fn any_text_is_counted_or_refused(words in "(<|>|/|testsuite|testcase|failure| |=|'|&|;|!\\[CDATA\\[|\\]\\]|!--|\\?|é|\0){0,60}") {
            if let Ok(tests) = read(words.as_bytes()) {
                prop_assert!(tests.counts.failed + tests.counts.skipped <= tests.counts.total);
            }
        }
    }
}
