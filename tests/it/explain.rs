//! `albatros explain` says what `serve` would do, for every delivery there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::explained::EXPECTED;

const CONFIG: &str = r#"{
  "hook": {"secret": "s3cr3t-hmac"},
  "gitea": {"url": "http://127.0.0.1:3300", "token": "c0ffee"},
  "trusted": {"senders": ["quentin", "lx"]},
  "inject": "SECRET1=xx\nSECRET2=yy"
}"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture").join(format!("{name}.json"))
}

fn request(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// Types the command and gives exit code and answer.
fn explain(config: &str, delivery: &[u8], more: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let (config_file, delivery_file) = (folder.path().join("config.json"), folder.path().join("delivery.json"));
    std::fs::write(&config_file, config).unwrap();
    std::fs::write(&delivery_file, delivery).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_albatros"))
        .arg("explain")
        .args([&config_file, &delivery_file])
        .args(more)
        .arg("--json")
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    (code, serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

fn explain_request(config: &str, request: &Value) -> (i32, Value) {
    explain(config, &serde_json::to_vec(request).unwrap(), &[])
}

fn set_header(request: &mut Value, name: &str, value: &str) {
    let headers = request["headers"].as_array_mut().unwrap();
    headers.retain(|pair| !pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
    headers.push(json!([name, value]));
}

fn drop_headers(request: &mut Value, part: &str) {
    let headers = request["headers"].as_array_mut().unwrap();
    headers.retain(|pair| !pair[0].as_str().unwrap().contains(part));
}

#[test]
fn every_delivery_has_the_expected_explanation() {
    let mut wrong = Vec::new();
    for (name, decision, event, trusted, branch, commit, reason) in EXPECTED {
        let (code, said) = explain(CONFIG, &std::fs::read(fixture(name)).unwrap(), &[]);
        let built = matches!(*decision, "build" | "held");
        let expected_code = match *decision {
            "build" => 0,
            "held" => 9,
            "ignored" => 10,
            _ => 11,
        };
        let fits = code == expected_code
            && said["decision"] == *decision
            && said["event"].as_str().unwrap_or("-") == *event
            && said["trusted"] == *trusted
            && said["reason"].as_str().unwrap().contains(reason)
            && !said["why_trusted"].as_str().unwrap().is_empty()
            && said["builder"].as_str() == built.then_some("builder")
            && said["claim"].as_str().map(str::len) == built.then_some(64)
            && said["meta"].is_object() == built
            && (!built || (said["meta"]["BRANCH"] == *branch && said["meta"]["COMMIT"] == *commit));
        if !fits {
            wrong.push(format!("{name}: exit {code}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_delivery_is_left_out_of_the_table() {
    let named: BTreeSet<String> = EXPECTED.iter().map(|row| row.0.to_owned()).collect();
    let mut there = BTreeSet::new();
    for folder in ["gitea", "github", "forgejo"] {
        for entry in std::fs::read_dir(fixture(folder).with_extension("")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(stem) = name.strip_suffix(".json") {
                there.insert(format!("{folder}/{stem}"));
            }
        }
    }
    assert_eq!(named, there);
}

#[test]
fn the_answer_has_exactly_the_documented_fields() {
    let (_, said) = explain_request(CONFIG, &request("gitea/push-main"));
    let keys: Vec<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["decision", "reason", "event", "trusted", "why_trusted", "builder", "meta", "claim", "given"]);
    let meta: Vec<&str> = said["meta"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(meta, ["BRANCH", "COMMIT", "FLAVOR", "REPO_URL"]);
    assert_eq!(said["meta"]["REPO_URL"], "http://127.0.0.1:3300/quentin/albatros.git");
}

#[test]
fn a_bare_body_counts_as_verified_and_has_the_same_claim() {
    let recorded = request("gitea/push-main");
    let (code, bare) = explain(CONFIG, recorded["body"].as_str().unwrap().as_bytes(), &[]);
    assert_eq!(code, 0);
    let (_, whole) = explain_request(CONFIG, &recorded);
    assert_eq!(bare, whole);
}

#[test]
fn a_signature_that_is_not_right_is_refused() {
    let good = request("gitea/push-main");
    let right = "3460b493aa42c593299a40c508cfceedce4e0662f829c6301a9f1989cbd657ea";
    for wrong in ["", "zz", &right[..62], &format!("{right}00"), &right.replace('3', "4"), &format!("sha256={right}")] {
        let mut bad = good.clone();
        set_header(&mut bad, "X-Gitea-Signature", wrong);
        let (code, said) = explain_request(CONFIG, &bad);
        assert_eq!((code, &said["decision"]), (11, &json!("refused")), "{wrong}");
    }
    let mut none = good.clone();
    drop_headers(&mut none, "Signature");
    assert_eq!(explain_request(CONFIG, &none).0, 11);
    let mut sha1 = good.clone();
    drop_headers(&mut sha1, "Signature-256");
    drop_headers(&mut sha1, "Gitea-Signature");
    assert_eq!(explain_request(CONFIG, &sha1).0, 11);
    let mut twice = good.clone();
    twice["headers"].as_array_mut().unwrap().push(json!(["x-gitea-signature", right]));
    assert_eq!(explain_request(CONFIG, &twice).0, 11);
    let other_key = CONFIG.replace("s3cr3t-hmac", "another");
    assert_eq!(explain_request(&other_key, &good).0, 11);
}

#[test]
fn any_secret_of_a_list_signs_and_the_first_keys_the_claim() {
    let good = request("gitea/push-main");
    let (code, rotated) = explain_request(&CONFIG.replace(r#""s3cr3t-hmac""#, r#"["new", "s3cr3t-hmac"]"#), &good);
    assert_eq!(code, 0);
    assert_ne!(rotated["claim"], explain_request(CONFIG, &good).1["claim"]);
}

#[test]
fn a_token_is_taken_from_the_address_or_as_bearer() {
    let token = r#"{"hook": {"token": ["old", "s3cr3t"]}, "trusted": {"senders": ["quentin"]}}"#;
    let mut asked = request("gitea/push-no-secret");
    let (code, said) = explain_request(token, &asked);
    assert_eq!((code, &said["trusted"]), (0, &json!(true)));
    asked["path"] = json!("/hook");
    assert_eq!(explain_request(token, &asked).0, 11);
    asked["path"] = json!("/hook?token=");
    assert_eq!(explain_request(token, &asked).0, 11);
    asked["path"] = json!("/hook?token=wrong&flavor=default");
    assert_eq!(explain_request(token, &asked).0, 11);
    asked["path"] = json!("/hook");
    set_header(&mut asked, "authorization", "bearer s3cr3t");
    assert_eq!(explain_request(token, &asked).0, 0);
}

#[test]
fn the_flavor_comes_from_the_address() {
    let config = CONFIG
        .replace(r#""inject""#, r#""builders": {"untrusted": "jail", "flavors": {"big": "builder-big"}}, "inject""#);
    let mut asked = request("gitea/push-main");
    asked["path"] = json!("/hook?flavor=big");
    let (_, said) = explain_request(&config, &asked);
    assert_eq!((&said["builder"], &said["meta"]["FLAVOR"]), (&json!("builder-big"), &json!("big")));
    asked["path"] = json!("/hook?flavor=a%2Fb");
    assert_eq!(explain_request(&config, &asked).0, 11);
    let untrusted = config.replace("\"quentin\", ", "");
    asked["path"] = json!("/hook?flavor=big");
    assert_eq!(explain_request(&untrusted, &asked).1["builder"], "jail");
}

#[test]
fn the_policy_for_pull_requests_is_the_configuration_s() {
    let fork = request("gitea/pr-fork-opened");
    let with = |policy: &str| CONFIG.replace(r#""inject""#, &format!(r#""pull_requests": "{policy}", "inject""#));
    assert_eq!(explain_request(&with("hold"), &fork).0, 9);
    let (code, said) = explain_request(&with("build"), &fork);
    assert_eq!((code, &said["trusted"]), (0, &json!(false)));
    assert_eq!(explain_request(&with("ignore"), &fork).0, 10);
}

#[test]
fn bodies_that_two_readers_could_read_differently_are_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let address = r#""repository":{"clone_url":"https://git.example/a/b.git"}"#;
    for body in [
        String::new(),
        "null".to_owned(),
        deep,
        format!("{{{address},{address}}}"),
        r#"{"repository":{"clone_url":"https://git.example/a/b.git","clone_url":"https://git.example/c/d.git"}}"#
            .to_owned(),
        format!(r#"{{{address},"x":{{"a":1,"\u0061":2}}}}"#),
        format!(r#"{{{address},"x":"\ud800"}}"#),
        format!(r#"{{{address}}} x"#),
        r#"{"repository":{"clone_url":["https://git.example/a/b.git"]}}"#.to_owned(),
    ] {
        let (code, said) = explain(CONFIG, body.as_bytes(), &[]);
        assert_eq!((code, &said["decision"]), (11, &json!("refused")), "{body:.80}");
        assert!(!said["reason"].as_str().unwrap().is_empty());
    }
    assert_eq!(explain(CONFIG, b"{\"repository\":{\"clone_url\":\"\xff\"}}", &[]).0, 11);
}

#[test]
fn values_that_no_build_is_given_are_refused() {
    let push = |name: &str| {
        let body = json!({
            "ref": format!("refs/heads/{name}"), "before": "0".repeat(40), "after": "a".repeat(40),
            "repository": {"id": 1, "clone_url": "https://git.example/a/b.git"}, "sender": {"login": "quentin"}
        });
        explain(CONFIG, body.to_string().as_bytes(), &[])
    };
    assert_eq!(push("main").0, 0);
    assert_eq!(push("a\u{0}b").0, 11);
    for name in ["a\nb", "a\u{7f}b", "x${NOMAD_TOKEN}", "a:b", "a..b", "", &"x".repeat(4097)] {
        let (code, said) = push(name);
        assert_eq!((code, &said["decision"], &said["event"]), (11, &json!("refused"), &json!("push")), "{name:?}");
    }
}

#[test]
fn a_configuration_that_is_not_understood_refuses_and_names_the_field() {
    let good = request("gitea/push-main");
    for (config, field) in [
        (r#"{"hook":{"secret":""}}"#, "hook.secret"),
        (r#"{"hook":{}}"#, "hook"),
        (r#"{"hook":{"token":"x"},"trusted":{"senders":["a",{"login":"b","id":"7"}]}}"#, "trusted.senders[1].id"),
        (r#"{"hook":{"token":"x"},"colour":1}"#, "colour"),
        (r#"{"hook":{"token":"x","token":"y"}}"#, "token"),
        ("", "JSON"),
    ] {
        let (code, said) = explain_request(config, &good);
        assert_eq!(code, 11, "{config}");
        assert!(said["reason"].as_str().unwrap().contains(field), "{said}");
    }
}

#[test]
fn with_a_builder_its_meta_and_place_are_planned() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.json");
    let explain_with = |job_json: Value, config: &str| {
        std::fs::write(&job, job_json.to_string()).unwrap();
        let delivery = std::fs::read(fixture("gitea/push-main")).unwrap();
        explain(config, &delivery, &["--builder", job.to_str().unwrap()])
    };
    let four = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"];
    let takes = |optional: &[&str], payload: &str| {
        json!({"Job": {"ID": "builder", "Namespace": "ci", "Region": "global", "ParameterizedJob":
            {"Payload": payload, "MetaRequired": four, "MetaOptional": optional}}})
    };
    let (code, said) = explain_with(takes(&["REF", "TRUSTED", "ALBATROS_CLAIM"], "optional"), CONFIG);
    assert_eq!((code, &said["meta"]["REF"], &said["meta"]["TRUSTED"]), (0, &json!("refs/heads/main"), &json!("true")));
    assert_eq!(said["meta"]["ALBATROS_CLAIM"], said["claim"]);
    assert_eq!(said["meta"].as_object().unwrap().len(), 7);
    assert_eq!(said["claim"], explain_request(CONFIG, &request("gitea/push-main")).1["claim"]);
    assert_eq!(explain_with(takes(&[], "forbidden"), CONFIG).0, 11);
    assert_eq!(explain_with(takes(&[], "optional"), &CONFIG.replace("xx", &"x".repeat(16_384))).0, 11);
    assert_eq!(explain_with(json!({"ID": "web"}), CONFIG).0, 11);
    assert_eq!(explain_with(json!([]), CONFIG).0, 2);
}

#[test]
fn files_that_cannot_be_read_are_a_wrong_use() {
    let missing =
        Command::new(env!("CARGO_BIN_EXE_albatros")).args(["explain", "nowhere", "nothing"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(missing.stdout.is_empty());
    let odd = json!({"method": "POST", "path": "/hook", "headers": "none", "body": ""});
    assert_eq!(explain_request(CONFIG, &odd), (2, Value::Null));
}

#[test]
fn no_answer_repeats_a_secret() {
    for name in ["gitea/push-main", "gitea/push-authorization-header", "gitea/push-no-secret"] {
        let (_, said) = explain_request(CONFIG, &request(name));
        for secret in ["s3cr3t", "c0ffee", "SECRET1=", "xx", "yy"] {
            assert!(!said.to_string().contains(secret), "{said}");
        }
    }
}

#[test]
fn what_a_build_would_be_given_is_told_by_name_and_never_by_value() {
    let fork = request("gitea/pr-fork-opened");
    let push = request("gitea/push-main");
    let given = |config: &str, request: &Value| explain_request(config, request).1["given"].to_string();
    let told = given(CONFIG, &push);
    assert!(told.contains("SECRET1, SECRET2") && told.contains("the forge's token, for the checkout of"), "{told}");
    assert!(!told.contains("xx") && !told.contains("yy") && !told.contains("c0ffee"), "{told}");
    assert!(given(CONFIG, &fork).contains("no parameters: it is not trusted"));
    let more = CONFIG.replace(r#""inject""#, r#""submodules": true, "lfs": true, "inject""#);
    assert!(given(&more, &push).contains("submodules and files of git LFS"));
    let odd = CONFIG.replace(r#""SECRET1=xx"#, r#""if true; then SECRET1=xx"#);
    let told = given(&odd, &push);
    assert!(told.contains("SECRET_PATH") && !told.contains("xx"), "{told}");
    let none = CONFIG.replace(r#""inject": "SECRET1=xx\nSECRET2=yy""#, r#""private": true"#);
    assert!(given(&none, &push).contains("the configuration has none"));
    let harmful = CONFIG.replace("SECRET1", "LD_PRELOAD");
    let (code, said) = explain_request(&harmful, &push);
    assert!(code == 11 && said["reason"].as_str().unwrap().contains("LD_PRELOAD"), "{said}");
}

/// [`CONFIG`] with one more field.
fn configured(field: &str, value: Value) -> String {
    let mut config: Value = serde_json::from_str(CONFIG).unwrap();
    config[field] = value;
    config.to_string()
}

#[test]
fn what_is_skipped_has_an_exit_code_of_its_own() {
    let mut push = request("gitea/push-main");
    drop_headers(&mut push, "ignature");
    let mut body: Value = serde_json::from_str(push["body"].as_str().unwrap()).unwrap();
    let (code, said) = explain(&configured("branches", json!(["release/*"])), body.to_string().as_bytes(), &[]);
    assert_eq!((code, said["decision"].as_str()), (12, Some("skipped")), "{said}");
    assert!(said["reason"].as_str().unwrap().contains("`branches`"), "{said}");
    assert!(said["claim"].is_null() && said["meta"].is_null(), "{said}");
    body["head_commit"]["message"] = "x [No CI]".into();
    let (code, said) = explain(CONFIG, body.to_string().as_bytes(), &[]);
    assert_eq!(code, 12, "{said}");
    assert!(said["reason"].as_str().unwrap().ends_with("[no ci] in the commit's message"), "{said}");
}

#[test]
fn what_the_forge_would_be_asked_is_said() {
    let asks = |config: &str, name: &str| explain_request(config, &request(name)).1["asks"].clone();
    let paths = configured("paths", json!(["src/**"]));
    assert_eq!(asks(&paths, "gitea/push-main").as_array().unwrap().len(), 1);
    assert_eq!(asks(&paths, "gitea/pr-fork-opened").as_array().unwrap().len(), 2);
    assert!(asks(&paths, "gitea/push-tag").is_null());
    assert!(asks(CONFIG, "gitea/push-main").is_null());
}
