use futures_util::StreamExt as _;

use crate::domain::blob::BlobKind;
use crate::domain::id::{BlobId, ClaimId, UploadId};
use crate::domain::place::{self, BuildPlace, RepoPlace, Trust};

use super::*;

fn claim(digit: char) -> ClaimId {
    digit.to_string().repeat(64).parse().unwrap()
}

fn id(text: &str) -> BlobId {
    text.parse().unwrap()
}

fn build() -> BuildPlace {
    RepoPlace::of("https://git.example/a.git").build(&claim('1'))
}

/// Both kinds that can be had without a server.
fn stores() -> (tempfile::TempDir, [Store; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let files = Store::open(&StoreSettings::files(folder.path().join("store"))).unwrap();
    (folder, [files, Store::memory()])
}

fn names(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|one| one.key.as_str()).collect()
}

#[tokio::test]
async fn what_was_put_is_read_listed_and_gone_once_deleted() {
    let (_folder, stores) = stores();
    for store in stores {
        let key = build().artifact(&id("a"));
        assert_eq!(store.read(&key, 10).await.unwrap(), None);
        store.put(&key, "one").await.unwrap();
        store.put(&key, "three").await.unwrap();
        assert_eq!(store.read(&key, 10).await.unwrap().unwrap(), "three");
        assert_eq!(store.head(&key).await.unwrap().unwrap().size, 5);
        assert_eq!(names(&store.list(&build().artifacts(), None, 10).await.unwrap()), [key.as_str()]);
        store.delete(&key).await.unwrap();
        store.delete(&key).await.unwrap();
        assert_eq!(store.head(&key).await.unwrap(), None);
        assert!(store.list(&build().artifacts(), None, 10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_is_there_is_not_put_anew() {
    let (_folder, stores) = stores();
    for store in stores {
        let key = build().artifact(&id("a"));
        assert!(store.put_new(&key, "one").await.unwrap());
        assert!(!store.put_new(&key, "two").await.unwrap());
        assert_eq!(store.read(&key, 10).await.unwrap().unwrap(), "one");
    }
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended_and_is_in_order() {
    let (_folder, stores) = stores();
    for store in stores {
        let created = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap();
        for ms in [3, 1, 5, 2, 4] {
            store.put(&place::history(created(ms), &claim('2')), "{}").await.unwrap();
        }
        let first = store.list(&place::histories(), None, 2).await.unwrap();
        let after = place::history(created(4), &claim('2'));
        assert_eq!(first.last().unwrap().key, after.as_str());
        let rest = store.list(&place::histories(), Some(&after), 10).await.unwrap();
        let expected: Vec<_> = [3, 2, 1].map(|ms| place::history(created(ms), &claim('2'))).to_vec();
        assert_eq!(names(&rest), expected.iter().map(place::Key::as_str).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_folder_is_not_one_whose_name_goes_on() {
    let (_folder, stores) = stores();
    for store in stores {
        let repo = RepoPlace::of("https://git.example/a.git");
        store.put(&repo.cache(Trust::Untrusted, &id("deps")), "{}").await.unwrap();
        assert!(store.list(&repo.caches(Trust::Trusted), None, 10).await.unwrap().is_empty());
        assert_eq!(store.list(&repo.caches(Trust::Untrusted), None, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_upload_is_there_when_it_is_whole() {
    let (folder, stores) = stores();
    for store in stores {
        let key = build().object(&UploadId::new(BlobKind::Artifact, [7; 16]));
        let mut upload = store.upload(&key).await.unwrap();
        let piece = Bytes::from(vec![7; 3 << 20]);
        for _ in 0..5 {
            upload.write(&piece).await.unwrap();
        }
        assert_eq!(store.head(&key).await.unwrap(), None, "not yet");
        assert_eq!(upload.finish().await.unwrap(), 15 << 20);
        let mut object = store.get(&key).await.unwrap().unwrap();
        let mut seen = 0;
        while let Some(bytes) = object.bytes.next().await {
            seen += bytes.unwrap().len();
        }
        assert_eq!((object.meta.size, seen), (15 << 20, 15 << 20));
        assert!(matches!(store.read(&key, 10).await, Err(StoreError::Large { .. })));
    }
    drop(folder);
}

#[tokio::test]
async fn an_empty_upload_is_an_object() {
    let (_folder, stores) = stores();
    for store in stores {
        let key = build().object(&UploadId::new(BlobKind::Artifact, [8; 16]));
        assert_eq!(store.upload(&key).await.unwrap().finish().await.unwrap(), 0);
        assert_eq!(store.head(&key).await.unwrap().unwrap().size, 0);
    }
}

#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    let (folder, [files, _]) = stores();
    let key = build().object(&UploadId::new(BlobKind::Artifact, [9; 16]));
    let mut upload = files.upload(&key).await.unwrap();
    upload.write(&Bytes::from(vec![9; 9 << 20])).await.unwrap();
    upload.abort().await;
    assert_eq!(files.head(&key).await.unwrap(), None);
    assert_eq!(files.sweep_unfinished(Timestamp::MAX).await.unwrap(), 0, "nothing is left to sweep");
    drop(folder);
}

#[tokio::test]
async fn what_a_killed_server_left_is_swept() {
    let (folder, [files, _]) = stores();
    let key = build().object(&UploadId::new(BlobKind::Artifact, [9; 16]));
    files.put(&key, "whole").await.unwrap();
    let half = folder.path().join("store").join(format!("{}#1", key.as_str()));
    std::fs::write(&half, "half").unwrap();
    assert_eq!(files.list(&build().all(), None, 10).await.unwrap().len(), 1, "it is no object");
    assert_eq!(files.sweep_unfinished(Timestamp::UNIX_EPOCH).await.unwrap(), 0, "it may be at work");
    assert_eq!(files.sweep_unfinished(Timestamp::MAX).await.unwrap(), 1);
    assert!(!half.exists() && files.head(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_that_is_gone_is_not_made_anew() {
    let (folder, [files, _]) = stores();
    let key = build().artifact(&id("a"));
    std::fs::remove_dir(folder.path().join("store")).unwrap();
    for result in [
        files.put(&key, "one").await.err(),
        files.read(&key, 10).await.err(),
        files.upload(&key).await.err(),
        files.delete(&key).await.err(),
    ] {
        assert!(matches!(result, Some(StoreError::Unavailable(_))), "{result:?}");
    }
    assert!(!folder.path().join("store").exists());
}

fn bucket(signs: bool) -> Store {
    let s3 = S3Settings {
        endpoint: Some("http://127.0.0.1:1".parse().unwrap()),
        region: Some("garage".to_owned()),
        keys: Some(S3Keys { id: "GK1".to_owned(), secret: crate::domain::secret::Secret::new("s3cr3t"), token: None }),
        ..S3Settings::default()
    };
    Store::open(&StoreSettings { address: "s3://blobs/of/ci".parse().unwrap(), s3, signs }).unwrap()
}

#[tokio::test]
async fn a_bucket_signs_for_one_object_and_a_while() {
    let key = build().object(&UploadId::new(BlobKind::Artifact, [7; 16]));
    let minute = Duration::from_secs(60);
    let put = bucket(true).sign(Signed::Put, &key, minute).await.unwrap().unwrap();
    assert_eq!(put.path(), format!("/blobs/of/ci/{}", key.as_str()));
    assert!(!put.as_str().contains("s3cr3t"));
    let get = bucket(true).sign(Signed::Get { name: Some("a.txt".to_owned()) }, &key, minute).await.unwrap().unwrap();
    assert!(get.query().unwrap().contains("X-Amz-Expires=60"), "{get}");
    assert_eq!(bucket(false).sign(Signed::Put, &key, minute).await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_unavailable() {
    let refused = bucket(true).put(&build().artifact(&id("a")), "one").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}
