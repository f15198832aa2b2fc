//! Every recorded build, judged at every recorded moment. `ALBATROS_SCENARIOS` names a folder with more of them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Outcome, Verdict, judge};
use crate::domain::nomad::Snapshot;

#[derive(Deserialize)]
struct Scenario {
    expected: Expected,
    #[serde(default)]
    expected_at: serde_json::Map<String, Value>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Expected {
    outcome: String,
    exit_code: Option<i64>,
    signal: Option<i64>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    at: String,
    request: Request,
    status: u16,
    #[serde(default)]
    body: Value,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
}

/// What had been read so far of the build; another job's reads are not its own.
#[derive(Default)]
struct Reads {
    build: Option<String>,
    job: bool,
    allocations: bool,
    snapshot: Snapshot,
}

impl Reads {
    /// A read that failed, or brought what is not understood, leaves what was known before.
    fn take(&mut self, step: &Step) {
        let path = step.request.path.split('?').next().unwrap_or_default();
        let mut parts = path.trim_start_matches('/').split('/').skip(1);
        let (Some("job"), Some(id), what) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        if what == Some("dispatch") {
            let id = step.body.get("DispatchedJobID").and_then(Value::as_str);
            self.build = self.build.take().or_else(|| id.map(str::to_owned));
            return;
        }
        let id = id.replace("%2F", "/").replace("%2f", "/");
        if step.request.method != "GET" || self.build.as_ref().is_some_and(|build| *build != id) {
            return;
        }
        match (what, step.status) {
            (None, 404) => (self.job, self.snapshot.job) = (true, None),
            (None, 200) => {
                if let Some(job) = read(&step.body) {
                    (self.job, self.snapshot.job) = (true, Some(job));
                }
            }
            (Some("allocations"), 200) => {
                if let Some(list) = read(&step.body) {
                    (self.allocations, self.snapshot.allocations) = (true, list);
                }
            }
            (Some("evaluations"), 200) => {
                if let Some(list) = read(&step.body) {
                    self.snapshot.evaluations = list;
                }
            }
            (Some(_) | None, _) => {}
        }
    }

    fn verdict(&self) -> Option<Verdict> {
        (self.job && self.allocations).then(|| judge(&self.snapshot, None))
    }
}

fn read<T: DeserializeOwned>(body: &Value) -> Option<T> {
    if body.get("base64").is_some() {
        return None;
    }
    serde_json::from_value(body.clone()).ok()
}

fn word(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Ended(outcome) => Some(outcome.word()),
        Verdict::Queued { .. } => Some("queued"),
        Verdict::Unplaceable { .. } => Some("unplaceable"),
        Verdict::Preparing | Verdict::Running | Verdict::Open { .. } => None,
    }
}

/// Null means any answer that is not final.
fn agrees(verdict: &Verdict, expected: Option<&str>) -> bool {
    match expected {
        None => !matches!(verdict, Verdict::Ended(_)),
        Some(expected) => word(verdict) == Some(expected),
    }
}

/// Whether no later step belongs to the moment of this one.
fn ends_its_moment(steps: &[Step], number: usize) -> bool {
    let at = &steps[number].at;
    !steps[number + 1..].iter().any(|later| later.at == *at)
}

fn complaints(name: &str, scenario: &Scenario) -> Vec<String> {
    let mut reads = Reads::default();
    let mut complaints = Vec::new();
    let mut judged = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        reads.take(step);
        let expected = scenario.expected_at.get(&step.at).filter(|_| ends_its_moment(&scenario.steps, number));
        let Some((expected, verdict)) = expected.zip(reads.verdict()) else {
            continue;
        };
        if !agrees(&verdict, expected.as_str()) {
            complaints.push(format!("{name} at {:?}: {expected} expected, {verdict:?} judged", step.at));
        }
        judged.push((step.at.clone(), verdict));
    }
    complaints.extend(final_complaint(name, scenario, &judged, reads.verdict()));
    complaints
}

/// The last state is what was expected of the whole, unless the recorder cleaned up and expects that of its own moment:
/// then the whole is what some moment before that came to.
fn final_complaint(
    name: &str,
    scenario: &Scenario,
    judged: &[(String, Verdict)],
    last: Option<Verdict>,
) -> Option<String> {
    let expected = &scenario.expected;
    let cleaned_up = judged.last().and_then(|(at, _)| scenario.expected_at.get(at)).and_then(Value::as_str);
    let right = match cleaned_up.filter(|word| *word != expected.outcome) {
        None => last.as_ref().is_some_and(|verdict| agrees(verdict, Some(&expected.outcome))),
        Some(_) => judged.iter().any(|(_, verdict)| agrees(verdict, Some(&expected.outcome))),
    };
    if !right {
        return Some(format!("{name} in the end: {} expected, {last:?} judged", expected.outcome));
    }
    let Some(Verdict::Ended(Outcome::Failure { exit_code, signal })) = last else {
        return None;
    };
    let same = (Some(exit_code), signal) == (expected.exit_code, expected.signal.unwrap_or(0));
    (!same).then(|| format!("{name}: failure with exit {exit_code} by signal {signal} judged"))
}

fn scenarios(folder: &Path) -> Vec<(String, Scenario)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let scenario = serde_json::from_slice(&std::fs::read(&path).unwrap());
        (path.display().to_string(), scenario.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    files.into_iter().map(read).collect()
}

fn check(folder: &Path) -> usize {
    let scenarios = scenarios(folder);
    let complaints: Vec<String> = scenarios.iter().flat_map(|(name, scenario)| complaints(name, scenario)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    scenarios.len()
}

#[test]
fn every_recorded_build_is_judged_right_at_every_moment() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/nomad/scenarios");
    assert!(check(&folder) >= 53);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the folder is an argument of the test, not a setting of the program")]
fn builds_recorded_elsewhere_are_judged_right_too() {
    if let Ok(folder) = std::env::var("ALBATROS_SCENARIOS")
        && !folder.is_empty()
    {
        assert!(check(Path::new(&folder)) > 0, "no scenario in {folder}");
    }
}
