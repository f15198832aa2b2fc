mod registry;

use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::sidecar::vm::image::fake::{digest, layer};
use crate::sidecar::vm::image::store::Store;

/// An OCI layout with one layer, written to `dir`.
fn layout(dir: &Path, layer: &[u8], architecture: &str) {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        json!({"digest": digest, "size": bytes.len(), "mediaType": "application/octet-stream"})
    };
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {"Env": ["PATH=/bin", "EMPTY=", "odd"], "User": "ci", "WorkingDir": "/src"},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    });
    let config = put(config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [put(layer)]});
    let mut manifest = put(manifest.to_string().as_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "1.0"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
}

fn read(path: &Path, tag: Option<&str>) -> Result<Parts, ImageError> {
    let store = tempfile::tempdir().unwrap();
    let draft = Store::open(store.path()).unwrap().draft().unwrap();
    layout::read(path, tag, &draft)
}

#[test]
fn what_is_typed_is_understood_or_refused_with_what_to_type() {
    let parse = |text: &str| text.parse::<Source>();
    assert_eq!(parse("docker:rust:1").unwrap(), Source::Engine(Engine::Docker, "rust:1".to_owned()));
    assert_eq!(parse("oci:/a/b:1.0").unwrap(), Source::Oci("/a/b".into(), Some("1.0".to_owned())));
    assert_eq!(parse("oci:/a:b/c").unwrap(), Source::Oci("/a:b/c".into(), None));
    assert_eq!(parse("-").unwrap(), Source::Tar(None));
    assert_eq!(parse("debian:12").unwrap(), Source::Registry("debian:12".to_owned()));
    assert_eq!(parse("tar:/x/debian.tar.gz").unwrap().name().unwrap(), "debian");
    assert_eq!(Source::name_in("docker:rust:1"), parse("docker:rust:1").unwrap().name().unwrap());
    for wrong in ["", "docker:", "docker:--help", "a b", "UPPER", "tar:", "x\n", &"x".repeat(600)] {
        assert!(parse(wrong).unwrap_err().is_usage(), "{wrong:?}");
    }
}

#[test]
fn a_layout_is_read_with_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    layout(dir.path(), &layer(), architecture());
    let parts = read(dir.path(), Some("1.0")).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(parts.config.env, [pair("PATH", "/bin"), pair("EMPTY", "")]);
    assert_eq!((parts.config.user.as_deref(), parts.config.workdir.as_deref()), (Some("ci"), Some("/src")));
    assert_eq!(parts.layers.len(), 1);
    assert!(read(dir.path(), Some("2.0")).unwrap_err().to_string().contains("\"2.0\""));
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    layout(dir.path(), &layer(), "vax");
    assert!(read(dir.path(), None).unwrap_err().to_string().contains("linux/vax"));
}

#[test]
fn a_card_with_another_digest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    layout(dir.path(), &layer(), architecture());
    for blob in fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // Layers are checked when they are unpacked; see there.
        if bytes.starts_with(b"{") {
            fs::write(&path, [bytes.as_slice(), b" "].concat()).unwrap();
            assert!(read(dir.path(), None).unwrap_err().to_string().contains("another digest"));
            fs::write(&path, bytes).unwrap();
        }
    }
    assert!(read(dir.path(), None).is_ok());
}

#[test]
fn names_of_blobs_do_not_lead_out_of_the_layout() {
    let dir = tempfile::tempdir().unwrap();
    for digest in ["sha256:../../../etc/passwd", "sha256:", "md5:00", "x"] {
        let index = json!({"schemaVersion": 2, "manifests": [{"digest": digest, "size": 1}]});
        fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
        let error = read(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("no SHA-256 digest"), "{error}");
    }
}

#[test]
fn what_docker_saves_is_read_also_where_a_layer_is_a_link() {
    let layer = layer();
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Env": null}, "rootfs": {"diff_ids": [digest(&layer), digest(&layer)]},
    });
    let config = config.to_string();
    let name = format!("{}.json", digest(config.as_bytes()).trim_start_matches("sha256:"));
    let manifest = json!([{"Config": name, "RepoTags": ["a/b:1"], "Layers": ["one/layer.tar", "two/layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    let manifest = manifest.to_string();
    for (path, bytes) in
        [("one/layer.tar", layer.as_slice()), (&name, config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, path, bytes).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "two/layer.tar", "../one/layer.tar").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved.tar");
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let parts = read(&path, Some("1")).unwrap();
    let sizes: Vec<_> = parts.layers.iter().map(|one| one.blob.size()).collect();
    assert_eq!(sizes, [layer.len() as u64; 2]);
}

#[test]
fn a_plain_archive_is_no_image_and_the_error_says_what_to_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rootfs.tar");
    fs::write(&path, layer()).unwrap();
    assert!(read(&path, None).unwrap_err().to_string().contains("tar:FILE"));
}
