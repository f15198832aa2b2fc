//! What goes out comes in again.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{below, folder, pack, unpack};
use crate::sidecar::pack::{Limits, Links};

const ROOMY: Limits = Limits { bytes: 1 << 30, entries: 1000, depth: 20, links: Links::Inside };

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32),
    Directory,
    Link(String),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), 1_u8..=255], 1..130);
    bytes.prop_map(|mut bytes| {
        bytes.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'x');
        if bytes.iter().all(|byte| *byte == b'.') { b"dots".to_vec() } else { bytes }
    })
}

fn node() -> impl Strategy<Value = Node> {
    let content = proptest::collection::vec(any::<u8>(), 0..2000);
    prop_oneof![
        (content, 0_u32..0o1000).prop_map(|(content, mode)| Node::File(content, mode | 0o400)),
        Just(Node::Directory),
        "(\\./)?[a-z]{1,120}".prop_map(Node::Link),
    ]
}

fn grow(root: &Path, path: &[Vec<u8>], node: &Node) {
    let mut at = root.to_owned();
    for part in path {
        let _ = std::fs::create_dir(&at);
        at.push(OsStr::from_bytes(part));
    }
    // What does not fit beside what is there already is left out.
    let _ = match node {
        Node::File(content, mode) if std::fs::symlink_metadata(&at).is_err() => std::fs::write(&at, content)
            .and_then(|()| std::fs::set_permissions(&at, std::fs::Permissions::from_mode(*mode))),
        Node::Directory => std::fs::create_dir(&at),
        Node::Link(target) => symlink(target, &at),
        Node::File(..) => Ok(()),
    };
}

/// Kind, mode and content of everything, by name.
fn picture(root: &Path, out: bool) -> BTreeMap<PathBuf, (char, u32, Vec<u8>)> {
    let shown = |path: PathBuf| {
        let full = root.join(&path);
        let stat = std::fs::symlink_metadata(&full).unwrap();
        let mode = stat.mode() & 0o777;
        let one = match stat.file_type() {
            kind if kind.is_dir() => ('d', if out { mode } else { mode | 0o755 }, Vec::new()),
            kind if kind.is_symlink() => {
                ('l', 0, std::fs::read_link(&full).unwrap().into_os_string().as_bytes().to_vec())
            }
            _ => ('f', mode | 0o444, std::fs::read(&full).unwrap()),
        };
        (path, one)
    };
    below(root).into_iter().map(shown).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn every_tree_survives_the_round_trip(
        nodes in proptest::collection::vec((proptest::collection::vec(name(), 1..4), node()), 0..12),
    ) {
        let (tree, target) = (folder(), folder());
        for (path, node) in &nodes {
            grow(tree.path(), path, node);
        }
        let packed = pack(tree.path(), &["."], ROOMY).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(unpack(&packed, target.path(), ROOMY)).unwrap();
        prop_assert_eq!(picture(target.path(), true), picture(tree.path(), false));
    }
}

#[tokio::test]
async fn times_second_names_and_what_was_there_before_are_kept() {
    let (tree, target) = (folder(), folder());
    std::fs::create_dir(tree.path().join("d")).unwrap();
    std::fs::write(tree.path().join("d/one"), "new").unwrap();
    std::fs::hard_link(tree.path().join("d/one"), tree.path().join("d/two")).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::options().write(true).open(tree.path().join("d/one")).unwrap().set_modified(long_ago).unwrap();
    std::fs::create_dir(target.path().join("d")).unwrap();
    for (name, text) in [("d/one", "old"), ("d/mine", "mine")] {
        std::fs::write(target.path().join(name), text).unwrap();
    }
    let packed = unpack(&pack(tree.path(), &["d"], ROOMY).unwrap(), target.path(), ROOMY).await.unwrap();
    assert_eq!((packed.entries, packed.bytes), (2, 3));
    let stat = |name: &str| std::fs::metadata(target.path().join(name)).unwrap();
    assert_eq!(stat("d/one").modified().unwrap(), long_ago);
    assert_eq!(stat("d/one").ino(), stat("d/two").ino());
    assert_eq!(std::fs::read_to_string(target.path().join("d/one")).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(target.path().join("d/mine")).unwrap(), "mine");
}

#[tokio::test]
async fn what_other_programs_pack_is_read() {
    let (tree, target) = (folder(), folder());
    std::fs::create_dir_all(tree.path().join("d").join("x".repeat(120))).unwrap();
    std::fs::write(tree.path().join("d").join("x".repeat(120)).join("y".repeat(120)), "deep").unwrap();
    symlink("d", tree.path().join("l")).unwrap();
    for format in ["gnu", "posix", "ustar"] {
        let name = if format == "ustar" { "l" } else { "." };
        let packed = std::process::Command::new("tar")
            .args(["--format", format, "-c", name])
            .current_dir(tree.path())
            .output()
            .unwrap();
        assert!(packed.status.success(), "{packed:?}");
        let packed = zstd::encode_all(std::io::Cursor::new(packed.stdout), 1).unwrap();
        let target = target.path().join(format);
        unpack(&packed, &target, ROOMY).await.unwrap();
        if name == "." {
            assert_eq!(below(&target), below(tree.path()), "{format}");
        }
    }
}
