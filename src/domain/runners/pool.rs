//! Pools of runners: which of them a job of a workflow is for.

use std::fmt;
use std::str::FromStr;

use crate::domain::config::ForgeKind;
use crate::domain::duration::Span;
use crate::domain::id::BuilderName;

/// The longest label.
const LONGEST: usize = 128;
/// What GitHub's own runners call their systems, the first of them where none is named.
const SYSTEMS: [&str; 3] = ["linux", "windows", "macos"];
/// The same of machines.
const MACHINES: [&str; 3] = ["x64", "arm64", "arm"];
/// What all runners are that GitHub does not run itself.
const SELF_HOSTED: &str = "self-hosted";

/// An entry of `runners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// What its runners offer: a job is for it if all of the job's labels are among these.
    pub labels: Vec<Label>,
    /// The builder that is dispatched.
    pub builder: BuilderName,
    /// The most runners at a time.
    pub max: u32,
    /// The longest that a runner may run, from its executor's start.
    pub timeout: Span,
    /// The group of runners at the forge; GitHub only.
    pub group: Option<String>,
    /// How the names of its runners begin.
    pub name: String,
}

/// A label as configured: its name, and for Gitea's runner how it runs jobs, as `ubuntu-latest:host` or
/// `ubuntu-latest:docker://debian:bookworm-slim`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Not a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a label of 1 to {LONGEST} bytes without spaces, commas and control characters")]
pub struct LabelError;

impl Label {
    /// What a workflow's `runs-on` says.
    #[must_use]
    pub fn name(&self) -> &str {
        name_of(&self.0)
    }

    /// As configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn name_of(label: &str) -> &str {
    label.split(':').next().unwrap_or_default()
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == ',';
        if text.len() > LONGEST || name_of(text).is_empty() || text.chars().any(odd) {
            return Err(LabelError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pool {
    /// Its labels as a record keeps them.
    #[must_use]
    pub fn kept_labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.0.clone()).collect()
    }

    /// Whether a record's labels are this pool's.
    #[must_use]
    pub fn has_labels(&self, kept: &[String]) -> bool {
        self.labels.len() == kept.len() && self.labels.iter().zip(kept).all(|(own, kept)| own.0 == *kept)
    }

    /// Whether it takes every job that the other one takes.
    #[must_use]
    pub fn covers(&self, other: &Self, kind: ForgeKind) -> bool {
        other.names(kind).iter().all(|name| self.offers(kind, name))
    }

    fn offers(&self, kind: ForgeKind, wanted: &str) -> bool {
        self.names(kind).iter().any(|name| are_same(kind, name, wanted))
    }

    fn names(&self, kind: ForgeKind) -> Vec<&str> {
        offered(self.labels.iter().map(Label::name), kind)
    }
}

/// Whether a forge takes two labels for one. GitHub ignores the case of letters; Gitea gives `GPU` no job that wants `gpu`.
fn are_same(kind: ForgeKind, one: &str, other: &str) -> bool {
    match kind {
        ForgeKind::Gitea => one == other,
        ForgeKind::Github => one.eq_ignore_ascii_case(other),
    }
}

/// The names of what a runner with these labels offers: at GitHub also what goes without saying.
#[must_use]
pub fn offered<'a>(labels: impl IntoIterator<Item = &'a str>, kind: ForgeKind) -> Vec<&'a str> {
    let mut names: Vec<&str> = labels.into_iter().map(name_of).collect();
    if kind == ForgeKind::Github {
        let named =
            |names: &[&str], of: &[&str]| of.iter().any(|it| names.iter().any(|name| name.eq_ignore_ascii_case(it)));
        for usual in [&[SELF_HOSTED] as &[&'static str], &SYSTEMS, &MACHINES] {
            let first = usual.first().copied().filter(|_| !named(&names, usual));
            names.extend(first);
        }
    }
    names
}

/// The first pool that offers all of a job's labels; none for a job without any.
#[must_use]
pub fn pool_for<'a>(pools: &'a [Pool], kind: ForgeKind, wanted: &[String]) -> Option<&'a Pool> {
    let mut fitting = pools.iter().filter(|pool| wanted.iter().all(|label| pool.offers(kind, label)));
    fitting.next().filter(|_| !wanted.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn pool(labels: &[&str]) -> Pool {
        Pool {
            labels: labels.iter().map(|label| label.parse().unwrap()).collect(),
            builder: "runner".parse().unwrap(),
            max: 4,
            timeout: Span::seconds(3_600),
            group: None,
            name: "albatros".to_owned(),
        }
    }

    fn found(pools: &[Pool], kind: ForgeKind, wanted: &[&str]) -> Option<usize> {
        let wanted: Vec<String> = wanted.iter().map(|label| (*label).to_owned()).collect();
        let pool = pool_for(pools, kind, &wanted)?;
        pools.iter().position(|one| one == pool)
    }

    #[test]
    fn a_job_is_for_the_first_pool_that_offers_all_of_its_labels() {
        let pools = [pool(&["ubuntu-latest:docker://debian:12"]), pool(&["ubuntu-latest", "GPU:host"])];
        for (wanted, expected) in [
            (&["ubuntu-latest"][..], Some(0)),
            (&["GPU", "ubuntu-latest"], Some(1)),
            (&["GPU"], Some(1)),
            (&["GPU", "arm"], None),
            (&["ubuntu-latest:docker://debian:12"], None),
            (&["self-hosted", "GPU"], None),
            (&[], None),
        ] {
            assert_eq!(found(&pools, ForgeKind::Gitea, wanted), expected, "{wanted:?}");
        }
    }

    #[test]
    fn the_case_of_a_label_matters_at_gitea_and_not_at_github() {
        let pools = [pool(&["GPU"])];
        for (kind, expected) in [(ForgeKind::Gitea, None), (ForgeKind::Github, Some(0))] {
            assert_eq!(found(&pools, kind, &["gpu"]), expected, "{kind:?}");
            assert_eq!(found(&pools, kind, &["GPU"]), Some(0), "{kind:?}");
        }
    }

    #[test]
    fn what_goes_without_saying_at_github_is_offered_there() {
        let pools = [pool(&["gpu"]), pool(&["arm64", "macOS"])];
        for (wanted, expected) in [
            (&["self-hosted"][..], Some(0)),
            (&["self-hosted", "Linux", "X64", "gpu"], Some(0)),
            (&["self-hosted", "ARM64"], Some(1)),
            (&["self-hosted", "macOS"], Some(1)),
            (&["self-hosted", "windows"], None),
            (&["ubuntu-latest"], None),
        ] {
            assert_eq!(found(&pools, ForgeKind::Github, wanted), expected, "{wanted:?}");
        }
    }
}
