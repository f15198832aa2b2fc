use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::domain::job::graph::JOBS_MOST;
use crate::domain::job::plan;
use crate::domain::job::view::green;

fn board(plan: &str) -> Board {
    let mut board = Board::default();
    board.add(plan::read(plan).unwrap()).unwrap();
    board
}

fn name(text: &str) -> JobName {
    text.parse().unwrap()
}

fn starting(board: &Board) -> Vec<&str> {
    board.starting().map(|job| job.name.as_str()).collect()
}

fn stopping(board: &Board) -> Vec<&str> {
    board.stopping().map(JobName::as_str).collect()
}

fn ended(state: &str) -> Seen {
    let exit_code = match state {
        "success" => Some(0),
        "failure" => Some(3),
        _ => None,
    };
    Seen { state: state.to_owned(), ended: true, exit_code, ..Seen::default() }
}

fn open(state: &str, ready: bool) -> Seen {
    Seen { state: state.to_owned(), ready, ..Seen::default() }
}

fn words(board: &Board, job: &str) -> String {
    board.views().into_iter().find(|view| view.name == name(job)).unwrap().words()
}

fn verdict(board: &Board) -> Option<bool> {
    green(&board.views())
}

#[test]
fn a_job_starts_when_all_that_it_needs_has_succeeded() {
    let mut board = board("a: {script: x}\nb: {script: x}\nc: {needs: [a, b], script: x}\n");
    assert_eq!(starting(&board), ["a", "b"]);
    board.observe(&name("a"), ended("success"));
    board.observe(&name("b"), open("running", false));
    assert!(starting(&board).is_empty());
    board.observe(&name("b"), ended("success"));
    assert_eq!(starting(&board), ["c"]);
    board.observe(&name("c"), ended("success"));
    assert_eq!(verdict(&board), Some(true));
}

#[test]
fn only_success_is_read_as_green() {
    for state in ["failure", "oom", "timeout", "cancelled", "infra", "lost", "expired", "nonsense", ""] {
        let mut board = board("a: {script: x}\nb: {needs: [a], script: x}\nc: {needs: [b], script: x}");
        board.observe(&name("a"), ended(state));
        assert_eq!(words(&board, "c"), "skipped (it needs b, which did not succeed)");
        assert_eq!(verdict(&board), Some(false), "{state}");
    }
    let mut board = board("a: {script: x}");
    board.observe(&name("a"), Seen { exit_code: Some(1), ..ended("success") });
    assert_eq!(verdict(&board), Some(false), "a success with an exit code is none");
}

#[test]
fn a_job_for_failures_runs_only_after_one_and_the_verdict_stays_red() {
    let plan = "a: {script: x}\nb: {needs: [a], when: failure, script: x}\nc: {needs: [b], script: x}\nd: {needs: [b], when: always, script: x}";
    let mut well = board(plan);
    well.observe(&name("a"), ended("success"));
    assert_eq!(starting(&well), ["d"], "b and what needs it are not called for");
    well.observe(&name("d"), ended("success"));
    assert_eq!(verdict(&well), Some(true));
    let mut ill = board(plan);
    ill.observe(&name("a"), ended("lost"));
    assert_eq!(starting(&ill), ["b"]);
    ill.observe(&name("b"), ended("success"));
    assert_eq!(starting(&ill), ["c", "d"]);
    for job in ["c", "d"] {
        ill.observe(&name(job), ended("success"));
    }
    assert_eq!(verdict(&ill), Some(false));
}

#[test]
fn a_service_is_fulfilled_when_it_is_ready_and_fine_when_it_is_stopped() {
    let mut board = board("db: {service: true, port: 5, script: x}\na: {needs: [db], script: x}");
    board.observe(&name("db"), open("running", false));
    assert!(starting(&board).is_empty());
    board.observe(&name("db"), open("running", true));
    assert_eq!((starting(&board), words(&board, "db").as_str()), (vec!["a"], "ready"));
    board.observe(&name("a"), ended("success"));
    assert!(verdict(&board).is_none() && board.views().iter().all(JobView::settled));
    board.close("the build is over");
    assert_eq!(stopping(&board), ["db"]);
    board.observe(&name("db"), ended("cancelled"));
    assert_eq!(verdict(&board), Some(true));
}

#[test]
fn a_service_that_ends_by_itself_has_failed_however_it_ended() {
    for state in ["success", "failure", "cancelled", "lost"] {
        for ready in [true, false] {
            let mut board = board("db: {service: true, port: 5, script: x}\na: {needs: [db], script: x}");
            board.observe(&name("db"), open("running", ready));
            board.observe(&name("db"), ended(state));
            board.stop(&name("db"), "too late");
            if ready {
                board.observe(&name("a"), ended("success"));
            }
            assert_eq!(verdict(&board), Some(false), "{state} {ready}");
            let said = words(&board, "db");
            assert!(said.contains("ended by itself") && !said.starts_with("success"), "{said}");
        }
    }
    let mut board = board("db: {service: true, port: 5, script: x}");
    board.stop(&name("db"), "never ready");
    board.observe(&name("db"), ended("cancelled"));
    assert_eq!(verdict(&board), Some(false));
}

#[test]
fn a_job_that_ends_the_rest_stops_what_runs_and_starts_nothing_any_more() {
    let mut board = board(
        "a: {stop_rest: true, script: x}\nb: {script: x}\nc: {needs: [b], when: always, script: x}\nd: {script: x}",
    );
    board.observe(&name("b"), open("running", false));
    board.observe(&name("a"), ended("failure"));
    assert_eq!((starting(&board), stopping(&board)), (vec![], vec!["b", "d"]));
    assert_eq!(words(&board, "c"), "skipped (job a failed, and ends the rest)");
    board.unknown(&name("d"));
    board.observe(&name("b"), ended("cancelled"));
    board.add(plan::read("e: {script: x}").unwrap()).unwrap();
    assert_eq!((words(&board, "e"), verdict(&board), board.idle()), (words(&board, "c"), Some(false), true));
}

#[test]
fn what_is_stopped_before_it_started_never_starts() {
    let mut board = board("a: {script: x}\nb: {needs: [a], script: x}");
    assert!(board.stop(&name("b"), "not wanted") && !board.stop(&name("z"), ""));
    board.observe(&name("a"), ended("success"));
    assert!(starting(&board).is_empty() && stopping(&board).is_empty());
    assert_eq!((words(&board, "b").as_str(), verdict(&board)), ("skipped (not wanted)", Some(false)));
}

#[test]
fn jobs_may_be_sent_again_and_need_earlier_ones() {
    let mut board = board("a: {script: x}");
    board.add(plan::read("a: {script: x}\nb: {needs: [a], script: x}").unwrap()).unwrap();
    assert_eq!(board.views().len(), 2);
    assert!(board.add(plan::read("a: {script: y}").unwrap()).unwrap_err().to_string().contains("used twice"));
}

/// Jobs that need only earlier ones, of every kind.
fn plans() -> impl Strategy<Value = Vec<JobSpec>> {
    let when = prop_oneof![Just(When::Success), Just(When::Failure), Just(When::Always)];
    let job = (when, any::<bool>(), any::<u64>(), proptest::bool::weighted(0.2));
    proptest::collection::vec(job, 1..12).prop_map(|jobs| {
        let made = jobs.into_iter().enumerate().map(|(number, (when, service, needs, stop_rest))| {
            let needs: Vec<JobName> =
                (0..number).filter(|other| needs >> other & 3 == 3).map(|other| name(&format!("j{other}"))).collect();
            let when = if needs.is_empty() { When::Success } else { when };
            let text = if service { "x: {service: true, port: 1, script: x}" } else { "x: {script: x}" };
            let mut job = plan::read(text).unwrap().remove(0);
            (job.name, job.needs, job.when, job.stop_rest) = (name(&format!("j{number}")), needs, when, stop_rest);
            job
        });
        made.collect()
    })
}

proptest! {
    /// Whatever happens in whatever order, it comes to an end, nothing starts early or twice, and only what went well
    /// is green.
    #[test]
    fn a_board_comes_to_its_end_and_is_green_only_if_all_went_well(
        jobs in plans(),
        chances in proptest::collection::vec((any::<usize>(), 0..5_u8), 300),
    ) {
        let mut board = Board::default();
        board.add(jobs.clone()).unwrap();
        let (mut started, mut good, mut bad) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut chances = chances.into_iter();
        loop {
            let fresh: Vec<JobSpec> = board.starting().cloned().collect();
            for job in &fresh {
                prop_assert!(started.insert(job.name.clone()), "{} started twice", job.name);
                if job.when == When::Success {
                    prop_assert!(job.needs.iter().all(|need| good.contains(need)), "{} started early", job.name);
                }
                if job.when == When::Failure {
                    prop_assert!(job.needs.iter().any(|need| !good.contains(need)));
                }
                board.observe(&job.name, open("running", false));
            }
            let open_now: Vec<JobView> = board.views().into_iter().filter(|it| !it.ended && started.contains(&it.name)).collect();
            if open_now.is_empty() && board.starting().next().is_none() {
                break;
            }
            if open_now.iter().all(|it| it.ready) && board.starting().next().is_none() {
                board.close("over");
            }
            let Some((which, what)) = chances.next() else { board.close("over"); for it in &open_now { board.observe(&it.name, ended("cancelled")); bad.insert(it.name.clone()); } continue };
            let Some(job) = open_now.get(which % open_now.len().max(1)) else { continue };
            let told = board.stopping().any(|it| *it == job.name);
            match (what, job.service) {
                (0 | 1, true) if told => { board.observe(&job.name, ended("cancelled")); if !job.ready { bad.insert(job.name.clone()); } }
                (0..=3, true) => { board.observe(&job.name, open("running", true)); good.insert(job.name.clone()); }
                (0..=3, false) => { board.observe(&job.name, ended("success")); good.insert(job.name.clone()); }
                (_, true) => { board.observe(&job.name, ended("lost")); good.remove(&job.name); bad.insert(job.name.clone()); }
                (_, false) => { board.observe(&job.name, ended("failure")); bad.insert(job.name.clone()); }
            }
        }
        let views = board.views();
        prop_assert!(views.iter().all(|it| it.ended), "{views:?}");
        let skipped = views.iter().any(|it| it.state == "skipped" && !it.needless);
        prop_assert_eq!(green(&views), Some(bad.is_empty() && !skipped), "{:?}", views);
        let over = bad.iter().any(|it| jobs.iter().any(|job| job.name == *it && job.stop_rest));
        prop_assert!(!over || green(&views) == Some(false));
    }

    #[test]
    fn stages_hold_every_job_once_and_after_what_it_needs(jobs in plans()) {
        let graph = Graph::check(jobs.clone(), &[]).unwrap();
        let stages = graph.stages();
        let at = |job: &JobName| stages.iter().position(|stage| stage.iter().any(|it| it.name == *job));
        prop_assert_eq!(stages.iter().map(Vec::len).sum::<usize>(), jobs.len());
        for job in &jobs {
            prop_assert!(job.needs.iter().all(|need| at(need) < at(&job.name)));
        }
    }

    /// Any wiring at all: refused with a circle that is one, or sorted into stages.
    #[test]
    fn any_wiring_is_sorted_or_its_circle_is_named(wires in proptest::collection::vec(any::<u16>(), 1..10)) {
        let count = wires.len();
        let jobs: Vec<JobSpec> = wires.iter().enumerate().map(|(number, needs)| {
            let mut job = plan::read("x: {script: x}").unwrap().remove(0);
            job.name = name(&format!("j{number}"));
            job.needs = (0..count).filter(|other| needs >> other & 1 == 1 && needs >> 10 & 3 != 0).map(|other| name(&format!("j{other}"))).collect();
            job
        }).collect();
        match Graph::check(jobs.clone(), &[]) {
            Ok(graph) => prop_assert_eq!(graph.stages().iter().map(Vec::len).sum::<usize>(), count),
            Err(error) => {
                let circle = error.0.iter().find_map(|problem| match problem {
                    crate::domain::job::graph::Problem::Cycle(circle) => Some(circle.clone()),
                    _ => None,
                }).unwrap();
                for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
                    let job = jobs.iter().find(|job| job.name == *from).unwrap();
                    prop_assert!(job.needs.contains(to), "{from} does not need {to} in {circle:?}");
                }
            }
        }
    }
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let text = "jobs:\n- {name: a, script: x, command: [y], needs: [b]}\n- {name: b, needs: [a]}\n- {name: c, needs: [nowhere]}\n- {name: c, service: true}\n- {name: d, when: failure, port: 7}\n- {name: e, put: [{artifact: out, paths: [x]}]}\n- {name: f, put: [{artifact: out, paths: [../y]}]}\n- {name: g, get: [{artifact: out}]}\n- {name: h, env: {NOMAD_TOKEN: x}}";
    let error = Board::default().add(plan::read(text).unwrap()).unwrap_err().to_string();
    for words in [
        "job a: give either `command` or `script`",
        "in a circle: a → b → a",
        "job c needs nowhere, which there is not",
        "job c: its name is used twice",
        "job c: a service needs `port`",
        "job c: without a checkout it needs",
        "job d: `when: failure`",
        "job d: port: only a service",
        "jobs e and f both put the artifact out",
        "job f: `../y`",
        "job g gets the artifact out",
        "job h: env: NOMAD_TOKEN",
    ] {
        assert!(error.contains(words), "{words} in {error}");
    }
    let many: Vec<JobSpec> = (0..=JOBS_MOST)
        .map(|number| {
            let mut job = plan::read("x: {script: x}").unwrap().remove(0);
            job.name = name(&format!("j{number}"));
            job
        })
        .collect();
    assert_eq!(Board::default().add(many).unwrap_err().to_string(), "51 jobs: a build may have 50");
    assert_eq!(Board::default().add(vec![]).unwrap_err().to_string(), "there is no job");
}
