//! One run a change, and one that ends.

use super::{Found, Group, Job, group_place, task_place};
use crate::domain::finding::Finding;

pub(super) fn check(job: &Job, found: &mut Found) {
    let Some(runner) = job.runner() else {
        return;
    };
    restart(runner, found);
    reschedule(runner, found);
    disconnect(runner, found);
    if runner.max_run_duration.is_none_or(|limit| limit <= 0.0) {
        let sentence = "Nomad has no time limit for it: a build that nobody stops runs for ever";
        let fix =
            "set max_run_duration = \"1h\" in the group (Nomad 2.0.3; before it, Albatros's own `timeout` has to do)";
        let at = format!("{}/max_run_duration", group_place(runner));
        found.say(at, Finding::warning("time-limit", sentence, fix));
    }
}

fn restart(runner: &Group, found: &mut Found) {
    let group = group_place(runner);
    let of_group = runner.restart_policy.as_ref().map(|policy| policy.attempts);
    for task in &runner.tasks {
        let own = task.restart_policy.as_ref().and_then(|policy| policy.attempts);
        let attempts = own.or(of_group.flatten());
        // Nomad's own for batch jobs.
        let times = attempts.unwrap_or(3.0);
        if !task.is_executor() || times == 0.0 {
            continue;
        }
        let sentence =
            format!("a script that fails is run {times} more times: a failed build is a verdict, no accident");
        let at = if own.is_some() {
            format!("{}/restart/attempts", task_place(runner, task))
        } else {
            format!("{group}/restart/attempts")
        };
        let fix = "restart { attempts = 0  mode = \"fail\" } in the group";
        found.say_of(vec![at, format!("{group}/restart")], Finding::warning("restart", sentence, fix));
    }
}

fn reschedule(runner: &Group, found: &mut Found) {
    let policy = runner.reschedule_policy.as_ref();
    let attempts = policy.and_then(|policy| policy.attempts).unwrap_or(1.0);
    let unlimited = policy.and_then(|policy| policy.unlimited).unwrap_or(false);
    if attempts == 0.0 && !unlimited {
        return;
    }
    let place = format!("{}/reschedule", group_place(runner));
    let sentence = "a failed build is run again on another node, and its log is that of two runs";
    let fix = "reschedule { attempts = 0  unlimited = false } in the group";
    let places = vec![format!("{place}/attempts"), format!("{place}/unlimited")];
    found.say_of(places, Finding::warning("reschedule", sentence, fix));
}

fn disconnect(runner: &Group, found: &mut Found) {
    let policy = runner.disconnect.as_ref();
    let stays = policy.and_then(|policy| policy.lost_after).is_some_and(|after| after > 0.0);
    let replaced = policy.and_then(|policy| policy.replace).unwrap_or(false);
    if stays && !replaced {
        return;
    }
    let place = format!("{}/disconnect", group_place(runner));
    let sentence = "a node that is away for a moment has its build run a second time elsewhere";
    let fix = "disconnect { lost_after = \"12h\"  replace = false } in the group";
    let places = vec![format!("{place}/lost_after"), format!("{place}/replace")];
    found.say_of(places, Finding::warning("disconnect", sentence, fix));
}
