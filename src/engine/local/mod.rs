//! Builds as child processes of this one.

use super::{Child, DispatchError, EngineError, Hint, LogSource, LogStream, Order};
use crate::domain::builder::BuilderShape;
use crate::domain::id::{BuildId, BuilderName, ClaimId};
use crate::domain::nomad::Snapshot;

/// Builds as child processes of this one.
#[derive(Debug)]
pub struct LocalEngine {}

impl LocalEngine {
    pub(super) async fn builder(&self, name: &BuilderName) -> Result<BuilderShape, EngineError> {
        std::future::pending().await
    }

    pub(super) async fn dispatch(&self, order: &Order) -> Result<BuildId, DispatchError> {
        std::future::pending().await
    }

    pub(super) async fn observe(&self, build: &BuildId) -> Result<Snapshot, EngineError> {
        std::future::pending().await
    }

    pub(super) async fn find(
        &self,
        builder: &BuilderName,
        token: &ClaimId,
        since: i64,
    ) -> Result<Option<BuildId>, EngineError> {
        std::future::pending().await
    }

    pub(super) async fn children(&self, builder: &BuilderName, most: usize) -> Result<Vec<Child>, EngineError> {
        std::future::pending().await
    }

    pub(super) async fn stop(&self, build: &BuildId) -> Result<(), EngineError> {
        std::future::pending().await
    }

    pub(super) async fn log(&self, build: &BuildId, task: &str, stream: LogStream) -> Result<LogSource, EngineError> {
        std::future::pending().await
    }

    pub(super) async fn hints(&self) -> tokio::sync::mpsc::Receiver<Hint> {
        std::future::pending().await
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, EngineError> {
        std::future::pending().await
    }
}
