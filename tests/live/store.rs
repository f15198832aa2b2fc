//! A real bucket: bytes go to it and come from it by themselves, and what is old goes.

use std::time::Duration;

use albatros::api::store::{S3Keys, S3Settings, Store, StoreSettings};
use albatros::domain::blob::BlobKind;
use albatros::domain::id::{ClaimId, UploadId};
use albatros::domain::place::{Folder, Key, RepoPlace, histories, history, ready};
use albatros::domain::secret::Secret;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fake::delivery::commit;
use crate::fake::hex;
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{World, person};
use crate::garage::Garage;

/// A server with a bucket, and a build with a session.
struct Stage {
    garage: Garage,
    world: World,
    serve: Serve,
    build: String,
    claim: String,
    secret: String,
}

impl Stage {
    async fn new(story: &str, prefix: &str, more: &[(&str, &str)]) -> Option<Self> {
        let garage = Garage::start(story)?;
        let world = World::new().await;
        world.nomad.register(&Builder::full("builder"));
        for (name, value) in garage.settings(prefix) {
            world.set(&name, &value);
        }
        for (name, value) in more {
            world.set(name, value);
        }
        let serve = world.serve().await;
        let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
        world.nomad.place(&build);
        let claim = world.nomad.job(&build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
        let (secret, token) = (hex(32), world.nomad.sign(&world.nomad.claims(&build)));
        let body = json!({"claim": claim, "secret": secret}).to_string();
        let mut granted = None;
        while granted != Some(200) {
            let ask = client().post(format!("{}/session", serve.url)).bearer_auth(&token).body(body.clone());
            let status = ask.send().await.unwrap().status().as_u16();
            assert!(matches!(status, 200 | 503), "{status}");
            granted = Some(status);
        }
        Some(Self { garage, world, serve, build, claim, secret })
    }

    async fn ask(&self, method: &str, path: &str, body: String) -> Reply {
        let url = format!("{}/session/{}/{path}", self.serve.url, self.claim);
        let request = client().request(method.parse().unwrap(), url).bearer_auth(&self.secret).body(body);
        Reply::read(request.send().await.unwrap()).await
    }

    /// Puts a blob the way that a controller does.
    async fn put(&self, path: &str, bytes: &[u8], packing: &str) -> Reply {
        let begun = self.ask("POST", path, json!({"size": bytes.len()}).to_string()).await.value();
        let url = begun["url"].as_str().unwrap();
        let sent = client().put(url).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
        assert_eq!(self.ask("GET", path, String::new()).await.status, 404, "not before it is committed");
        let sum = hex::encode(Sha256::digest(bytes));
        let told = json!({"upload": begun["upload"], "size": bytes.len(), "sha256": sum, "packing": packing});
        let kept = self.ask("POST", &format!("{path}/commit"), told.to_string()).await;
        assert_eq!(self.ask("POST", &format!("{path}/commit"), told.to_string()).await.status, 200, "and again");
        kept
    }
}

fn location(reply: &Reply) -> String {
    assert_eq!(reply.status, 307, "{}", reply.text);
    reply.headers["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_between_a_build_and_the_bucket_alone() {
    let Some(stage) = Stage::new("store_signed", "of/ci", &[]).await else { return };
    assert_eq!(person(&stage.serve, "GET", "/readyz", None).await.text, "ready\n");
    let bytes: Vec<u8> = (0..12_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    assert_eq!(stage.put("artifacts/large", &bytes, "file").await.status, 201);
    let given = stage.ask("GET", "artifacts/large", String::new()).await;
    assert_eq!(given.headers["x-albatros-size"], "12000000");
    let url = location(&given);
    assert!(url.starts_with(&stage.garage.url()) && !url.contains(&stage.garage.secret), "{url}");
    let got = client().get(&url).send().await.unwrap();
    assert_eq!(Sha256::digest(got.bytes().await.unwrap()), Sha256::digest(&bytes));
    let other = url.replace("/objects/", "/objects/0");
    assert_eq!(client().get(other).send().await.unwrap().status(), 403, "it is good for one object");
    assert_eq!(client().delete(&url).send().await.unwrap().status(), 403, "and for reading");
    assert_eq!(stage.put("caches/deps-1", b"cache", "file").await.status, 201);
    location(&stage.ask("GET", "caches/deps-2?fallback=deps-", String::new()).await);
    let page = format!("/builds/{}/artifacts/large", stage.build);
    let saved = client().get(location(&person(&stage.serve, "GET", &page, None).await)).send().await.unwrap();
    assert_eq!(saved.headers()["content-disposition"], "attachment; filename=\"large\"");
    let printed = stage.world.printed();
    assert!(!printed.contains(&stage.garage.secret) && !printed.contains("X-Amz-Signature"), "no address is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_at_the_bucket_otherwise_than_told_is_not_kept() {
    let Some(stage) = Stage::new("store_wrong", "of/ci", &[("ALBATROS_ARTIFACT_LIMIT", "1MiB")]).await else { return };
    let begun = stage.ask("POST", "artifacts/a", json!({"size": 3}).to_string()).await.value();
    let told = |size: usize| {
        let sum = hex::encode(Sha256::digest(b"one"));
        json!({"upload": begun["upload"], "size": size, "sha256": sum, "packing": "file"}).to_string()
    };
    let missing = stage.ask("POST", "artifacts/a/commit", told(3)).await;
    assert_eq!(missing.status, 422, "{}", missing.text);
    let url = begun["url"].as_str().unwrap();
    assert_eq!(client().put(url).body(vec![7; 2 << 20]).send().await.unwrap().status(), 200);
    let large = stage.ask("POST", "artifacts/a/commit", told(3)).await;
    assert!(large.status == 413 && large.text.contains("1 MiB at most"), "{}", large.text);
    assert_eq!(stage.ask("POST", "artifacts/a/commit", told(3)).await.status, 422, "it was taken away");
    drop(stage.garage);
    let gone = stage.serve.url.clone();
    let url = format!("{gone}/session/{}/artifacts/a", stage.claim);
    let reply = client().post(url).bearer_auth(&stage.secret).body("{}").send().await.unwrap();
    assert_eq!(reply.status(), 503);
    assert!(reply.text().await.unwrap().contains("the store cannot be reached"));
    let ready = client().get(format!("{gone}/readyz")).send().await.unwrap();
    assert!(ready.text().await.unwrap().contains("the store"), "and says so");
}

fn open(garage: &Garage, prefix: &str) -> Store {
    let told: std::collections::HashMap<String, String> = garage.settings(prefix).into_iter().collect();
    let s3 = S3Settings {
        endpoint: Some(told["AWS_ENDPOINT_URL"].parse().unwrap()),
        region: Some(told["AWS_REGION"].clone()),
        keys: Some(S3Keys {
            id: told["AWS_ACCESS_KEY_ID"].clone(),
            secret: Secret::new(told["AWS_SECRET_ACCESS_KEY"].as_str()),
            token: None,
        }),
        ..S3Settings::default()
    };
    Store::open(&StoreSettings { address: told["ALBATROS_STORE"].parse().unwrap(), s3, signs: true }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_does_with_a_bucket_what_it_does_with_files() {
    let Some(garage) = Garage::start("store_client") else { return };
    let store = open(&garage, "one");
    let claim = |digit: char| digit.to_string().repeat(64).parse::<ClaimId>().unwrap();
    let build = RepoPlace::of("https://git.example/a.git").build(&claim('1'));
    let manifest = build.artifact(&"a".parse().unwrap());
    assert!(store.put_new(&manifest, "one").await.unwrap());
    assert!(!store.put_new(&manifest, "two").await.unwrap(), "what is there is not put anew");
    assert_eq!(store.read(&manifest, 10).await.unwrap().unwrap(), "one");
    let object = build.object(&UploadId::new(BlobKind::Artifact, [7; 16]));
    for finished in [false, true] {
        let mut upload = store.upload(&object).await.unwrap();
        upload.write(&Bytes::from(vec![7; 20 << 20])).await.unwrap();
        assert_eq!(store.head(&object).await.unwrap(), None, "not before it is whole");
        if finished {
            assert_eq!(upload.finish().await.unwrap(), 20 << 20);
        } else {
            upload.abort().await;
        }
    }
    assert_eq!(store.head(&object).await.unwrap().unwrap().size, 20 << 20);
    let created =
        |ms: i64| "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + Duration::from_millis(ms as u64);
    for ms in 0..5 {
        store.put(&history(created(ms), &claim('2')), "{}").await.unwrap();
    }
    let first = store.list(&histories(), None, 2).await.unwrap();
    let after: Key = history(created(3), &claim('2'));
    assert_eq!(first.last().unwrap().key, after.as_str());
    assert_eq!(store.list(&histories(), Some(&after), 10).await.unwrap().len(), 3);
    assert_eq!(store.list(&Folder::all(), None, 100).await.unwrap().len(), 7, "below its prefix alone");
    assert!(open(&garage, "on").list(&Folder::all(), None, 100).await.unwrap().is_empty());
    store.delete(&manifest).await.unwrap();
    store.delete(&manifest).await.unwrap();
    assert_eq!(store.head(&manifest).await.unwrap(), None);
}

/// The server begins to look half a minute after it has begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_from_the_bucket_and_nothing_else() {
    let Some(stage) = Stage::new("store_keeps", "mine", &[("ALBATROS_STORE_KEEP", "1s")]).await else { return };
    assert_eq!(stage.put("artifacts/a", b"one", "file").await.status, 201);
    let (whole, mine) = (open(&stage.garage, ""), open(&stage.garage, "mine"));
    whole.put(&ready(), "not ours").await.unwrap();
    assert!(mine.list(&Folder::all(), None, 100).await.unwrap().len() >= 2);
    let gone = async {
        while mine.list(&Folder::all(), None, 100).await.unwrap().iter().any(|one| one.key.starts_with("repos/")) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), gone).await.unwrap();
    assert!(whole.head(&ready()).await.unwrap().is_some());
    let listed: Value = stage.ask("GET", "artifacts", String::new()).await.value();
    assert_eq!(listed, json!([]));
}
