//! The registry in files: the same promises on one machine.

use std::sync::Arc;
use std::time::Duration;

use albatros::domain::config::RepoConfig;
use albatros::domain::repo_url::RepoUrl;
use albatros::domain::report::Report;
use albatros::registry::{Claimed, Entry, FileRegistry, FilesError, Index, Registry, Written};

use crate::registry_samples::{approved, done, id, record};

fn registry(folder: &std::path::Path) -> Registry {
    Registry::Files(FileRegistry::open(folder, Vec::new()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_that_claim_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(registry(folder.path()));
    let tries = (0..32).map(|n| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move { registry.claim(&id('1'), &record(&format!("{n}"))).await.unwrap() })
    });
    let mut won = 0;
    for one in tries.collect::<Vec<_>>() {
        won += usize::from(matches!(one.await.unwrap(), Claimed::Won(_)));
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_directory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileRegistry::open(folder.path(), Vec::new()).unwrap();
    let second = FileRegistry::open(folder.path(), Vec::new());
    assert!(matches!(second, Err(FilesError::Taken(_))), "{second:?}");
    drop(first);
    assert!(FileRegistry::open(folder.path(), Vec::new()).is_ok());
}

#[tokio::test]
async fn records_survive_a_restart_and_fields_that_are_not_known_too() {
    let folder = tempfile::tempdir().unwrap();
    let index = {
        let registry = registry(folder.path());
        registry.claim(&id('1'), &record("first")).await.unwrap();
        let Claimed::Won(index) = registry.claim(&id('2'), &record("second")).await.unwrap() else { panic!() };
        let lease = registry.acquire().await.unwrap().unwrap();
        let first = registry.open(&id('1')).await.unwrap().unwrap();
        assert!(matches!(registry.finish(&id('1'), first.index, &done(), &lease).await.unwrap(), Written::Yes(_)));
        index
    };
    let registry = registry(folder.path());
    assert!(matches!(registry.claim(&id('1'), &record("late")).await.unwrap(), Claimed::Done(_)));
    let stored = registry.open(&id('2')).await.unwrap().unwrap();
    assert_eq!(stored.index, index);
    assert!(stored.value.other.contains_key("from_a_later_version"));
    assert!(
        matches!(registry.update(&id('2'), &stored.value, index, None).await.unwrap(), Written::Yes(new) if new > index)
    );
}

#[tokio::test]
async fn writes_are_guarded_by_index_and_lease() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    let Claimed::Won(index) = registry.claim(&id('1'), &record("mine")).await.unwrap() else { panic!() };
    assert_eq!(registry.update(&id('1'), &record("x"), Index(index.0 + 7), None).await.unwrap(), Written::Conflict);
    assert_eq!(registry.update(&id('9'), &record("x"), index, None).await.unwrap(), Written::Conflict);

    let old = registry.acquire().await.unwrap().unwrap();
    assert_eq!(registry.acquire().await.unwrap(), None);
    registry.release(&old).await.unwrap();
    let new = registry.acquire().await.unwrap().unwrap();
    assert!(!registry.renew(&old).await.unwrap() && registry.renew(&new).await.unwrap());
    assert_eq!(registry.update(&id('1'), &record("x"), index, Some(&old)).await.unwrap(), Written::LeaseLost);
    assert_eq!(registry.finish(&id('1'), index, &done(), &old).await.unwrap(), Written::LeaseLost);
    assert_eq!(registry.forget(&id('1'), index, &old).await.unwrap(), Written::LeaseLost);
    assert_eq!(registry.expire(&id('1'), &old).await.unwrap(), Written::LeaseLost);
    assert!(matches!(registry.forget(&id('1'), index, &new).await.unwrap(), Written::Yes(_)));
    assert!(matches!(registry.claim(&id('1'), &record("again")).await.unwrap(), Claimed::Won(_)));
}

#[tokio::test]
async fn a_change_wakes_who_watches() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(registry(folder.path()));
    let (index, none) = registry.watch_open(None, Duration::from_secs(60)).await.unwrap();
    assert!(none.is_empty());
    let (same, _) = registry.watch_open(Some(index), Duration::from_millis(1)).await.unwrap();
    assert_eq!(same, index);
    let watching = {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move { registry.watch_open(Some(index), Duration::from_secs(60)).await.unwrap() })
    };
    registry.claim(&id('1'), &record("mine")).await.unwrap();
    let (new, open) = watching.await.unwrap();
    assert!(new != index && open.len() == 1);
}

#[tokio::test]
async fn a_record_of_another_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(registry(folder.path()));
    let file = folder.path().join("open").join(format!("{}.json", id('1')));
    let text = r#"{"index": 5, "value": {"version": 99}}"#;
    std::fs::write(&file, text).unwrap();
    let registry = registry(folder.path());
    assert!(registry.watch_open(None, Duration::ZERO).await.unwrap().1.is_empty());
    assert!(registry.claim(&id('1'), &record("mine")).await.is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn what_a_killed_process_did_not_finish_is_no_record() {
    let folder = tempfile::tempdir().unwrap();
    drop(registry(folder.path()));
    let half = folder.path().join("open").join(".new-abc");
    std::fs::write(&half, r#"{"index": 5, "val"#).unwrap();
    std::fs::write(folder.path().join("open").join(format!("{}.json", id('1'))), "").unwrap();
    let registry = registry(folder.path());
    assert!(!half.exists());
    assert!(matches!(registry.claim(&id('1'), &record("mine")).await.unwrap(), Claimed::Won(_)));
}

#[tokio::test]
async fn a_repository_is_known_by_the_spelling_it_was_registered_with() {
    let folder = tempfile::tempdir().unwrap();
    let config = RepoConfig::parse(br#"{"hook": {"token": "t"}}"#).unwrap();
    let url: RepoUrl = "http://localhost/hello".parse().unwrap();
    let registry = Registry::Files(FileRegistry::open(folder.path(), vec![(url, config)]).unwrap());
    let asked = "http://LOCALHOST/hello/".parse().unwrap();
    assert!(
        matches!(registry.entry(&asked).await.unwrap(), Entry::Found(found) if found.repo == "http://localhost/hello")
    );
    let other = "http://localhost/other".parse().unwrap();
    assert!(matches!(registry.entry_now(&other).await.unwrap(), Entry::Unknown));
    assert_eq!(registry.entries().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_report_lives_as_long_as_its_change() {
    let folder = tempfile::tempdir().unwrap();
    let report: Report =
        serde_json::from_str(r#"{"summary":"fine","tests":{"total":2,"failed":0,"skipped":1}}"#).unwrap();
    {
        let registry = registry(folder.path());
        let Claimed::Won(index) = registry.claim(&id('1'), &record("n")).await.unwrap() else { panic!() };
        let kept = registry.keep_report(&id('1'), &record("n"), index, &report).await.unwrap();
        assert!(matches!(kept, Written::Yes(new) if new > index));
        assert_eq!(registry.keep_report(&id('1'), &record("n"), index, &report).await.unwrap(), Written::Conflict);
    }
    let registry = registry(folder.path());
    assert_eq!(registry.report(&id('1')).await.unwrap(), Some(report.clone()));
    let lease = registry.acquire().await.unwrap().unwrap();
    let stored = registry.open(&id('1')).await.unwrap().unwrap();
    registry.finish(&id('1'), stored.index, &done(), &lease).await.unwrap();
    assert_eq!(registry.report(&id('1')).await.unwrap(), Some(report));
    registry.expire(&id('1'), &lease).await.unwrap();
    assert_eq!(registry.report(&id('1')).await.unwrap(), None);
}

#[tokio::test]
async fn who_is_approved_is_written_by_index_and_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (approved(&["mallory"]), approved(&["mallory", "eve"]));
    {
        let registry = registry(folder.path());
        assert!(registry.approved(&one.canonical).await.unwrap().is_none());
        let Written::Yes(first) = registry.set_approved(&one, None).await.unwrap() else { panic!() };
        assert_eq!(registry.set_approved(&two, None).await.unwrap(), Written::Conflict);
        let Written::Yes(second) = registry.set_approved(&two, Some(first)).await.unwrap() else { panic!() };
        assert_ne!(first, second);
        assert_eq!(registry.set_approved(&one, Some(first)).await.unwrap(), Written::Conflict);
    }
    // What a killed process did not finish.
    std::fs::write(folder.path().join("approved/.new-abc"), "{").unwrap();
    std::fs::write(folder.path().join("approved/other.json"), "{}").unwrap();
    let registry = registry(folder.path());
    assert_eq!(registry.all_approved().await.unwrap(), std::slice::from_ref(&two));
    assert_eq!(registry.approved(&two.canonical).await.unwrap().unwrap().value, two);
    assert!(registry.approved("https://git.example/a/other.git").await.unwrap().is_none());
    assert!(!folder.path().join("approved/.new-abc").exists());
}
