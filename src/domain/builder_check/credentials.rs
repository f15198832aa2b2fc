//! Credentials in reach of a script that anybody may have written.

use super::{About, Found, Group, Job, Task, task_place};
use crate::domain::finding::Finding;

/// What a template reads secrets with.
const READS: [&str; 12] = [
    "nomadVar",
    "secret ",
    "secrets ",
    "pkiCert",
    "key ",
    "keyOrDefault",
    "keyExists",
    "ls ",
    "safeLs",
    "tree ",
    "file ",
    "plugin ",
];

pub(super) fn check(job: &Job, about: &About<'_>, found: &mut Found) {
    for (group, task) in job.exposed() {
        let place = task_place(group, task);
        for identity in task.identity.iter().chain(&task.identities) {
            if identity.env == Some(true) || identity.file == Some(true) {
                let name = if identity.name.is_empty() { "default" } else { &identity.name };
                let sentence = has(task, &format!("an identity \"{name}\", good for whatever it is let into"));
                let fix = "leave the identity out; the controller's is enough";
                found.say(format!("{place}/identity {name}"), graded(task, about, "identity", sentence, fix));
            }
        }
        vault(job, group, task, about, found);
        if task.consul.is_some() {
            let sentence = has(task, "a token of Consul's");
            found.say(format!("{place}/consul"), graded(task, about, "consul", sentence, "leave the consul block out"));
        }
        for secret in &task.secrets {
            let sentence = has(task, &format!("the secret \"{}\"", secret.name));
            let fix = "put it into the repository's `inject`: trusted builds get it, and no others";
            found.say(format!("{place}/secret {}", secret.name), graded(task, about, "secret", sentence, fix));
        }
        for (at, template) in task.templates.iter().enumerate() {
            let reads = actions(&template.data).any(|action| READS.iter().any(|word| calls(action, word)));
            if reads || !template.source.is_empty() {
                let sentence = has(task, "a template that reads what is not the build's own");
                let fix = "put it into the repository's `inject`, or into a task of its own beside the script";
                found.say(format!("{place}/template#{at}"), graded(task, about, "template", sentence, fix));
            }
        }
    }
}

fn vault(job: &Job, group: &Group, task: &Task, about: &About<'_>, found: &mut Found) {
    let place = if task.vault.is_some() {
        format!("{}/vault", task_place(group, task))
    } else if group.vault.is_some() {
        format!("group {}/vault", group.name)
    } else if job.vault.is_some() {
        "vault".to_owned()
    } else {
        return;
    };
    let sentence = has(task, "a token of Vault's");
    let fix = "leave the vault block out; secrets of trusted builds come by the controller";
    found.say(place, graded(task, about, "vault", sentence, fix));
}

fn has(task: &Task, what: &str) -> String {
    format!("the task \"{}\", which untrusted builds reach, has {what}", task.name)
}

fn graded(task: &Task, about: &About<'_>, name: &'static str, sentence: String, fix: &str) -> Finding {
    if about.trusted_only {
        Finding::note(name, sentence.replace("untrusted builds reach", "all trusted builds reach"), fix)
    } else if task.is_executor() {
        Finding::error(name, sentence, fix)
    } else {
        Finding::warning(name, sentence, fix)
    }
}

/// What stands between `{{` and `}}`.
fn actions(data: &str) -> impl Iterator<Item = &str> {
    data.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or_default())
}

/// Whether a word is there as a function, not as the end of another.
fn calls(action: &str, word: &str) -> bool {
    action.match_indices(word).any(|(at, _)| {
        let before = action.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '"' | '$'))
    })
}
