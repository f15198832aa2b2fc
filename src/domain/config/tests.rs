use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse(value: &Value) -> Result<RepoConfig, ConfigError> {
    RepoConfig::parse(value.to_string().as_bytes())
}

/// A configuration with one more field.
fn with(field: &str, value: Value) -> Value {
    let mut config = json!({"hook": {"token": "t"}});
    config[field] = value;
    config
}

#[test]
fn an_entry_made_for_the_original_is_read() {
    let config = parse(&json!({
        "hook": {"token": "s3cr3t"}, "gitea": {"url": "https://git.example/", "token": "c0ffee"},
        "trusted": {"senders": ["quentin", "lx"]}, "inject": "SECRET1=xx\nSECRET2=yy", "builders": {"default": "builder"}
    }))
    .unwrap();
    assert_eq!(config.claim_key.expose(), "s3cr3t");
    assert!(config.hook_secrets.is_empty());
    let forge = config.forge.unwrap();
    assert_eq!(
        (forge.kind, forge.url.as_str(), forge.token.expose()),
        (ForgeKind::Gitea, "https://git.example/", "c0ffee")
    );
    assert_eq!(config.trusted.len(), 2);
    assert_eq!(config.inject.unwrap().expose(), "SECRET1=xx\nSECRET2=yy");
}

#[test]
fn only_a_hook_is_required_and_the_rest_has_defaults() {
    let config = parse(&json!({"hook": {"token": "t"}})).unwrap();
    assert_eq!(config.builder.as_str(), "builder");
    assert_eq!(config.job_builder.as_str(), "container");
    assert!(config.untrusted_job_builder.is_none());
    assert_eq!(config.timeout.to_string(), "1h");
    assert_eq!(config.pull_requests, PullPolicy::Hold);
    assert!(!config.submodules && !config.lfs);
    assert!(config.forge.is_none() && config.tokens.is_none() && config.private.is_none());
    assert!(!config.concurrency.is_limited() && config.concurrency.queue.is_none());
    assert!(config.untrusted_builder.is_none() && config.inject.is_none() && config.repository_id.is_none());
}

#[test]
fn the_whole_table_is_read() {
    let config = parse(&json!({
        "hook": {"token": ["t1", "t2"], "secret": ["new", "old"]}, "github": {"token": "ghp"},
        "trusted": {"senders": ["quentin", {"login": "lx", "id": 7}], "repository_id": 3}, "repository_id": 3,
        "builders": {"default": "b", "untrusted": "jail", "jobs": "box", "untrusted_jobs": "jailed-box",
            "flavors": {"big": "builder-big", "rust": {"builder": "b2", "image": "rust:1"}, "bare": {"image": "alpine"}}},
        "pull_requests": "build", "private": true, "tokens": {"read": ["r"], "act": ["a1", "a2"]}, "timeout": "90m",
        "submodules": true, "lfs": true
    }))
    .unwrap();
    assert_eq!(config.claim_key.expose(), "new");
    assert_eq!((config.hook_secrets.len(), config.hook_tokens.len()), (2, 2));
    let forge = config.forge.unwrap();
    assert_eq!((forge.kind, forge.url.as_str()), (ForgeKind::Github, "https://api.github.com/"));
    assert_eq!(config.trusted[1], TrustedSender { login: "lx".to_owned(), id: Some(7) });
    assert!(config.submodules && config.lfs);
    assert_eq!((config.repository_id, config.private, config.pull_requests), (Some(3), Some(true), PullPolicy::Build));
    let rust = &config.flavors[&"rust".parse().unwrap()];
    assert_eq!((rust.builder.as_ref().unwrap().as_str(), rust.image.as_deref()), ("b2", Some("rust:1")));
    assert_eq!(config.flavors[&"bare".parse().unwrap()].builder, None);
    assert_eq!(config.flavors[&"big".parse().unwrap()].builder.as_ref().unwrap().as_str(), "builder-big");
    assert_eq!(config.untrusted_builder.unwrap().as_str(), "jail");
    assert_eq!(config.job_builder.as_str(), "box");
    assert_eq!(config.untrusted_job_builder.unwrap().as_str(), "jailed-box");
    assert_eq!(config.tokens.unwrap().act.len(), 2);
    assert_eq!(config.timeout.get().as_secs(), 5_400);
}

#[test]
fn whose_turn_it_is_is_read_and_only_what_makes_changes_wait_limits() {
    let of = |concurrency: Value| {
        let mut config = with("gitea", json!({"url": "https://git.example", "token": "t"}));
        config["concurrency"] = concurrency;
        parse(&config).unwrap().concurrency
    };
    let all = of(json!({"supersede": true, "max": 2, "queue": "30m"}));
    let queue = Some("30m".parse().unwrap());
    assert_eq!(all, Concurrency { supersede: true, max: Some(2), queue });
    assert!(of(json!({"supersede": true})).is_limited() && of(json!({"max": 1})).is_limited());
    assert!(!of(json!({})).is_limited() && !of(json!({"queue": "30m", "supersede": false})).is_limited());
    let alone = parse(&with("concurrency", json!({"max": 1, "supersede": false}))).unwrap();
    assert_eq!(alone.concurrency.max, Some(1), "a limit needs no forge");
}

#[test]
fn every_error_names_its_field() {
    let forge = json!({"url": "https://git.example", "token": "t"});
    let cases = [
        (json!({}), "hook: is missing"),
        (json!([]), "expected an object"),
        (json!({"hook": {}}), "hook: needs a secret or a token"),
        (json!({"hook": "t"}), "hook: expected an object"),
        (json!({"hook": {"token": ""}}), "hook.token: must not be empty"),
        (json!({"hook": {"token": []}}), "hook.token: must not be empty"),
        (json!({"hook": {"token": 7}}), "hook.token: expected a string or a list of strings"),
        (json!({"hook": {"token": null}}), "hook.token: "),
        (json!({"hook": {"token": "t", "secret": ""}}), "hook.secret: must not be empty"),
        (json!({"hook": {"token": "t", "secret": ["a", ""]}}), "hook.secret[1]: must not be empty"),
        (json!({"hook": {"token": "t", "secrets": "a"}}), "hook.secrets: unknown field"),
        (with("hooks", json!(1)), "hooks: unknown field"),
        (with("gitea", json!({"token": "t"})), "gitea.url: is missing"),
        (with("gitea", json!({"url": "https://git.example"})), "gitea.token: is missing"),
        (with("gitea", json!({"url": "https://u:p@git.example", "token": "t"})), "gitea.url: expected an address"),
        (with("forgejo", json!({"url": "ftp://git.example", "token": "t"})), "forgejo.url: expected an address"),
        (with("github", json!({"url": "git.example", "token": "t"})), "github.url: expected an address"),
        (with("github", json!({})), "github.token: is missing"),
        (json!({"hook": {"token": "t"}, "gitea": forge, "github": forge}), "github: only one of"),
        (json!({"hook": {"token": "t"}, "gitea": forge, "forgejo": forge}), "forgejo: only one of"),
        (with("trusted", json!(["quentin"])), "trusted: expected an object"),
        (with("trusted", json!({"senders": "quentin"})), "trusted.senders: expected a list"),
        (with("trusted", json!({"senders": [""]})), "trusted.senders[0]: must not be empty"),
        (with("trusted", json!({"senders": ["a", 7]})), "trusted.senders[1]: expected a login"),
        (with("trusted", json!({"senders": [{"id": 7}]})), "trusted.senders[0].login: is missing"),
        (
            with("trusted", json!({"senders": [{"login": "a", "id": "7"}]})),
            "trusted.senders[0].id: expected a whole number",
        ),
        (
            with("trusted", json!({"senders": [{"login": "a", "id": -7}]})),
            "trusted.senders[0].id: expected a whole number",
        ),
        (with("trusted", json!({"senders": [{"login": "a", "uid": 7}]})), "trusted.senders[0].uid: unknown field"),
        (with("repository_id", json!("3")), "repository_id: expected a whole number"),
        (with("inject", json!(["A=1"])), "inject: expected a string"),
        (with("builders", json!({"default": ""})), "builders.default: "),
        (with("builders", json!({"default": "a b"})), "builders.default: "),
        (with("builders", json!({"flavor": {}})), "builders.flavor: unknown field"),
        (with("builders", json!({"flavors": {"a b": "x"}})), "builders.flavors.a b: flavor"),
        (with("builders", json!({"flavors": {"a": 1}})), "builders.flavors.a: expected a builder's name"),
        (with("builders", json!({"flavors": {"a": {"image": ""}}})), "builders.flavors.a.image: must not be empty"),
        (with("pull_requests", json!("yes")), "pull_requests: expected hold, build or ignore"),
        (with("private", json!("yes")), "private: expected true or false"),
        (with("tokens", json!("t")), "tokens: expected an object"),
        (with("tokens", json!({"read": [""]})), "tokens.read[0]: must not be empty"),
        (with("tokens", json!({"write": []})), "tokens.write: unknown field"),
        (with("concurrency", json!(2)), "concurrency: expected an object"),
        (with("concurrency", json!({"maximum": 2})), "concurrency.maximum: unknown field"),
        (with("concurrency", json!({"max": 0})), "concurrency.max: expected a number of builds from 1 on"),
        (with("concurrency", json!({"max": 1_u64 << 32})), "concurrency.max: expected a number of builds from 1 on"),
        (with("concurrency", json!({"max": "2"})), "concurrency.max: expected a whole number"),
        (with("concurrency", json!({"max": -1})), "concurrency.max: expected a whole number"),
        (with("concurrency", json!({"supersede": "yes"})), "concurrency.supersede: expected true or false"),
        (with("concurrency", json!({"supersede": true})), "concurrency.supersede: needs a forge that can be asked"),
        (with("concurrency", json!({"queue": 60})), "concurrency.queue: expected a string"),
        (with("concurrency", json!({"queue": "0s"})), "concurrency.queue: expected a duration"),
        (with("branches", json!("main")), "branches: expected a list"),
        (with("branches", json!([])), "branches: expected at least one pattern"),
        (with("branches", json!(["!main"])), "branches: the first pattern begins with `!`"),
        (with("branches", json!(["a[b"])), "branches: "),
        (with("paths", json!([7])), "paths[0]: expected a string"),
        (with("paths", json!(["src/**"])), "paths: needs a forge that can be asked"),
        (with("paths_ignore", json!(["docs/**"])), "paths_ignore: needs a forge that can be asked"),
        (with("path", json!(["src/**"])), "path: unknown field"),
        (with("timeout", json!(3600)), "timeout: expected a string"),
        (with("timeout", json!("1 hour")), "timeout: expected a duration"),
    ];
    for (config, expected) in cases {
        let said = parse(&config).unwrap_err().to_string();
        assert!(said.strip_prefix("configuration: ").unwrap().starts_with(expected), "{config}: {said}");
    }
}

#[test]
fn a_key_that_stands_twice_is_an_error_that_names_it() {
    let said = RepoConfig::parse(br#"{"hook":{"token":"a"},"private":true,"private":false}"#).unwrap_err().to_string();
    assert!(said.contains("`private`"), "{said}");
}

#[test]
fn neither_an_error_nor_the_configuration_shows_a_secret() {
    let bad =
        parse(&json!({"hook": {"token": "hunter2"}, "timeout": "hunter2", "pull_requests": "hunter2"})).unwrap_err();
    assert!(!bad.to_string().contains("hunter2"));
    let secrets = json!({"hook": {"token": "hunter2", "secret": ["hunter2"]}, "inject": "hunter2",
        "gitea": {"url": "https://git.example", "token": "hunter2"}, "tokens": {"read": "hunter2", "act": ["hunter2"]}});
    assert!(!format!("{:?}", parse(&secrets).unwrap()).contains("hunter2"));
}

#[test]
fn a_parameter_that_changes_a_loader_a_shell_or_nomad_is_refused_by_its_name() {
    for name in
        ["LD_PRELOAD", "BASH_ENV", "PATH", "IFS", "NOMAD_TOKEN", "CONSUL_HTTP_TOKEN", "ALBATROS_TOKEN", "SECRET_PATH"]
    {
        let said = parse(&with("inject", json!(format!("GOOD=1\nexport {name}=hunter2\n")))).unwrap_err().to_string();
        assert!(said.contains("inject") && said.contains(name) && !said.contains("hunter2"), "{said}");
    }
    for text in ["LD=1", "XPATH=1", "# PATH=1", "", "-----BEGIN KEY-----\nPATH=1\n", "not an env file"] {
        assert_eq!(parse(&with("inject", json!(text))).unwrap().inject.unwrap().expose(), text);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_hold_a_credential(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(config) = RepoConfig::parse(&bytes) {
            prop_assert!(!config.claim_key.expose().is_empty());
        }
    }

    #[test]
    fn a_field_nobody_knows_is_never_let_pass(name in "[a-z_]{1,12}") {
        let known = ["hook", "gitea", "forgejo", "github", "trusted", "repository_id", "inject", "builders",
            "pull_requests", "private", "tokens", "submodules", "lfs", "timeout", "concurrency", "branches", "paths",
            "paths_ignore"];
        prop_assume!(!known.contains(&name.as_str()));
        let said = parse(&with(&name, json!({}))).unwrap_err().to_string();
        prop_assert_eq!(said, format!("configuration: {name}: unknown field"));
    }

    #[test]
    fn no_credential_of_a_configuration_is_empty(token in any::<String>(), secret in proptest::collection::vec(any::<String>(), 0..3)) {
        if let Ok(config) = parse(&json!({"hook": {"token": token, "secret": secret}})) {
            prop_assert!(config.hook_secrets.iter().chain(&config.hook_tokens).all(|s| !s.expose().is_empty()));
            prop_assert_eq!(config.claim_key.expose(), &secret[0]);
        }
    }
}

#[test]
fn what_is_not_built_is_read() {
    let mut value = with("gitea", json!({"url": "https://git.example", "token": "t"}));
    value["branches"] = json!(["main", "release/**", "!release/old"]);
    value["paths"] = json!(["src/**"]);
    value["paths_ignore"] = json!(["**/*.md"]);
    let config = parse(&value).unwrap();
    let branches = config.branches.unwrap();
    assert!(branches.take("main") && branches.take("release/1") && !branches.take("release/old"));
    assert!(config.paths.unwrap().take("src/a/b") && config.paths_ignore.unwrap().take("a/b.md"));
    let plain = parse(&with("branches", json!(["main"]))).unwrap();
    assert!(plain.branches.is_some() && plain.paths.is_none() && plain.paths_ignore.is_none());
}
