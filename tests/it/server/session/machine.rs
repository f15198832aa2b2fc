//! A build in a machine of its own: its executor's failure is the script's only where the machine has told the script's end.

use serde_json::{Value, json};

use super::{Story, secret};
use crate::fake::delivery::commit;
use crate::fake::http::{Reply, client};

async fn ends(machine: &Value, code: i64) -> (String, String) {
    let (story, secret) = (Story::new().await, secret());
    assert_eq!(story.exchange(&secret).await.status, 200);
    for told in [&json!({"is": "running"}), machine] {
        let url = format!("{}/session/{}/report", story.serve.url, story.claim());
        let body = json!({ "machine": told }).to_string();
        let put = client().put(url).bearer_auth(&secret).body(body).send().await.unwrap();
        assert_eq!(Reply::read(put).await.status, 204);
    }
    story.world.nomad.run(&story.build);
    story.world.nomad.exit(&story.build, code);
    story.world.all_done(1).await;
    let last = story.world.final_status(&commit(2));
    (last.state.clone(), last.description.clone())
}

#[tokio::test]
async fn a_machine_that_was_lost_is_no_failure_of_the_script() {
    let (state, sentence) = ends(&json!({"is": "running"}), 137).await;
    assert_eq!(state, "error", "{sentence}");
    assert!(sentence.contains("the build's machine was lost"), "{sentence}");
}

#[tokio::test]
async fn a_host_that_was_killed_while_artifacts_were_being_kept_is_no_failure_of_the_script() {
    let (state, sentence) = ends(&json!({"is": "ended", "exit_code": 0}), 137).await;
    assert_eq!(state, "error", "{sentence}");
    assert!(sentence.contains("the machine's host was lost"), "{sentence}");
}

#[tokio::test]
async fn why_a_machine_has_failed_is_told_and_obeyed_by_no_terminal() {
    let (state, sentence) = ends(&json!({"is": "failed", "why": "its kernel was\u{1b}[31m not up"}), 125).await;
    assert_eq!(state, "error", "{sentence}");
    assert!(sentence.contains("its kernel was[31m not up"), "{sentence}");
}

#[tokio::test]
async fn what_a_script_has_ended_with_in_its_machine_stays_its_own() {
    let (state, sentence) = ends(&json!({"is": "ended"}), 3).await;
    assert_eq!(state, "failure", "{sentence}");
    assert!(sentence.starts_with("Failed with exit 3"), "{sentence}");
    let (state, sentence) = ends(&json!({"is": "ended", "exit_code": 3}), 3).await;
    assert_eq!(state, "failure", "{sentence}");
    let (state, sentence) = ends(&json!({"is": "ended"}), 0).await;
    assert_eq!(state, "success", "{sentence}");
}
