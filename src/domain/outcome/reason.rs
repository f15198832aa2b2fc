//! Why a build ended that nobody stopped and whose script did not end by itself: what the events say, for people.

use super::super::nomad::{Allocation, TaskEvent, TaskState};
use super::super::runner;
use super::EXECUTOR;

/// What a person is told at most of one of Nomad's sentences, in characters.
const LONGEST: usize = 160;

/// Events that say why a task could not run, with what to call that.
const TROUBLE: [(&str, &str); 10] = [
    ("Driver Failure", "could not be started"),
    ("Failed Validation", "has a wrong configuration"),
    ("Failed Artifact Download", "could not fetch an artifact"),
    ("Failed Restoring Task", "was lost when its agent restarted"),
    ("Setup Failure", "could not be set up"),
    ("Setup Disabled", "could not be set up"),
    ("Failed Vault Renewal", "lost its Vault token"),
    ("Template Failed", "could not render a template"),
    ("Disk Exceeded", "used too much disk"),
    ("Image Failure", "could not get its image"),
];

/// A sentence on why the allocation failed.
pub(super) fn of_allocation(allocation: &Allocation) -> String {
    let Some(states) = &allocation.task_states else {
        return of_description(allocation);
    };
    // What failed first pulled the others down with it; the executor speaks first where several failed at once.
    let own = states.get(EXECUTOR).and_then(trouble).map(|what| format!("the script's task {what}"));
    own.or_else(|| states.iter().filter(|(_, state)| state.failed).find_map(|(name, state)| of_sibling(name, state)))
        .unwrap_or_else(|| of_description(allocation))
}

fn of_sibling(name: &str, state: &TaskState) -> Option<String> {
    if name == EXECUTOR {
        return None;
    }
    if let Some(what) = trouble(state) {
        return Some(format!("task {name} {what}"));
    }
    let last = state.events.iter().rev().find(|event| event.kind == "Terminated")?;
    let code = last.details.get("exit_code").map(String::as_str).unwrap_or_default();
    if let Some(sentence) = runner::Ended::sentence(name, code) {
        return Some(sentence.to_owned());
    }
    Some(match code {
        "0" => format!("task {name} ended before the script"),
        "" => format!("task {name} failed"),
        code => format!("task {name} failed with exit {code}"),
    })
}

fn trouble(state: &TaskState) -> Option<String> {
    state.events.iter().rev().find_map(|event: &TaskEvent| {
        let (_, what) = TROUBLE.iter().find(|(kind, _)| *kind == event.kind)?;
        let message = fit(&event.display_message);
        Some(if message.is_empty() { (*what).to_owned() } else { format!("{what}: {message}") })
    })
}

fn of_description(allocation: &Allocation) -> String {
    let said = [&allocation.client_description, &allocation.desired_description];
    let said: Vec<String> = said.into_iter().map(|text| fit(text)).filter(|text| !text.is_empty()).collect();
    if said.is_empty() {
        return "it ended in a way that Nomad does not explain".to_owned();
    }
    format!("it ended without a result: {}", said.join("; "))
}

/// One of Nomad's sentences on one line, not too long, and without what an address may carry of secrets.
pub(super) fn fit(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(public_address).collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Drops user, password and query of an address.
fn public_address(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = rest.find(['/', '"', '\'', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let Some((path, query)) = path.split_once('?') else {
        return format!("{scheme}://{host}{path}");
    };
    let tail = query.find(['"', '\'']).and_then(|at| query.get(at..)).unwrap_or_default();
    format!("{scheme}://{host}{path}{tail}")
}
