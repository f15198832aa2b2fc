//! A plan: a file of jobs, in YAML or JSON.
//!
//! ```yaml
//! lint: {command: [cargo, clippy]}
//! test:
//!   needs: [lint]
//!   script: |
//!     cargo test
//! ```
//! The same as a list: `{"jobs": [{"name": "lint", "command": ["cargo", "clippy"]}, …]}`.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::JobSpec;
use super::graph::JOBS_MOST;
use crate::domain::id::JobName;

/// The largest plan, bytes.
pub const PLAN_MOST: usize = 1 << 20;

/// Nobody writes plans that are nested deeper.
const DEPTH: usize = 16;
/// Scalars, lists and maps of a plan, with all its aliases written out.
const NODES: usize = 50_000;
/// Aliases, and what they stand for.
const ALIASES: usize = 500;

/// Why a text is no plan; names the line where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct PlanError {
    /// Where, from 1.
    pub line: Option<u64>,
    /// What is wrong.
    pub why: String,
}

/// Reads a plan: its jobs in the order in which they are written.
///
/// # Errors
/// When it is none: duplicate keys and unknown fields are named.
pub fn read(text: &str) -> Result<Vec<JobSpec>, PlanError> {
    if text.len() > PLAN_MOST {
        return Err(PlanError { line: None, why: format!("a plan is no larger than {PLAN_MOST} bytes") });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            max_nodes: NODES,
            max_events: 2 * NODES,
            max_aliases: ALIASES,
            max_anchors: ALIASES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES,
            max_replay_stack_depth: DEPTH,
            max_alias_expansions_per_anchor: ALIASES,
        },
        with_snippet: false,
    };
    let plan: Plan = serde_saphyr::from_str_with_options(text, options).map_err(|error| refused(&error))?;
    Ok(plan.0)
}

fn refused(error: &serde_saphyr::Error) -> PlanError {
    let location = error.location().filter(|location| location.line() > 0);
    let text = error.to_string();
    // The place is told by us, in front.
    let at = location.as_ref().and_then(|place| text.rfind(&format!(" at line {}", place.line())));
    let why = at.and_then(|at| text.get(..at)).unwrap_or(&text);
    let why: String = why.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect();
    PlanError { line: location.map(|location| location.line()), why }
}

struct Plan(Vec<JobSpec>);

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Outer).map(Self)
    }
}

const EXPECTED: &str = "expected a map of jobs by their names, or `jobs` with a list of them";

/// The whole file.
struct Outer;

impl<'de> Visitor<'de> for Outer {
    type Value = Vec<JobSpec>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut jobs = Vec::new();
        let mut whole = None;
        while let Some(key) = map.next_key::<JobName>()? {
            if key.as_str() == "jobs" {
                whole = Some(map.next_value_seed(Jobs)?);
            } else {
                jobs.push(map.next_value_seed(Named(key))?);
                bounded::<A::Error>(jobs.len())?;
            }
        }
        match (whole, jobs.is_empty()) {
            (Some(whole), true) => Ok(whole),
            (Some(_), false) => Err(A::Error::custom(format!("nothing goes beside `jobs`: {EXPECTED}"))),
            (None, _) => Ok(jobs),
        }
    }
}

fn bounded<E: de::Error>(count: usize) -> Result<(), E> {
    if count <= JOBS_MOST { Ok(()) } else { Err(E::custom(format!("a build may have {JOBS_MOST} jobs"))) }
}

/// What stands behind `jobs`: a list, or a map of names again.
struct Jobs;

impl<'de> DeserializeSeed<'de> for Jobs {
    type Value = Vec<JobSpec>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Jobs {
    type Value = Vec<JobSpec>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of jobs, or a map of them by their names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut jobs = Vec::new();
        while let Some(job) = list.next_element()? {
            jobs.push(job);
            bounded::<A::Error>(jobs.len())?;
        }
        Ok(jobs)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut jobs = Vec::new();
        while let Some(key) = map.next_key::<JobName>()? {
            jobs.push(map.next_value_seed(Named(key))?);
            bounded::<A::Error>(jobs.len())?;
        }
        Ok(jobs)
    }
}

/// A job whose name stands before it.
struct Named(JobName);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = JobSpec;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Named {
    type Value = JobSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what job {} is", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        JobSpec::deserialize(MapAccessDeserializer::new(WithName { name: Some(self.0), told: false, map }))
    }

    /// `job:` with nothing behind it does what `.albatros` says.
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        let empty = de::value::MapDeserializer::<_, E>::new(std::iter::empty::<(&str, &str)>());
        self.visit_map(empty)
    }
}

/// A map with its name put in front.
struct WithName<A> {
    name: Option<JobName>,
    told: bool,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithName<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        if self.told {
            return self.map.next_key_seed(seed);
        }
        self.told = true;
        let name: StrDeserializer<'_, A::Error> = "name".into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.name.take() {
            Some(name) => seed.deserialize(String::from(name).into_deserializer()),
            None => self.map.next_value_seed(seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn why(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn each_form_of_a_plan_is_the_same() {
        let named = "lint:\n  command: [cargo, clippy]\ntest:\n  needs: [lint]\n  env: {LEVEL: 3}\n  script: |\n    one\n    two\n";
        let under = format!("jobs:\n  {}\n", named.trim_end().replace('\n', "\n  "));
        let json = r#"{"jobs": [{"name": "lint", "command": ["cargo", "clippy"]},
            {"name": "test", "needs": ["lint"], "env": {"LEVEL": "3"}, "script": "one\ntwo\n"}]}"#;
        let jobs = read(named).unwrap();
        assert_eq!((jobs[0].command.len(), jobs[1].needs[0].as_str()), (2, "lint"));
        assert_eq!(read(&under).unwrap(), jobs);
        assert_eq!(read(json).unwrap(), jobs);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, words) in [
            ("a:\n  comand: [x]\n", 2, "comand"),
            ("jobs:\n  - name: a\n    imag: x\n", 3, "imag"),
            ("a: {script: x}\nb: {script: y}\na: {script: z}\n", 3, "a"),
            ("a:\n  script: x\n  script: y\n", 3, "script"),
            ("a:\n  name: b\n", 2, "name"),
            ("a b: {script: x}\n", 1, "expected 1 to 64"),
            ("a:\n  needs: lint\n", 2, "sequence"),
            ("a:\n  timeout: soon\n", 2, "duration"),
            ("jobs: []\na: {script: x}\n", 0, "beside"),
            ("a:\n  when: sometimes\n", 2, "sometimes"),
            ("- a\n", 1, ""),
            ("a: [\n", 0, ""),
        ] {
            let error = read(text).unwrap_err();
            assert!(line == 0 || error.line == Some(line) || error.line == Some(line - 1), "{text:?}: {error:?}");
            assert!(error.to_string().contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn aliases_are_written_out_but_not_without_end() {
        let shared = "a: &it {script: x, env: {A: '1'}}\nb: *it\n";
        let jobs = read(shared).unwrap();
        assert_eq!((jobs[0].env.clone(), jobs[1].name.as_str()), (jobs[1].env.clone(), "b"));
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (from, to) in [('a', 'b'), ('b', 'c'), ('c', 'd'), ('d', 'e'), ('e', 'f'), ('f', 'g'), ('g', 'h')] {
            bomb.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(",")));
        }
        assert!(read(&bomb).is_err());
        assert!(read(&format!("a: {}x{}", "[".repeat(200), "]".repeat(200))).is_err());
        assert!(why(&" ".repeat(PLAN_MOST + 1)).contains("larger"));
        let many: String = (0..=JOBS_MOST).map(|n| format!("j{n}: {{script: x}}\n")).collect();
        assert!(why(&many).contains("50"));
    }

    proptest! {
        #[test]
        fn any_plan_survives_as_json(scripts in proptest::collection::vec(any::<String>(), 1..10)) {
            let jobs: Vec<_> = scripts.iter().enumerate().map(|(n, script)| {
                serde_json::json!({"name": format!("j{n}"), "script": script})
            }).collect();
            let text = serde_json::json!({ "jobs": jobs }).to_string();
            let read = read(&text);
            prop_assert!(read.is_ok(), "{read:?}");
            let read: Vec<_> = read.unwrap().into_iter().map(|job| job.script.unwrap()).collect();
            prop_assert_eq!(read, scripts);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-c:{}\\[\\]&*\\- \n'\"|>!#,0-9]*") {
            let _ = read(&text);
        }
    }
}
