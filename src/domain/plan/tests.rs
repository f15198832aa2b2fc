use serde_json::{Value, json};

use super::*;
use crate::domain::builder::{BuilderShape, PayloadMode};
use crate::domain::event::{Pull, PullOrigin, Sender};
use crate::domain::trust;

fn config(more: Value) -> RepoConfig {
    let mut config = json!({"hook": {"secret": "s"}, "trusted": {"senders": ["quentin"]}, "inject": "A=1"});
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    RepoConfig::parse(config.to_string().as_bytes()).unwrap()
}

fn push(branch: &str) -> Change {
    Change {
        kind: EventKind::Push,
        git_ref: format!("refs/heads/{branch}"),
        branch: branch.to_owned(),
        before: "a".repeat(40),
        commit: "b".repeat(40).parse().unwrap(),
        sender: Sender { login: "quentin".to_owned(), id: None },
        repository_id: None,
        private: false,
        message: None,
        pull: None,
    }
}

fn fork() -> Change {
    let pull = Some(Pull { number: 3, origin: PullOrigin::Fork, author: "mallory".to_owned(), author_id: Some(4) });
    Change {
        kind: EventKind::PullRequest,
        git_ref: "refs/pull/3/head".to_owned(),
        before: String::new(),
        pull,
        ..push("pull/3/head")
    }
}

fn planned(change: &Change, config: &RepoConfig, flavor: &str) -> Planned {
    let trust = trust::decide(change, config);
    plan(&Asked {
        change,
        trust: &trust,
        config,
        repo: "https://Git.example/a/b.git",
        canonical: "https://git.example/a/b.git",
        flavor: &flavor.parse().unwrap(),
        site: &Site::default(),
        salt: None,
    })
}

fn built(change: &Change, config: &RepoConfig, flavor: &str) -> Plan {
    match planned(change, config, flavor) {
        Planned::Build(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_holds_the_four_and_every_other_value_there_is() {
    let plan = built(&push("main"), &config(json!({})), "default");
    let keys: Vec<&str> = plan.meta.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ALBATROS_CLAIM", "BRANCH", "COMMIT", "EVENT", "FLAVOR", "REF", "REPO_URL", "SENDER", "TRUSTED"]);
    assert_eq!(plan.meta["REPO_URL"], "https://Git.example/a/b.git");
    assert_eq!(plan.meta["ALBATROS_CLAIM"], plan.claim.to_string());
    assert_eq!((plan.meta["TRUSTED"].as_str(), plan.namespace.as_str()), ("true", "ci"));
    let image = config(json!({"builders": {"flavors": {"rust": {"image": "rust:1"}}}, "pull_requests": "build"}));
    let pull = built(&fork(), &image, "rust");
    assert_eq!((pull.meta["PULL_REQUEST"].as_str(), pull.meta["IMAGE"].as_str()), ("3", "rust:1"));
    assert_eq!((pull.meta["BRANCH"].as_str(), pull.meta["EVENT"].as_str()), ("pull/3/head", "pull_request"));
}

#[test]
fn flavor_and_trust_choose_the_builder() {
    let flavors = json!({"default": "b", "flavors": {"big": "b-big"}});
    let usual = config(json!({"builders": flavors}));
    let stranger = Change { sender: Sender { login: "mallory".to_owned(), id: None }, ..push("main") };
    assert_eq!(built(&push("main"), &usual, "default").builder.as_str(), "b");
    assert_eq!(built(&push("main"), &usual, "big").builder.as_str(), "b-big");
    assert_eq!(built(&push("main"), &usual, "unlisted").builder.as_str(), "b");
    assert_eq!(built(&stranger, &usual, "big").builder.as_str(), "b-big");
    let mut jailed = flavors;
    jailed["untrusted"] = json!("jail");
    let jailed = config(json!({"builders": jailed}));
    assert_eq!(built(&stranger, &jailed, "big").builder.as_str(), "jail");
    assert_eq!(built(&push("main"), &jailed, "big").builder.as_str(), "b-big");
}

#[test]
fn pull_requests_follow_their_policy_and_pushes_do_not() {
    let with = |policy: &str| config(json!({"pull_requests": policy}));
    assert!(matches!(planned(&fork(), &config(json!({})), "default"), Planned::Held(plan) if !plan.trust.trusted));
    assert!(matches!(planned(&fork(), &with("build"), "default"), Planned::Build(plan) if !plan.trust.trusted));
    assert!(matches!(planned(&fork(), &with("ignore"), "default"), Planned::Ignored(_)));
    assert!(matches!(planned(&push("main"), &with("ignore"), "default"), Planned::Build(_)));
}

#[test]
fn the_configuration_s_word_on_privacy_goes_before_the_delivery_s() {
    let private = Change { private: true, ..push("main") };
    assert!(built(&private, &config(json!({})), "default").private);
    assert!(!built(&push("main"), &config(json!({})), "default").private);
    assert!(!built(&private, &config(json!({"private": false})), "default").private);
    assert!(built(&push("main"), &config(json!({"private": true})), "default").private);
}

#[test]
fn a_value_that_nomad_would_change_is_refused_in_any_place() {
    let refused = |change: &Change, config: &RepoConfig, flavor: &str| match planned(change, config, flavor) {
        Planned::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    let usual = config(json!({}));
    for branch in ["x${NOMAD_TOKEN}", "a\u{0}", "a\tb", "a\u{85}b", &"x".repeat(4097)] {
        assert!(refused(&push(branch), &usual, "default").starts_with("BRANCH "), "{branch}");
    }
    let sender = Change { sender: Sender { login: "${x}".to_owned(), id: None }, ..push("main") };
    assert!(refused(&sender, &usual, "default").starts_with("SENDER "));
    let image = config(json!({"builders": {"flavors": {"x": {"image": "${NOMAD_TOKEN}"}}}}));
    assert!(refused(&push("main"), &image, "x").starts_with("IMAGE "));
    assert!(refused(&push("a:b"), &usual, "default").contains("git"));
    for odd in ["-dash", "x`id`|&<b>", "$x", "{}", "%{x}", "feat/émoji-🦤", &"l".repeat(180)] {
        assert_eq!(built(&push(odd), &usual, "default").meta["BRANCH"], odd);
    }
}

fn shape(required: &[&str], optional: &[&str], payload: PayloadMode) -> BuilderShape {
    let list = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    BuilderShape { meta_required: list(required), meta_optional: list(optional), payload, ..BuilderShape::default() }
}

const FOUR: &[&str] = &["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"];

#[test]
fn only_what_the_builder_declares_is_sent() {
    let (config, trusted) = (config(json!({})), true);
    let meta = built(&push("main"), &config, "default").meta;
    let keys =
        |shape: &BuilderShape| fit(&meta, shape, trusted, &config).map(|f| f.meta.into_keys().collect::<Vec<_>>());
    assert_eq!(keys(&shape(FOUR, &[], PayloadMode::Optional)).unwrap(), ["BRANCH", "COMMIT", "FLAVOR", "REPO_URL"]);
    assert_eq!(keys(&shape(&["REF"], FOUR, PayloadMode::Optional)).unwrap().len(), 5);
    let unused = shape(FOUR, &["IMAGE", "SENDER", "COLOUR"], PayloadMode::Optional);
    assert_eq!(keys(&unused).unwrap(), ["BRANCH", "COMMIT", "FLAVOR", "REPO_URL", "SENDER"]);
    let unknown = shape(&["REPO_URL", "COMMIT", "BRANCH", "FLAVOR", "COLOUR", "IMAGE"], &[], PayloadMode::Optional);
    assert!(keys(&unknown).unwrap_err().contains("COLOUR, IMAGE"));
    let few = shape(&["REPO_URL", "COMMIT"], &[], PayloadMode::Optional);
    assert!(keys(&few).unwrap_err().contains("BRANCH, FLAVOR"));
}

#[test]
fn secrets_go_as_payload_only_to_trusted_builds_without_controller() {
    let payload = |inject: &str, trusted: bool, mode: PayloadMode, has_controller: bool| {
        let config = config(json!({"inject": inject}));
        let meta = built(&push("main"), &config, "default").meta;
        let shape = BuilderShape { has_controller, ..shape(FOUR, &[], mode) };
        fit(&meta, &shape, trusted, &config).map(|fitted| fitted.payload.map(|p| p.expose().to_owned()))
    };
    use PayloadMode::{Forbidden, Optional, Required};
    let secrets = || Ok(Some("A=1".to_owned()));
    let newline = || Ok(Some("\n".to_owned()));
    assert_eq!(payload("A=1", true, Optional, false), secrets());
    assert_eq!(payload("A=1", true, Required, false), secrets());
    assert!(payload("A=1", true, Forbidden, false).is_err());
    assert_eq!(payload("A=1", true, Forbidden, true), Ok(None));
    assert_eq!(payload("A=1", true, Optional, true), Ok(None));
    assert_eq!(payload("A=1", true, Required, true), newline());
    assert_eq!(payload("A=1", false, Optional, false), Ok(None));
    assert_eq!(payload("A=1", false, Required, false), newline());
    assert_eq!(payload("A=1", false, Forbidden, false), Ok(None));
    assert_eq!(payload("", true, Required, false), newline());
    assert_eq!(payload(&"x".repeat(16_384), true, Optional, false), Ok(Some("x".repeat(16_384))));
    assert!(payload(&"x".repeat(16_385), true, Optional, false).is_err());
    assert_eq!(payload(&"x".repeat(16_385), false, Optional, false), Ok(None));
}

#[test]
fn a_record_keeps_the_plan_and_no_secret() {
    let config = config(json!({}));
    let plan = built(&push("main"), &config, "default");
    let now = Timestamp::from_second(1_766_000_000).unwrap();
    let record = record(&plan, Phase::Claimed, "nonce".to_owned(), now);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    assert!(!text.contains("A=1"));
    assert_eq!((record.trusted, record.created, record.meta), (true, now, plan.meta));
}
