//! Builds on a Nomad cluster.

mod builders;
mod child;
mod dispatch;
mod log;
mod news;
mod ring;

use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast, mpsc};

use self::builders::Builders;
use self::log::Follower;
use self::news::News;
use self::ring::KeyRing;
use super::{Child, DispatchError, EngineError, Hint, IdentifyError, LogSource, LogStream, Order, Placed};
use crate::api::nomad::{Nomad, NomadError, PageQuery};
use crate::domain::builder::BuilderShape;
use crate::domain::id::{BuildId, BuilderName, ClaimId};
use crate::domain::identity::Identity;
use crate::domain::nomad::Snapshot;
use crate::domain::secret::Secret;

/// Log streams that are open at a time; an agent takes 100 connections of one address, and short calls need some.
const STREAMS: usize = 60;

/// Pieces of a log that wait for a reader, of at most 64 KiB each.
const PIECES: usize = 16;

/// Hints that wait to be taken; the event stream is held up beyond them.
const HINTS: usize = 256;

/// How much earlier than it was claimed a child may seem to have been submitted: the clocks of two machines.
const CLOCKS: i64 = 60_000_000_000;

/// Jobs on one page of a list.
const PAGE: usize = 100;

/// Builds on a Nomad cluster.
#[derive(Debug)]
pub struct NomadEngine {
    nomad: Nomad,
    builders: Builders,
    news: News,
    keys: KeyRing,
    streams: Arc<Semaphore>,
}

impl NomadEngine {
    /// An engine over the builds of one namespace. Calls nothing yet.
    #[must_use]
    pub fn new(nomad: Nomad) -> Self {
        let news = News::new(nomad.clone());
        let streams = Arc::new(Semaphore::new(STREAMS));
        Self { nomad, builders: Builders::default(), news, keys: KeyRing::default(), streams }
    }

    pub(super) async fn builder(&self, name: &BuilderName) -> Result<BuilderShape, EngineError> {
        let job = self.builders.job(&self.nomad, name).await?;
        job.and_then(|job| BuilderShape::read(&job)).ok_or_else(|| EngineError::Unknown(format!("the builder {name}")))
    }

    /// What can be dispatched from, as far as one page goes.
    pub(super) async fn builders(&self) -> Result<Vec<String>, EngineError> {
        let query =
            PageQuery { filter: Some(r#"ParentID == "" and Stop == false"#), size: PAGE, ..PageQuery::default() };
        let page = self.nomad.jobs(&query).await?;
        Ok(page.stubs.into_iter().filter(|stub| stub.is_parameterized).map(|stub| stub.id).collect())
    }

    pub(super) async fn dispatch(&self, order: &Order) -> Result<BuildId, DispatchError> {
        dispatch::dispatch(&self.nomad, &self.builders, order).await
    }

    pub(super) async fn observe(&self, build: &BuildId) -> Result<Snapshot, EngineError> {
        Ok(observe(&self.nomad, build).await?)
    }

    pub(super) async fn find(
        &self,
        builder: &BuilderName,
        token: &ClaimId,
        since: i64,
    ) -> Result<Option<BuildId>, EngineError> {
        let (prefix, filter) = (prefix(builder), format!("DispatchIdempotencyToken == `{token}`"));
        let query = PageQuery { prefix: &prefix, filter: Some(&filter), size: PAGE, next: None };
        let page = self.nomad.jobs(&query).await?;
        let ours = page
            .stubs
            .iter()
            .filter(|stub| stub.parent_id == builder.as_str() && stub.submit_time >= since.saturating_sub(CLOCKS));
        Ok(ours.max_by_key(|stub| stub.submit_time).and_then(|stub| stub.id.parse().ok()))
    }

    pub(super) async fn children(&self, builder: &BuilderName, most: usize) -> Result<Vec<Child>, EngineError> {
        let prefix = prefix(builder);
        let mut children: Vec<Child> = Vec::new();
        let mut next: Option<String> = None;
        while children.len() < most {
            let size = PAGE.min(most);
            let query = PageQuery { prefix: &prefix, filter: None, size, next: next.as_deref() };
            let page = self.nomad.jobs(&query).await?;
            let ours = page.stubs.into_iter().filter(|stub| stub.parent_id == builder.as_str());
            children.extend(ours.filter_map(|stub| {
                Some(Child { id: stub.id.parse().ok()?, token: None, submit_time: stub.submit_time })
            }));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        children.sort_by_key(|child| std::cmp::Reverse(child.submit_time));
        children.truncate(most);
        Ok(children)
    }

    pub(super) async fn stop(&self, build: &BuildId) -> Result<(), EngineError> {
        Ok(self.nomad.deregister(build.as_str()).await?)
    }

    pub(super) async fn log(&self, build: &BuildId, task: &str, stream: LogStream) -> Result<LogSource, EngineError> {
        if self.nomad.job(build.as_str()).await?.is_none() {
            return Err(EngineError::Unknown(format!("the build {build}")));
        }
        let (out, pieces) = mpsc::channel(PIECES);
        let what = log::Log { build: build.clone(), task: task.to_owned(), stream };
        let follower = Follower::new(self.nomad.clone(), what, out, self.news.subscribe());
        tokio::spawn(follower.run(Arc::clone(&self.streams)));
        Ok(LogSource::new(pieces))
    }

    pub(super) async fn hints(&self) -> mpsc::Receiver<Hint> {
        let (out, hints) = mpsc::channel(HINTS);
        let mut news = self.news.subscribe();
        tokio::spawn(async move {
            if out.send(Hint::All).await.is_err() {
                return;
            }
            loop {
                let hint = tokio::select! {
                    hint = news.recv() => hint,
                    () = out.closed() => return,
                };
                let hint = match hint {
                    Ok(hint) => hint,
                    Err(broadcast::error::RecvError::Lagged(_)) => Hint::All,
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                if out.send(hint).await.is_err() {
                    return;
                }
            }
        });
        hints
    }

    pub(super) async fn identify(&self, token: &Secret) -> Result<Identity, IdentifyError> {
        self.keys.verify(&self.nomad, token.expose()).await
    }

    pub(super) async fn placed(&self, allocation: &str) -> Result<Option<Placed>, EngineError> {
        let Some(allocation) = self.nomad.allocation(allocation).await? else { return Ok(None) };
        let job = self.nomad.job(&allocation.job_id).await?;
        Ok(job.map(|job| Placed { allocation, job }))
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, EngineError> {
        let namespace = self.nomad.namespace();
        if !self.nomad.has_namespace().await? {
            return Ok(vec![format!("Nomad has no namespace \"{namespace}\", or shows it to nobody with this token")]);
        }
        let missing = self.nomad.missing_rights().await?;
        let sentence = |name: &str| format!("Nomad: the right {name} in namespace \"{namespace}\" is missing");
        let mut missing: Vec<String> = missing.into_iter().map(|right| sentence(right.name())).collect();
        match self.nomad.signing_keys().await {
            Ok(keys) if keys.is_empty() => missing.push("Nomad shows no key of workload identities".to_owned()),
            Ok(_) => {}
            Err(error) => missing.push(format!("{error}: no build can prove which one it is")),
        }
        Ok(missing)
    }
}

/// Job, allocations and evaluations, in the order that the judgement relies on.
async fn observe(nomad: &Nomad, build: &BuildId) -> Result<Snapshot, NomadError> {
    let job = nomad.job(build.as_str()).await?;
    let allocations = nomad.allocations(build.as_str()).await?;
    if job.is_none() && allocations.is_empty() {
        return Ok(Snapshot::default());
    }
    let evaluations = nomad.evaluations(build.as_str()).await?;
    Ok(Snapshot { job, allocations, evaluations })
}

fn prefix(builder: &BuilderName) -> String {
    format!("{builder}/dispatch-")
}

impl From<NomadError> for EngineError {
    /// A denial counts as passing: for a moment after its start an agent denies tokens that are valid.
    fn from(error: NomadError) -> Self {
        match &error {
            NomadError::Status { status, .. } if status.is_client_error() && !error.is_denied() => {
                match status.as_u16() {
                    408 | 429 => Self::Unavailable(Box::new(error)),
                    _ => Self::Refused(error.to_string()),
                }
            }
            NomadError::Status { .. } | NomadError::Http { .. } | NomadError::Slow { .. } | NomadError::Broken(_) => {
                Self::Unavailable(Box::new(error))
            }
        }
    }
}
