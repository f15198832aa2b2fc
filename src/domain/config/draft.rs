//! A configuration being written: what somebody asks for, put into what is there already.

use serde_json::{Map, Value, json};
use url::Url;

use super::{ConfigError, PullPolicy, RepoConfig, TrustedSender};
use crate::domain::id::{BuilderName, Flavor};
use crate::domain::json;
use crate::domain::secret::Secret;

/// What is asked for; what is absent stays as it is.
#[derive(Debug, Default)]
pub struct Draft {
    /// `hook.secret`, in place of what was there.
    pub secret: Option<Secret>,
    /// A bearer that may act, beside those that are there.
    pub act: Option<Secret>,
    /// Where statuses go.
    pub forge: Option<DraftForge>,
    /// Senders to trust, beside those that are there; the same login again gets its number.
    pub trusted: Vec<TrustedSender>,
    /// `repository_id`.
    pub repository_id: Option<u64>,
    /// `builders.default`.
    pub builder: Option<BuilderName>,
    /// `builders.flavors`, beside those that are there.
    pub flavors: Vec<(Flavor, BuilderName)>,
    /// `pull_requests`.
    pub pull_requests: Option<PullPolicy>,
    /// `private`.
    pub private: Option<bool>,
    /// `inject`.
    pub inject: Option<Secret>,
}

/// A forge, as an entry names it.
#[derive(Debug)]
pub struct DraftForge {
    /// `gitea`, `forgejo` or `github`.
    pub word: &'static str,
    /// Its address.
    pub url: Url,
    /// Its token.
    pub token: Secret,
}

/// The words of an entry for forges; only one of them may stand there.
const FORGES: [&str; 3] = ["gitea", "forgejo", "github"];

impl Draft {
    /// The entry with what is asked for in it, checked; `existing` is what is there.
    ///
    /// # Errors
    /// What `existing` holds cannot be used, or the whole would not be one.
    pub fn merged(&self, existing: Option<&[u8]>) -> Result<Vec<u8>, ConfigError> {
        let mut entry = match existing {
            None => Map::new(),
            Some(bytes) => match json::parse_strict(bytes).map_err(|why| ConfigError(why.to_string()))? {
                Value::Object(entry) => entry,
                _ => return Err(ConfigError("expected an object".to_owned())),
            },
        };
        if let Some(secret) = &self.secret {
            object(&mut entry, "hook")?.insert("secret".to_owned(), secret.expose().into());
        }
        if let Some(act) = &self.act {
            let tokens = object(&mut entry, "tokens")?;
            let before = tokens.remove("act");
            tokens.insert("act".to_owned(), with(before, act));
        }
        if let Some(forge) = &self.forge {
            FORGES.iter().for_each(|word| drop(entry.remove(*word)));
            let value = json!({ "url": forge.url.as_str().trim_end_matches('/'), "token": forge.token.expose() });
            entry.insert(forge.word.to_owned(), value);
        }
        self.put_trusted(&mut entry)?;
        self.put_builders(&mut entry)?;
        let word = self.pull_requests.map(|policy| match policy {
            PullPolicy::Hold => "hold",
            PullPolicy::Build => "build",
            PullPolicy::Ignore => "ignore",
        });
        let plain: [(&str, Option<Value>); 4] = [
            ("pull_requests", word.map(Value::from)),
            ("private", self.private.map(Value::from)),
            ("inject", self.inject.as_ref().map(|secret| secret.expose().into())),
            ("repository_id", self.repository_id.map(Value::from)),
        ];
        for (name, value) in plain {
            if let Some(value) = value {
                entry.insert(name.to_owned(), value);
            }
        }
        let bytes = Value::Object(entry).to_string().into_bytes();
        RepoConfig::parse(&bytes).map(|_config| bytes)
    }

    fn put_trusted(&self, entry: &mut Map<String, Value>) -> Result<(), ConfigError> {
        if self.trusted.is_empty() {
            return Ok(());
        }
        let senders = object(entry, "trusted")?.entry("senders").or_insert_with(|| json!([]));
        let wrong = || ConfigError("trusted.senders: expected a list".to_owned());
        let senders = senders.as_array_mut().ok_or_else(wrong)?;
        for sender in &self.trusted {
            let value = match sender.id {
                Some(id) => json!({ "login": sender.login, "id": id }),
                None => Value::from(sender.login.as_str()),
            };
            let is_it = |known: &&mut Value| login_of(known).is_some_and(|it| it.eq_ignore_ascii_case(&sender.login));
            match senders.iter_mut().find(is_it) {
                Some(known) if sender.id.is_some() => *known = value,
                Some(_) => {}
                None => senders.push(value),
            }
        }
        Ok(())
    }

    fn put_builders(&self, entry: &mut Map<String, Value>) -> Result<(), ConfigError> {
        if let Some(builder) = &self.builder {
            object(entry, "builders")?.insert("default".to_owned(), builder.as_str().into());
        }
        for (flavor, builder) in &self.flavors {
            let flavors = object(object(entry, "builders")?, "flavors")?;
            match flavors.get_mut(flavor.as_str()).and_then(Value::as_object_mut) {
                Some(known) => drop(known.insert("builder".to_owned(), builder.as_str().into())),
                None => drop(flavors.insert(flavor.as_str().to_owned(), builder.as_str().into())),
            }
        }
        Ok(())
    }
}

fn object<'a>(entry: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Map<String, Value>, ConfigError> {
    let wrong = || ConfigError(format!("{name}: expected an object"));
    entry.entry(name).or_insert_with(|| json!({})).as_object_mut().ok_or_else(wrong)
}

/// One secret more than there were.
fn with(before: Option<Value>, more: &Secret) -> Value {
    let mut all = match before {
        Some(Value::Array(all)) => all,
        Some(one @ Value::String(_)) => vec![one],
        _ => Vec::new(),
    };
    all.push(more.expose().into());
    all.into()
}

fn login_of(sender: &Value) -> Option<&str> {
    sender.as_str().or_else(|| sender.get("login")?.as_str())
}

/// Fields whose values are no secrets. What is not known may be a mistyped one that is.
const PLAIN: [&str; 29] = [
    "builder",
    "builders",
    "branches",
    "concurrency",
    "default",
    "forgejo",
    "gitea",
    "github",
    "group",
    "hook",
    "id",
    "image",
    "jobs",
    "labels",
    "lfs",
    "login",
    "max",
    "name",
    "paths",
    "paths_ignore",
    "private",
    "pull_requests",
    "queue",
    "repository_id",
    "runners",
    "senders",
    "submodules",
    "supersede",
    "timeout",
];
/// The same where what is below has names of its own.
const FREE: &str = "flavors";

/// The entry for people: secrets, and what is not known, are only said to be there.
#[must_use]
pub fn redacted(value: &Value) -> Value {
    redact(value, false)
}

fn redact(value: &Value, free: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = fields.iter().map(|(name, value)| {
                let shown = match name.as_str() {
                    // Written one level too high, a secret stands where an object should.
                    "hook" | "gitea" | "forgejo" | "github" if !value.is_object() => hidden(value),
                    "trusted" | "untrusted" | "untrusted_jobs" => redact(value, false),
                    // An address may be mistyped so that a password stands in it.
                    "url" if !value.as_str().is_none_or(|url| url.contains('@')) => value.clone(),
                    name if name == FREE => redact(value, true),
                    name if free || PLAIN.contains(&name) => redact(value, false),
                    _ => hidden(value),
                };
                (name.clone(), shown)
            });
            Value::Object(shown.collect())
        }
        Value::Array(all) => all.iter().map(|one| redact(one, free)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn hidden(value: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().map(hidden).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), hidden(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => "(secret)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(draft: &Draft, existing: Option<Value>) -> Value {
        let existing = existing.map(|value| value.to_string());
        serde_json::from_slice(&draft.merged(existing.as_ref().map(String::as_bytes)).unwrap()).unwrap()
    }

    #[test]
    fn a_new_entry_holds_what_was_asked_for_and_nothing_else() {
        let draft = Draft {
            secret: Some(Secret::new("s")),
            act: Some(Secret::new("a")),
            forge: Some(DraftForge {
                word: "gitea",
                url: "https://git.example/".parse().unwrap(),
                token: Secret::new("c0ffee"),
            }),
            trusted: vec![TrustedSender { login: "quentin".to_owned(), id: Some(7) }],
            builder: Some("rust".parse().unwrap()),
            flavors: vec![("big".parse().unwrap(), "builder-big".parse().unwrap())],
            private: Some(true),
            ..Draft::default()
        };
        let expected = json!({
            "hook": {"secret": "s"}, "tokens": {"act": ["a"]},
            "gitea": {"url": "https://git.example", "token": "c0ffee"},
            "trusted": {"senders": [{"login": "quentin", "id": 7}]},
            "builders": {"default": "rust", "flavors": {"big": "builder-big"}}, "private": true,
        });
        assert_eq!(merged(&draft, None), expected);
        assert!(Draft::default().merged(None).is_err(), "without a secret it is none");
    }

    #[test]
    fn what_was_not_asked_for_stays_and_asking_twice_changes_nothing() {
        let existing = json!({
            "hook": {"token": "t"}, "forgejo": {"url": "https://old.example", "token": "old"}, "timeout": "2h",
            "trusted": {"senders": ["Quentin", {"login": "lx", "id": 2}], "repository_id": 9}, "tokens": {"act": "one"},
            "builders": {"flavors": {"big": {"image": "rust:1"}}},
        });
        let draft = Draft {
            secret: Some(Secret::new("s")),
            act: Some(Secret::new("two")),
            forge: Some(DraftForge {
                word: "github",
                url: "https://api.github.com".parse().unwrap(),
                token: Secret::new("new"),
            }),
            trusted: vec![TrustedSender { login: "quentin".to_owned(), id: Some(7) }],
            flavors: vec![("big".parse().unwrap(), "builder-big".parse().unwrap())],
            ..Draft::default()
        };
        let expected = json!({
            "hook": {"token": "t", "secret": "s"}, "github": {"url": "https://api.github.com", "token": "new"},
            "timeout": "2h", "tokens": {"act": ["one", "two"]},
            "trusted": {"senders": [{"login": "quentin", "id": 7}, {"login": "lx", "id": 2}], "repository_id": 9},
            "builders": {"flavors": {"big": {"image": "rust:1", "builder": "builder-big"}}},
        });
        let once = merged(&draft, Some(existing));
        assert_eq!(once, expected);
        assert_eq!(merged(&Draft { act: None, ..draft }, Some(once.clone())), once);
    }

    #[test]
    fn what_is_no_entry_is_not_merged_into() {
        for broken in ["{", "[]", r#"{"hook":7}"#, r#"{"hook":{"secret":"a"},"nonsense":1}"#] {
            assert!(
                Draft { secret: Some(Secret::new("s")), ..Draft::default() }.merged(Some(broken.as_bytes())).is_err()
            );
        }
    }

    #[test]
    fn people_see_no_secret() {
        let entry = json!({
            "hook": {"secret": ["hidden1", "hidden2"], "token": "hidden3"}, "inject": "A=hidden4", "timeout": "2h",
            "gitea": {"url": "https://git.example", "token": "hidden5"}, "tokens": {"read": ["hidden6"], "act": "hidden7"},
            "secrets": "hidden8", "forgejo": {"url": "https://me:hidden9@git.example"},
            "builders": {"flavors": {"big": "builder-big"}, "untrusted": "outside"},
        });
        let shown = redacted(&entry);
        assert!(!shown.to_string().contains("hidden"), "{shown}");
        assert_eq!((&shown["timeout"], &shown["gitea"]["url"]), (&json!("2h"), &json!("https://git.example")));
        assert_eq!(shown["builders"], entry["builders"]);
        assert_eq!(shown["hook"]["secret"], json!(["(secret)", "(secret)"]));
        for broken in [json!({"hook": "hidden"}), json!({"gitea": ["hidden"]}), json!({"github": "hidden"})] {
            assert!(!redacted(&broken).to_string().contains("hidden"), "{broken}");
        }
    }
}
