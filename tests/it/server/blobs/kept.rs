//! What is kept as it should be.

use serde_json::json;

use super::{Stage, sum, told};

#[tokio::test]
async fn an_artifact_is_read_by_its_build_once_it_is_committed() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    let upload = stage.begin(&build, "artifacts/report").await;
    assert_eq!(stage.send(&build, &upload, b"all is well").await.status, 204);
    assert_eq!(stage.get(&build, "artifacts/report").await.status, 404, "not before it is committed");
    assert_eq!(stage.get(&build, "artifacts").await.value(), json!([]));
    let kept = stage.commit(&build, "artifacts/report", &told(&upload, b"all is well")).await;
    assert_eq!(kept.status, 201, "{}", kept.text);
    let got = stage.get(&build, "artifacts/report").await;
    assert_eq!((got.status, got.text.as_str()), (200, "all is well"));
    for (name, value) in [
        ("x-albatros-id", "report"),
        ("x-albatros-size", "11"),
        ("x-albatros-sha256", sum(b"all is well").as_str()),
        ("x-albatros-packing", "file"),
        ("x-albatros-name", "a.txt"),
        ("content-length", "11"),
        ("content-type", "application/octet-stream"),
    ] {
        assert_eq!(got.headers[name], value, "{name}");
    }
    let head = stage.ask(&build, "HEAD", "artifacts/report", Vec::new()).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["x-albatros-sha256"], sum(b"all is well"));
    let listed = stage.get(&build, "artifacts").await.value();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]), (1, &kept.value()));
    assert!(listed[0].get("object").is_none(), "where the bytes are is nobody's business: {listed}");
}

#[tokio::test]
async fn the_same_commit_again_is_answered_again() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    let upload = stage.begin(&build, "artifacts/a").await;
    assert_eq!(stage.send(&build, &upload, b"one").await.status, 204);
    let first = stage.commit(&build, "artifacts/a", &told(&upload, b"one")).await;
    let again = stage.commit(&build, "artifacts/a", &told(&upload, b"one")).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.value(), again.value());
}

#[tokio::test]
async fn what_is_there_is_not_written_anew() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    let upload = stage.begin(&build, "artifacts/a").await;
    let second = stage.begin(&build, "artifacts/a").await;
    for (upload, bytes) in [(&upload, b"one"), (&second, b"two")] {
        assert_eq!(stage.send(&build, upload, bytes).await.status, 204);
    }
    assert_eq!(stage.commit(&build, "artifacts/a", &told(&upload, b"one")).await.status, 201);
    assert_eq!(stage.commit(&build, "artifacts/a", &told(&second, b"two")).await.status, 409, "two at once");
    assert_eq!(stage.ask(&build, "POST", "artifacts/a", b"{}".to_vec()).await.status, 409, "and later");
    assert_eq!(stage.send(&build, &upload, b"six").await.status, 409, "nor its bytes");
    assert_eq!(stage.get(&build, "artifacts/a").await.text, "one");
}

#[tokio::test]
async fn an_upload_is_committed_at_another_replica() {
    let mut stage = Stage::new().await;
    let build = stage.build(2).await;
    let upload = stage.begin(&build, "artifacts/a").await;
    assert_eq!(stage.send(&build, &upload, b"one").await.status, 204);
    stage.serve = stage.world.serve().await;
    let mut wrong = told(&upload, b"one");
    wrong["sha256"] = sum(b"two").into();
    let refused = stage.commit(&build, "artifacts/a", &wrong).await;
    assert_eq!(refused.status, 422, "it looks at the bytes: {}", refused.text);
    let upload = stage.begin(&build, "artifacts/a").await;
    assert_eq!(stage.send(&build, &upload, b"two").await.status, 204);
    stage.serve = stage.world.serve().await;
    assert_eq!(stage.commit(&build, "artifacts/a", &told(&upload, b"two")).await.status, 201);
}

#[tokio::test]
async fn a_large_artifact_passes_in_pieces() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let upload = stage.begin(&build, "artifacts/large").await;
    let pieces = bytes.chunks(100_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let url = format!("{}/session/{}/uploads/{upload}", stage.serve.url, build.claim);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let sent = crate::fake::http::client().put(url).bearer_auth(&build.secret).body(body).send().await.unwrap();
    assert_eq!(sent.status(), 204, "without a length too");
    assert_eq!(stage.commit(&build, "artifacts/large", &told(&upload, &bytes)).await.status, 201);
    let url = format!("{}/session/{}/artifacts/large", stage.serve.url, build.claim);
    let got = crate::fake::http::client().get(url).bearer_auth(&build.secret).send().await.unwrap();
    assert_eq!(sum(&got.bytes().await.unwrap()), sum(&bytes));
}

#[tokio::test]
async fn the_verdict_closes_the_door() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    let upload = stage.begin(&build, "artifacts/late").await;
    stage.world.nomad.run(&build.id);
    stage.world.nomad.exit(&build.id, 0);
    stage.world.all_done(1).await;
    assert_eq!(stage.send(&build, &upload, b"late").await.status, 410);
    assert_eq!(stage.commit(&build, "artifacts/late", &told(&upload, b"late")).await.status, 410);
    assert!(stage.files().iter().all(|file| !file.contains("/objects/")), "{:?}", stage.files());
}
