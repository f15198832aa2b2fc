//! What builders take, kept for a short time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::nomad::{Nomad, NomadError};
use crate::domain::id::BuilderName;
use crate::domain::nomad::Job;

/// How long a builder is taken for what it was: long enough for a wave of pushes, too short to puzzle its operator.
const FRESH: Duration = Duration::from_secs(5);

/// Builders that are remembered; their number is that of configured names, so this is only a stop.
const MOST: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Builders(Mutex<BTreeMap<BuilderName, (Instant, Arc<Job>)>>);

impl Builders {
    /// The builder's job; none when there is no such job.
    pub(super) async fn job(&self, nomad: &Nomad, name: &BuilderName) -> Result<Option<Arc<Job>>, NomadError> {
        if let Some((read, job)) = self.known(name)
            && read.elapsed() < FRESH
        {
            return Ok(Some(job));
        }
        let job = nomad.job(name.as_str()).await?.map(Arc::new);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        match &job {
            Some(job) => known.insert(name.clone(), (Instant::now(), Arc::clone(job))),
            None => known.remove(name),
        };
        Ok(job)
    }

    /// What is known is not so: the next question goes to Nomad.
    pub(super) fn forget(&self, name: &BuilderName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn known(&self, name: &BuilderName) -> Option<(Instant, Arc<Job>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::builder::{BuilderShape, PayloadMode};

    fn shape_of(text: &str) -> Option<BuilderShape> {
        BuilderShape::read(&serde_json::from_str::<Job>(text).unwrap())
    }

    #[test]
    fn a_builder_says_what_it_takes() {
        let taken = shape_of(
            r#"{"ID":"b","JobModifyIndex":7,"ParameterizedJob":{"MetaRequired":["REPO_URL"],"MetaOptional":null,
                "Payload":"forbidden"},"TaskGroups":[{"Name":"runner","Tasks":[{"Name":"executor","Identities":null},
                {"Name":"controller","Identities":[{"Name":"albatros"}]}]}]}"#,
        );
        let expected = BuilderShape {
            meta_required: vec!["REPO_URL".to_owned()],
            payload: PayloadMode::Forbidden,
            has_controller: true,
            modify_index: 7,
            ..BuilderShape::default()
        };
        assert_eq!(taken, Some(expected));
    }

    #[test]
    fn a_controller_elsewhere_or_without_identity_is_none() {
        for group in [
            r#"{"Name":"other","Tasks":[{"Name":"controller","Identities":[{"Name":"albatros"}]}]}"#,
            r#"{"Name":"runner","Tasks":[{"Name":"controller"}]}"#,
        ] {
            let text = format!(r#"{{"ParameterizedJob":{{"Payload":""}},"TaskGroups":[{group}]}}"#);
            assert!(!shape_of(&text).unwrap().has_controller, "{group}");
        }
        assert_eq!(shape_of(r#"{"ID":"web","ParameterizedJob":null}"#), None);
    }
}
