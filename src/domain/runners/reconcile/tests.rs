use proptest::prelude::*;

use super::*;
use crate::domain::config::RepoConfig;
use crate::domain::plan::Site;
use crate::domain::record::{Stop, StopWhy};
use crate::domain::runners::{Asked, plan, record, scope_tag};

const SCOPE: &str = "https://git.example/o";

fn config() -> RepoConfig {
    let entry = br#"{"hook":{"secret":"s"},"gitea":{"url":"https://git.example","token":"t"},
        "runners":[{"labels":["x:host"]},{"labels":["x","gpu"]}]}"#;
    RepoConfig::parse(entry).unwrap()
}

fn job(id: u64, label: &str, state: SeenState) -> SeenJob {
    let at = JobAt { id, attempt: 0, repo: format!("{SCOPE}/r"), name: "j".to_owned(), url: None };
    let labels = vec![label.to_owned()];
    SeenJob { at, labels, state, commit: None, branch: None, private: None, sender: None }
}

/// A forge and a registry, between which nothing but actions happens.
struct World {
    config: RepoConfig,
    jobs: Vec<SeenJob>,
    runners: Vec<SeenRunner>,
    records: Vec<(ClaimId, Record)>,
    before: Before,
    now: Timestamp,
    attempts: u32,
    all: bool,
}

impl World {
    fn new(jobs: Vec<SeenJob>) -> Self {
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        let (runners, records) = (Vec::new(), Vec::new());
        Self { config: config(), jobs, runners, records, before: Before::default(), now, attempts: 0, all: true }
    }

    fn looked(&mut self) -> Vec<Action> {
        self.now += SignedDuration::from_secs(30);
        let tag = scope_tag(&config(), &Site::default(), SCOPE);
        let seen = Seen {
            kind: ForgeKind::Gitea,
            pools: &self.config.runners,
            jobs: &self.jobs,
            runners: &self.runners,
            all_jobs: self.all,
            all_runners: self.all,
            records: &self.records,
            tag: &tag,
            asked: self.now,
        };
        let (actions, before) = reconcile(&seen, &self.before);
        self.before = before;
        actions
    }

    fn claim(&mut self, job: usize, pool: usize) {
        self.attempts += 1;
        let asked = Asked {
            config: &self.config,
            entry: SCOPE,
            scope: SCOPE,
            site: &Site::default(),
            job: &self.jobs[job],
            pool: &self.config.runners[pool],
            attempt: self.attempts,
        };
        let planned = plan(&asked);
        let claim = planned.claim.clone();
        self.records.push((claim, record(&asked, planned, "n".to_owned(), self.now).unwrap()));
    }

    fn act(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Claim { job, pool } => self.claim(*job, *pool),
                Action::Take { claim, job } => {
                    let now = self.now;
                    let runner = self.runner(claim);
                    (runner.taken, runner.taken_job) = (Some(now), *job);
                }
                Action::End { claim } | Action::Stop { claim } => self.records.retain(|(known, _)| known != claim),
                Action::Remove { id, .. } => self.runners.retain(|runner| runner.id != *id),
            }
        }
    }

    fn runner(&mut self, claim: &ClaimId) -> &mut Runner {
        let (_, record) = self.records.iter_mut().find(|(known, _)| known == claim).unwrap();
        record.runner.as_deref_mut().unwrap()
    }

    /// Registers the runner of the record at this place.
    fn register(&mut self, place: usize, id: u64) -> String {
        let now = self.now;
        let (_, record) = &mut self.records[place];
        record.phase = Phase::Dispatched;
        let runner = record.runner.as_deref_mut().unwrap();
        (runner.registering, runner.registered) = (Some(now), Some(id));
        let name = runner.name.clone();
        self.runners.push(SeenRunner { id, name: name.clone(), busy: false });
        name
    }
}

fn claimed(actions: &[Action]) -> Vec<usize> {
    actions.iter().filter_map(|action| if let Action::Claim { job, .. } = action { Some(*job) } else { None }).collect()
}

#[test]
fn each_queued_job_gets_one_runner_and_the_same_read_again_proposes_nothing() {
    let queued = |id, label| job(id, label, SeenState::Queued);
    let waiting = job(4, "x", SeenState::Waiting);
    let mut world = World::new(vec![queued(1, "x"), queued(2, "gpu"), queued(3, "windows"), waiting]);
    let actions = world.looked();
    assert_eq!(claimed(&actions), [0, 1]);
    assert_eq!(actions.len(), 2);
    world.act(&actions);
    for _ in 0..3 {
        assert_eq!(world.looked(), []);
    }
}

#[test]
fn a_runner_that_took_another_job_than_its_own_leaves_nobody_without() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued), job(2, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    let name = world.register(0, 10);
    world.jobs[1].state = SeenState::InProgress(Some((10, name)));
    let actions = world.looked();
    let first = world.records[0].0.clone();
    assert_eq!(actions, [Action::Take { claim: first, job: Some(2) }]);
    world.act(&actions);
    assert_eq!(world.looked(), [], "the second runner serves the first job");
}

#[test]
fn what_is_too_many_is_ended_after_two_reads_and_who_has_a_job_never() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued), job(2, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.register(0, 10);
    world.runners[0].busy = true;
    world.jobs.clear();
    let actions = world.looked();
    let (busy, idle) = (world.records[0].0.clone(), world.records[1].0.clone());
    assert_eq!(actions, [Action::Take { claim: busy, job: None }]);
    world.act(&actions);
    assert_eq!(world.looked(), [Action::End { claim: idle }]);
}

#[test]
fn a_runner_whose_job_is_said_to_be_cancelled_is_ended_at_once() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.jobs.clear();
    let claim = world.records[0].0.clone();
    let now = world.now;
    world.runner(&claim).unneeded = Some(now);
    assert_eq!(world.looked(), [Action::End { claim }]);
}

#[test]
fn a_runner_that_the_forge_no_longer_lists_is_stopped_and_its_job_gets_another() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.register(0, 10);
    world.runners.clear();
    let claim = world.records[0].0.clone();
    let actions = world.looked();
    assert_eq!(claimed(&actions), [0], "the job is still queued, and this runner does not take it");
    world.act(&actions);
    assert_eq!(world.looked(), [Action::Stop { claim }]);
}

#[test]
fn what_was_just_registered_need_not_be_listed_yet() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.register(0, 10);
    world.runners.clear();
    let soon = world.now + SignedDuration::from_secs(28);
    world.records[0].1.runner.as_deref_mut().unwrap().registering = Some(soon);
    assert_eq!(world.looked(), []);
}

#[test]
fn runners_of_ours_without_a_record_are_removed_and_nobody_else_s() {
    let mut world = World::new(Vec::new());
    let tag = scope_tag(&config(), &Site::default(), SCOPE);
    let names = [
        format!("a-b-{tag}-0123456789ab"),
        format!("albatros-{tag}-x"),
        "albatros".to_owned(),
        "albatros-00000000-0123456789ab".to_owned(),
    ];
    world.runners = (1..).zip(&names).map(|(id, name)| SeenRunner { id, name: name.clone(), busy: false }).collect();
    assert_eq!(world.looked(), []);
    let actions = world.looked();
    assert_eq!(actions, [Action::Remove { id: 1, name: names[0].clone() }]);
    world.act(&actions);
    assert_eq!(world.looked(), []);
}

#[test]
fn a_left_over_runner_that_has_a_job_stays() {
    let tag = scope_tag(&config(), &Site::default(), SCOPE);
    let name = |digit: &str| format!("albatros-{tag}-{}", digit.repeat(12));
    let mut world = World::new(vec![job(1, "x", SeenState::InProgress(Some((2, name("b")))))]);
    let listed = |id, digit, busy| SeenRunner { id, name: name(digit), busy };
    world.runners = vec![listed(1, "a", true), listed(2, "b", false), listed(3, "c", false)];
    assert_eq!(world.looked(), []);
    assert_eq!(world.looked(), [Action::Remove { id: 3, name: name("c") }]);
}

#[test]
fn lists_that_were_not_read_to_their_end_cost_nobody_anything() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued), job(2, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.register(0, 10);
    let left = format!("albatros-{}-0123456789ab", scope_tag(&config(), &Site::default(), SCOPE));
    world.runners = vec![SeenRunner { id: 11, name: left, busy: false }];
    world.jobs.clear();
    world.all = false;
    for _ in 0..3 {
        assert_eq!(world.looked(), []);
    }
    world.all = true;
    world.looked();
    assert_eq!(world.looked().len(), 3);
}

#[test]
fn who_is_being_stopped_counts_for_nothing() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.records[0].1.stop = Some(Stop { why: StopWhy::Cancel, by: "a".to_owned(), at: world.now });
    assert_eq!(claimed(&world.looked()), [0]);
}

#[test]
fn a_pool_that_is_no_longer_configured_loses_its_idle_runners() {
    let mut world = World::new(vec![job(1, "x", SeenState::Queued)]);
    let actions = world.looked();
    world.act(&actions);
    world.config.runners.clear();
    assert_eq!(world.looked(), []);
    let claim = world.records[0].0.clone();
    assert_eq!(world.looked(), [Action::End { claim }]);
}

proptest! {
    /// Whatever happens at the forge and to runners: as many idle runners as queued jobs, after two looks without news.
    #[test]
    fn all_ends_well(steps in prop::collection::vec((0_u8..6, any::<prop::sample::Index>()), 1..40)) {
        let mut world = World::new(Vec::new());
        let mut next = 0;
        for (step, which) in steps {
            next += 1;
            match step {
                0 | 1 => world.jobs.push(job(next, ["x", "gpu", "windows"][which.index(3)], SeenState::Queued)),
                2 if !world.jobs.is_empty() => drop(world.jobs.remove(which.index(world.jobs.len()))),
                3 if !world.records.is_empty() => {
                    let place = which.index(world.records.len());
                    if world.records[place].1.runner.as_ref().unwrap().registered.is_none() {
                        world.register(place, 1_000 + next);
                    }
                }
                4 if !world.runners.is_empty() && !world.jobs.is_empty() => {
                    let (one, place) = (which.index(world.runners.len()), which.index(world.jobs.len()));
                    let by = Some((world.runners[one].id, world.runners[one].name.clone()));
                    let is_free = !world.runners[one].busy && world.jobs[place].state == SeenState::Queued;
                    if is_free {
                        (world.runners[one].busy, world.jobs[place].state) = (true, SeenState::InProgress(by));
                    }
                }
                5 if !world.records.is_empty() => drop(world.records.remove(which.index(world.records.len()))),
                _ => {
                    let busy: Vec<String> =
                        world.runners.iter().filter(|one| one.busy).map(|one| one.name.clone()).collect();
                    let actions = world.looked();
                    for action in &actions {
                        if let Action::End { claim } = action {
                            prop_assert!(!busy.contains(&world.runner(claim).name.clone()), "it has a job");
                        }
                    }
                    world.act(&actions);
                }
            }
        }
        for _ in 0..4 {
            let actions = world.looked();
            world.act(&actions);
        }
        prop_assert_eq!(world.looked(), []);
        let ours = ["x", "gpu"];
        let queued = world.jobs.iter().filter(|job| job.state == SeenState::Queued && ours.contains(&&*job.labels[0]));
        let idle = world.records.iter().filter(|(_, record)| record.runner.as_ref().unwrap().is_idle());
        let unlisted = idle.filter(|(_, record)| {
            let runner = record.runner.as_ref().unwrap();
            runner.registered.is_none() || world.runners.iter().any(|one| one.name == runner.name)
        });
        prop_assert_eq!(queued.count(), unlisted.count());
    }
}
