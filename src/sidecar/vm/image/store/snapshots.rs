//! Snapshots of machines in the store: one file each, of one boot of the node.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use super::super::error::{ImageError, failed};
use super::folder::{Draft, Held};
use super::{Store, names};

/// One that no run has begun from for so long goes when another one is made.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many are kept, those that were used last.
const MOST: usize = 8;
/// In the store: the kind of machine that none can be made of.
const NONE: &str = "no-snapshot";
/// In a snapshot's folder.
const STATE: &str = "state";
/// The same: of which boot of the node it is.
const BOOT: &str = "boot";

/// One that is being made.
#[derive(Debug)]
pub(in crate::sidecar::vm) struct SnapshotDraft {
    draft: Draft,
    file: File,
}

impl SnapshotDraft {
    /// Where to write it.
    pub(in crate::sidecar::vm) fn file(&self) -> &File {
        &self.file
    }
}

impl Store {
    /// The snapshot of that key, open: it can be read to its end whatever becomes of it in the store.
    pub(in crate::sidecar::vm) fn snapshot(&self, key: &str) -> Result<Option<File>, ImageError> {
        let dir = self.folder.snapshots().join(key);
        let Some(held) = Held::shared(&dir)? else { return Ok(None) };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // A store that may only be read has somebody else who keeps it.
        let _ = held.touch(&Timestamps { last_access: now, last_modification: now });
        let path = dir.join(STATE);
        match File::open(&path) {
            // Taken away since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some).map_err(failed(&path, "read")),
        }
    }

    /// A place for a new one.
    pub(in crate::sidecar::vm) fn snapshot_draft(&self) -> Result<SnapshotDraft, ImageError> {
        let draft = self.draft()?;
        let made = draft.path().join("snapshot");
        fs::create_dir(&made).map_err(failed(&made, "made"))?;
        let path = made.join(STATE);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        Ok(SnapshotDraft { file: file.map_err(failed(&path, "made"))?, draft })
    }

    /// Puts one in place, and takes away those of other boots and of no use. It need not survive a loss of power, which is
    /// the end of its boot.
    pub(in crate::sidecar::vm) fn add_snapshot(
        &self,
        made: SnapshotDraft,
        key: &str,
        boot: &str,
    ) -> Result<File, ImageError> {
        let dir = made.draft.path().join("snapshot");
        fs::write(dir.join(BOOT), boot).map_err(failed(&dir, "written"))?;
        let _changing = self.folder.change()?;
        self.drop_snapshots(boot, &made.draft)?;
        let place = self.folder.snapshots().join(key);
        self.folder.put(&dir, &place)?;
        let gone = || ImageError::file(&place, "opened", io::Error::from(io::ErrorKind::NotFound));
        self.snapshot(key)?.ok_or_else(gone)
    }

    /// Whether none of that key can be made.
    pub(in crate::sidecar::vm) fn has_no_snapshot(&self, key: &str) -> bool {
        fs::read_to_string(self.folder.dir.join(NONE)).is_ok_and(|noted| noted == key)
    }

    /// Notes that none of that key can be made, or begun from, and takes away the one that is there.
    pub(in crate::sidecar::vm) fn note_no_snapshot(&self, key: &str) {
        // In a store that cannot be written it is tried each time.
        let _ = fs::write(self.folder.dir.join(NONE), key);
        self.remove_snapshot(key);
    }

    /// Takes it away, where it is there and the store can be written.
    pub(in crate::sidecar::vm) fn remove_snapshot(&self, key: &str) {
        let _ = self.draft().and_then(|draft| {
            let _changing = self.folder.change()?;
            self.folder.take_away(&self.folder.snapshots().join(key), &draft)
        });
    }

    fn drop_snapshots(&self, boot: &str, draft: &Draft) -> Result<(), ImageError> {
        let mut kept: Vec<(SystemTime, _)> = Vec::new();
        for key in names(&self.folder.snapshots())? {
            let dir = self.folder.snapshots().join(key);
            let is_ours = fs::read_to_string(dir.join(BOOT)).is_ok_and(|of| of == boot);
            let used = fs::metadata(&dir).and_then(|data| data.modified()).map_err(failed(&dir, "read"))?;
            if is_ours && used.elapsed().is_ok_and(|age| age < LIFE) {
                kept.push((used, dir));
            } else {
                self.folder.take_away(&dir, draft)?;
            }
        }
        kept.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        // The new one is one of them.
        kept.iter().skip(MOST - 1).try_for_each(|(_, dir)| self.folder.take_away(dir, draft))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn key(number: usize) -> String {
        format!("{number:064x}")
    }

    fn add(store: &Store, number: usize, boot: &str) -> File {
        let draft = store.snapshot_draft().unwrap();
        draft.file().write_all(format!("state {number}").as_bytes()).unwrap();
        store.add_snapshot(draft, &key(number), boot).unwrap()
    }

    fn all(store: &Store) -> Vec<String> {
        names(&store.folder.snapshots()).unwrap()
    }

    #[test]
    fn a_snapshot_is_found_by_its_key_and_read_to_its_end_after_it_was_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(store.snapshot(&key(1)).unwrap().is_none());
        add(&store, 1, "a");
        let mut open = store.snapshot(&key(1)).unwrap().unwrap();
        store.note_no_snapshot(&key(1));
        assert!(store.snapshot(&key(1)).unwrap().is_none());
        assert!(store.has_no_snapshot(&key(1)) && !store.has_no_snapshot(&key(2)));
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "state 1");
    }

    #[test]
    fn those_of_another_boot_and_more_than_the_most_are_taken_away_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        add(&store, 100, "before");
        (0..MOST).for_each(|number| drop(add(&store, number, "now")));
        assert_eq!(all(&store).len(), MOST);
        assert!(!all(&store).contains(&key(100)));
        // The oldest by its last use.
        let folder = File::open(store.folder.snapshots().join(key(3))).unwrap();
        let old = folder.metadata().unwrap().modified().unwrap() - Duration::from_secs(60);
        folder.set_modified(old).unwrap();
        add(&store, 200, "now");
        assert_eq!(all(&store).len(), MOST);
        assert!(all(&store).contains(&key(200)) && !all(&store).contains(&key(3)));
    }

    #[test]
    fn one_that_was_never_finished_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let draft = store.snapshot_draft().unwrap();
        draft.file().write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(all(&store), Vec::<String>::new());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
