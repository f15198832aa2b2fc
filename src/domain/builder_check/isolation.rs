//! What separates a script from its node.

use serde_json::Value;

use super::{About, Found, Group, Job, Task, task_place};
use crate::domain::finding::Finding;

/// Drivers whose tasks are on the node's network unless something takes them off it.
const ON_THE_NODE: [&str; 3] = ["exec", "raw_exec", "java"];
/// Who holds one of these is root on the node, or nearly so.
const MIGHTY: [&str; 8] =
    ["all", "bpf", "dac_read_search", "net_admin", "sys_admin", "sys_module", "sys_ptrace", "sys_rawio"];
/// Folders that hold the sockets of engines.
const ABOVE_SOCKETS: [&str; 4] = ["/", "/run", "/var", "/var/run"];
/// The sockets themselves.
const SOCKETS: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock"];

pub(super) fn check(job: &Job, about: &About<'_>, found: &mut Found) {
    for (group, task) in job.exposed() {
        let place = format!("{}/config", task_place(group, task));
        socket(task, &place, found);
        if task.config.get("privileged").is_some_and(on) {
            let sentence = format!("the task \"{}\" is privileged: it is root on the node", task.name);
            let fix = "leave privileged out; builds of images can do without (rootless, kaniko, buildah)";
            found.say(format!("{place}/privileged"), graded(task, "privileged", sentence, fix));
        }
        namespaces(group, task, &place, found);
        if task.driver == "raw_exec" && !in_machine(task) {
            let sentence =
                format!("the task \"{}\" runs without any separation, as the user of Nomad's agent", task.name);
            let fix = "set driver = \"docker\" or \"exec\", or run `albatros vm` in place of `albatros exec`; --trusted-only where only trusted builds reach it";
            let finding = graded(task, "raw-exec", sentence, fix);
            let finding =
                if about.trusted_only { Finding::warning("raw-exec", finding.sentence, finding.fix) } else { finding };
            found.say(format!("{}/driver", task_place(group, task)), finding);
        }
        let added = texts(task.config.get("cap_add"));
        let mighty: Vec<&str> = added.into_iter().filter(|cap| MIGHTY.contains(&plain(cap).as_str())).collect();
        if !mighty.is_empty() {
            let sentence =
                format!("the task \"{}\" has {}, by which it can leave its container", task.name, mighty.join(", "));
            let fix = "add what scripts need one by one, such as [\"chown\", \"setuid\", \"setgid\"]";
            found.say(format!("{place}/cap_add"), graded(task, "capabilities", sentence, fix));
        }
    }
}

/// The script's own task must not; for one beside it there may be a reason.
fn graded(task: &Task, name: &'static str, sentence: String, fix: &str) -> Finding {
    if task.is_executor() { Finding::error(name, sentence, fix) } else { Finding::warning(name, sentence, fix) }
}

fn socket(task: &Task, place: &str, found: &mut Found) {
    let volumes = texts(task.config.get("volumes"));
    let mut sources: Vec<(&str, &str)> =
        volumes.into_iter().map(|volume| ("volumes", volume.split(':').next().unwrap_or_default())).collect();
    for key in ["mount", "mounts"] {
        let mounts = match task.config.get(key) {
            Some(Value::Array(mounts)) => mounts.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        sources.extend(mounts.into_iter().filter_map(|mount| Some((key, mount.get("source")?.as_str()?))));
    }
    for (key, source) in sources {
        let trimmed = source.trim_end_matches('/');
        let path = if trimmed.is_empty() && source.starts_with('/') { "/" } else { trimmed };
        if ABOVE_SOCKETS.contains(&path) || SOCKETS.iter().any(|socket| path.ends_with(socket)) {
            let sentence = format!(
                "the task \"{}\" is given {path} of the node: who talks to its engine is root there",
                task.name
            );
            let fix = "leave it out; what a build needs beside it is started by `albatros job`";
            found.say(format!("{place}/{key}"), graded(task, "docker-socket", sentence, fix));
        }
    }
}

fn namespaces(group: &Group, task: &Task, place: &str, found: &mut Found) {
    let host = |key: &str| task.config.get(key).and_then(Value::as_str) == Some("host");
    let name = &task.name;
    for (key, finding, what) in [
        ("pid_mode", "host-pid", "the processes of the node"),
        ("ipc_mode", "host-ipc", "the shared memory of the node"),
        ("userns_mode", "host-userns", "the users of the node, root among them"),
    ] {
        if host(key) {
            let sentence = format!("the task \"{name}\" has {what}");
            found.say(format!("{place}/{key}"), graded(task, finding, sentence, &format!("leave {key} out")));
        }
    }
    let sentence =
        format!("the task \"{name}\" is on the node's network: it reaches Nomad's agent and whatever listens there");
    if host("network_mode") {
        let fix = "set network_mode = \"none\", or a network of docker's that closes internal addresses";
        found.say(format!("{place}/network_mode"), Finding::warning("host-network", &sentence, fix));
    }
    // A machine has no network, or one of its own from which the node's loopback is out of reach.
    let leaves = in_machine(task) || task.env.get("ALBATROS_NETWORK").and_then(Value::as_str) == Some("none");
    let own =
        group.networks.iter().any(|network| network.mode.as_deref().is_some_and(|mode| !matches!(mode, "" | "host")));
    if ON_THE_NODE.contains(&task.driver.as_str()) && !leaves && !own {
        let fix = "set ALBATROS_NETWORK = \"none\" in its env (`albatros exec` leaves the network), or network { mode = \"bridge\" }";
        let place = task_place(group, task);
        let places = vec![
            format!("{place}/driver"),
            format!("{place}/env/ALBATROS_NETWORK"),
            format!("group {}/network", group.name),
        ];
        found.say_of(places, Finding::warning("host-network", &sentence, fix));
    }
}

/// Whether the script is in a microVM: the task runs `albatros vm` itself, none of its other verbs and no shell.
fn in_machine(task: &Task) -> bool {
    let entrypoint = texts(task.config.get("entrypoint"));
    let command = task.config.get("command").and_then(Value::as_str);
    let words: Vec<&str> = entrypoint.into_iter().chain(command).chain(texts(task.config.get("args"))).collect();
    let [program, "vm", flags @ ..] = words.as_slice() else {
        return false;
    };
    let named = program.rsplit('/').next() == Some("albatros");
    named && flags.first().is_none_or(|flag| flag.starts_with("--") && *flag != "--")
}

fn on(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// `CAP_SYS_ADMIN` is `sys_admin`.
fn plain(capability: &str) -> String {
    let lower = capability.to_lowercase();
    lower.strip_prefix("cap_").map_or(lower.clone(), str::to_owned)
}
