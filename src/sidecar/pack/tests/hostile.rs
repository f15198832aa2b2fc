//! Archives that come from strangers.

use std::io::Cursor;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use tar::EntryType;

use super::{SMALL, archive, below, folder, member, pack, refused, unpack};
use crate::domain::blob::Packing;
use crate::sidecar::pack::{Incoming, Limits, Links};

/// Refused with these words, and nothing is left of it.
async fn never(members: &[Vec<u8>], words: &str) {
    let target = folder();
    refused(unpack(&archive(members), target.path(), SMALL).await, words);
    assert_eq!(below(target.path()), [""; 0].map(std::path::PathBuf::from), "{words}");
}

fn file(name: &str) -> Vec<u8> {
    member(name, EntryType::Regular, "", b"x")
}

#[tokio::test]
async fn names_outward_are_refused() {
    for name in ["/etc/x", "../x", "a/../../x", "a/.."] {
        never(&[file("ok"), file(name)], name).await;
    }
}

#[tokio::test]
async fn links_outward_are_refused() {
    let link = |name, target| member(name, EntryType::Symlink, target, b"");
    for target in ["/", "..", "../x", "a/../..", "/etc/passwd"] {
        never(&[link("l", target)], "l is a link that may lead outward").await;
    }
    never(&[link("d/l", "../..")], "d/l is a link that may lead outward").await;
}

#[tokio::test]
async fn nothing_is_put_behind_a_link_of_the_archive() {
    let link = |name, target| member(name, EntryType::Symlink, target, b"");
    never(&[link("l", "d"), file("l/x")], "l/x lies behind").await;
    never(&[link("here", "."), link("up", "here/..")], "up is a link that may lead outward").await;
    never(&[file("d/x"), link("l", "d"), member("l/y", EntryType::Directory, "", b"")], "l/y lies behind").await;
}

#[tokio::test]
async fn where_links_may_lead_anywhere_still_none_is_followed() {
    let anywhere = Limits { links: Links::Anywhere, ..SMALL };
    let (target, outside) = (folder(), folder());
    let out = outside.path().to_str().unwrap();
    let link = member("out", EntryType::Symlink, out, b"");
    for behind in
        [file("out/x"), member("out/x", EntryType::Directory, "", b""), member("out/x", EntryType::Symlink, "y", b"")]
    {
        refused(unpack(&archive(&[link.clone(), behind]), target.path(), anywhere).await, "out/x lies behind");
    }
    let twin = member("twin", EntryType::Link, "out/x", b"");
    std::fs::write(outside.path().join("x"), "theirs").unwrap();
    refused(unpack(&archive(&[link.clone(), twin]), target.path(), anywhere).await, "twin is a link");
    assert_eq!((below(target.path()).len(), below(outside.path()).len()), (0, 1));

    unpack(&archive(&[link]), target.path(), anywhere).await.unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(target.path().join("socket")).unwrap();
    assert_eq!(std::fs::read_link(target.path().join("out")).unwrap(), outside.path());
    let packed = pack(target.path(), &["."], anywhere).unwrap();
    let again = folder();
    unpack(&packed, again.path(), anywhere).await.unwrap();
    assert_eq!(
        below(again.path()),
        [std::path::PathBuf::from("out")],
        "what it leads to stays where it is, and so does a socket"
    );
    refused(pack(target.path(), &["out"], SMALL), "out is a link that may lead outward");
    refused(pack(target.path(), &["socket"], SMALL), "socket is a socket");
}

#[tokio::test]
async fn nothing_is_put_behind_a_link_that_was_there_before() {
    let (target, outside) = (folder(), folder());
    symlink(outside.path(), target.path().join("out")).unwrap();
    let made = unpack(&archive(&[file("a"), file("out/x")]), target.path(), SMALL).await;
    refused(made, "out cannot be put in place");
    assert_eq!(below(outside.path()).len(), 0);
    assert_eq!(below(target.path()), [std::path::PathBuf::from("out")], "and nothing else was put in place either");
}

#[tokio::test]
async fn hard_links_lead_to_files_of_the_archive_or_nowhere() {
    let twin = |target| member("twin", EntryType::Link, target, b"");
    for target in ["/etc/passwd", "../x", "nothing", "d"] {
        never(&[file("d/x"), twin(target)], "twin is a link that may lead outward").await;
    }
    let behind = member("l", EntryType::Symlink, "d/x", b"");
    never(&[file("d/x"), behind, twin("l")], "twin is a link").await;
    let target = folder();
    unpack(&archive(&[file("d/x"), twin("d/x")]), target.path(), SMALL).await.unwrap();
    assert_eq!(std::fs::read_to_string(target.path().join("twin")).unwrap(), "x");
}

#[tokio::test]
async fn devices_and_pipes_are_refused() {
    for (kind, words) in [
        (EntryType::Char, "dev/x is a device"),
        (EntryType::Block, "dev/x is a device"),
        (EntryType::Fifo, "dev/x is a named pipe"),
        (EntryType::GNUSparse, "dev/x is packed as a sparse file"),
    ] {
        never(&[member("dev/x", kind, "", b"")], words).await;
    }
}

#[tokio::test]
async fn bombs_are_refused() {
    let zeros = vec![0; SMALL.bytes as usize + 1];
    never(&[member("zeros", EntryType::Regular, "", &zeros)], "zeros makes it more than").await;
    let half = vec![0; SMALL.bytes as usize / 2 + 1];
    let halves = ["one", "two"].map(|name| member(name, EntryType::Regular, "", &half));
    never(&halves, "two makes it more than").await;
    let many: Vec<_> = (0..=SMALL.entries).map(|name| file(&name.to_string())).collect();
    never(&many, "makes it more than 50 files").await;
    never(&[file("1/2/3/4/5/6")], "1/2/3/4/5/6 lies deeper than 5").await;
    let headers = vec![member("x", EntryType::XGlobalHeader, "", b""); 300];
    never(&headers, "makes it more than 50 files").await;
    let name = member("././@LongLink", EntryType::GNULongName, "", &vec![b'x'; 70_000]);
    never(&[name, file("x")], "too long names").await;
}

#[tokio::test]
async fn a_file_that_is_larger_than_it_may_be_is_refused() {
    let target = folder();
    let mut incoming = Incoming::start(target.path(), Packing::File, "f", Limits { bytes: 10, ..SMALL }).unwrap();
    for _ in 0..4 {
        incoming.feed(Bytes::from_static(b"12345")).await;
    }
    refused(incoming.finish(None, None).await, "f makes it more than 10 bytes");
    assert!(below(target.path()).is_empty());
}

#[tokio::test]
async fn names_with_nul_come_by_pax_records_alone_and_are_refused() {
    let record = |text: &str| {
        let length = text.len() + 4;
        member("pax", EntryType::XHeader, "", format!("{length} {text}\n").as_bytes())
    };
    assert_eq!(record("path=abcdef").len(), 1024);
    never(&[record("path=ab\0cde"), file("x")], "NUL").await;
    never(&[record("path=/ab/cd"), file("x")], "/ab/cd is an absolute name").await;
    never(&[record("GNU.sparse.size=5"), file("x")], "sparse").await;
    never(&[member("pax", EntryType::XHeader, "", b"nonsense"), file("x")], "archive cannot be read").await;
    let target = folder();
    unpack(&archive(&[record("path=renamed"), file("x")]), target.path(), SMALL).await.unwrap();
    assert_eq!(below(target.path()), [std::path::PathBuf::from("renamed")]);
}

#[tokio::test]
async fn what_is_cut_off_or_no_archive_leaves_nothing() {
    let whole = archive(&[file("a"), member("b", EntryType::Regular, "", &[7; 5000])]);
    let mut wrong_sum = [file("a"), vec![0; 1024]].concat();
    wrong_sum[0] = b'b';
    let not_tar = zstd::encode_all(Cursor::new(b"hello".repeat(1000)), 1).unwrap();
    let wrong_sum = zstd::encode_all(Cursor::new(wrong_sum), 1).unwrap();
    let no_end = zstd::encode_all(Cursor::new(file("a")), 1).unwrap();
    for bytes in [&whole[..whole.len() - 5], b"", b"hello", &not_tar, &wrong_sum, &no_end] {
        let target = folder();
        refused(unpack(bytes, target.path(), SMALL).await, "the archive cannot be read");
        assert!(below(target.path()).is_empty());
    }
}

#[tokio::test]
async fn a_wrong_sum_or_size_leaves_nothing() {
    for (size, sum, words) in [(None, Some("00"), "sum"), (Some(4), None, "size"), (Some(4), Some("00"), "size")] {
        let target = folder();
        let mut incoming = Incoming::start(target.path(), Packing::File, "f", SMALL).unwrap();
        assert!(incoming.feed(Bytes::from_static(b"hello")).await);
        refused(incoming.finish(size, sum).await, words);
        assert!(below(target.path()).is_empty());
    }
    let target = folder();
    let mut incoming = Incoming::start(target.path(), Packing::File, "f", SMALL).unwrap();
    incoming.feed(Bytes::from_static(b"hello")).await;
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    incoming.finish(Some(5), Some(sum)).await.unwrap();
    assert_eq!(std::fs::read_to_string(target.path().join("f")).unwrap(), "hello");
}

#[test]
fn a_single_file_s_name_is_one_part() {
    for name in ["", ".", "..", "a/b", "/a", "a\0"] {
        assert!(Incoming::start(folder().path(), Packing::File, name, SMALL).is_err(), "{name:?}");
    }
}
