//! Whose build an identity is of.

use super::*;

fn identity(claims: &Value) -> Identity {
    Signer::ed().verify(claims).unwrap()
}

fn record() -> Record {
    serde_json::from_value(json!({
        "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
        "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
        "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": false,
        "builder": "builder", "namespace": "ci", "meta": {}, "created": "2026-11-21T00:00:00Z",
        "phase": {"is": "dispatched"}, "build": "builder/dispatch-1-aaaaaaaa",
    }))
    .unwrap()
}

#[test]
fn the_controller_of_the_planned_builder_is_known_by_its_subject() {
    assert_eq!(identity(&claims()).is_of_builder(&record(), "global"), Ok(()));
    for subject in [
        "global:ci:builder:runner:executor:albatros",
        "global:ci:builder:runner:sidecar:albatros",
        "global:ci:builder:runner:controller:vault",
        "global:ci:builder:other:controller:albatros",
        "global:ci:other:runner:controller:albatros",
        "global:ci:builder/dispatch-1-aaaaaaaa:runner:controller:albatros",
        "global:other:builder:runner:controller:albatros",
        "eu:ci:builder:runner:controller:albatros",
        "",
    ] {
        let told = identity(&with("sub", json!(subject))).is_of_builder(&record(), "global");
        assert_eq!(told, Err(Stranger::Subject), "{subject}");
    }
    assert_eq!(identity(&without("sub")).is_of_builder(&record(), "global"), Err(Stranger::Subject));
}

#[test]
fn claims_that_contradict_the_subject_are_refused() {
    for (name, value) in [("nomad_namespace", "other"), ("nomad_job_id", "other"), ("nomad_task", "executor")] {
        let told = [with(name, json!(value)), without(name)].map(|c| identity(&c).is_of_builder(&record(), "global"));
        assert_eq!(told, [Err(Stranger::Contradiction); 2], "{name}");
    }
}

fn allocation(change: impl FnOnce(&mut Allocation)) -> Allocation {
    let mut allocation: Allocation = serde_json::from_value(json!({
        "ID": "05b68e13-3da3-9a14-dae4-2b0f73859312", "JobID": "builder/dispatch-1-aaaaaaaa", "Namespace": "ci",
        "TaskGroup": "runner", "ClientStatus": "pending", "DesiredStatus": "run",
    }))
    .unwrap();
    change(&mut allocation);
    allocation
}

fn child(change: impl FnOnce(&mut Job)) -> Job {
    let mut child: Job = serde_json::from_value(json!({
        "ID": "builder/dispatch-1-aaaaaaaa", "ParentID": "builder", "Namespace": "ci", "Dispatched": true,
    }))
    .unwrap();
    change(&mut child);
    child
}

fn told(allocation: &Allocation, child: &Job) -> Result<(), Stranger> {
    identity(&claims()).is_of_build(&record(), allocation, child)
}

#[test]
fn the_named_child_s_own_allocation_is_the_build() {
    assert_eq!(told(&allocation(|_| {}), &child(|_| {})), Ok(()));
    assert_eq!(told(&allocation(|it| it.client_status = "running".to_owned()), &child(|_| {})), Ok(()));
}

#[test]
fn an_allocation_of_something_else_is_refused() {
    type Change = fn(&mut Allocation);
    let changes: [(Change, Stranger); 4] = [
        (|it| it.id = "15b68e13-3da3-9a14-dae4-2b0f73859312".to_owned(), Stranger::Allocation),
        (|it| it.namespace = "other".to_owned(), Stranger::Allocation),
        (|it| it.task_group = "other".to_owned(), Stranger::Allocation),
        (|it| it.job_id = "builder/dispatch-1-bbbbbbbb".to_owned(), Stranger::Claim),
    ];
    for (change, why) in changes {
        assert_eq!(told(&allocation(change), &child(|_| {})), Err(why));
    }
    let nowhere = identity(&without("nomad_allocation_id"));
    let told = nowhere.is_of_build(&record(), &allocation(|_| {}), &child(|_| {}));
    assert_eq!(told, Err(Stranger::Allocation), "the token names none");
    let anothers = Record { build: None, ..record() };
    let told = identity(&claims()).is_of_build(&anothers, &allocation(|_| {}), &child(|_| {}));
    assert_eq!(told, Err(Stranger::Claim), "the record has no child yet");
}

#[test]
fn a_build_that_is_over_is_refused() {
    for status in ["complete", "failed", "lost", "unknown", ""] {
        let over = allocation(|it| it.client_status = status.to_owned());
        assert_eq!(told(&over, &child(|_| {})), Err(Stranger::Over), "{status}");
    }
    for desired in ["stop", "evict", ""] {
        let over = allocation(|it| it.desired_status = desired.to_owned());
        assert_eq!(told(&over, &child(|_| {})), Err(Stranger::Over), "{desired}");
    }
    assert_eq!(told(&allocation(|_| {}), &child(|it| it.stop = true)), Err(Stranger::Over));
}

#[test]
fn a_job_that_was_not_dispatched_from_the_builder_is_refused() {
    let changes: [fn(&mut Job); 4] = [
        |it| it.dispatched = false,
        |it| it.parent_id = "other".to_owned(),
        |it| it.namespace = "other".to_owned(),
        |it| it.id = "builder".to_owned(),
    ];
    for change in changes {
        assert_eq!(told(&allocation(|_| {}), &child(change)), Err(Stranger::Child));
    }
}
