//! Files that change while they are read.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{SMALL, folder, pack, refused, sent};
use crate::sidecar::pack::walk::{Item, walk};
use crate::sidecar::pack::{PackError, Selection, error::Why};
use crate::sidecar::trusted::directory;

#[test]
fn a_directory_that_becomes_a_link_outward_is_refused_and_one_that_is_moved_is_read_to_its_end() {
    let (tree, outside) = (folder(), folder());
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    for name in ["a", "b"] {
        std::fs::create_dir(tree.path().join(name)).unwrap();
        std::fs::write(tree.path().join(name).join("1"), "x").unwrap();
        std::fs::write(tree.path().join(name).join("2"), "x").unwrap();
    }
    let swap = |name: &str| {
        std::fs::rename(tree.path().join(name), outside.path().join(name)).unwrap();
        symlink(outside.path(), tree.path().join(name)).unwrap();
    };
    let mut seen = Vec::new();
    let walked = walk(&directory(tree.path()).unwrap(), &[Vec::new()], &SMALL, |entry| {
        seen.push(String::from_utf8(entry.path).unwrap());
        match seen.last().unwrap().as_str() {
            "a/1" => swap("a"),
            "a/2" => swap("b"),
            _ => {}
        }
        Ok(())
    });
    refused(walked, "b is a link that may lead outward");
    assert_eq!(seen, ["a", "a/1", "a/2"]);
}

#[test]
fn nothing_outside_is_read_while_links_and_directories_change_places() {
    let (tree, outside) = (folder(), folder());
    std::fs::create_dir_all(tree.path().join("d")).unwrap();
    std::fs::write(tree.path().join("d/file"), "inside").unwrap();
    std::fs::write(outside.path().join("file"), "secret").unwrap();
    symlink(outside.path(), tree.path().join("e")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (tree.path().join("d"), tree.path().join("e"));
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let root = directory(tree.path()).unwrap();
        for _ in 0..2_000 {
            let walked = walk(&root, &[b"d".to_vec()], &SMALL, |entry| {
                if let Item::File { file, .. } = entry.item {
                    assert_eq!(std::io::read_to_string(file).unwrap(), "inside");
                }
                Ok(())
            });
            let is_fine = match walked {
                Ok(()) => true,
                Err(PackError::Refused { why, .. }) => matches!(why, Why::Outward(_) | Why::Changed),
                Err(_) => false,
            };
            if !is_fine {
                over.store(true, Ordering::Relaxed);
                unreachable!("refused for another reason");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_removed_while_its_directory_is_read_is_left_out() {
    let tree = folder();
    for name in ["1", "2"] {
        std::fs::write(tree.path().join(name), "x").unwrap();
    }
    let mut seen = Vec::new();
    let walked = walk(&directory(tree.path()).unwrap(), &[Vec::new()], &SMALL, |entry| {
        seen.push(entry.path);
        let _ = std::fs::remove_file(tree.path().join("2"));
        Ok(())
    });
    assert!(walked.is_ok());
    assert_eq!(seen, [b"1".to_vec()]);
}

#[tokio::test]
async fn a_file_that_grows_is_taken_as_it_was_and_one_that_shrinks_is_refused() {
    let tree = folder();
    let path = tree.path().join("log");
    let limits = super::Limits { bytes: 64 << 20, ..SMALL };
    let size = 8 << 20;
    for (longer, words) in [(true, None), (false, Some("log became shorter while it was read"))] {
        std::fs::write(&path, vec![b'x'; size]).unwrap();
        let selection = Selection::beneath(tree.path(), &["log".into()], limits).unwrap();
        // The channel holds less than the file: its thread waits in the middle of it.
        let outgoing = selection.start().unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(if longer { 2 * size as u64 } else { 4096 }).unwrap();
        let (stream, verdict) = outgoing.into_stream();
        let pieces: Vec<_> = futures_util::StreamExt::collect(std::pin::pin!(stream)).await;
        let told = verdict.take().unwrap();
        match words {
            None => assert_eq!(pieces.iter().flatten().map(bytes::Bytes::len).sum::<usize>(), size),
            Some(words) => refused(told, words),
        }
    }
}

#[tokio::test]
async fn an_upload_that_nobody_takes_ends_its_thread() {
    let tree = folder();
    std::fs::write(tree.path().join("a"), vec![0; 900_000]).unwrap();
    let selection = Selection::beneath(tree.path(), &["a".into()], SMALL).unwrap();
    drop(selection.start().unwrap());
    assert!(sent(&selection).await.3.is_ok(), "and it can be begun again");
    assert!(pack(tree.path(), &["a"], SMALL).is_ok());
}
