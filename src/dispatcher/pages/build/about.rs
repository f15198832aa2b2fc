//! What a build was made of, by whom, and where it runs.

use jiff::Timestamp;

use super::{Named, Shown};
use crate::dispatcher::App;
use crate::dispatcher::pages::address::Address;
use crate::dispatcher::pages::list::filtered;
use crate::dispatcher::pages::moment::Moment;
use crate::dispatcher::pages::text;
use crate::dispatcher::view::BuildView;
use crate::domain::event::Sender;
use crate::domain::links::ForgeLinks;
use crate::domain::percent;
use crate::domain::record::ApprovedBy;

/// Digits of a commit that are enough to know it by.
const SHORT: usize = 10;

/// The facts of a build. Absent ones are not known.
#[derive(Debug)]
pub(super) struct About {
    pub(super) repo: Option<Named>,
    /// All builds of the repository.
    pub(super) of_repo: Option<String>,
    /// `branch`, `tag`, `pull request` or `ref`, and which.
    pub(super) ref_kind: &'static str,
    pub(super) git_ref: Option<Named>,
    /// All builds of the branch.
    pub(super) of_branch: Option<String>,
    pub(super) commit: Option<Named>,
    pub(super) full_commit: String,
    pub(super) event: Option<&'static str>,
    pub(super) sender: Option<String>,
    pub(super) flavor: Option<String>,
    pub(super) created: Option<Moment>,
    pub(super) approved: Option<Moment>,
    /// By whom.
    pub(super) approved_by: &'static str,
    /// The change that it builds again.
    pub(super) retry_of: Option<Named>,
    /// Of a job: the build that started it.
    pub(super) parent: Option<Named>,
    pub(super) job: Option<String>,
    /// Of a runner: the job at the forge that it was started for, and the repository of that.
    pub(super) runner: Option<Named>,
    pub(super) runner_repo: Option<String>,
    pub(super) trusted: Option<bool>,
    pub(super) private: bool,
    pub(super) params: Vec<(String, String)>,
    pub(super) build: Option<Named>,
    pub(super) node: Option<String>,
    pub(super) allocation: Option<Named>,
}

impl About {
    pub(super) fn of(app: &App, shown: &Shown<'_>, now: Timestamp) -> Self {
        let view = &shown.view;
        let links = links(shown);
        let (ref_kind, git_ref) = git_ref(view, &links);
        let branch = view.git_ref.as_deref().and_then(|git_ref| git_ref.strip_prefix("refs/heads/"));
        let commit = view.commit.clone().unwrap_or_default();
        let short = text::name(commit.get(..SHORT).unwrap_or(&commit));
        Self {
            repo: view.repo.as_deref().map(|repo| Named::new(short_repo(repo), links.repo.as_ref())),
            of_repo: view.repo.as_deref().map(|repo| filtered(&shown.base, &[("repo", repo)])),
            ref_kind,
            git_ref,
            of_branch: view
                .repo
                .as_deref()
                .zip(branch)
                .map(|(repo, branch)| filtered(&shown.base, &[("repo", repo), ("branch", branch)])),
            commit: view.commit.is_some().then(|| Named::new(short, links.commit.as_ref())),
            full_commit: text::name(&commit),
            event: view.event.map(event),
            sender: view.sender.as_deref().map(sender),
            flavor: view.flavor.as_deref().map(text::name),
            created: view.created.map(|at| Moment::of(at, now)),
            approved: view.approved.map(|at| Moment::of(at, now)),
            approved_by: match view.approved_by {
                Some(ApprovedBy::Always) => "its sender is always approved",
                Some(ApprovedBy::Person) => "by a person",
                None => "",
            },
            retry_of: view.retry_of.as_ref().map(|claim| other_change(shown, claim, "an earlier build")),
            parent: view.parent.as_ref().map(|claim| other_change(shown, claim, "the build that started it")),
            job: view.job.as_ref().map(ToString::to_string),
            runner: view.runner.as_ref().map(|runner| {
                let name = format!("{} ({})", text::name(&runner.job.name), runner.job.id);
                Named { text: name, href: runner.job.url.clone() }
            }),
            runner_repo: view.runner.as_ref().map(|runner| short_repo(&runner.job.repo)),
            trusted: view.trusted,
            private: view.private,
            params: view.params.iter().map(|(name, value)| (text::name(name), text::lines(value))).collect(),
            build: view.build.as_ref().map(|build| Named {
                text: text::name(build.as_str()),
                href: app.settings.nomad_ui.as_ref().map(|ui| {
                    let job = percent::encode(build.as_str());
                    format!("{}/ui/jobs/{job}@{}", trimmed(ui), percent::encode(&app.settings.namespace))
                }),
            }),
            node: view.placed.as_ref().map(|placed| text::name(&placed.node)).filter(|node| !node.is_empty()),
            allocation: view.placed.as_ref().map(|placed| Named {
                text: text::name(placed.allocation.get(..8).unwrap_or(&placed.allocation)),
                href: app
                    .settings
                    .nomad_ui
                    .as_ref()
                    .map(|ui| format!("{}/ui/allocations/{}", trimmed(ui), percent::encode(&placed.allocation))),
            }),
        }
    }
}

fn trimmed(url: &url::Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn links(shown: &Shown<'_>) -> ForgeLinks {
    let view = &shown.view;
    let forge = shown.config.and_then(|config| config.forge.as_ref());
    let told = view.repo.as_deref().zip(view.git_ref.as_deref()).zip(view.commit.as_deref());
    match (told, view.repo.as_deref()) {
        (Some(((repo, git_ref), commit)), _) => ForgeLinks::of(forge, repo, git_ref, commit),
        (None, Some(repo)) => ForgeLinks::of(None, repo, "", ""),
        (None, None) => ForgeLinks::default(),
    }
}

/// Another change; a key opens one page alone, so for who came with it there is no link.
fn other_change(shown: &Shown<'_>, claim: &crate::domain::id::ClaimId, text: &str) -> Named {
    let href = (!shown.by_key_alone).then(|| Address::of_claim(&shown.base, claim, None).page());
    Named { text: text.to_owned(), href }
}

fn git_ref(view: &BuildView, links: &ForgeLinks) -> (&'static str, Option<Named>) {
    if let Some(number) = view.pull_request {
        return ("pull request", Some(Named::new(format!("#{number}"), links.pull.as_ref())));
    }
    let Some(git_ref) = view.git_ref.as_deref() else { return ("ref", None) };
    let (kind, name) = match (git_ref.strip_prefix("refs/heads/"), git_ref.strip_prefix("refs/tags/")) {
        (Some(branch), _) => ("branch", branch),
        (None, Some(tag)) => ("tag", tag),
        (None, None) => ("ref", git_ref),
    };
    (kind, Some(Named::new(text::name(name), links.git_ref.as_ref())))
}

fn event(word: &'static str) -> &'static str {
    match word {
        "push" => "push",
        "tag" => "tag",
        "pull_request" => "pull request",
        "workflow_job" => "runner",
        other => other,
    }
}

/// Who started it, for people.
pub(crate) fn sender(login: &str) -> String {
    if login == Sender::TRIGGER { "a person or a schedule (trigger)".to_owned() } else { text::name(login) }
}

/// The part of a repository's address that people know it by.
pub(crate) fn short_repo(repo: &str) -> String {
    let path = repo.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or(repo, |(_, path)| path);
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    text::name(if path.is_empty() { repo } else { path })
}
