//! Logs, and the disk they are on.

use super::{Found, Group, Job, Task, task_place};
use crate::domain::finding::Finding;

/// Nomad's own, in MB.
const DISK: f64 = 300.0;

pub(super) fn check(job: &Job, found: &mut Found) {
    let Some(runner) = job.runner() else {
        return;
    };
    let disk = runner.ephemeral_disk.as_ref().and_then(|disk| disk.size).unwrap_or(DISK);
    let size = format!("group {}/ephemeral_disk/size", runner.name);
    let mut sum = 0.0;
    let mut places = vec![size.clone()];
    for task in &runner.tasks {
        let logs = logs(task);
        sum += logs;
        let place = format!("{}/logs", task_place(runner, task));
        places.extend([format!("{place}/max_files"), format!("{place}/max_file_size")]);
        if logs >= disk {
            let sentence = format!(
                "the logs of the task \"{}\" may take {logs} MB of a disk of {disk} MB: Nomad refuses the job",
                task.name
            );
            let fix = format!("raise ephemeral_disk to more than {}, or lower logs", logs + headroom(runner));
            let places =
                vec![place.clone(), format!("{place}/max_files"), format!("{place}/max_file_size"), size.clone()];
            found.say_of(places, Finding::error("log-size", sentence, fix));
        }
        if task.is_executor() && task.log_config.as_ref().and_then(|logs| logs.disabled) == Some(true) {
            let sentence = "the script's log is disabled: there is nothing to be read of any build";
            found.say(format!("{place}/disabled"), Finding::error("log-disabled", sentence, "leave disabled out"));
        }
    }
    if sum >= disk && !runner.tasks.iter().any(|task| logs(task) >= disk) {
        let sentence =
            format!("logs of all tasks may take {sum} MB of a disk of {disk} MB: nothing is left for the workspace");
        let fix = format!("raise ephemeral_disk to more than {sum}, or lower logs");
        found.say_of(places, Finding::warning("log-size", sentence, fix));
    }
}

/// What the others take.
fn headroom(runner: &Group) -> f64 {
    let all: f64 = runner.tasks.iter().map(logs).sum();
    let most = runner.tasks.iter().map(logs).fold(0.0, f64::max);
    all - most
}

/// What a task's log may take, in MB: two streams share nothing, Nomad counts one.
fn logs(task: &Task) -> f64 {
    let config = task.log_config.as_ref();
    if config.and_then(|config| config.disabled) == Some(true) {
        return 0.0;
    }
    let of = |read: fn(&super::shape::Logs) -> Option<f64>| config.and_then(read).unwrap_or(10.0);
    of(|logs| logs.max_files) * of(|logs| logs.max_file_size)
}
