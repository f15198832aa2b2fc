//! Whether this node's processors run machines: a device that opens is no promise, so one that has failed is remembered
//! until the node is started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

const DEVICE: &str = "/dev/kvm";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What is known of it in a store.
#[derive(Debug)]
pub(super) struct Kvm {
    note: PathBuf,
    boot: String,
}

impl Kvm {
    pub(super) fn of(store: &Path) -> Self {
        let boot = std::fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned();
        Self { note: store.join("no-kvm"), boot }
    }

    /// Why it is not used; none if it may be tried.
    pub(super) fn missing() -> Option<String> {
        OpenOptions::new().read(true).write(true).open(DEVICE).err().map(|error| format!("{DEVICE}: {error}"))
    }

    /// Whether a machine has hung with it since the node was started.
    pub(super) fn has_failed(&self) -> bool {
        let noted = std::fs::read_to_string(&self.note).unwrap_or_default();
        !self.boot.is_empty() && noted.trim() == self.boot
    }

    /// It has.
    pub(super) fn fails(&self) {
        // In a store that cannot be written it is tried each time.
        let _ = std::fs::write(&self.note, &self.boot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_until_the_node_is_started_again() {
        let store = tempfile::tempdir().unwrap();
        let kvm = Kvm::of(store.path());
        assert!(!kvm.has_failed());
        kvm.fails();
        assert!(Kvm::of(store.path()).has_failed());
        let later = Kvm { boot: "another".to_owned(), ..Kvm::of(store.path()) };
        assert!(!later.has_failed());
    }
}
