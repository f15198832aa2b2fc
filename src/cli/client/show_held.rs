//! What the verbs of approvals print.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::{Value, json};

use super::show::{print_json, text};
use crate::cli::table::table;
use crate::domain::id::ClaimId;

/// Files of one change that are printed; JSON has more.
const FILES: usize = 50;

fn rows<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    of.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// What is held: a block a change, for its claim and its files are long.
pub(super) fn held(answer: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(answer);
    }
    let mut out = std::io::stdout().lock();
    let mut none = true;
    for one in rows(answer, "held") {
        none = false;
        writeln!(out, "{}", text(one, "claim"))?;
        writeln!(out, "  {}, {}, {}", what(one), text(one, "flavor"), text(one, "repo"))?;
        writeln!(out, "  {}, by {}, since {}", text(one, "why"), by(one), since(one))?;
        if let Some(files) = one.get("files") {
            touched(&mut out, files)?;
        }
    }
    if none {
        writeln!(out, "nothing is held")?;
    }
    match answer.get("left_off").and_then(Value::as_u64) {
        Some(more) if more > 0 => writeln!(out, "and {more} more: name a repository (--repo) or a sender (--sender)"),
        Some(_) | None => Ok(()),
    }
}

fn what(one: &Value) -> String {
    let commit: String = text(one, "commit").chars().take(8).collect();
    match (text(one, "job"), text(one, "pull_request")) {
        (job, _) if !job.is_empty() => format!("job {job} of {commit}"),
        (_, number) if !number.is_empty() => format!("pull request {number} at {commit}"),
        (_, _) => format!("{} at {commit}", text(one, "ref")),
    }
}

/// To the second.
fn since(one: &Value) -> String {
    text(one, "since").chars().take(19).collect()
}

/// Who acted, and whose pull request it is where that is somebody else.
fn by(one: &Value) -> String {
    let sender = one.get("sender").unwrap_or(&Value::Null);
    let (login, author) = (text(sender, "login"), text(one, "author"));
    let id = Some(text(sender, "id")).filter(|id| !id.is_empty()).map(|id| format!(" ({id})")).unwrap_or_default();
    if author.is_empty() || author.eq_ignore_ascii_case(&login) {
        return format!("{login}{id}");
    }
    format!("{login}{id} for {author}")
}

fn touched(out: &mut impl std::io::Write, files: &Value) -> std::io::Result<()> {
    let unknown = text(files, "unknown");
    if !unknown.is_empty() {
        return writeln!(out, "  files: {unknown}");
    }
    let script = match text(files, "albatros").as_str() {
        "changed" => ".albatros is among them",
        "unchanged" => "not .albatros",
        _ => "and more that the forge does not list: .albatros may be among them",
    };
    writeln!(out, "  files: {}, {script}", text(files, "count"))?;
    let names: Vec<&str> = rows(files, "names").filter_map(Value::as_str).collect();
    for name in names.iter().take(FILES) {
        let mark = if is_script(name) { '!' } else { ' ' };
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        writeln!(out, "  {mark} {name}")?;
    }
    match names.len().saturating_sub(FILES) {
        0 => Ok(()),
        more => writeln!(out, "    … and {more} more (--json)"),
    }
}

fn is_script(name: &str) -> bool {
    name == ".albatros" || name.starts_with(".albatros/")
}

/// Several changes that were approved, a line each.
pub(super) fn approved(rows: &[(ClaimId, Value)], json: bool) -> std::io::Result<()> {
    if json {
        let all: Vec<Value> = rows.iter().map(|(claim, answer)| json!({"claim": claim, "answer": answer})).collect();
        return print_json(&all.into());
    }
    let mut out = std::io::stdout().lock();
    for (claim, answer) in rows {
        let build = Some(text(answer, "build")).filter(|build| !build.is_empty());
        writeln!(out, "{claim} {}", build.unwrap_or_else(|| text(answer, "state")))?;
    }
    let senders: BTreeSet<String> = rows.iter().map(|(_, answer)| text(answer, "always")).collect();
    senders.iter().filter(|said| !said.is_empty()).try_for_each(|said| writeln!(out, "{said}"))
}

/// A sender who is approved always.
pub(super) fn sender(answer: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(answer);
    }
    let (login, id, repo) = (text(answer, "login"), text(answer, "id"), text(answer, "repo"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{login} ({id}): approved always for {repo}; `albatros revoke {repo} {login}` takes it back")
}

/// Senders who are approved always, a line each.
pub(super) fn senders(listed: &[Value], json: bool) -> std::io::Result<()> {
    if json {
        return print_json(&Value::from(listed.to_vec()));
    }
    if listed.is_empty() {
        return writeln!(std::io::stdout().lock(), "nobody is approved always");
    }
    let mut table = table();
    table.set_header(["LOGIN", "ID", "SINCE", "REPOSITORY"]);
    for one in listed {
        table.add_row([text(one, "login"), text(one, "id"), since(one), text(one, "repo")]);
    }
    writeln!(std::io::stdout().lock(), "{}", table.trim_fmt())
}

/// What became of a sender who is not approved any more, and of his changes.
pub(super) fn revoked(answer: &Value, json: bool) -> std::io::Result<()> {
    if json {
        return print_json(answer);
    }
    let mut out = std::io::stdout().lock();
    let was = answer.get("revoked").and_then(Value::as_bool).unwrap_or(false);
    let word = if was { "not approved any more" } else { "was not approved" };
    writeln!(out, "{}: {word}", text(answer, "login"))?;
    for claim in rows(answer, "held_again").filter_map(Value::as_str) {
        writeln!(out, "held again: {claim}")?;
    }
    for one in rows(answer, "under_way") {
        let claim = text(one, "claim");
        writeln!(out, "under way: {claim} {} (`albatros cancel {claim}` stops it)", text(one, "build"))?;
    }
    Ok(())
}
