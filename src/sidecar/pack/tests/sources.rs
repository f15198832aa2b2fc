//! What may be in a workspace.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{SMALL, below, folder, pack, refused, sent, unpack};
use crate::domain::blob::Packing;
use crate::sidecar::pack::{Limits, Selection, digest};

#[test]
fn a_fifo_a_socket_and_a_device_are_refused_by_name() {
    let tree = folder();
    std::fs::create_dir(tree.path().join("d")).unwrap();
    mknodat(CWD, tree.path().join("d/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    refused(pack(tree.path(), &["d"], SMALL), "d/pipe is a named pipe");
    let _socket = UnixListener::bind(tree.path().join("sock")).unwrap();
    refused(pack(tree.path(), &["sock"], SMALL), "sock is a socket");
    refused(pack(Path::new("/dev"), &["null"], SMALL), "null is a device");
}

#[test]
fn a_link_outward_is_refused_by_name_and_one_that_stays_is_packed_as_it_is() {
    let tree = folder();
    std::fs::create_dir(tree.path().join("d")).unwrap();
    for (name, target) in [("d/abs", "/etc/passwd"), ("d/up", "../../x"), ("d/round", "e/../../../x")] {
        symlink(target, tree.path().join(name)).unwrap();
        refused(pack(tree.path(), &[name], SMALL), &format!("{name} is a link that may lead outward, to {target}"));
    }
    symlink("d", tree.path().join("in")).unwrap();
    refused(pack(tree.path(), &["in/abs"], SMALL), "in/abs lies behind");
    assert!(pack(tree.path(), &["in"], SMALL).is_ok());
}

#[test]
fn names_outward_are_refused_and_so_is_what_is_not_there() {
    let tree = folder();
    for (path, words) in [
        ("../x", "../x has `..`"),
        ("/etc", "/etc is an absolute name"),
        ("a\0b", "NUL"),
        ("no/pe", "no/pe is not there"),
    ] {
        refused(pack(tree.path(), &[path], SMALL), words);
    }
}

#[test]
fn a_sparse_terabyte_counts_as_one() {
    let tree = folder();
    std::fs::File::create(tree.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
    refused(pack(tree.path(), &["."], Limits::default()), "sparse makes it more than");
    refused(
        Selection::beneath(tree.path(), &["sparse".into()], Limits::default()).unwrap().start(),
        "sparse makes it more than",
    );
}

#[test]
fn too_many_names_are_refused_before_they_are_all_read() {
    assert!(Limits::default().entries < 1_000_000, "a million files are too many");
    let tree = folder();
    for name in 0..60 {
        std::fs::write(tree.path().join(format!("{name:02}")), "").unwrap();
    }
    refused(pack(tree.path(), &["."], SMALL), "makes it more than 50 files");
    let exactly = Limits { entries: 60, ..SMALL };
    assert!(pack(tree.path(), &["."], exactly).is_ok());
}

#[test]
fn too_deep_directories_are_refused() {
    let tree = folder();
    std::fs::create_dir_all(tree.path().join("1/2/3/4/5")).unwrap();
    assert!(pack(tree.path(), &["1"], SMALL).is_ok());
    std::fs::create_dir_all(tree.path().join("1/2/3/4/5/6")).unwrap();
    refused(pack(tree.path(), &["1"], SMALL), "1/2/3/4/5/6 lies deeper than 5");
}

#[tokio::test]
async fn names_with_line_ends_and_other_bytes_are_taken_as_they_are() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let (tree, target) = (folder(), folder());
    for name in [&b"a\nb"[..], b" ", b"-rf", b"\xff\xfe", b"\x1b[31m", b"...", b"a\\b"] {
        std::fs::write(tree.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    unpack(&pack(tree.path(), &["."], SMALL).unwrap(), target.path(), SMALL).await.unwrap();
    assert_eq!(below(target.path()), below(tree.path()));
}

#[test]
fn the_same_files_make_the_same_archive_whoever_owns_them() {
    let archives = [&["b", "a", "a/x"][..], &["a", "b"]].map(|paths| {
        let tree = folder();
        std::fs::create_dir(tree.path().join("a")).unwrap();
        for name in ["a/x", "a/y", "b"] {
            let file = std::fs::File::create(tree.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            file.set_permissions(std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        std::fs::File::open(tree.path().join("a")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        pack(tree.path(), paths, SMALL).unwrap()
    });
    assert!(archives[0] == archives[1]);
}

#[tokio::test]
async fn a_single_file_goes_out_as_it_is_and_everything_else_as_an_archive() {
    let tree = folder();
    std::fs::create_dir(tree.path().join("d")).unwrap();
    std::fs::write(tree.path().join("d/f.txt"), "hello").unwrap();
    symlink("f.txt", tree.path().join("d/link")).unwrap();
    let of = |path: &str| Selection::beneath(tree.path(), &[path.into()], SMALL).unwrap();
    let (packing, name, size, bytes) = sent(&of("d/f.txt")).await;
    assert_eq!((packing, name.as_deref(), size), (Packing::File, Some("f.txt"), Some(5)));
    assert_eq!(bytes.unwrap(), b"hello");
    for selection in [of("d"), of("d/link"), of("."), of("d/f.txt").into_archive()] {
        let (packing, name, size, bytes) = sent(&selection).await;
        assert_eq!((packing, name, size, bytes.is_ok()), (Packing::Archive, None, None, true));
    }
    let whole = tree.path().join("d/f.txt");
    let (.., size, _) = sent(&Selection::beneath(tree.path(), &[whole], SMALL).unwrap()).await;
    assert_eq!(size, Some(5), "a path that names the directory itself is one beneath it");
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_breaks_the_upload_and_is_told() {
    let tree = folder();
    std::fs::write(tree.path().join("a"), vec![b'x'; 900_000]).unwrap();
    symlink("/", tree.path().join("b")).unwrap();
    let selection = Selection::beneath(tree.path(), &[".".into()], SMALL).unwrap();
    refused(sent(&selection).await.3, "b is a link that may lead outward");
}

#[test]
fn a_digest_is_of_names_and_contents_alone() {
    let tree = folder();
    std::fs::create_dir(tree.path().join("d")).unwrap();
    for name in ["d/a", "d/b", "lock"] {
        std::fs::write(tree.path().join(name), name).unwrap();
    }
    let of = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(Into::into).collect();
        digest(tree.path(), &paths, SMALL)
    };
    let before = of(&["d", "lock"]).unwrap();
    std::fs::set_permissions(tree.path().join("lock"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::File::open(tree.path().join("lock")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(of(&["lock", "d"]).unwrap(), before);
    std::fs::write(tree.path().join("d/a"), "else").unwrap();
    assert_ne!(of(&["d", "lock"]).unwrap(), before);
    refused(of(&["Cargo.lock"]), "Cargo.lock is not there");
}
