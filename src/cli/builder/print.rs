//! What the verbs of builders print.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::finding::{Finding, Severity, fails};

/// What was checked, and what was found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Checked {
    /// The file or the builder, as typed.
    pub(super) what: String,
    /// The job's name.
    pub(super) builder: String,
    /// Nomad has read it.
    pub(super) asked: bool,
    /// By line.
    pub(super) findings: Vec<Finding>,
}

impl Checked {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// `clean`, or how many of what.
    pub(super) fn sum(&self) -> String {
        if self.findings.iter().any(|finding| finding.name == "no-builder") {
            return "no builder".to_owned();
        }
        let named = |count: usize, word: &str| match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{count} {word}s")),
        };
        let errors = named(self.count(Severity::Error), "error");
        let warnings = named(self.count(Severity::Warning), "warning");
        match (errors, warnings) {
            (None, None) => "clean".to_owned(),
            (errors, warnings) => errors.into_iter().chain(warnings).collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn json(&self, strict: bool) -> Value {
        json!({
            "what": self.what, "builder": self.builder, "asked": self.asked, "ok": !fails(&self.findings, strict),
            "errors": self.count(Severity::Error), "warnings": self.count(Severity::Warning),
            "findings": self.findings,
        })
    }

    /// Findings, then what they come to.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&finding.text(&self.what));
            text.push('\n');
        }
        let without = if self.asked { "" } else { " (without Nomad)" };
        text.push_str(&format!("{}: {}{without}\n", self.what, self.sum()));
        // A job's names come from anybody who may register one.
        text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
    }
}

pub(super) fn checked(all: &[Checked], json: bool, strict: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let all: Vec<Value> = all.iter().map(|one| one.json(strict)).collect();
        return writeln!(out, "{:#}", Value::from(all));
    }
    for one in all {
        write!(out, "{}", one.text())?;
    }
    out.flush()
}

/// A program's answer.
pub(super) fn json(value: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{value:#}")
}

/// Lines for people.
pub(super) fn lines(text: &str) -> io::Result<()> {
    let shown: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    writeln!(io::stdout().lock(), "{}", shown.trim_end())
}
