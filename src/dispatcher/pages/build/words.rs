//! A build in sentences.

use super::about::short_repo;
use super::artifacts::Artifacts;
use crate::dispatcher::App;
use crate::dispatcher::claim::url_encoded;
use crate::dispatcher::pages::face::face;
use crate::dispatcher::pages::text;
use crate::dispatcher::view::BuildView;

/// A command to type, and what it does.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) does: &'static str,
    pub(super) line: String,
}

/// The page's title: what is told first by a tab.
pub(super) fn title(view: &BuildView) -> String {
    let repo = view.repo.as_deref().map(short_repo).unwrap_or_default();
    let job = view.job.as_ref().map(|job| format!("job {job} of ")).unwrap_or_default();
    let git_ref = view.git_ref.as_deref().unwrap_or_default();
    let branch = git_ref.strip_prefix("refs/heads/").or(git_ref.strip_prefix("refs/tags/")).unwrap_or(git_ref);
    let of = text::cut(&text::name(format!("{repo} {branch}").trim()), 80);
    format!("{}: {job}{of}", face(view.state).word)
}

/// What happened, or happens.
pub(crate) fn headline(view: &BuildView) -> String {
    if view.ended {
        return text::cut(&text::lines(&view.reason), 300);
    }
    let words = match view.state {
        "held" => "Waiting for approval",
        "claimed" => "Waiting for Nomad",
        "queued" => "Waiting for a node",
        "unplaceable" => "No node can take it",
        "preparing" => "Preparing",
        "running" => "Running",
        _ => "Waiting",
    };
    words.to_owned()
}

/// The reason of a state that is not final, where it says more than the headline.
pub(super) fn why(view: &BuildView) -> Option<String> {
    let says_more = !view.ended && !view.reason.is_empty() && view.reason != view.state;
    let repeats = matches!(view.state, "held" | "claimed");
    (says_more && !repeats).then(|| text::cut(&text::name(&view.reason), 300))
}

/// What a state means for who looks at it, and what he can do.
pub(super) fn hint(view: &BuildView) -> Option<&'static str> {
    Some(match view.state {
        "held" if view.job.is_some() => "The build wants a person to approve this job before it is started.",
        "held" => {
            "It runs code from outside the repository. Somebody with an act token looks at the change and approves this very commit; it runs without the repository’s secrets."
        }
        "claimed" => {
            "The change is written down; as soon as Nomad answers it is started, whatever happens to this server."
        }
        "queued" => "It starts by itself when a node has room.",
        "unplaceable" => {
            "It starts by itself when a node comes that fits; an operator may have to change the builder, or add a node."
        }
        "infra" => "This is not the script’s doing. Once the reason is repaired, build it again with retry.",
        "lost" => "The script did not fail by itself: its node went away. Retry builds it again.",
        "oom" => "The script wanted more memory than its builder gives it.",
        "timeout" => "It ran for longer than the repository’s configuration allows.",
        "expired" => "Nomad has collected it before its end was learned. Retry builds it again.",
        _ => return None,
    })
}

/// The same with curl and with our own verbs. They hold no key and no token.
pub(super) fn commands(app: &App, view: &BuildView, artifacts: &Artifacts) -> Vec<Command> {
    let Some(build) = &view.build else { return Vec::new() };
    let server = match &app.settings.url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => "$ALBATROS_URL".to_owned(),
    };
    let bearer = if view.private { "-H \"Authorization: Bearer $ALBATROS_TOKEN\" " } else { "" };
    let log = url_encoded(build.as_str());
    let mut commands = vec![
        Command { does: "Follow the log", line: format!("curl -N {bearer}\"{server}/build?job={log}&log=stdout\"") },
        Command {
            does: "The same, with the build’s exit code",
            line: format!("albatros logs -f {}", quoted(build.as_str())),
        },
    ];
    if let Some(first) = artifacts.list.first() {
        let line = format!("albatros artifacts {} {} -o {}", quoted(build.as_str()), first.id, first.id);
        commands.push(Command { does: "Get an artifact", line });
    }
    commands
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
