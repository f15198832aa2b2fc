//! What a check has to say: a stable name, a sentence, where, and how to mend it. One form for every verb that checks.

use serde::Serialize;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For information, or what could not be checked: never a reason to fail.
    Note,
    /// It works, and hurts one day: a reason to fail where one is strict.
    Warning,
    /// It does not work, or hands out what it should not.
    Error,
}

impl Severity {
    /// As it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing a check has found. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, in kebab-case: what scripts and the README go by.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The line of the file it is about, from 1.
    pub line: Option<u32>,
    /// What is the case, in a sentence without a full stop.
    pub sentence: String,
    /// What to do about it; empty where nothing can be done, which is so for notes only.
    pub fix: String,
}

impl Finding {
    /// Something that does not work, or hands out what it should not.
    #[must_use]
    pub fn error(name: &'static str, sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, severity: Severity::Error, line: None, sentence: sentence.into(), fix: fix.into() }
    }

    /// Something that works, and hurts one day.
    #[must_use]
    pub fn warning(name: &'static str, sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(name, sentence, fix) }
    }

    /// Something worth knowing, or what could not be checked.
    #[must_use]
    pub fn note(name: &'static str, sentence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(name, sentence, fix) }
    }

    /// The same, with the line it is about.
    #[must_use]
    pub fn at(self, line: Option<u32>) -> Self {
        Self { line, ..self }
    }

    /// For people, on two lines (one where there is no fix): `hcl/builder.hcl:12: warning: … [log-size]`. `what` is
    /// the file or the thing that was checked.
    #[must_use]
    pub fn text(&self, what: &str) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let mut text = format!("{what}{line}: {}: {} [{}]", self.severity.as_str(), self.sentence, self.name);
        if !self.fix.is_empty() {
            text.push_str("\n    fix: ");
            text.push_str(&self.fix);
        }
        text
    }
}

/// Whether a check that found this has failed: by errors, and by warnings where it is strict.
#[must_use]
pub fn fails(findings: &[Finding], strict: bool) -> bool {
    let least = if strict { Severity::Warning } else { Severity::Error };
    findings.iter().any(|finding| finding.severity >= least)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_read_a_line_and_programs_an_object() {
        let found = Finding::warning("log-size", "its logs may take 1000 MB", "raise ephemeral_disk").at(Some(12));
        assert_eq!(
            found.text("hcl/b.hcl"),
            "hcl/b.hcl:12: warning: its logs may take 1000 MB [log-size]\n    fix: raise ephemeral_disk"
        );
        let expected = json!({
            "name": "log-size", "severity": "warning", "line": 12, "sentence": "its logs may take 1000 MB",
            "fix": "raise ephemeral_disk",
        });
        assert_eq!(serde_json::to_value(&found).unwrap(), expected);
        let note = Finding::note("offline", "Nomad was not asked", "");
        assert_eq!(note.text("b"), "b: note: Nomad was not asked [offline]");
    }

    #[test]
    fn warnings_fail_where_one_is_strict_and_notes_never() {
        let (note, warning, error) =
            (Finding::note("n", "", ""), Finding::warning("w", "", ""), Finding::error("e", "", ""));
        assert!(!fails(std::slice::from_ref(&note), true));
        assert!(fails(&[note.clone(), warning.clone()], true) && !fails(&[note, warning], false));
        assert!(fails(&[error], false) && !fails(&[], true));
    }
}
