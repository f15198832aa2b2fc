use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use backhand::{FilesystemReader, InnerNode};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::*;
use crate::sidecar::vm::image::card::ImageConfig;
use crate::sidecar::vm::image::source::Layer;

/// A layer, entry by entry.
#[derive(Default)]
pub(in super::super) struct Packed(Vec<u8>);

impl Packed {
    pub(in super::super) fn entry(mut self, kind: EntryType, path: &str, link: &str, holds: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o4751);
        header.set_uid(1000);
        header.set_gid(50);
        header.set_mtime(1_700_000_000);
        header.set_size(holds.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(holds);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(in super::super) fn file(self, path: &str, holds: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", holds)
    }

    pub(in super::super) fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    pub(in super::super) fn link(self, path: &str, to: &str) -> Self {
        self.entry(EntryType::Symlink, path, to, b"")
    }

    pub(in super::super) fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

struct Built {
    dir: tempfile::TempDir,
    entries: Result<u64, ImageError>,
}

fn build(layers: Vec<Vec<u8>>, whiteouts: bool) -> Built {
    let dir = tempfile::tempdir().unwrap();
    let layers = layers.into_iter().enumerate().map(|(at, bytes)| {
        let path = dir.path().join(format!("layer-{at}"));
        fs::write(&path, &bytes).unwrap();
        let digest = Some(hex::encode(Sha256::digest(&bytes)));
        Layer { blob: Slice::whole(&path).unwrap(), digest, unpacked: None }
    });
    let parts = Parts { config: ImageConfig::default(), content: None, layers: layers.collect(), whiteouts };
    let told: Told = Arc::new(|_line| {});
    let entries = assemble(&parts, dir.path(), &dir.path().join("root"), &told);
    Built { dir, entries }
}

impl Built {
    /// Every name and what is there: `dir`, `-> target`, `fifo`, or a file's text.
    fn names(&self) -> BTreeMap<String, String> {
        self.entries.as_ref().unwrap();
        let file = BufReader::new(File::open(self.dir.path().join("root")).unwrap());
        let fs = FilesystemReader::from_reader(file).unwrap();
        let names = fs.files().map(|node| {
            let what = match &node.inner {
                InnerNode::File(file) => {
                    let mut text = String::new();
                    fs.file(file).reader().read_to_string(&mut text).unwrap();
                    text
                }
                InnerNode::Dir(_) => "dir".to_owned(),
                InnerNode::Symlink(link) => format!("-> {}", link.link.display()),
                InnerNode::NamedPipe => "fifo".to_owned(),
                other => panic!("{other:?}"),
            };
            (node.fullpath.display().to_string(), what)
        });
        names.collect()
    }

    fn refused(self) -> String {
        let error = self.entries.unwrap_err();
        assert!(!self.dir.path().join("root").exists());
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {source}")
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect()
}

#[test]
fn what_is_packed_comes_out_with_owner_mode_and_time() {
    let long = "x".repeat(300_000);
    let layer = Packed::default().dir("bin").file("bin/su", b"su").file("bin/long", long.as_bytes());
    let layer = layer.file("bin/none", b"").link("sbin", "/bin").entry(EntryType::Link, "bin/twin", "bin/long", b"");
    let layer = layer.entry(EntryType::Fifo, "run/pipe", "", b"").bytes();
    let built = build(vec![layer], true);
    let names = built.names();
    let expected = [("/", "dir"), ("/bin", "dir"), ("/bin/su", "su"), ("/bin/none", ""), ("/sbin", "-> /bin")];
    for (name, what) in expected {
        assert_eq!(names.get(name).map(String::as_str), Some(what), "{name}");
    }
    assert!(names["/bin/long"] == long && names["/bin/twin"] == long);
    assert_eq!(names["/run/pipe"], "fifo");
    let file = BufReader::new(File::open(built.dir.path().join("root")).unwrap());
    let fs = FilesystemReader::from_reader(file).unwrap();
    let su = fs.files().find(|node| node.fullpath == Path::new("/bin/su")).unwrap().header;
    assert_eq!((su.permissions, su.uid, su.gid, su.mtime), (0o4751, 1000, 50, 1_700_000_000));
    let made = fs.files().find(|node| node.fullpath == Path::new("/run")).unwrap().header;
    assert_eq!((made.permissions, made.uid), (0o755, 0), "a directory that no entry names is the root's");
}

#[test]
fn the_same_layers_make_the_same_bytes() {
    let layer = || Packed::default().dir("a").file("a/b", b"b").bytes();
    let read = |built: Built| fs::read(built.dir.path().join("root")).unwrap();
    assert_eq!(read(build(vec![layer()], true)), read(build(vec![layer()], true)));
}

#[test]
fn whiteouts_take_away_what_earlier_layers_brought() {
    let first = Packed::default().dir("d").file("d/a", b"1").file("d/b", b"1").file("e/deep/c", b"1").file("f", b"1");
    let second = Packed::default().file("d/.wh.a", b"").file(".wh.e", b"").file("f", b"2").file("g", b"2");
    let built = build(vec![first.bytes(), second.bytes()], true);
    assert_eq!(built.names(), map(&[("/", "dir"), ("/d", "dir"), ("/d/b", "1"), ("/f", "2"), ("/g", "2")]));
}

#[test]
fn a_whiteout_leaves_what_its_own_layer_brings_whatever_the_order() {
    let first = || Packed::default().file("d/old", b"1").file("e/old", b"1").file("f", b"1").bytes();
    let before = Packed::default().file("d/.wh..wh..opq", b"").file("d/new", b"2").file(".wh.f", b"").file("f", b"2");
    let behind = Packed::default().file("d/new", b"2").file("d/.wh..wh..opq", b"").file("f", b"2").file(".wh.f", b"");
    let expected = map(&[("/", "dir"), ("/d", "dir"), ("/d/new", "2"), ("/e", "dir"), ("/e/old", "1"), ("/f", "2")]);
    assert_eq!(build(vec![first(), before.bytes()], true).names(), expected);
    assert_eq!(build(vec![first(), behind.bytes()], true).names(), expected);
}

#[test]
fn a_plain_tree_has_no_whiteouts() {
    let built = build(vec![Packed::default().file(".wh.a", b"w").file("a", b"a").bytes()], false);
    assert_eq!(built.names(), map(&[("/", "dir"), ("/.wh.a", "w"), ("/a", "a")]));
}

#[test]
fn a_directory_gives_way_to_a_file_and_a_link_to_a_directory() {
    let first = Packed::default().file("d/a", b"1").link("l", "/etc").file("x", b"1");
    let second = Packed::default().file("d", b"2").dir("l").file("l/in", b"2").dir("x");
    let built = build(vec![first.bytes(), second.bytes()], true);
    assert_eq!(built.names(), map(&[("/", "dir"), ("/d", "2"), ("/l", "dir"), ("/l/in", "2"), ("/x", "dir")]));
}

#[test]
fn packed_layers_are_told_by_how_they_begin() {
    let layer = Packed::default().file("a", b"a").bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&layer).unwrap();
    let zstd = zstd::encode_all(layer.as_slice(), 1).unwrap();
    for packed in [gzip.finish().unwrap(), zstd, layer] {
        assert_eq!(build(vec![packed], true).names(), map(&[("/", "dir"), ("/a", "a")]));
    }
}

#[test]
fn names_that_leave_the_image_or_go_through_links_are_refused() {
    let cases = [
        (Packed::default().file("../a", b""), "`..`"),
        (Packed::default().file("a/../../b", b""), "`..`"),
        (Packed::default().link("l", "/etc").file("l/passwd", b""), "no directory"),
        (Packed::default().file("f", b"").file("f/a", b""), "no directory"),
        (Packed::default().entry(EntryType::Link, "h", "../../etc/shadow", b""), "`..`"),
        (Packed::default().entry(EntryType::Link, "h", "nothing", b""), "outward"),
        (Packed::default().dir("d").entry(EntryType::Link, "h", "d", b""), "outward"),
        (Packed::default().entry(EntryType::Char, "etc/null", "", b""), "device"),
        (Packed::default().entry(EntryType::Block, "sda", "", b""), "device"),
        (Packed::default().file(".wh...", b""), "neither"),
        (Packed::default().file(".wh.", b""), "neither"),
        (long(&format!("{}f", "d/".repeat(150))), "deeper"),
        (long(&"f".repeat(256)), "too long"),
        (long(&format!("{}f", format!("{}/", "d".repeat(200)).repeat(30))), "too long"),
    ];
    for (at, (layer, why)) in cases.into_iter().enumerate() {
        let said = build(vec![layer.bytes()], true).refused();
        assert!(said.contains(why), "{at}: {said}");
    }
}

/// A file whose name comes in an entry before it, as GNU's tar writes long ones.
fn long(name: &str) -> Packed {
    Packed::default().entry(EntryType::GNULongName, "././@LongLink", "", name.as_bytes()).file("f", b"")
}

#[test]
fn a_name_from_the_root_on_is_the_images_own() {
    let built = build(vec![Packed::default().file("/etc/passwd", b"root").bytes()], true);
    assert_eq!(built.names(), map(&[("/", "dir"), ("/etc", "dir"), ("/etc/passwd", "root")]));
}

#[test]
fn devices_in_dev_are_left_out() {
    let layer = Packed::default().dir("dev").entry(EntryType::Char, "dev/null", "", b"").bytes();
    assert_eq!(build(vec![layer], false).names(), map(&[("/", "dir"), ("/dev", "dir")]));
}

#[test]
fn a_size_that_is_not_there_and_a_cut_archive_are_refused() {
    let mut huge = Header::new_gnu();
    huge.set_entry_type(EntryType::Regular);
    huge.set_path("huge").unwrap();
    huge.set_size(100 << 30);
    huge.set_cksum();
    assert!(build(vec![huge.as_bytes().to_vec()], true).refused().contains("bytes"));
    let whole = Packed::default().file("a", &[7; 4000]).bytes();
    assert!(build(vec![whole[..2000].to_vec()], true).refused().contains("cannot be read"));
    let packed = zstd::encode_all(whole.as_slice(), 1).unwrap();
    assert!(build(vec![packed[..packed.len() / 2].to_vec()], true).refused().contains("cannot be read"));
}

#[test]
fn a_layer_with_another_sum_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layer");
    let bytes = Packed::default().file("a", b"a").bytes();
    fs::write(&path, &bytes).unwrap();
    let right = hex::encode(Sha256::digest(&bytes));
    let other = hex::encode(Sha256::digest("other"));
    for (digest, unpacked, is_right) in [(&right, &right, true), (&other, &right, false), (&right, &other, false)] {
        let (digest, unpacked) = (Some(digest.clone()), Some(unpacked.clone()));
        let layers = vec![Layer { blob: Slice::whole(&path).unwrap(), digest, unpacked }];
        let parts = Parts { config: ImageConfig::default(), content: None, layers, whiteouts: true };
        let root = dir.path().join("root");
        let told: Told = Arc::new(|_line| {});
        assert_eq!(assemble(&parts, dir.path(), &root, &told).is_ok(), is_right);
        assert_eq!(root.exists(), is_right);
        let _ = fs::remove_file(root);
    }
}

#[test]
fn names_that_are_no_text_are_kept() {
    let mut layer = Packed::default().file("odd-?", b"odd");
    let at = layer.0.iter().position(|byte| *byte == b'?').unwrap();
    layer.0[at] = 0xff;
    let mut header = Header::from_byte_slice(&layer.0[..512]).clone();
    header.set_cksum();
    layer.0[..512].copy_from_slice(header.as_bytes());
    let built = build(vec![layer.bytes()], true);
    built.entries.as_ref().unwrap();
    let file = BufReader::new(File::open(built.dir.path().join("root")).unwrap());
    let fs = FilesystemReader::from_reader(file).unwrap();
    assert!(fs.files().any(|node| node.fullpath.as_os_str().as_bytes() == b"/odd-\xff"));
}
