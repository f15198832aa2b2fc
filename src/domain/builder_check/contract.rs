//! What makes a job a builder: what it takes, how its parts are called.

use super::{About, Found, Job, group_place};
use crate::domain::builder::ALWAYS;
use crate::domain::finding::Finding;
use crate::domain::id::BuilderName;
use crate::domain::near::nearest;
use crate::domain::outcome::{EXECUTOR, GROUP};

/// What a dispatch carries where the builder declares it.
const WHERE_DECLARED: [&str; 8] =
    ["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "ALBATROS_CLAIM", "IMAGE", "JOB"];
/// Of these, what not every build has.
const NOT_ALWAYS: [&str; 3] = ["PULL_REQUEST", "IMAGE", "JOB"];

/// Whether this is meant to be a builder; what is not, is said.
pub(super) fn is_builder(job: &Job, found: &mut Found) -> bool {
    if job.parameterized_job.is_some() {
        return true;
    }
    let kind = job.kind.as_deref().unwrap_or("service");
    let name = &job.id;
    if job.runner().is_none() && (kind != "batch" || job.periodic.is_some()) {
        let periodic = if job.periodic.is_some() { "periodic " } else { "" };
        let sentence = format!("the job \"{name}\" is no builder but a {periodic}{kind} job: nothing else was checked");
        found.say("type", Finding::note("no-builder", sentence, ""));
        return false;
    }
    let sentence = format!("the job \"{name}\" is not parameterized, so nothing can be dispatched from it");
    let fix = format!("add parameterized {{ meta_required = {ALWAYS:?} }}");
    found.say("parameterized", Finding::error("not-parameterized", sentence, fix));
    job.runner().is_some()
}

pub(super) fn check(job: &Job, about: &About<'_>, found: &mut Found) {
    head(job, about, found);
    meta(job, found);
    groups(job, found);
}

fn head(job: &Job, about: &About<'_>, found: &mut Found) {
    let name = &job.id;
    if job.kind.as_deref().is_some_and(|kind| kind != "batch") || job.kind.is_none() {
        let kind = job.kind.as_deref().unwrap_or("service");
        let sentence = format!("its type is {kind}: a build would not end, or would run on every node");
        found.say("type", Finding::error("job-type", sentence, "set type = \"batch\""));
    }
    if job.stop == Some(true) {
        let sentence = format!("the job \"{name}\" is stopped: no dispatch is taken");
        found.say("", Finding::error("stopped", sentence, "register it again"));
    }
    if let Err(error) = name.parse::<BuilderName>() {
        found.say(
            "",
            Finding::error("job-name", format!("no builder can be called \"{name}\": {error}"), "rename the job"),
        );
    }
    let namespace = job.namespace.as_deref().filter(|namespace| *namespace != about.namespace);
    if let Some(namespace) = namespace {
        let sentence =
            format!("it is for the namespace \"{namespace}\", and builds are dispatched in \"{}\"", about.namespace);
        let fix = "set namespace in the file, or ALBATROS_NAMESPACE as serve has it";
        found.say("namespace", Finding::note("namespace", sentence, fix));
    }
}

fn meta(job: &Job, found: &mut Found) {
    let Some(takes) = &job.parameterized_job else {
        return;
    };
    let (required, optional) = ("parameterized/meta_required", "parameterized/meta_optional");
    for key in ALWAYS.into_iter().filter(|key| !job.takes(key)) {
        let sentence = format!("it does not take {key}, which every build is given: Nomad would refuse the dispatch");
        let places = vec![required.to_owned(), optional.to_owned(), "parameterized".to_owned()];
        found.say_of(places, Finding::error("meta-missing", sentence, format!("add \"{key}\" to meta_required")));
    }
    for key in &takes.meta_required {
        let given = ALWAYS.contains(&key.as_str())
            || (WHERE_DECLARED.contains(&key.as_str()) && !NOT_ALWAYS.contains(&key.as_str()));
        // A default in the job's own meta satisfies Nomad.
        if !given && !job.meta.contains_key(key) {
            let sentence =
                format!("it requires {key}, which not every build is given: Nomad would refuse the dispatch");
            let fix = format!("move \"{key}\" to meta_optional");
            found.say_of(vec![required.to_owned(), "meta".to_owned()], Finding::error("meta-required", sentence, fix));
        }
    }
    let known = || ALWAYS.into_iter().chain(WHERE_DECLARED);
    for (place, keys) in [(required, &takes.meta_required), (optional, &takes.meta_optional)] {
        for key in keys.iter().filter(|key| !known().any(|known| known == *key)) {
            if let Some(meant) = nearest(key, known()) {
                let sentence = format!("it takes {key}, which nothing is ever given as");
                found.say(place, Finding::warning("meta-unknown", sentence, format!("did you mean {meant}?")));
            }
        }
    }
}

fn groups(job: &Job, found: &mut Found) {
    let Some(runner) = job.runner() else {
        let names = job.task_groups.iter().map(|group| group.name.as_str());
        let meant = match job.task_groups.as_slice() {
            [only] => Some(only.name.as_str()),
            _ => nearest(GROUP, names),
        };
        let fix = match meant {
            Some(meant) => format!("rename the group \"{meant}\" to \"{GROUP}\""),
            None => format!("call the group that builds \"{GROUP}\""),
        };
        let at = meant.map_or(String::new(), |meant| format!("group {meant}"));
        let sentence = format!("it has no group \"{GROUP}\", by which builds are judged: each would end as an error");
        found.say_of(vec![at, "group".to_owned()], Finding::error("group-missing", sentence, fix));
        return;
    };
    if let Some(count) = runner.count.filter(|count| (count - 1.0).abs() > f64::EPSILON) {
        let sentence =
            format!("the group \"{GROUP}\" is there {count} times: one of them is judged, all run the script");
        let at = format!("{}/count", group_place(runner));
        found.say(at, Finding::error("group-count", sentence, "set count = 1, or leave it out"));
    }
    for other in job.task_groups.iter().filter(|group| group.name != GROUP) {
        let sentence = format!("the group \"{}\" runs with every build, is not judged and not waited for", other.name);
        let fix = format!("put its tasks into the group \"{GROUP}\", or start them by `albatros job`");
        found.say(group_place(other), Finding::warning("group-extra", sentence, fix));
    }
    if !runner.tasks.iter().any(|task| task.name == EXECUTOR) {
        let meant = match runner.tasks.as_slice() {
            [only] => Some(only.name.as_str()),
            all => nearest(EXECUTOR, all.iter().map(|task| task.name.as_str())),
        };
        let fix = match meant {
            Some(meant) => format!("rename the task \"{meant}\" to \"{EXECUTOR}\""),
            None => format!("call the task that runs the script \"{EXECUTOR}\""),
        };
        let sentence = format!("its group \"{GROUP}\" has no task \"{EXECUTOR}\": each build would end as an error");
        let group = group_place(runner);
        let at = meant.map_or_else(|| group.clone(), |meant| format!("{group}/task {meant}"));
        found.say_of(vec![at, format!("{group}/task")], Finding::error("task-missing", sentence, fix));
    }
    if job.takes("JOB") && !job.has_controller() {
        let sentence = "it takes JOB, so it is for jobs of builds, and these need a controller";
        let fix = "take hcl/container.hcl, or leave JOB out";
        found.say("parameterized", Finding::error("jobs-controller", sentence, fix));
    }
}
