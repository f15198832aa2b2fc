//! Values of a build where Nomad puts them into text: whoever names a branch writes that text.

use serde_json::Value;

use super::{Found, Job, task_place};
use crate::domain::finding::Finding;

/// What Nomad expands.
const META: &str = "${NOMAD_META_";
/// What an operator's configuration alone decides.
const IMAGE: &str = "${NOMAD_META_IMAGE}";
/// Parts of a driver's configuration that nothing acts upon.
const HARMLESS: [&str; 2] = ["labels", "logging"];

pub(super) fn check(job: &Job, found: &mut Found) {
    let Some(runner) = job.runner() else {
        return;
    };
    for task in &runner.tasks {
        let (place, name) = (task_place(runner, task), &task.name);
        for (key, value) in task.config.iter().filter(|(key, _)| !HARMLESS.contains(&key.as_str())) {
            let Some(meta) = expanded(value, key == "image") else {
                continue;
            };
            let what = if matches!(key.as_str(), "command" | "args" | "entrypoint") {
                "command line"
            } else {
                "configuration"
            };
            let sentence =
                format!("the {what} of the task \"{name}\" holds {meta}: a branch's name can change what it does");
            let fix = "leave it out: the task has it in its environment, and `albatros exec` hands it to the script";
            found.say(format!("{place}/config/{key}"), Finding::error("meta-in-command", sentence, fix));
        }
        for (at, template) in task.templates.iter().enumerate() {
            if template.data.contains("NOMAD_META_") {
                let sentence = format!(
                    "a template of the task \"{name}\" holds NOMAD_META_…: a branch's name can write what it makes"
                );
                let fix = "read the value from the environment of what runs, quoted";
                found.say(format!("{place}/template#{at}"), Finding::error("meta-in-template", sentence, fix));
            }
        }
    }
}

/// The first value of a build that is expanded anywhere in here.
fn expanded(value: &Value, image: bool) -> Option<String> {
    match value {
        Value::String(text) => {
            let rest = if image { text.replace(IMAGE, "") } else { text.clone() };
            let (_, behind) = rest.split_once(META)?;
            let name = behind.split('}').next().unwrap_or_default();
            Some(format!("{META}{name}}}"))
        }
        Value::Array(items) => items.iter().find_map(|item| expanded(item, image)),
        Value::Object(map) => map.values().find_map(|value| expanded(value, image)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
