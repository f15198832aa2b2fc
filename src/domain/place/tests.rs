use proptest::prelude::*;

use super::*;

const CLAIM: &str = "c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1c1a1";

fn claim() -> ClaimId {
    CLAIM.parse().unwrap()
}

fn repo() -> RepoPlace {
    RepoPlace::of("https://git.example/quentin/albatros.git")
}

/// No part that a file system or an object store takes for something else.
fn is_plain(key: &Key) -> bool {
    key.as_str().split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && part.len() < 200
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    })
}

proptest! {
    #[test]
    fn no_id_leaves_its_place(id in ".{1,70}", flavor in "[A-Za-z0-9._-]{1,64}", git_ref in ".{0,40}", repo in ".{0,40}") {
        let place = RepoPlace::of(&repo);
        let green = place.green(Trust::Trusted, &git_ref, &flavor.parse().unwrap());
        prop_assert!(is_plain(&green));
        prop_assert_eq!(Place::read(green.as_str()), Some(Place::Green(place.hash().clone())));
        if let Ok(id) = id.parse::<BlobId>() {
            for key in [place.cache(Trust::Untrusted, &id), place.build(&claim()).artifact(&id)] {
                let own = format!("repos/{}/", place.hash());
                prop_assert!(is_plain(&key) && key.as_str().starts_with(&own));
            }
        }
    }

    #[test]
    fn what_was_written_is_read_back(id in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}", random in any::<[u8; 16]>(), offset in any::<u64>(), ms in 0..FAR) {
        let id: BlobId = id.parse().unwrap();
        let (repo, hash) = (repo(), repo().hash().clone());
        let build = repo.build(&claim());
        let in_build = |part| Some(Place::Build(hash.clone(), claim(), part));
        prop_assert_eq!(Place::read(build.artifact(&id).as_str()), in_build(InBuild::Artifact(id.clone())));
        prop_assert_eq!(build.artifact_of(&build.artifact(&id)), Some(id.clone()));
        prop_assert_eq!(Place::read(build.log_chunk(&claim(), Output::Stderr, offset).as_str()), in_build(InBuild::Log));
        prop_assert_eq!(Place::read(build.log_end(&claim(), Output::Stdout).as_str()), in_build(InBuild::Log));
        prop_assert_eq!(Place::read(build.record(&claim()).as_str()), in_build(InBuild::Record));
        for kind in [crate::domain::blob::BlobKind::Artifact, crate::domain::blob::BlobKind::Cache] {
            let upload = UploadId::new(kind, random);
            prop_assert_eq!(upload.kind(), kind);
            prop_assert_eq!(upload.as_str().parse::<UploadId>(), Ok(upload.clone()));
            prop_assert_eq!(Place::read(build.object(&upload).as_str()), in_build(InBuild::Object(upload.clone())));
            let cache = repo.cache_object(Trust::Trusted, &upload);
            prop_assert_eq!(Place::read(cache.as_str()), Some(Place::CacheObject(hash.clone(), Trust::Trusted, upload)));
        }
        let cache = repo.cache(Trust::Untrusted, &id);
        prop_assert_eq!(Place::read(cache.as_str()), Some(Place::Cache(hash, Trust::Untrusted, id)));
        let created = jiff::Timestamp::from_millisecond(ms).unwrap();
        prop_assert_eq!(Place::read(history(created, &claim()).as_str()), Some(Place::History(created, claim())));
    }
}

#[test]
fn what_is_not_ours_is_no_place() {
    for key in [
        "",
        "ready",
        "readme.txt",
        "repos/x/builds/y/artifacts/a.json",
        &format!("repos/{CLAIM}/builds/{CLAIM}/artifacts/a.json/more"),
        &format!("repos/{CLAIM}/builds/{CLAIM}/artifacts/a"),
        &format!("repos/{CLAIM}/builds/{CLAIM}/log/{CLAIM}/stdout/12"),
        &format!("repos/{CLAIM}/builds/{CLAIM}"),
        &format!("repos/{CLAIM}/caches/all/a.json"),
        &format!("history/12-{CLAIM}"),
        "index/deploy.sh",
    ] {
        assert_eq!(Place::read(key), None, "{key}");
    }
}

#[test]
fn the_newest_comes_first_in_a_list() {
    let at = |text: &str| history(text.parse().unwrap(), &claim());
    assert!(at("2026-01-02T00:00:00Z") < at("2026-01-01T00:00:00Z"));
}
