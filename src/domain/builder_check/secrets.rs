//! How secrets come to a build.

use super::{Found, Job, task_place};
use crate::domain::finding::Finding;
use crate::domain::runner::{CONTROLLER, IDENTITY};

pub(super) fn check(job: &Job, found: &mut Found) {
    let payload = job.parameterized_job.as_ref().map_or("", |takes| takes.payload.as_str());
    if !job.has_controller() && payload != "forbidden" {
        let sentence = "it has no controller, so secrets of trusted builds come as the dispatch's payload: whoever may read jobs in the namespace reads them";
        let fix = "take the tasks controller, sidecar and prepare of hcl/builder.hcl; or set payload = \"forbidden\", where no repository has secrets";
        let places = vec!["parameterized/payload".to_owned()];
        found.say_of(places, Finding::warning("secrets-in-payload", sentence, fix));
    }
    let Some(runner) = job.runner() else {
        return;
    };
    let Some(controller) = runner.tasks.iter().find(|task| task.name == CONTROLLER) else {
        return;
    };
    let place = task_place(runner, controller);
    let fix = "identity { name = \"albatros\"  aud = [\"albatros\"]  file = true  ttl = \"1h\" }";
    let at = format!("{place}/identity {IDENTITY}");
    let wrong = match controller.identities.iter().find(|identity| identity.name == IDENTITY) {
        None => Some(
            "has no identity \"albatros\": serve takes it for a task like any other, and sends secrets as a payload",
        ),
        Some(identity) if !identity.audience.iter().any(|to| to == IDENTITY) => {
            Some("has an identity that is not for the audience \"albatros\": serve refuses it")
        }
        Some(identity) if identity.file != Some(true) => {
            Some("has an identity that is in no file: it cannot be renewed")
        }
        Some(identity) if identity.ttl.is_none_or(|ttl| ttl <= 0.0) => {
            Some("has an identity that never expires: serve refuses it")
        }
        Some(_) => None,
    };
    if let Some(wrong) = wrong {
        let sentence = format!("the task \"{CONTROLLER}\" {wrong}");
        found.say_of(vec![at, format!("{place}/identity")], Finding::error("controller-identity", sentence, fix));
    }
    let beside = controller.lifecycle.as_ref().is_some_and(|it| it.hook == "prestart" && it.sidecar == Some(true));
    if !beside {
        let sentence =
            format!("the task \"{CONTROLLER}\" is not there before and beside the script, which then has no API");
        let fix = "lifecycle { hook = \"prestart\"  sidecar = true }";
        let at = format!("{place}/lifecycle");
        let places = vec![at.clone(), format!("{at}/hook"), format!("{at}/sidecar")];
        found.say_of(places, Finding::error("controller-lifecycle", sentence, fix));
    }
}
