//! The user that a machine's process runs as.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use rustix::thread::{CapabilitySet, capabilities};

use super::settings::AccelChoice;

/// Why it cannot be that user.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    #[error("ALBATROS_VM_QEMU_USER: this node has no user {0:?}")]
    Unknown(String),
    #[error("/etc/passwd cannot be read")]
    Read(#[source] io::Error),
}

/// `user:group[:kvm's group]` for [`super::keep`]; none where this process is not root, or may not become anybody else.
pub(super) fn of(name: &str, accel: AccelChoice) -> Result<Option<String>, AccountError> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    if !rustix::process::geteuid().is_root() || !may || name == "root" {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(AccountError::Read)?;
    let own = find(&users, name).ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
    let device = std::fs::metadata("/dev/kvm").ok().map(|device| device.gid());
    Ok(Some(numbers(own, accel, device)))
}

/// With the group that may use KVM, where it may be used. A device that is root's alone makes nobody one of root's group.
fn numbers((user, group): (u32, u32), accel: AccelChoice, of_device: Option<u32>) -> String {
    match (accel, of_device) {
        (AccelChoice::Auto | AccelChoice::Kvm, Some(kvm @ 1..)) => format!("{user}:{group}:{kvm}"),
        (AccelChoice::Tcg, _) | (AccelChoice::Auto | AccelChoice::Kvm, Some(0) | None) => format!("{user}:{group}"),
    }
}

/// See passwd(5).
fn find(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        match fields.as_slice() {
            [user, _, number, group, ..] if *user == name => Some((number.parse().ok()?, group.parse().ok()?)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_never_one_of_roots_group_and_of_kvms_only_where_that_is_used() {
        for (accel, device, told) in [
            (AccelChoice::Auto, Some(107), "5:6:107"),
            (AccelChoice::Kvm, Some(107), "5:6:107"),
            (AccelChoice::Tcg, Some(107), "5:6"),
            (AccelChoice::Kvm, Some(0), "5:6"),
            (AccelChoice::Auto, Some(0), "5:6"),
            (AccelChoice::Auto, None, "5:6"),
        ] {
            assert_eq!(numbers((5, 6), accel, device), told, "{accel:?} {device:?}");
        }
    }

    #[test]
    fn a_user_is_found_by_its_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\nodd\n";
        assert_eq!(find(users, "nobody"), Some((65_534, 65_533)));
        assert_eq!((find(users, "odd"), find(users, "no")), (None, None));
    }
}
