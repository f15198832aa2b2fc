//! What people get of what a build has left.

use serde_json::{Value, json};

use super::{Stage, sum};
use crate::fake::world::{ACTOR, READER, person};

/// An archive with a page, a link and a name that leads out.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(19);
    builder.append_data(&mut header, "report/index.html", &b"<script>1</script>\n"[..]).unwrap();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "report/link", "/etc/passwd").unwrap();
    zstd::encode_all(builder.into_inner().unwrap().as_slice(), 1).unwrap()
}

async fn put_archive(stage: &Stage, build: &super::Build) {
    let (upload, bytes) = (stage.begin(build, "artifacts/site").await, archive());
    assert_eq!(stage.send(build, &upload, &bytes).await.status, 204);
    let told = json!({"upload": upload, "size": bytes.len(), "sha256": sum(&bytes), "packing": "archive"});
    assert_eq!(stage.commit(build, "artifacts/site", &told).await.status, 201);
}

#[tokio::test]
async fn anybody_lists_and_gets_what_a_public_build_left() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "artifacts/report", b"all is well").await;
    put_archive(&stage, &build).await;
    let page = format!("/builds/{}/artifacts", build.id);
    let listed = person(&stage.serve, "GET", &page, None).await;
    assert_eq!(listed.status, 200);
    let lines: Vec<&str> = listed.text.lines().collect();
    assert!(lines[0].starts_with("report\t11\t") && lines[0].ends_with("a.txt"), "{lines:?}");
    assert!(lines[1].starts_with("site\t") && lines[1].ends_with("(archive)"), "{lines:?}");
    let got = person(&stage.serve, "GET", &format!("{page}/report"), None).await;
    assert_eq!((got.status, got.text.as_str()), (200, "all is well"));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=\"a.txt\""),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("x-albatros-sha256", sum(b"all is well").as_str()),
    ] {
        assert_eq!(got.headers[name], value, "{name}");
    }
    let site = person(&stage.serve, "GET", &format!("{page}/site"), None).await;
    assert_eq!(site.headers["content-disposition"], "attachment; filename=\"site.tar.zst\"");
    for path in ["/nothing", "/..%2freport", "/report.json"] {
        assert_eq!(person(&stage.serve, "GET", &format!("{page}{path}"), None).await.status, 404, "{path}");
    }
    stage.world.nomad.run(&build.id);
    stage.world.nomad.exit(&build.id, 0);
    stage.world.all_done(1).await;
    assert_eq!(
        person(&stage.serve, "GET", &format!("{page}/report"), None).await.text,
        "all is well",
        "and afterwards"
    );
}

#[tokio::test]
async fn a_single_file_is_had_out_of_an_archive() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    put_archive(&stage, &build).await;
    stage.put(&build, "artifacts/report", b"no archive").await;
    let page = format!("/builds/{}/artifacts", build.id);
    let got = person(&stage.serve, "GET", &format!("{page}/site/report/index.html"), None).await;
    assert_eq!((got.status, got.text.as_str()), (200, "<script>1</script>\n"));
    assert_eq!(got.headers["content-length"], "19");
    assert_eq!(got.headers["content-type"], "application/octet-stream", "never a page of this server");
    assert_eq!(got.headers["content-disposition"], "attachment; filename=\"index.html\"");
    for (path, status) in [
        ("site/report", 404),
        ("site/report/link", 404),
        ("site/nothing", 404),
        ("site/..%2f..%2fetc%2fpasswd", 400),
        ("site/%2fetc%2fpasswd", 400),
        ("site/a%00b", 400),
        ("report/a", 404),
    ] {
        let reply = person(&stage.serve, "GET", &format!("{page}/{path}"), None).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn what_a_private_build_left_is_for_its_readers() {
    let stage = Stage::new().await;
    let mut config = stage.world.config();
    config["private"] = Value::Bool(true);
    stage.world.put_config(&config);
    let build = stage.build(2).await;
    put_archive(&stage, &build).await;
    let page = format!("/builds/{}/artifacts", build.id);
    for path in [page.clone(), format!("{page}/site"), format!("{page}/site/report/index.html")] {
        for bearer in [None, Some("guessed")] {
            assert_eq!(person(&stage.serve, "GET", &path, bearer).await.status, 404, "{path} {bearer:?}");
        }
        for bearer in [READER, ACTOR] {
            assert_eq!(person(&stage.serve, "GET", &path, Some(bearer)).await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn the_verb_lists_and_gets_artifacts() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "artifacts/report", b"all is well").await;
    put_archive(&stage, &build).await;
    let folder = tempfile::tempdir().unwrap();
    let verb = async |args: &[&str]| {
        let mut verb = tokio::process::Command::new(env!("CARGO_BIN_EXE_albatros"));
        verb.args(["artifacts", &build.id]).args(args).current_dir(folder.path());
        verb.env_clear().env("ALBATROS_URL", &stage.serve.url).kill_on_drop(true);
        let output = verb.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let (code, listed, _) = verb(&[]).await;
    assert!(code == 0 && listed.contains("report") && listed.contains("site"), "{listed}");
    assert_eq!(verb(&["report"]).await, (0, "all is well".to_owned(), String::new()));
    assert_eq!(verb(&["site", "report/index.html"]).await.1, "<script>1</script>\n");
    assert_eq!(verb(&["report", "-o", "out.txt"]).await.0, 0);
    assert_eq!(std::fs::read(folder.path().join("out.txt")).unwrap(), b"all is well");
    let (code, _, said) = verb(&["nothing", "-o", "none.txt"]).await;
    assert!(code == 2 && said.contains("no such artifact"), "{code} {said}");
    let object = stage.files().into_iter().find(|file| file.contains("/objects/")).unwrap();
    let size = std::fs::metadata(stage.folder().join(&object)).unwrap().len();
    std::fs::write(stage.folder().join(&object), vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
    let spoilt = if size == 11 { "report" } else { "site" };
    let (code, _, said) = verb(&[spoilt, "-o", "none.txt"]).await;
    assert!(code != 0 && said.contains("SHA-256"), "{code} {said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half is left");
}
