//! A server on stand-ins for Consul and Nomad, for what is to be measured of the server alone.

use serde_json::json;

use crate::delivery::SECRET;
use crate::fake::consul::Consul;
use crate::fake::nomad::{Builder, Nomad};
use crate::server::Server;

/// The benchmark's repository.
pub(crate) const REPO: &str = "http://git.example/bench/albatros";
const PREFIX: &str = "albatros";

/// Stand-ins with one repository and one builder.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) consul: Consul,
    pub(crate) nomad: Nomad,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (consul, nomad) = (Consul::start().await, Nomad::start().await);
        consul.put_repo(PREFIX, REPO, &json!({ "hook": { "secret": SECRET } }));
        nomad.register(&Builder::plain("builder"));
        Self { consul, nomad }
    }

    /// `albatros serve` on them.
    pub(crate) async fn serve(&self) -> anyhow::Result<Server> {
        let (consul, nomad) = (self.consul.url(), self.nomad.url());
        Server::start(&["serve"], &[("CONSUL_HTTP_ADDR", &consul), ("NOMAD_ADDR", &nomad)]).await
    }
}
