//! What client verbs print: a table for people, JSON for programs, colours only on a terminal.

use std::io::Write as _;

use comfy_table::{Cell, Color};
use serde::Deserialize as _;
use serde_json::Value;

use crate::cli::table::table;
use crate::domain::report::Report;

/// A program's answer, as it came.
pub(super) fn print_json(value: &Value) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{value:#}")
}

pub(super) fn text(view: &Value, field: &str) -> String {
    match view.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(other) => other.to_string(),
    }
}

/// What a terminal must not act upon is left out.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// How far a build is, on one line.
pub(super) fn standing(view: &Value) -> String {
    let (state, reason) = (text(view, "state"), text(view, "reason"));
    if reason.is_empty() || reason == state { state } else { format!("{state}: {reason}") }
}

/// How a build has ended, for who waited for it.
pub(super) fn end(view: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(view);
    }
    writeln!(std::io::stdout().lock(), "{}", standing(view))
}

/// The answer of trigger, cancel and approve.
pub(super) fn started(answer: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(answer);
    }
    let mut out = std::io::stdout().lock();
    for field in ["build", "address", "state", "log", "always"] {
        let value = text(answer, field);
        if !value.is_empty() {
            writeln!(out, "{value}")?;
        }
    }
    Ok(())
}

/// Artifacts, a line each.
pub(super) fn artifacts(listed: &[Value], json: bool) -> std::io::Result<()> {
    if json {
        return print_json(&Value::from(listed.to_vec()));
    }
    let mut table = table();
    for one in listed {
        table.add_row(["id", "size", "packing", "name"].map(|field| text(one, field)));
    }
    writeln!(std::io::stdout().lock(), "{}", table.trim_fmt())
}

/// One build, a line a field.
pub(super) fn one(view: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(view);
    }
    let mut table = table();
    let fields = [
        "build",
        "claim",
        "state",
        "reason",
        "exit_code",
        "repo",
        "ref",
        "commit",
        "flavor",
        "event",
        "sender",
        "retry_of",
        "trusted",
        "private",
        "pull_request",
        "job",
        "parent",
        "created",
        "started",
        "finished",
        "log",
    ];
    for field in fields {
        let value = text(view, field);
        if !value.is_empty() {
            table.add_row(vec![Cell::new(field), state_cell(field, &value)]);
        }
    }
    for (name, value) in view.get("params").and_then(Value::as_object).into_iter().flatten() {
        table.add_row(vec![
            Cell::new("param"),
            Cell::new(format!("{name}={}", plain(value.as_str().unwrap_or_default()))),
        ]);
    }
    for job in view.get("jobs").and_then(Value::as_array).into_iter().flatten() {
        // Its claim is what `approve` and `cancel` take, whether it has a build yet or not.
        let words = ["name", "state", "reason", "claim"].map(|field| text(job, field));
        table.add_row(vec![Cell::new("job"), Cell::new(words.join(" "))]);
    }
    let report = view.get("report").and_then(|report| Report::deserialize(report).ok()).map(Report::cleaned);
    let tests = report.as_ref().and_then(|report| report.tests.as_ref());
    if let Some(tests) = tests.and_then(|tests| tests.counts.sentence()) {
        table.add_row(vec![Cell::new("tests"), Cell::new(tests)]);
    }
    for failed in tests.iter().flat_map(|tests| &tests.failures) {
        table.add_row(vec![Cell::new("failed"), Cell::new(format!("{} {}", failed.name, failed.message))]);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", table.trim_fmt())?;
    match report.map(|report| report.summary) {
        Some(summary) if !summary.is_empty() => writeln!(out, "\n{summary}"),
        Some(_) | None => Ok(()),
    }
}

/// A list, a line a build. Without a build the claim stands in its place, for `approve` and `cancel`. Where it is only
/// the newest part, it is said how to get the next.
pub(super) fn list(views: &[Value], more: bool, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(&Value::Array(views.to_vec()));
    }
    if views.is_empty() {
        return writeln!(std::io::stdout().lock(), "no builds");
    }
    let mut table = table();
    table.set_header(["BUILD", "STATE", "REPOSITORY", "REF", "COMMIT", "BY", "CREATED", "WHY"]);
    for view in views {
        let build = Some(text(view, "build")).filter(|id| !id.is_empty()).unwrap_or_else(|| text(view, "claim"));
        let commit: String = text(view, "commit").chars().take(8).collect();
        let created: String = text(view, "created").chars().take(19).collect();
        let state = state_cell("state", &text(view, "state"));
        // Why it is not further; how it ended its state says.
        let waits = view.get("ended").and_then(Value::as_bool) == Some(false);
        let why = Some(text(view, "reason")).filter(|why| waits && *why != text(view, "state")).unwrap_or_default();
        let cells = [build, text(view, "repo"), text(view, "ref"), commit, text(view, "sender"), created, why];
        let [build, repo, git_ref, commit, sender, created, why] = cells.map(Cell::new);
        table.add_row(vec![build, state, repo, git_ref, commit, sender, created, why]);
    }
    writeln!(std::io::stdout().lock(), "{}", table.trim_fmt())?;
    match views.last().filter(|_| more) {
        Some(last) => writeln!(std::io::stderr().lock(), "there are more: --before {}", text(last, "created")),
        None => Ok(()),
    }
}

fn state_cell(field: &str, value: &str) -> Cell {
    let cell = Cell::new(value);
    if field != "state" {
        return cell;
    }
    match value {
        "success" => cell.fg(Color::Green),
        "failure" | "oom" | "timeout" | "infra" | "lost" | "expired" => cell.fg(Color::Red),
        "cancelled" | "held" => cell.fg(Color::Yellow),
        _ => cell,
    }
}
