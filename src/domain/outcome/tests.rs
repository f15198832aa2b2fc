use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::domain::nomad::{AllocMetric, Task, TaskEvent, TaskGroup};

fn event(kind: &str) -> TaskEvent {
    TaskEvent { kind: kind.to_owned(), ..TaskEvent::default() }
}

fn terminated(exit_code: &str, oom: &str) -> TaskEvent {
    let details = [("exit_code", exit_code), ("signal", "0"), ("oom_killed", oom)];
    let details = details.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    TaskEvent { details, exit_code: exit_code.parse().ok(), signal: Some(0), ..event("Terminated") }
}

fn dead(events: Vec<TaskEvent>) -> TaskState {
    TaskState { state: "dead".to_owned(), events, ..TaskState::default() }
}

fn job() -> Job {
    let tasks = ["controller", EXECUTOR].map(|name| Task { name: name.to_owned(), ..Task::default() });
    let group = TaskGroup { name: GROUP.to_owned(), tasks: tasks.into() };
    Job { id: "builder/dispatch-1-0000000a".to_owned(), task_groups: vec![group], ..Job::default() }
}

fn allocation(client: &str, states: Vec<(&str, TaskState)>) -> Allocation {
    let states = states.into_iter().map(|(name, state)| (name.to_owned(), state)).collect();
    Allocation {
        task_group: GROUP.to_owned(),
        client_status: client.to_owned(),
        desired_status: "run".to_owned(),
        task_states: Some(states),
        ..Allocation::default()
    }
}

fn snapshot(allocation: Allocation) -> Snapshot {
    Snapshot { job: Some(job()), allocations: vec![allocation], evaluations: Vec::new() }
}

fn ran(events: Vec<TaskEvent>) -> Snapshot {
    snapshot(allocation("complete", vec![(EXECUTOR, dead(events))]))
}

fn evaluation(status: &str) -> Evaluation {
    Evaluation { status: status.to_owned(), id: format!("{status}-1"), ..Evaluation::default() }
}

fn stop(why: StopWhy) -> Stop {
    Stop { why, by: "ada".to_owned(), at: Timestamp::UNIX_EPOCH }
}

fn infra(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Ended(Outcome::Infra { reason }) => reason,
        other => panic!("{other:?} is not infra"),
    }
}

#[test]
fn a_stopped_build_ends_as_its_record_says() {
    let cancelled = || Outcome::Cancelled { by: "ada".to_owned() };
    let cases = [
        (StopWhy::Cancel, cancelled()),
        (StopWhy::Superseded, cancelled()),
        (StopWhy::Parent, cancelled()),
        (StopWhy::Timeout, Outcome::Timeout),
        (StopWhy::Queue, Outcome::Infra { reason: "waited for a node longer than the queue limit".to_owned() }),
        (StopWhy::Lost, Outcome::Lost { reason: "its node was out of reach for too long".to_owned() }),
    ];
    let mut killed = ran(vec![event("Started"), event("Killing"), terminated("0", "false"), event("Killed")]);
    let mut queued = Snapshot { job: Some(job()), ..Snapshot::default() };
    for snapshot in [&mut killed, &mut queued] {
        snapshot.job.as_mut().unwrap().stop = true;
        for (why, outcome) in &cases {
            assert_eq!(judge(snapshot, Some(&stop(*why))), Verdict::Ended(outcome.clone()), "{why:?}");
        }
        assert!(matches!(judge(snapshot, None), Verdict::Ended(Outcome::Cancelled { .. })));
    }
}

#[test]
fn a_stop_that_met_a_task_being_started_is_one() {
    let events = vec![event("Killing"), event("Started"), terminated("137", "false"), event("Killed")];
    let mut killed = ran(events);
    killed.job.as_mut().unwrap().stop = true;
    let outcome = judge(&killed, Some(&stop(StopWhy::Cancel)));
    assert_eq!(outcome, Verdict::Ended(Outcome::Cancelled { by: "ada".to_owned() }));
}

#[test]
fn a_stop_between_the_reads_of_job_and_allocations_is_one() {
    let mut torn = snapshot(Allocation { task_states: None, ..allocation("pending", Vec::new()) });
    torn.allocations[0].desired_status = "stop".to_owned();
    torn.allocations[0].desired_description = "alloc not needed due to job update".to_owned();
    assert!(!torn.job.as_ref().unwrap().stop);
    let outcome = judge(&torn, Some(&stop(StopWhy::Cancel)));
    assert_eq!(outcome, Verdict::Ended(Outcome::Cancelled { by: "ada".to_owned() }));
    assert!(matches!(judge(&torn, None), Verdict::Ended(Outcome::Cancelled { .. })));
}

#[test]
fn a_stop_that_nomad_was_not_told_of_decides_nothing() {
    let queued = Snapshot { job: Some(job()), ..Snapshot::default() };
    assert_eq!(judge(&queued, Some(&stop(StopWhy::Cancel))), Verdict::Queued { reason: String::new() });
}

#[test]
fn a_stop_after_the_script_had_ended_changes_nothing() {
    for (code, outcome) in [("0", Outcome::Success), ("3", Outcome::Failure { exit_code: 3, signal: 0 })] {
        let mut snapshot = ran(vec![event("Started"), terminated(code, "false"), event("Killing")]);
        snapshot.job.as_mut().unwrap().stop = true;
        assert_eq!(judge(&snapshot, Some(&stop(StopWhy::Cancel))), Verdict::Ended(outcome));
    }
}

#[test]
fn a_failure_is_not_over_while_another_attempt_may_come() {
    let failed = || ran(vec![event("Started"), terminated("6", "false"), event("Not Restarting")]);
    let mut next = failed();
    next.allocations[0].next_allocation = "b".to_owned();
    let mut follow_up = failed();
    follow_up.allocations[0].followup_eval_id = "later".to_owned();
    let mut pending = failed();
    pending.evaluations.push(evaluation("pending"));
    for mut snapshot in [next, follow_up, pending] {
        assert!(matches!(judge(&snapshot, None), Verdict::Open { unknown: false, .. }), "{snapshot:?}");
        snapshot.job.as_mut().unwrap().stop = true;
        let over = Verdict::Ended(Outcome::Failure { exit_code: 6, signal: 0 });
        assert_eq!(judge(&snapshot, Some(&stop(StopWhy::Cancel))), over);
    }
}

#[test]
fn a_follow_up_that_was_called_off_is_waited_for_no_longer() {
    let mut snapshot = ran(vec![event("Started"), terminated("6", "false")]);
    snapshot.allocations[0].followup_eval_id = "canceled-1".to_owned();
    snapshot.evaluations.push(evaluation("canceled"));
    assert_eq!(judge(&snapshot, None), Verdict::Ended(Outcome::Failure { exit_code: 6, signal: 0 }));
}

#[test]
fn an_exit_code_that_is_not_told_or_not_understood_is_not_green() {
    let silent = TaskEvent { details: BTreeMap::new(), exit_code: None, ..terminated("0", "false") };
    let odd = TaskEvent { exit_code: Some(0), ..terminated("zero", "false") };
    for event_ in [silent, odd] {
        infra(&judge(&ran(vec![event("Started"), event_]), None));
    }
    let split = TaskEvent { exit_code: Some(3), ..terminated("0", "false") };
    let verdict = judge(&ran(vec![event("Started"), split]), None);
    assert_eq!(verdict, Verdict::Ended(Outcome::Failure { exit_code: 3, signal: 0 }));
}

#[test]
fn a_lost_process_is_no_failure_of_the_script() {
    let mut lost = terminated("-1", "false");
    lost.details.insert("exit_message".to_owned(), "the client\nconnection is closing".to_owned());
    let verdict = judge(&ran(vec![event("Started"), lost]), None);
    assert_eq!(infra(&verdict), "Nomad lost sight of the script's process: the client connection is closing");
}

#[test]
fn memory_that_ran_out_outweighs_the_exit_code_but_not_success() {
    let oom = |code| judge(&ran(vec![event("Started"), terminated(code, "true")]), None);
    assert_eq!(oom("9"), Verdict::Ended(Outcome::Oom { exit_code: 9 }));
    assert_eq!(oom("0"), Verdict::Ended(Outcome::Success));
}

#[test]
fn an_unreachable_node_is_told_from_other_waits() {
    let running = TaskState { state: "running".to_owned(), events: vec![event("Started")], ..TaskState::default() };
    let mut away = snapshot(allocation("unknown", vec![(EXECUTOR, running)]));
    assert!(matches!(judge(&away, None), Verdict::Open { unknown: true, .. }));
    away.job.as_mut().unwrap().stop = true;
    let lost = Verdict::Ended(Outcome::Lost { reason: "its node was out of reach for too long".to_owned() });
    assert_eq!(judge(&away, Some(&stop(StopWhy::Lost))), lost);
}

#[test]
fn what_was_never_placed_says_what_it_waits_for() {
    let blocked = |metric: Option<AllocMetric>| {
        let failed_tg_allocs = metric.into_iter().map(|metric| (GROUP.to_owned(), metric)).collect();
        let evaluation = Evaluation { failed_tg_allocs, ..evaluation("blocked") };
        judge(&Snapshot { job: Some(job()), evaluations: vec![evaluation], ..Snapshot::default() }, None)
    };
    let one = |name: &str| BTreeMap::from([(name.to_owned(), 1)]);
    let filtered = AllocMetric {
        nodes_evaluated: 1,
        nodes_filtered: 1,
        constraint_filtered: one("${arch} = x"),
        ..AllocMetric::default()
    };
    let full = AllocMetric { nodes_exhausted: 1, dimension_exhausted: one("memory"), ..filtered.clone() };
    assert_eq!(blocked(Some(full)), Verdict::Queued { reason: "memory".to_owned() });
    assert_eq!(blocked(Some(filtered)), Verdict::Unplaceable { reason: "no node has ${arch} = x".to_owned() });
    let nowhere = "no node in the builder's datacenters and node pool".to_owned();
    assert_eq!(blocked(Some(AllocMetric::default())), Verdict::Unplaceable { reason: nowhere });
    assert_eq!(blocked(None), Verdict::Queued { reason: String::new() });
}

#[test]
fn a_search_that_nomad_gave_up_is_over() {
    let with = |list: &[&str]| Snapshot {
        job: Some(job()),
        evaluations: list.iter().map(|status| evaluation(status)).collect(),
        ..Snapshot::default()
    };
    infra(&judge(&with(&["failed"]), None));
    assert_eq!(judge(&with(&["failed", "pending"]), None), Verdict::Queued { reason: String::new() });
}

#[test]
fn secrets_in_addresses_are_not_repeated() {
    let said = "failed to download artifact \"https://u:pw@files.example/a.tgz?sig=x\": git::https://t@h/r?ref=x no";
    let failure = TaskEvent { display_message: said.to_owned(), ..event("Failed Artifact Download") };
    let verdict = judge(&ran(vec![failure]), None);
    let expected = "the script's task could not fetch an artifact: failed to download artifact \
                    \"https://files.example/a.tgz\": git::https://h/r no";
    assert_eq!(infra(&verdict), expected);
}

#[test]
fn the_sibling_that_pulled_a_build_down_is_named() {
    let helper = TaskState { failed: true, ..dead(vec![event("Started"), terminated("2", "false")]) };
    let executor =
        dead(vec![event("Started"), event("Sibling Task Failed"), event("Killing"), terminated("137", "false")]);
    let verdict = judge(&snapshot(allocation("failed", vec![("helper", helper), (EXECUTOR, executor)])), None);
    assert_eq!(infra(&verdict), "task helper failed with exit 2");
}

fn any_word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn any_event() -> impl Strategy<Value = TaskEvent> {
    let kinds = any_word(&[
        "Received",
        "Started",
        "Terminated",
        "Terminated",
        "Restarting",
        "Killing",
        "Killed",
        "Sibling Task Failed",
        "Leader Task Dead",
        "Main Tasks Dead",
        "Not Restarting",
        "Driver Failure",
        "Reconnected",
        "",
    ]);
    let codes = prop::option::of(any_word(&["0", "0", "1", "-1", "137", "x", ""]));
    (kinds, codes, prop::option::of(-1_i64..3), any::<bool>()).prop_map(|(kind, code, exit_code, oom)| {
        let mut event = TaskEvent { kind, exit_code, ..TaskEvent::default() };
        event.details.extend(code.map(|code| ("exit_code".to_owned(), code)));
        event.details.insert("oom_killed".to_owned(), oom.to_string());
        event
    })
}

fn any_state() -> impl Strategy<Value = TaskState> {
    (any_word(&["dead", "dead", "running", "pending", "odd"]), prop::collection::vec(any_event(), 0..7), any::<bool>())
        .prop_map(|(state, events, failed)| TaskState { state, events, failed, ..TaskState::default() })
}

fn any_allocation() -> impl Strategy<Value = Allocation> {
    let states = prop::collection::btree_map(any_word(&[EXECUTOR, EXECUTOR, "controller"]), any_state(), 0..3);
    (
        any_word(&["pending", "running", "complete", "failed", "lost", "unknown", "odd"]),
        any_word(&["run", "stop", "evict", ""]),
        any_word(&["", "alloc is being migrated", "alloc is lost since its node is down"]),
        any_word(&["", "b"]),
        (any_word(&[GROUP, GROUP, GROUP, "main"]), 0_u64..4, prop::option::of(states)),
    )
        .prop_map(|(client_status, desired_status, desired_description, next_allocation, rest)| Allocation {
            client_status,
            desired_status,
            desired_description,
            next_allocation,
            task_group: rest.0,
            create_index: rest.1,
            task_states: rest.2,
            ..Allocation::default()
        })
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let job = (any::<bool>(), any::<bool>(), any_word(&["pending", "running", "dead"]))
        .prop_map(|(there, stop, status)| there.then(|| Job { stop, status, ..job() }));
    let evaluation =
        any_word(&["pending", "blocked", "complete", "failed", "canceled"]).prop_map(|status| evaluation(&status));
    (job, prop::collection::vec(any_allocation(), 0..3), prop::collection::vec(evaluation, 0..3))
        .prop_map(|(job, allocations, evaluations)| Snapshot { job, allocations, evaluations })
}

/// Written apart from the code it checks: the last run's first end was its own, and all that is told of its last is 0.
fn may_be_green(snapshot: &Snapshot) -> bool {
    let runner = snapshot.allocations.iter().filter(|one| one.task_group == GROUP);
    let Some(newest) = runner.max_by_key(|one| one.create_index) else {
        return false;
    };
    let Some(executor) = newest.task_states.as_ref().and_then(|states| states.get(EXECUTOR)) else {
        return false;
    };
    let mut ends: Vec<&TaskEvent> = Vec::new();
    let (mut killed, mut killed_again) = (false, false);
    for event in &executor.events {
        match event.kind.as_str() {
            "Started" => {
                killed = if ends.is_empty() { killed } else { killed_again };
                ends.clear();
            }
            "Restarting" => {
                ends.clear();
                killed = false;
            }
            "Terminated" => {
                ends.push(event);
                killed_again = false;
            }
            "Killing" | "Sibling Task Failed" | "Leader Task Dead" | "Main Tasks Dead" => {
                killed |= ends.is_empty();
                killed_again = true;
            }
            _ => {}
        }
    }
    let zero = |event: &TaskEvent| match (event.details.get("exit_code").map(String::as_str), event.exit_code) {
        (Some("0"), Some(0) | None) | (None, Some(0)) => true,
        (Some(_) | None, Some(_) | None) => false,
    };
    executor.state == "dead" && !killed && ends.last().is_some_and(|last| zero(last))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]
    #[test]
    fn green_is_only_what_ended_by_itself_with_exit_0(snapshot in any_snapshot(), stopped in any::<bool>()) {
        let stop = stopped.then(|| stop(StopWhy::Cancel));
        let verdict = judge(&snapshot, stop.as_ref());
        prop_assert_eq!(verdict == Verdict::Ended(Outcome::Success), may_be_green(&snapshot), "{:?}", verdict);
    }

    #[test]
    fn a_verdict_survives_its_json(snapshot in any_snapshot()) {
        let verdict = judge(&snapshot, None);
        let text = serde_json::to_string(&verdict).unwrap();
        prop_assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}

#[test]
fn absent_fields_and_nulls_are_read_as_nothing() {
    let null = r#"{"ID":"a","TaskGroup":"runner","ClientStatus":null,"TaskStates":{"executor":{"State":"dead","Events":[
        {"Type":"Terminated","Details":null,"ExitCode":null}]}},"NextAllocation":null,"CreateIndex":null}"#;
    let allocation: Allocation = serde_json::from_str(null).unwrap();
    assert_eq!(serde_json::from_str::<Allocation>("{}").unwrap(), Allocation::default());
    infra(&judge(&snapshot(allocation), None));
}
