//! The user that a machine's process runs as.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use rustix::thread::{CapabilitySet, capabilities};

/// Why it cannot be that user.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    #[error("ALBATROS_VM_QEMU_USER: this node has no user {0:?}")]
    Unknown(String),
    #[error("/etc/passwd cannot be read")]
    Read(#[source] io::Error),
}

/// `user:group[:kvm's group]` for [`super::keep`]; none where this process is not root, or may not become anybody else.
pub(super) fn of(name: &str) -> Result<Option<String>, AccountError> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    if !rustix::process::geteuid().is_root() || !may || name == "root" {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(AccountError::Read)?;
    let (user, group) = find(&users, name).ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
    let of_kvm = std::fs::metadata("/dev/kvm").map(|device| format!(":{}", device.gid())).unwrap_or_default();
    Ok(Some(format!("{user}:{group}{of_kvm}")))
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
    fn a_user_is_found_by_its_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\nodd\n";
        assert_eq!(find(users, "nobody"), Some((65_534, 65_533)));
        assert_eq!((find(users, "odd"), find(users, "no")), (None, None));
    }
}
