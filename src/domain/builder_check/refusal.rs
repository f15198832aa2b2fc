//! Nomad's own words about a job, as findings with their lines.

use crate::domain::finding::Finding;

/// Findings at most: a file that is something else altogether gives hundreds.
const MOST: usize = 20;

/// Refusals that an operator meets, and what is to be done.
const KNOWN: [(&str, &str); 4] = [
    ("max_run_duration", "this Nomad is older than 2.0.3: delete the line, Albatros enforces `timeout` itself"),
    ("nonexistent namespace", "nomad namespace apply <name>, or name another one"),
    ("Unset variable", "give it a value with -var name=…, or a default"),
    ("log storage", "raise ephemeral_disk, or lower logs"),
];

/// What `/v1/jobs/parse` says: `Failed to parse job: input.hcl:2,3-6: Unsupported argument; An argument …`, a line each.
#[must_use]
pub fn parse_refusal(words: &str) -> Vec<Finding> {
    let words = words.trim().trim_start_matches("Failed to parse job:");
    let said = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let findings = said.take(MOST).map(|line| {
        let (at, sentence) = match line.strip_prefix("input.hcl:").and_then(|rest| rest.split_once(": ")) {
            Some((at, sentence)) => (at.split(',').next().and_then(|line| line.parse().ok()), sentence),
            None => (None, line.trim_start_matches("<nil>: ")),
        };
        refused(sentence.trim()).at(at)
    });
    findings.collect()
}

/// What validating, planning and registering say: lists within lists, of which the ends are the reasons.
#[must_use]
pub fn refusal(words: &str) -> Vec<Finding> {
    reasons(words).map(refused).collect()
}

/// What Nomad takes, and does not like.
#[must_use]
pub fn warnings(words: &str) -> Vec<Finding> {
    let warned = |reason: &str| {
        Finding::warning(
            "nomad-warns",
            format!("Nomad warns: {}", reason.trim_end_matches('.')),
            "see Nomad's documentation of it",
        )
    };
    reasons(words).map(warned).collect()
}

fn refused(reason: &str) -> Finding {
    let known = KNOWN.iter().find(|(words, _)| reason.contains(words));
    let fix =
        known.map_or("Nomad's documentation of the job specification has each block and its arguments", |it| it.1);
    Finding::error("nomad-refuses", format!("Nomad refuses it: {}", reason.trim_end_matches('.')), fix)
}

fn reasons(words: &str) -> impl Iterator<Item = &str> {
    let said = words.lines().map(|line| line.trim().trim_start_matches("* "));
    let ends = said.filter(|line| {
        let heading =
            ["error occurred:", "errors occurred:", "warning:", "warnings:"].iter().any(|end| line.ends_with(end));
        !line.is_empty() && !heading
    });
    ends.take(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_nomads_is_the_findings_line() {
        let words = "Failed to parse job: <nil>: Undefined variable; A \"a\" variable was set\ninput.hcl:2,13-15: Unsupported attribute; This object has none.\n";
        let found = parse_refusal(words);
        let told: Vec<_> = found.iter().map(|finding| (finding.line, finding.sentence.as_str())).collect();
        let expected = [
            (None, "Nomad refuses it: Undefined variable; A \"a\" variable was set"),
            (Some(2), "Nomad refuses it: Unsupported attribute; This object has none"),
        ];
        assert_eq!(told, expected);
        let old = parse_refusal(
            "input.hcl:3,5-9: Unsupported argument; An argument named \"max_run_duration\" is not expected here.",
        );
        assert!(old[0].fix.contains("2.0.3"), "{old:?}");
        assert_eq!(parse_refusal(&"input.hcl:1,1-1: x\n".repeat(500)).len(), MOST);
    }

    #[test]
    fn of_lists_within_lists_the_ends_are_told() {
        let words = "1 error occurred:\n\t* Task group runner validation failed: 1 error occurred:\n\t* log storage (1000 MB) must be less than requested disk capacity (50 MB)\n\n\n";
        let found = refusal(words);
        assert_eq!(found.len(), 1);
        assert!(found[0].sentence.ends_with("disk capacity (50 MB)"), "{found:?}");
        assert_eq!((refusal("").len(), warnings("").len()), (0, 0));
        assert_eq!(
            warnings("1 warning:\n\n* Group \"runner\" has warnings: 1 error occurred:\n\t* it is old\n")[0].name,
            "nomad-warns"
        );
    }

    #[test]
    fn recorded_refusals_are_told_with_their_lines() {
        for (recorded, line, words) in [
            (
                include_str!("../../../tests/fixture/nomad/parse/unknown-argument.json"),
                Some(2),
                "An argument named \"foo\"",
            ),
            (include_str!("../../../tests/fixture/nomad/parse/unclosed.json"), Some(1), "Unclosed configuration block"),
            (include_str!("../../../tests/fixture/nomad/parse/no-value.json"), None, "Unset variable \"a\""),
        ] {
            let recorded: serde_json::Value = serde_json::from_str(recorded).unwrap();
            let found = parse_refusal(recorded["body"].as_str().unwrap());
            assert_eq!((found.len(), found[0].line), (1, line), "{found:?}");
            assert!(found[0].sentence.contains(words), "{found:?}");
        }
    }
}
