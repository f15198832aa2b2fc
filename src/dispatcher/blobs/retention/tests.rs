use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::api::store::StoreSettings;
use crate::domain::blob::{BlobKind, Kept, Manifest, Packing};
use crate::domain::id::{BlobId, BuildId, UploadId};
use crate::domain::place::{BuildPlace, Folder, Green, Output, RepoPlace, Trust};

/// A store of files whose ages can be told.
struct Shed {
    folder: tempfile::TempDir,
    store: Store,
    now: Timestamp,
    uploads: std::cell::Cell<u8>,
}

fn claim(digit: char) -> ClaimId {
    digit.to_string().repeat(64).parse().unwrap()
}

fn id(text: &str) -> BlobId {
    text.parse().unwrap()
}

fn repo() -> RepoPlace {
    RepoPlace::of("https://git.example/a.git")
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

impl Shed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreSettings::files(folder.path().join("store"))).unwrap();
        Self { folder, store, now: Timestamp::now(), uploads: std::cell::Cell::new(0) }
    }

    async fn put(&self, key: &Key, bytes: impl Into<bytes::Bytes>, age: SignedDuration) {
        self.store.put(key, bytes).await.unwrap();
        self.age(&self.folder.path().join("store").join(key.as_str()), age);
    }

    fn age(&self, path: &Path, age: SignedDuration) {
        File::options().append(true).open(path).unwrap().set_modified(SystemTime::from(self.now - age)).unwrap();
    }

    fn upload(&self, kind: BlobKind) -> UploadId {
        self.uploads.set(self.uploads.get() + 1);
        UploadId::new(kind, [self.uploads.get(); 16])
    }

    async fn manifest(&self, key: &Key, object: &UploadId, age: SignedDuration) {
        let manifest = Manifest {
            id: id("a"),
            packing: Packing::File,
            name: None,
            size: 100,
            sha256: "0f".repeat(32),
            created: self.now - age,
        };
        let kept = Kept { manifest, object: object.clone() };
        self.put(key, serde_json::to_vec(&kept).unwrap(), age).await;
    }

    /// An artifact, a piece of a log, a record and a line of the list.
    async fn build(&self, digit: char, age: SignedDuration) -> BuildPlace {
        let build = repo().build(&claim(digit));
        let upload = self.upload(BlobKind::Artifact);
        self.put(&build.object(&upload), vec![7; 1_000], age).await;
        self.manifest(&build.artifact(&id("a")), &upload, age).await;
        self.put(&build.log_chunk(&claim(digit), Output::Stdout, 0), "log", age).await;
        self.put(&build.record(&claim(digit)), "{}", age).await;
        self.put(&place::history(self.now - age, &claim(digit)), "{}", age).await;
        let index = json!({"repo": repo().hash(), "claim": claim(digit), "own": claim(digit)});
        self.put(&place::index(&build_id(digit)), index.to_string(), age).await;
        build
    }

    async fn cache(&self, name: &str, age: SignedDuration) -> Key {
        let upload = self.upload(BlobKind::Cache);
        self.put(&repo().cache_object(Trust::Trusted, &upload), vec![7; 1_000], age).await;
        let key = repo().cache(Trust::Trusted, &id(name));
        self.manifest(&key, &upload, age).await;
        key
    }

    async fn green(&self, digit: char, age: SignedDuration) -> Key {
        let green = Green { claim: claim(digit), build: build_id(digit), finished: self.now - age };
        let key = repo().green(Trust::Trusted, "refs/heads/main", &"default".parse().unwrap());
        self.put(&key, serde_json::to_vec(&green).unwrap(), age).await;
        key
    }

    async fn pass(&self, size: Option<u64>) -> Done {
        pass(&self.store, &BlobSettings { size, ..BlobSettings::default() }, self.now).await.unwrap()
    }

    async fn keys(&self, folder: &Folder) -> usize {
        self.store.list(folder, None, 1_000).await.unwrap().len()
    }
}

fn build_id(digit: char) -> BuildId {
    format!("builder/dispatch-1-{digit}").parse().unwrap()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_not_stays() {
    let shed = Shed::new();
    shed.build('1', days(31)).await;
    shed.build('2', days(29)).await;
    shed.cache("old", days(31)).await;
    shed.cache("used", days(1)).await;
    let done = shed.pass(None).await;
    assert_eq!((done.builds, done.caches, done.lines, done.uploads), (1, 1, 2, 0));
    assert_eq!(shed.keys(&repo().build(&claim('1')).all()).await, 0);
    assert_eq!(shed.keys(&repo().build(&claim('2')).all()).await, 4);
    assert_eq!(shed.keys(&repo().caches(Trust::Trusted)).await, 2, "a manifest and its bytes");
    assert_eq!((shed.keys(&place::histories()).await, shed.keys(&place::indexes()).await), (1, 1));
    assert_eq!(shed.pass(None).await, Done { size: done.size, ..Done::default() }, "and nothing more");
}

#[tokio::test]
async fn a_build_is_as_old_as_the_newest_of_it() {
    let shed = Shed::new();
    let build = shed.build('1', days(31)).await;
    shed.put(&build.log_chunk(&claim('1'), Output::Stdout, 3), "more", days(2)).await;
    assert_eq!(shed.pass(None).await.builds, 0);
}

#[tokio::test]
async fn the_newest_green_build_of_a_branch_stays_beyond_its_age() {
    let shed = Shed::new();
    let green = shed.build('1', days(40)).await;
    shed.build('2', days(40)).await;
    shed.green('1', days(40)).await;
    let done = shed.pass(None).await;
    assert_eq!((done.builds, done.lines), (1, 2));
    assert_eq!(shed.keys(&green.all()).await, 4);
    assert_eq!((shed.keys(&place::histories()).await, shed.keys(&place::indexes()).await), (1, 1), "it can be found");
}

#[tokio::test]
async fn a_branch_that_nobody_builds_any_more_ends() {
    let shed = Shed::new();
    shed.build('1', days(400)).await;
    let pointer = shed.green('1', days(400)).await;
    assert_eq!(shed.pass(None).await.builds, 1);
    assert_eq!(shed.store.head(&pointer).await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_goes_when_there_is_too_much_green_or_not() {
    let shed = Shed::new();
    shed.build('1', days(5)).await;
    shed.green('1', days(5)).await;
    shed.cache("middle", days(4)).await;
    shed.build('2', days(3)).await;
    shed.build('3', SignedDuration::from_mins(5)).await;
    let all = shed.pass(None).await.size;
    let done = shed.pass(Some(all - 1)).await;
    assert_eq!((done.builds, done.caches), (1, 0));
    assert_eq!(shed.keys(&repo().build(&claim('1')).all()).await, 0);
    let done = shed.pass(Some(1)).await;
    assert_eq!((done.builds, done.caches), (1, 1));
    assert_eq!(shed.keys(&repo().build(&claim('3')).all()).await, 4, "it may still run");
    assert!(done.size > 1, "and is told to be too much");
}

#[tokio::test]
async fn what_nobody_committed_goes_after_a_day() {
    let shed = Shed::new();
    let build = shed.build('1', days(3)).await;
    for age in [days(2), SignedDuration::from_hours(23)] {
        shed.put(&build.object(&shed.upload(BlobKind::Artifact)), "left", age).await;
        let cache = repo().cache_object(Trust::Untrusted, &shed.upload(BlobKind::Cache));
        shed.put(&cache, "left", age).await;
    }
    let half = shed.folder.path().join("store").join(format!("{}#1", build.artifact(&id("b")).as_str()));
    std::fs::write(&half, "half").unwrap();
    shed.age(&half, days(2));
    assert_eq!(shed.pass(None).await.uploads, 3);
    assert_eq!(shed.keys(&build.all()).await, 5, "the four of the build and the new upload");
    assert_eq!(shed.keys(&repo().caches(Trust::Untrusted)).await, 1);
    assert!(!half.exists());
}

#[tokio::test]
async fn nothing_goes_that_is_not_ours() {
    let shed = Shed::new();
    let build = shed.build('1', days(31)).await;
    let root = shed.folder.path().join("store");
    let mut theirs = Vec::new();
    for name in [
        "notes.txt".to_owned(),
        "repos/readme.md".to_owned(),
        format!("repos/{}/builds/{}/artifacts/b.txt", repo().hash(), claim('1')),
        format!("repos/{}/builds/{}/mine", repo().hash(), claim('1')),
        format!("repos/{}/caches/trusted/objects/x", repo().hash()),
        "history/today".to_owned(),
        "index/by-hand".to_owned(),
        "other/file#1".to_owned(),
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        shed.age(&path, days(400));
        theirs.push(path);
    }
    assert_eq!(shed.pass(Some(1)).await.builds, 1);
    assert_eq!(shed.keys(&build.all()).await, 2);
    assert!(theirs.iter().all(|path| path.exists()));
}

#[tokio::test]
async fn a_cache_that_is_used_meanwhile_stays() {
    let shed = Shed::new();
    let key = shed.cache("old", days(31)).await;
    let seen = shed.store.head(&key).await.unwrap().unwrap().modified;
    let away = Away::new(&shed.store);
    shed.age(&shed.folder.path().join("store").join(key.as_str()), days(0));
    assert!(!away.cache(&repo(), Trust::Trusted, &id("old"), seen).await.unwrap());
    assert!(shed.store.head(&key).await.unwrap().is_some());
}
