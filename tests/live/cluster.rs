//! One Consul and one Nomad, both with ACLs, that the stories of this binary share; each story has names of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::agent::{Agent, ROOT};
use crate::consul;
use crate::minded::{Minded, may_run};
use crate::nomad::{self, Nomad};
use crate::tree;

/// The two, and the token that `serve` is given in Nomad: it may do what the shipped policy says and nothing else.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) consul: Agent,
    pub(crate) nomad: Nomad,
    pub(crate) nomad_token: String,
    images: OnceCell<Option<Minded>>,
}

static CLUSTER: OnceCell<Option<Cluster>> = OnceCell::const_new();

const ACLS: &str = r#"primary_datacenter = "dc1" acl { enabled = true default_policy = "deny" tokens { master = "#;

/// The cluster, started by the first story that needs it; none, and a line that is always seen, where that cannot be.
pub(crate) async fn shared(story: &str) -> Option<&'static Cluster> {
    if !nomad::can_run(story) {
        return None;
    }
    CLUSTER.get_or_init(|| Cluster::start(story)).await.as_ref()
}

/// One for a story that does to its cluster what no other could bear.
pub(crate) async fn own(story: &str) -> Option<&'static Cluster> {
    if !nomad::can_run(story) {
        return None;
    }
    // It ends with this process, as the shared one does.
    Cluster::start(story).await.map(|cluster| &*Box::leak(Box::new(cluster)))
}

impl Cluster {
    async fn start(story: &str) -> Option<Self> {
        let hcl = format!("{ACLS}\"{ROOT}\" }} }}");
        let consul = Agent::start(story, &hcl).await?;
        let nomad = Nomad::start().await;
        let nomad_token = nomad.token("shipped", include_str!("../../hcl/policy/nomad.hcl")).await;
        let cluster = Self { consul, nomad, nomad_token, images: OnceCell::const_new() };
        let copy = cluster.program();
        std::fs::copy(env!("CARGO_BIN_EXE_albatros"), &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        tree::grow(&cluster.tree(), Path::new(&copy)).await;
        Some(cluster)
    }

    /// The program, where any user of this machine may run it.
    pub(crate) fn program(&self) -> String {
        self.nomad.server().room().join("albatros").to_str().unwrap().to_owned()
    }

    /// What tasks of the exec driver and of docker run in.
    fn tree(&self) -> PathBuf {
        self.nomad.server().room().join("tree")
    }

    /// Makes the images once; whether they are there.
    pub(crate) async fn make_images(&self) -> bool {
        let made = self.images.get_or_init(|| async {
            if !may_run("images for docker", &["docker", "rustc"]) {
                return None;
            }
            Some(tree::images(&self.tree()).await)
        });
        made.await.is_some()
    }

    /// Registers a builder `builder` with nothing but an executor.
    pub(crate) async fn register_plain_builder(&self) {
        let variables = format!("driver = \"raw_exec\"\nalbatros = \"{}\"\n", self.program());
        self.nomad.register(include_str!("../fixture/builder/plain.hcl"), &variables).await;
    }

    /// A Consul token that may do what the shipped policy says, for keys that begin with `prefix`.
    pub(crate) async fn consul_token(&self, prefix: &str) -> String {
        let rules = include_str!("../../hcl/policy/consul.hcl").replace("\"albatros", &format!("\"{prefix}"));
        consul::token(&self.consul, prefix, &rules).await
    }
}
