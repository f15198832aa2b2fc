//! The runner group: what a build may have and nobody else, on each driver.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::hex;
use crate::fake::http::{Reply, client};
use crate::group::{Driver, Group, TASKS};
use crate::story::{INJECT, page, person, until};

/// Reads a parameter, files a report, and waits for a word.
const GREEN: &str = r#"#!/bin/sh
set -eu
echo "parameter of $(albatros param DEPLOY_KEY | wc -c) bytes, file of $(wc -c <"$SECRET_PATH")"
echo 'All is well' | albatros report --summary -
printf '<testsuite name="s"><testcase name="a"/><testcase name="b"><failure message="m"/></testcase></testsuite>' >t.xml
albatros report --junit t.xml
test ! -e "${SECRET_PATH%/*}/api.sock"
touch ../data/ready
while [ ! -e ../data/go ]; do sleep 0.1; done
"#;
/// What a build that nobody trusts finds.
const STRANGER: &str = r#"#!/bin/sh
echo "secret path: ${SECRET_PATH:-none}"
curl -s -o /dev/null -w 'params: %{http_code}\n' --unix-socket "${ALBATROS_API#unix:}" \
    -H "Authorization: Bearer $ALBATROS_TOKEN" http://x/v1/params
curl -s -o /dev/null -w 'workspace: %{http_code}\n' --unix-socket "${ALBATROS_API#unix:}" \
    -H "Authorization: Bearer $ALBATROS_TOKEN" http://x/v1/workspace
env | grep -c injected
albatros param DEPLOY_KEY || exit 7
"#;
const WAITS: &str = "#!/bin/sh
touch ../data/ready
while [ ! -e ../data/go ]; do sleep 0.1; done
echo let through
exit 6
";

async fn secrets_on(driver: Driver) {
    let Some(group) = Group::begin("secrets", driver, &[("green", GREEN), ("stranger", STRANGER)]).await else {
        return;
    };
    let build = group.push("green").await;
    group.left(&build, "ready").await;
    nothing_shows_a_secret(&group, &build).await;
    group.tell_script(&build, "go").await;
    let verdict = group.verdict("green").await;
    assert!(verdict.starts_with("success: Successful in "), "{verdict}\n{}", group.all_printed(&build).await);
    let said = person(group.server(), "GET", &format!("/build?job={build}&raw=1"), None).await.text;
    let secret = INJECT.split_once('=').unwrap().1;
    let expected =
        format!("parameter of {} bytes, file of {}\n2 tests, 1 failed, 0 skipped\n", secret.len(), INJECT.len());
    assert_eq!(said, expected);
    let shown = person(group.server(), "GET", &page(&build), None).await.text;
    assert!(shown.contains("All is well"), "{shown}");

    // The same push by somebody else: another claim, and nothing to be had.
    let build = group.push_by("stranger", "mallory").await;
    let verdict = group.verdict("stranger").await;
    assert!(verdict.starts_with("failure: Failed with exit 7"), "{verdict}\n{}", group.all_printed(&build).await);
    group.printed_with(&build, "secret path: none\nparams: 403\nworkspace: 403\n0\n").await;
    group.story.all_done().await;
    group.story.tell(&format!("green, and {verdict} for who is not trusted"));
}

/// Everything that others can look at while the script has the secrets.
async fn nothing_shows_a_secret(group: &Group, build: &str) {
    let nomad = &group.story.cluster.nomad;
    let job = nomad.job(build).await;
    assert!(job["Payload"].as_str().unwrap_or_default().is_empty(), "there is no payload");
    group.holds_no_secret("the job", &job.to_string());
    let allocation = nomad.allocation(build).await;
    group.holds_no_secret("the allocation", &allocation.to_string());
    let id = allocation["ID"].as_str().unwrap();
    group.holds_no_secret("the allocation", &nomad.text(&format!("/v1/allocation/{id}?namespace=ci")).await);
    group.holds_no_secret("the events", &all_events(group).await);
    for task in TASKS {
        group.holds_no_secret(&format!("the log of {task}"), &group.printed(build, task).await);
    }
    let mut folders = vec!["/".to_owned()];
    while let Some(folder) = folders.pop() {
        let list = nomad.get(&format!("/v1/client/fs/ls/{id}?path={folder}&namespace=ci")).await;
        for one in list.as_array().into_iter().flatten() {
            let path = format!("{folder}{}", one["Name"].as_str().unwrap());
            if one["IsDir"] == true {
                if !path.contains("/usr")
                    && !path.contains("/lib")
                    && !path.ends_with("/proc")
                    && !path.ends_with("/sys")
                {
                    folders.push(format!("{path}/"));
                }
            } else if one["FileMode"].as_str().is_some_and(|mode| mode.starts_with('-')) {
                let file = nomad.text(&format!("/v1/client/fs/cat/{id}?path={path}&namespace=ci")).await;
                group.holds_no_secret(&path, &file);
            }
        }
    }
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(process.path().join(file)).unwrap_or_default();
            group.holds_no_secret(&format!("a process's {file}"), &String::from_utf8_lossy(&bytes));
        }
    }
}

/// What Nomad's event stream has told so far.
async fn all_events(group: &Group) -> String {
    let nomad = &group.story.cluster.nomad;
    let request = client().get(format!("{}/v1/event/stream?index=0&namespace=ci", nomad.url()));
    let mut answer = request.header("x-nomad-token", nomad.management_token()).send().await.unwrap();
    let mut all = Vec::new();
    // It never ends: an empty heartbeat means that what there was has come.
    let reading = async {
        while let Some(piece) = answer.chunk().await.unwrap() {
            let heartbeat = piece.as_ref() == b"{}\n";
            all.extend_from_slice(&piece);
            if heartbeat {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(30), reading).await;
    assert!(!all.is_empty());
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_docker_secrets_are_seen_by_a_trusted_script_alone() {
    secrets_on(Driver::Docker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_exec_secrets_are_seen_by_a_trusted_script_alone() {
    secrets_on(Driver::Exec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_raw_exec_secrets_are_seen_by_a_trusted_script_alone() {
    secrets_on(Driver::RawExec).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_needs_to_hold_nothing_and_may_run_as_any_user() {
    let user = "#!/bin/sh
set -eu
touch made; git status --short; albatros param DEPLOY_KEY | wc -c; albatros report --summary .albatros
wc -c <\"$SECRET_PATH\"; id -u
";
    let scripts = [("nothing", "#!/one\n"), ("anybody", user)];
    let Some(group) = Group::begin("images", Driver::Docker, &scripts).await else { return };
    let (nothing, anybody) = (group.push_as("nothing", "one").await, group.push_as("anybody", "user").await);
    let secret = INJECT.split_once('=').unwrap().1.len();
    let file = INJECT.len();
    for (branch, build, expected) in [
        ("nothing", nothing, format!("one program, a parameter of {secret} bytes\n0 shells\n")),
        ("anybody", anybody, format!("?? made\n{secret}\n{file}\n1234\n")),
    ] {
        let verdict = group.verdict(branch).await;
        assert!(verdict.starts_with("success"), "{verdict}\n{}", group.all_printed(&build).await);
        group.printed_with(&build, &expected).await;
        group.story.tell(&format!("{expected:?}"));
    }
}

/// Asks for a session with the identity of a build's controller.
async fn session(group: &Group, build: &str, claim: &str) -> Reply {
    let path = group.folder(build).await.join("controller/secrets/nomad_albatros.jwt");
    let jwt = std::fs::read_to_string(path).unwrap();
    let body = json!({"claim": claim, "secret": hex(32)}).to_string();
    let request = client().post(format!("{}/session", group.server().url)).body(body);
    let request = request.header("authorization", format!("Bearer {jwt}")).header("content-type", "application/json");
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_is_worth_one_session_of_its_own_build() {
    let Some(group) = Group::begin("identity", Driver::RawExec, &[("one", WAITS), ("two", WAITS)]).await else {
        return;
    };
    let (one, two) = (group.push("one").await, group.push("two").await);
    for build in [&one, &two] {
        group.left(build, "ready").await;
    }
    let claim = group.claim("one").await;
    let again = session(&group, &one, &claim).await;
    assert_eq!(again.status, 409, "a second exchange: {}", again.text);
    let others = session(&group, &two, &claim).await;
    assert_eq!(others.status, 403, "the claim of another build: {}", others.text);
    let unknown = session(&group, &one, &hex(32)).await;
    assert_eq!(unknown.status, 403, "a claim that nobody made: {}", unknown.text);

    // By hand, with the claim of a build: a child like any other, but not the claim's.
    let meta = json!({
        "REPO_URL": group.git.url(), "COMMIT": group.git.commit_of("one"), "BRANCH": "one", "REF": "refs/heads/one",
        "FLAVOR": "default", "ALBATROS_CLAIM": claim,
    });
    let by_hand = group.story.cluster.nomad.dispatch(&group.story.name, &hex(8), &meta, "").await;
    group.left(&by_hand, "ready").await;
    let refused = session(&group, &by_hand, &claim).await;
    assert_eq!(refused.status, 403, "dispatched by hand: {}", refused.text);
    for build in [&one, &two, &by_hand] {
        group.tell_script(build, "go").await;
    }
    for branch in ["one", "two"] {
        assert!(group.verdict(branch).await.starts_with("failure: Failed with exit 6"));
    }
    group.story.all_done().await;
    let late = session(&group, &one, &claim).await;
    assert_eq!(late.status, 410, "after the end: {}", late.text);
    let said = [again, others, unknown, refused, late].map(|reply| {
        let problem: Value = reply.value();
        format!("{} {}", reply.status, problem["detail"].as_str().unwrap_or(&reply.text))
    });
    group.story.tell(&said.join("; "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_ends_once_though_the_server_was_away() {
    let Some(mut group) = Group::begin("away", Driver::RawExec, &[("waits", WAITS)]).await else { return };
    let build = group.push("waits").await;
    group.left(&build, "ready").await;
    group.serve.take().unwrap().kill().await;
    group.tell_script(&build, "go").await;
    let ended = || async {
        let found = group.story.cluster.nomad.allocation(&build).await;
        (found["TaskStates"]["executor"]["State"] == "dead").then_some(())
    };
    until("the script's end", ended).await;
    group.start().await;
    let verdict = group.verdict("waits").await;
    assert!(verdict.starts_with("failure: Failed with exit 6"), "{verdict}");
    group.story.all_done().await;
    group.story.one_final(&group.git.commit_of("waits"));
    group.story.tell(&verdict);
}
