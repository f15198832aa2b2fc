//! A Consul agent of our own, on free ports of this machine.

use std::time::{Duration, Instant};

use albatros::api::consul::Consul;
use albatros::api::http::{EndpointConfig, Service, Tls, TokenSource};
use albatros::domain::secret::Secret;

use crate::minded::{Minded, Room, free_ports, may_run};

/// How long an agent takes to elect itself, on a slow machine.
const START: Duration = Duration::from_secs(30);

/// The management token of an agent with ACLs.
pub(crate) const ROOT: &str = "7d3f3b5e-9c6c-4f4a-8a54-1f6d0a3b2c1d";

/// A running agent; ended on drop.
#[derive(Debug)]
pub(crate) struct Agent {
    server: Minded,
    port: u16,
}

impl Agent {
    /// Starts one with this piece of configuration (HCL); none, and a line that is always seen, where the live tests
    /// are not asked for or there is no `consul`.
    pub(crate) async fn start(story: &str, hcl: &str) -> Option<Self> {
        if !may_run(story, &["consul"]) {
            return None;
        }
        let [http, server, lan, wan] = free_ports();
        let room = Room::new("consul");
        let command: Vec<String> = ["consul", "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-dns-port=-1"]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("-http-port={http}"), format!("-server-port={server}"), "-grpc-port=-1".to_owned()])
            .chain([format!("-serf-lan-port={lan}"), format!("-serf-wan-port={wan}")])
            .chain(["-hcl".to_owned(), hcl.to_owned()])
            .collect();
        let agent = Self { server: Minded::start(room, &command), port: http };
        let begun = Instant::now();
        // A key can be written: it has a leader.
        while agent.consul(Some(ROOT)).put("ready", "yes".into(), None, 0).await.is_err() {
            assert!(begun.elapsed() < START, "the agent does not come up: {}", agent.server.last_words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(agent)
    }

    /// A client with this token.
    pub(crate) fn consul(&self, token: Option<&str>) -> Consul {
        Consul::new(EndpointConfig {
            service: Service::Consul,
            address: format!("127.0.0.1:{}", self.port).parse().unwrap(),
            token: token.map(|token| TokenSource::Value(Secret::new(token))),
            tls: Tls::default(),
            http_auth: None,
            query: Vec::new(),
        })
        .unwrap()
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
