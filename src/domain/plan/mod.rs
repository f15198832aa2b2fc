//! The plan: what is to be dispatched for a change, as a value.

mod fit;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::claim::{self, Subject};
use super::config::{PullPolicy, RepoConfig};
use super::event::{Change, EventKind};
use super::git_ref;
use super::id::{BuilderName, ClaimId, Flavor};
use super::record::{Phase, Record, Undecided, VERSION};
use super::skip;
use super::trust::Trust;

pub use fit::{FORBIDDEN_PAYLOAD, Fitted, MAX_PAYLOAD, fit};

/// The longest value a build is given.
const MAX_VALUE: usize = 4096;

/// Where this server's builds are; part of every claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `ALBATROS_PREFIX`.
    pub prefix: String,
    /// `NOMAD_REGION`, else `global`.
    pub region: String,
    /// Nomad's namespace for builds.
    pub namespace: String,
}

impl Default for Site {
    fn default() -> Self {
        Self { prefix: "albatros".to_owned(), region: "global".to_owned(), namespace: "ci".to_owned() }
    }
}

/// What planning works with.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The change.
    pub change: &'a Change,
    /// Whether it is trusted; [`super::trust::decide`] says so.
    pub trust: &'a Trust,
    /// The repository's configuration.
    pub config: &'a RepoConfig,
    /// REPO_URL: the spelling whose key matched.
    pub repo: &'a str,
    /// The canonical address.
    pub canonical: &'a str,
    /// The flavor.
    pub flavor: &'a Flavor,
    /// Where builds are.
    pub site: &'a Site,
    /// What `retry` and `trigger` add to the claim.
    pub salt: Option<&'a str>,
}

/// One build to be dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The key under which it is built once.
    pub claim: ClaimId,
    /// REPO_URL.
    pub repo: String,
    /// The canonical address.
    pub canonical: String,
    /// The builder.
    pub builder: BuilderName,
    /// The namespace of the dispatch.
    pub namespace: String,
    /// The flavor.
    pub flavor: Flavor,
    /// The four values and every optional one that has a value.
    pub meta: BTreeMap<String, String>,
    /// The change.
    pub change: Change,
    /// Whether it may see secrets, and why.
    pub trust: Trust,
    /// Only readers with a credential may see it.
    pub private: bool,
    /// What the forge is to be asked first.
    pub undecided: Option<Undecided>,
    /// What a person gives along.
    pub params: BTreeMap<String, String>,
    /// The change that it builds again.
    pub retry_of: Option<ClaimId>,
}

impl Plan {
    /// The same with what a person gives along: checked by [`super::trigger::check`], so that no name is ours.
    #[must_use]
    pub fn with_params(mut self, params: BTreeMap<String, String>) -> Self {
        self.meta.extend(params.clone());
        Self { params, ..self }
    }
}

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Dispatch it.
    Build(Plan),
    /// Wait for `approve`.
    Held(Plan),
    /// Tell the forge that it is not built, and why.
    Skipped(Plan, String),
    /// Nothing to do, and why.
    Ignored(String),
    /// A value that no build is given, and which.
    Refused(String),
}

/// Plans a change.
#[must_use]
pub fn plan(asked: &Asked<'_>) -> Planned {
    let Asked { change, trust, config, .. } = *asked;
    let policy = match change.kind {
        EventKind::Push | EventKind::Tag => PullPolicy::Build,
        EventKind::PullRequest => config.pull_requests,
        EventKind::WorkflowJob => return Planned::Ignored("a workflow's job is no change to build".to_owned()),
    };
    if policy == PullPolicy::Ignore {
        return Planned::Ignored("the configuration ignores pull requests".to_owned());
    }
    let claim = claim::claim(
        config,
        &Subject {
            site: asked.site,
            canonical: asked.canonical,
            git_ref: &change.git_ref,
            before: &change.before,
            commit: &change.commit,
            flavor: asked.flavor,
            event: change.kind,
            trusted: trust.trusted,
            salt: asked.salt,
        },
    );
    let meta = meta(asked, &claim);
    if let Some(why) = refusal(&meta) {
        return Planned::Refused(why);
    }
    if let Err(why) = git_ref::check(&change.git_ref) {
        return Planned::Refused(why.to_string());
    }
    // What a person asks for is built, whatever it touches.
    let is_asked_for = asked.salt.is_some();
    let plan = Plan {
        claim,
        repo: asked.repo.to_owned(),
        canonical: asked.canonical.to_owned(),
        builder: builder(config, asked.flavor, trust.trusted).clone(),
        namespace: asked.site.namespace.clone(),
        flavor: asked.flavor.clone(),
        meta,
        change: change.clone(),
        trust: trust.clone(),
        private: config.private.unwrap_or(change.private),
        params: BTreeMap::new(),
        retry_of: None,
        undecided: if is_asked_for { None } else { skip::undecided(change, config) },
    };
    if let Some(why) = skip::at_once(change, config).filter(|_| !is_asked_for) {
        return Planned::Skipped(Plan { undecided: None, ..plan }, why);
    }
    match policy {
        PullPolicy::Hold => Planned::Held(plan),
        PullPolicy::Build | PullPolicy::Ignore => Planned::Build(plan),
    }
}

fn builder<'a>(config: &'a RepoConfig, flavor: &Flavor, trusted: bool) -> &'a BuilderName {
    let usual = config.flavors.get(flavor).and_then(|flavor| flavor.builder.as_ref()).unwrap_or(&config.builder);
    match &config.untrusted_builder {
        Some(untrusted) if !trusted => untrusted,
        Some(_) | None => usual,
    }
}

fn meta(asked: &Asked<'_>, claim: &ClaimId) -> BTreeMap<String, String> {
    let change = asked.change;
    let mut meta = BTreeMap::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            meta.insert(key.to_owned(), value.to_owned());
        }
    };
    put("REPO_URL", asked.repo);
    put("COMMIT", change.commit.as_str());
    put("BRANCH", &change.branch);
    put("FLAVOR", asked.flavor.as_str());
    put("REF", &change.git_ref);
    put("EVENT", change.kind.as_str());
    put("SENDER", &change.sender.login);
    put("TRUSTED", if asked.trust.trusted { "true" } else { "false" });
    put("ALBATROS_CLAIM", claim.as_str());
    if let Some(pull) = &change.pull {
        put("PULL_REQUEST", &pull.number.to_string());
    }
    if let Some(image) = asked.config.flavors.get(asked.flavor).and_then(|flavor| flavor.image.as_deref()) {
        put("IMAGE", image);
    }
    meta
}

/// Nomad expands `${…}` in values wherever a job uses them, `${NOMAD_TOKEN}` too.
fn refusal(meta: &BTreeMap<String, String>) -> Option<String> {
    meta.iter().find_map(|(key, value)| unfit(key, value))
}

/// Why a value is one that no build is given.
#[must_use]
pub fn unfit(key: &str, value: &str) -> Option<String> {
    if value.len() > MAX_VALUE {
        Some(format!("{key} is longer than {MAX_VALUE} bytes"))
    } else if value.chars().any(char::is_control) {
        Some(format!("{key} holds a control character"))
    } else if value.contains("${") {
        Some(format!("{key} holds `${{`, which Nomad would expand"))
    } else {
        None
    }
}

/// The record that claims a plan.
#[must_use]
pub fn record(plan: &Plan, phase: Phase, nonce: String, now: Timestamp) -> Record {
    Record {
        version: VERSION,
        nonce,
        repo: plan.repo.clone(),
        canonical: plan.canonical.clone(),
        git_ref: plan.change.git_ref.clone(),
        branch: plan.change.branch.clone(),
        before: plan.change.before.clone(),
        commit: plan.change.commit.clone(),
        flavor: plan.flavor.clone(),
        event: plan.change.kind,
        sender: plan.change.sender.clone(),
        repository_id: plan.change.repository_id,
        trusted: plan.trust.trusted,
        private: plan.private,
        pull: plan.change.pull.clone(),
        builder: plan.builder.clone(),
        namespace: plan.namespace.clone(),
        meta: plan.meta.clone(),
        payload_hmac: None,
        undecided: plan.undecided,
        params: plan.params.clone(),
        retry_of: plan.retry_of.clone(),
        created: now,
        approved: None,
        approved_by: None,
        let_through: None,
        phase,
        build: None,
        session: None,
        parent: None,
        job: None,
        runner: None,
        jobs: BTreeMap::new(),
        jobs_bytes: 0,
        seen: None,
        address: None,
        trouble: None,
        machine: None,
        tests: None,
        placed: None,
        started: None,
        finished: None,
        stop: None,
        statuses: super::status::Posted::default(),
        other: serde_json::Map::new(),
    }
}
