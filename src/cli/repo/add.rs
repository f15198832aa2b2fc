//! `albatros repo add`: first the entry, then the webhook, then a test of it. Run again it goes on where it was.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use url::Url;

use super::ask::{self, AtForge, ForgeWord, PullWord};
use super::operator::{Operator, address, config};
use super::webhook::{self, Ours, Trial};
use super::{Common, RepoError};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::config::{Draft, ForgeConfig, RepoConfig, redacted};
use crate::domain::finding::{Finding, Severity};
use crate::domain::id::{BuilderName, Flavor};
use crate::domain::repo_url::RepoUrl;
use crate::registry::{Kept, Written};

/// Write a repository's entry, make its webhook at the forge, and try it
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The repository's address, as it is cloned
    repo: String,
    /// What forge it is; else its host is asked
    #[arg(long, value_enum)]
    pub(super) forge: Option<ForgeWord>,
    /// Where the forge is (for GitHub its API), where it is not the repository's host
    #[arg(long, value_name = "URL")]
    pub(super) forge_url: Option<Url>,
    /// A file that holds the forge's token, for statuses and the webhook
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// A file that holds the webhook's secret; else one is made up
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// Who may see the secrets of builds, by login; again for more (`@trigger` for what is started by hand)
    #[arg(long, value_name = "LOGIN", num_args = 1..)]
    pub(super) trusted: Vec<String>,
    /// The builder
    #[arg(long, value_name = "JOB")]
    pub(super) builder: Option<BuilderName>,
    /// A flavor with a builder of its own; again for more
    #[arg(long, value_name = "NAME=JOB", value_parser = ask::flavor)]
    pub(super) flavor: Vec<(Flavor, BuilderName)>,
    /// What becomes of pull requests of forks
    #[arg(long, value_enum)]
    pub(super) pull_requests: Option<PullWord>,
    /// Builds are in no list, and their logs need a token
    #[arg(long, conflicts_with = "public")]
    pub(super) private: bool,
    /// Everybody may see them, whatever the forge says
    #[arg(long)]
    pub(super) public: bool,
    /// A file with the secrets of trusted builds
    #[arg(long, value_name = "FILE")]
    pub(super) inject_file: Option<PathBuf>,
    /// Make one more token for people, and show it
    #[arg(long)]
    pub(super) new_token: bool,
    /// Write the entry only
    #[arg(long)]
    pub(super) no_webhook: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Change an entry that is there: what is not given stays as it is
    #[arg(long)]
    pub(super) update: bool,
    #[command(flatten)]
    common: Common,
}

/// What is to be written, and what was there.
struct Change {
    repo: RepoUrl,
    before: Vec<Kept>,
    draft: Draft,
    value: Vec<u8>,
    config: RepoConfig,
    at: Option<AtForge>,
    unchanged: bool,
}

impl AddArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, RepoError> {
        let operator = Operator::new(&self.common, env)?;
        let hook = operator.hook();
        if hook.is_none() && !self.no_webhook {
            let sentence = "where is the webhook to lead? set ALBATROS_URL or --server, or say --no-webhook";
            return Err(RepoError::Usage(sentence.to_owned()));
        }
        let change = self.change(&operator).await?;
        if self.dry_run {
            return self.tell_plan(&change, hook.as_ref());
        }
        if !change.unchanged {
            match operator.entries.put(&change.repo, &change.value, &change.before).await? {
                Written::Yes(_) => {}
                Written::Conflict | Written::LeaseLost => return Err(RepoError::Overtaken),
            }
        }
        let mut told = self.tell_entry(&change)?;
        let mut findings = Vec::from_iter(self.spelled(&change));
        if let (Some(hook), Some(at), false) = (&hook, &change.at, self.no_webhook) {
            findings.extend(self.webhook((&operator, at), &change, hook, &mut told).await?);
        }
        self.tell_end(&change, told, &findings)
    }

    /// Reads what there is, and works out what there is to be. Nothing is written.
    async fn change(&self, operator: &Operator) -> Result<Change, RepoError> {
        let typed = address(&self.repo)?;
        let mut before = operator.entries.of(&typed).await?;
        let forge = ask::forge(self, operator, &typed).await?;
        let known = before.first().and_then(config);
        let named = forge.as_ref().map(ForgeConfig::from).or_else(|| known.as_ref()?.forge.clone());
        let at = match &named {
            Some(named) => Some(ask::about(operator, named, &typed).await?),
            None if self.no_webhook => None,
            None => {
                let sentence = "a webhook needs a forge's token: give --token-file, or say --no-webhook";
                return Err(RepoError::Usage(sentence.to_owned()));
            }
        };
        let repo = at.as_ref().map_or_else(|| canonical(&typed), |at| canonical(&at.repo))?;
        for kept in operator.entries.of(&repo).await? {
            if !before.iter().any(|known| known.name == kept.name) {
                before.push(kept);
            }
        }
        // Of several the one counts that `serve` takes.
        let counts = before.first();
        let known = counts.and_then(config);
        let draft = ask::draft(self, forge, at.as_ref(), known.as_ref(), counts.is_some()).await?;
        let value = draft.merged(counts.map(|kept| &kept.value[..]))?;
        let is_same = |kept: &Kept| as_json(&kept.value) == as_json(&value) && kept.is_usual();
        let unchanged = matches!(before.as_slice(), [one] if is_same(one));
        if !before.is_empty() && !unchanged && !self.update {
            let spelled = counts.and_then(|kept| kept.address.as_ref()).map_or("another key", RepoUrl::sent);
            let sentence = format!(
                "there is an entry already, made for {spelled}, and it says something else: see `albatros repo show`; \
                 --update puts what is given here into it"
            );
            return Err(RepoError::Usage(sentence));
        }
        let config = RepoConfig::parse(&value)?;
        Ok(Change { repo, before, draft, value, config, at, unchanged })
    }

    /// The address that was typed is not what deliveries say.
    fn spelled(&self, change: &Change) -> Option<Finding> {
        let other = self.repo.parse::<RepoUrl>().is_ok_and(|typed| typed.canonical() != change.repo.canonical());
        let sentence = format!("the forge calls it {}, and so does the entry", change.repo.canonical());
        (other && change.at.is_some()).then(|| Finding::note("clone-url", sentence, ""))
    }

    async fn webhook(
        &self,
        (operator, at): (&Operator, &AtForge),
        change: &Change,
        hook: &Url,
        told: &mut Map<String, Value>,
    ) -> Result<Vec<Finding>, RepoError> {
        let Some(secret) = change.config.hook_secrets.first() else {
            let fix = format!("albatros repo add {} --update (makes a secret)", change.repo.canonical());
            let sentence = "the entry has a token only, so the webhook is left as it is";
            return Ok(vec![Finding::warning("token-only", sentence, fix)]);
        };
        let put = async {
            let hooks = at.forge.hooks().await?;
            let ours = webhook::leading_to(&hooks, hook);
            at.forge.put_hook(&ours, hook, secret).await.map(|id| (id, !ours.is_empty()))
        };
        let (id, replaced) = match put.await {
            Ok(done) => done,
            Err(error) => return Ok(vec![webhook::refused("webhook-refused", "the webhook is not made", &error)]),
        };
        told.insert("webhook".to_owned(), json!({ "id": id, "url": hook.as_str(), "replaced": replaced }));
        let word = if replaced { "made anew" } else { "made" };
        self.line(&format!("webhook    {hook}, {word}"))?;
        let Trial { arrived, findings } =
            webhook::test(operator, &at.forge, Ours { id, is_new: true }, (&change.repo, &change.config)).await?;
        if let Some(tested) = &arrived {
            let (forge, delivery) = (&tested.origin.forge, &tested.origin.delivery);
            self.line(&format!(
                "test       arrived, signed right: {} of {forge}, delivery {delivery}",
                tested.origin.event
            ))?;
        }
        told.insert("tested".to_owned(), json!(arrived));
        Ok(findings)
    }

    fn tell_plan(&self, change: &Change, hook: Option<&Url>) -> Result<Exit, RepoError> {
        let value = as_json(&change.value).unwrap_or_default();
        let hook = hook.filter(|_| !self.no_webhook).map(Url::as_str);
        let mut out = std::io::stdout().lock();
        if self.common.json {
            let plan = json!({
                "repo": change.repo.canonical(), "entry": redacted(&value), "webhook": hook,
                "unchanged": change.unchanged,
            });
            writeln!(out, "{plan:#}")?;
            return Ok(Exit::Success);
        }
        let verb = if change.unchanged { "is as it would be written" } else { "would be written" };
        writeln!(out, "the entry for {} {verb}:\n{:#}", change.repo.canonical(), redacted(&value))?;
        if let Some(hook) = hook {
            writeln!(out, "the webhook would lead to {hook}")?;
        }
        Ok(Exit::Success)
    }

    /// Says what was written, at once: a token that was made up is never to be seen again.
    fn tell_entry(&self, change: &Change) -> Result<Map<String, Value>, RepoError> {
        let word = match (change.unchanged, change.before.is_empty()) {
            (true, _) => "as it was",
            (false, true) => "written",
            (false, false) => "changed",
        };
        let mut told = Map::new();
        told.insert("repo".to_owned(), change.repo.canonical().into());
        told.insert("entry".to_owned(), word.into());
        self.line(&format!("repository {}", change.repo.canonical()))?;
        self.line(&format!("entry      {word}"))?;
        if let Some(act) = &change.draft.act {
            told.insert("act_token".to_owned(), act.expose().into());
            self.line(&format!("token      {} (ALBATROS_TOKEN for people; shown this once)", act.expose()))?;
        }
        // Who makes the webhook by hand needs the secret.
        if let (Some(secret), true, None) = (&change.draft.secret, self.no_webhook, &self.secret_file) {
            told.insert("secret".to_owned(), secret.expose().into());
            self.line(&format!("secret     {} (for the webhook; shown this once)", secret.expose()))?;
        }
        Ok(told)
    }

    fn tell_end(&self, change: &Change, mut told: Map<String, Value>, findings: &[Finding]) -> Result<Exit, RepoError> {
        let mut out = std::io::stdout().lock();
        if self.common.json {
            told.insert("findings".to_owned(), json!(findings));
            writeln!(out, "{:#}", Value::Object(told))?;
        } else {
            for finding in findings {
                writeln!(out, "{}", finding.text(change.repo.canonical()))?;
            }
        }
        let is = |severity| findings.iter().any(|finding| finding.severity == severity);
        Ok(match (is(Severity::Error), findings.iter().any(|finding| finding.name == "forge-unreachable")) {
            (true, _) => Exit::Failed,
            (false, true) => Exit::Infra,
            (false, false) => Exit::Success,
        })
    }

    fn line(&self, line: &str) -> Result<(), RepoError> {
        if !self.common.json {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        Ok(())
    }
}

/// The same address in its canonical spelling.
fn canonical(repo: &RepoUrl) -> Result<RepoUrl, RepoError> {
    address(repo.canonical())
}

fn as_json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}
