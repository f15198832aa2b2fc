//! What is kept when the script has ended.

use std::sync::Arc;

use albatros::api::controller::{Done, Finished, Save, ScriptEnd, Unsaved, When};
use albatros::domain::blob::BlobKind;

use super::super::serve::FakeServe;
use super::super::{Running, start};

fn save(kind: BlobKind, id: &str, when: When) -> Save {
    Save { kind, id: id.parse().unwrap(), paths: vec!["out".to_owned()], when, dir: String::new() }
}

/// The script declares, ends with this code, and gets its answer; the sidecar gets what is due and answers `done`.
async fn ends(running: &Arc<Running>, code: u8, done: Done) -> (Vec<String>, Finished) {
    let script = running.as_script();
    for (kind, id, when) in [
        (BlobKind::Artifact, "app", When::Success),
        (BlobKind::Artifact, "log", When::Always),
        (BlobKind::Cache, "deps", When::Success),
        (BlobKind::Artifact, "app", When::Success),
    ] {
        script.save(&save(kind, id, when)).await.unwrap();
    }
    let sidecar = tokio::spawn({
        let running = Arc::clone(running);
        async move {
            let trusted = running.as_trusted();
            let due = loop {
                if let Some(due) = trusted.saves_due().await.unwrap() {
                    break due;
                }
            };
            assert_eq!(due.ended == ScriptEnd::Success, code == 0);
            trusted.saves_done(&done).await.unwrap();
            due.saves.into_iter().map(|save| save.id.to_string()).collect()
        }
    });
    let finished = script.finish(code).await.unwrap();
    (sidecar.await.unwrap(), finished)
}

#[tokio::test]
async fn a_success_keeps_everything_and_a_failure_what_is_always_kept() {
    for (code, kept) in [(0, &["log", "deps", "app"][..]), (3, &["log"])] {
        let serve = FakeServe::start(&[]).await;
        let running = Arc::new(start(serve.source()).await);
        let (due, finished) = ends(&running, code, Done::default()).await;
        assert_eq!((due, finished), (kept.iter().map(ToString::to_string).collect(), Finished::default()));
    }
}

#[tokio::test]
async fn an_artifact_that_is_not_kept_is_trouble_that_serve_is_told_and_a_cache_is_only_a_note() {
    let serve = FakeServe::start(&[]).await;
    let running = Arc::new(start(serve.source()).await);
    let failed = [(BlobKind::Cache, "deps"), (BlobKind::Artifact, "app"), (BlobKind::Artifact, "log")]
        .map(|(kind, id)| Unsaved { kind, id: id.parse().unwrap(), reason: "out is not there".to_owned() });
    let (_, finished) = ends(&running, 0, Done { failed: failed.to_vec() }).await;
    let trouble = "artifact app could not be kept: out is not there (and 1 more)";
    assert_eq!(finished.trouble.as_deref(), Some(trouble));
    assert_eq!(finished.notes, ["cache deps could not be kept: out is not there"]);
    assert_eq!(serve.reports().last().unwrap().1.trouble.as_deref(), Some(trouble));
}

#[tokio::test(start_paused = true)]
async fn without_a_sidecar_nothing_is_kept_and_that_is_trouble() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    running.as_script().save(&save(BlobKind::Artifact, "app", When::Success)).await.unwrap();
    let finished = running.as_script().finish(0).await.unwrap();
    assert!(finished.trouble.unwrap().starts_with("artifact app could not be kept: the build's sidecar"));
}

#[tokio::test]
async fn what_cannot_be_kept_at_all_is_refused_when_it_is_declared() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    for (body, status) in [
        (r#"{"kind":"artifact","id":"a","paths":["x"]}"#, 201),
        (r#"{"kind":"artifact","id":"../a","paths":["x"]}"#, 422),
        (r#"{"kind":"artifact","id":"a","paths":[]}"#, 422),
        (r#"{"kind":"log","id":"a","paths":["x"]}"#, 422),
        ("nonsense", 422),
    ] {
        assert_eq!(running.script("POST /v1/saves application/json", body).await.status, status, "{body}");
    }
    for number in 0..63 {
        running.as_script().save(&save(BlobKind::Cache, &format!("c{number}"), When::Always)).await.unwrap();
    }
    let refused = running.as_script().save(&save(BlobKind::Cache, "more", When::Always)).await.unwrap_err();
    assert_eq!(refused.status().unwrap().as_u16(), 413);
    assert_eq!(running.script("GET /v1/saves", "").await.value().as_array().unwrap().len(), 64);
}
