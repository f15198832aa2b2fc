//! How much a tree holds, while somebody who would rather not be measured changes it.
//!
//! Every step is taken from the descriptor of the directory above, and follows no link, so whatever is moved or put in
//! the place of something else meanwhile, nothing outside the tree is looked at. Nothing but directories is opened.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::sidecar::vm::DRAFT;

/// How many directories are open at once; what lies deeper is not looked into.
const DEEPEST: usize = 200;
/// How many files with several names are known by their number; of more, every name counts.
const LINKS: usize = 1_000_000;
/// The most that is looked at in one walk.
const ENTRIES: u64 = 50_000_000;

/// Directories by device and number.
pub(super) type Places = HashSet<(u64, u64)>;

/// What counts nothing.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Directories that were closed to us before the script began.
    pub(super) closed: Places,
    /// What comes out of a machine, as long as it is not in place: no script can write there, and it has bounds of its own.
    pub(super) drafts: bool,
}

impl LeftOut {
    fn is_draft(&self, name: &CStr) -> bool {
        self.drafts && name.to_bytes().starts_with(DRAFT.as_bytes())
    }
}

/// What one walk has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the files occupy, in bytes.
    pub(super) bytes: u64,
    /// How many directories could not be looked into.
    pub(super) closed: u64,
}

#[derive(Debug)]
struct Walk<'a> {
    seen: Seen,
    entries: u64,
    links: HashSet<(u64, u64)>,
    left_out: &'a LeftOut,
    closed: Places,
}

/// What an entry turned out to be.
enum Entry {
    Counted,
    Below(OwnedFd),
    Closed,
}

/// The directories below `root` that cannot be looked into.
pub(super) fn closed(root: impl AsFd) -> Places {
    let nothing = LeftOut::default();
    let mut walk = Walk::new(&nothing);
    walk.below(root, u64::MAX);
    walk.closed
}

/// Measures the tree below `root`, until it has seen more than `enough` bytes, but for what is left out.
pub(super) fn measure(root: impl AsFd, enough: u64, left_out: &LeftOut) -> Seen {
    let mut walk = Walk::new(left_out);
    walk.below(root, enough);
    walk.seen
}

impl<'a> Walk<'a> {
    fn new(left_out: &'a LeftOut) -> Self {
        let (seen, links, closed) = (Seen::default(), HashSet::new(), Places::new());
        Self { seen, entries: 0, links, left_out, closed }
    }

    fn below(&mut self, root: impl AsFd, enough: u64) {
        let walk = self;
        let mut open: Vec<Dir> = match Dir::read_from(root) {
            Ok(dir) => vec![dir],
            Err(_) => {
                walk.seen.closed += 1;
                return;
            }
        };
        loop {
            let at_the_top = open.len() == 1;
            let Some(dir) = open.last_mut() else { break };
            if walk.entries > ENTRIES || walk.seen.bytes > enough {
                walk.seen.closed += u64::from(walk.entries > ENTRIES);
                break;
            }
            let found = match dir.read() {
                None => {
                    open.pop();
                    continue;
                }
                Some(Ok(entry)) if at_the_top && walk.left_out.is_draft(entry.file_name()) => Entry::Counted,
                Some(Ok(entry)) => walk.entry(dir, &entry),
                Some(Err(_)) => {
                    open.pop();
                    Entry::Closed
                }
            };
            match found {
                Entry::Counted => {}
                Entry::Closed => walk.seen.closed += 1,
                Entry::Below(_) if open.len() >= DEEPEST => walk.seen.closed += 1,
                Entry::Below(fd) => match Dir::new(fd) {
                    Ok(below) => open.push(below),
                    Err(_) => walk.seen.closed += 1,
                },
            }
        }
    }

    fn entry(&mut self, dir: &Dir, entry: &DirEntry) -> Entry {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            return Entry::Counted;
        }
        self.entries += 1;
        let Ok(above) = dir.fd() else { return Entry::Closed };
        let stat = match statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => return of_error(error),
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // A second name costs nothing. Directories have none.
        let known =
            !is_dir && stat.st_nlink > 1 && self.links.len() < LINKS && !self.links.insert((stat.st_dev, stat.st_ino));
        if !known {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
            self.seen.bytes = self.seen.bytes.saturating_add(blocks.saturating_mul(512));
        }
        if !is_dir {
            return Entry::Counted;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(above, name, flags, Mode::empty()) {
            Ok(below) => Entry::Below(below),
            Err(Errno::ACCESS) if self.left_out.closed.contains(&(stat.st_dev, stat.st_ino)) => Entry::Counted,
            Err(error) => {
                if error == Errno::ACCESS && self.closed.len() < LINKS {
                    self.closed.insert((stat.st_dev, stat.st_ino));
                }
                of_error(error)
            }
        }
    }
}

/// What was removed or replaced since its name was read is seen by the next walk.
fn of_error(error: Errno) -> Entry {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Entry::Counted,
        _ => Entry::Closed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sidecar::trusted::directory;

    const MIB: usize = 1 << 20;

    fn tree() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn seen(tree: &tempfile::TempDir) -> Seen {
        measure(directory(tree.path()).unwrap(), u64::MAX, &LeftOut::default())
    }

    #[test]
    fn a_file_with_many_names_counts_once_and_what_a_link_leads_to_not_at_all() {
        let (tree, outside) = (tree(), tree());
        std::fs::write(outside.path().join("big"), vec![1; 8 * MIB]).unwrap();
        std::fs::write(tree.path().join("one"), vec![1; MIB]).unwrap();
        for name in ["two", "three"] {
            std::fs::hard_link(tree.path().join("one"), tree.path().join(name)).unwrap();
        }
        symlink(outside.path(), tree.path().join("out")).unwrap();
        symlink("/", tree.path().join("root")).unwrap();
        symlink(outside.path().join("big"), tree.path().join("big")).unwrap();
        let seen = seen(&tree);
        assert!((MIB as u64..2 * MIB as u64).contains(&seen.bytes) && seen.closed == 0, "{seen:?}");
    }

    #[test]
    fn what_comes_out_of_a_machine_counts_when_it_is_in_place_and_nothing_else_is_left_out() {
        let tree = tree();
        for folder in [".albatros-out-0-workspace/files", "workspace/.albatros-out-0-workspace", "x.albatros-out-0"] {
            std::fs::create_dir_all(tree.path().join(folder)).unwrap();
            std::fs::write(tree.path().join(folder).join("big"), vec![1; 4 * MIB]).unwrap();
        }
        let measured = |drafts| {
            let left_out = LeftOut { drafts, ..LeftOut::default() };
            measure(directory(tree.path()).unwrap(), u64::MAX, &left_out).bytes / (4 * MIB as u64)
        };
        assert_eq!((measured(true), measured(false)), (2, 3), "a script of another builder can write there");
    }

    #[test]
    fn what_is_sparse_counts_as_what_it_occupies() {
        let tree = tree();
        let file = std::fs::File::create(tree.path().join("sparse")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(seen(&tree).bytes < MIB as u64);
    }

    #[test]
    fn a_tree_deeper_than_any_path_ends_and_is_told_of() {
        let tree = tree();
        let mut at = directory(tree.path()).unwrap();
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&at, "d", Mode::from_raw_mode(0o755)).unwrap();
            at = openat(&at, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert_eq!(seen(&tree).closed, 1);
    }

    #[test]
    fn a_walk_ends_once_it_has_seen_enough() {
        let tree = tree();
        for name in 0..50 {
            std::fs::write(tree.path().join(name.to_string()), vec![1; MIB]).unwrap();
        }
        let seen = measure(directory(tree.path()).unwrap(), 3 * MIB as u64, &LeftOut::default());
        assert!(seen.bytes > 3 * MIB as u64 && seen.bytes < 10 * MIB as u64, "{seen:?}");
    }
}
