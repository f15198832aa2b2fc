//! Folders of this node that go into a machine.

use std::path::PathBuf;

use super::VmSettingsError;
use super::told::Told;

/// What may not be mounted over: the machine's own.
const OWN: &[&str] = &["/", "/alloc", "/local", "/secrets", "/proc", "/sys", "/dev"];

/// A folder of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Folder {
    pub(in super::super) from: PathBuf,
    pub(in super::super) to: String,
    pub(in super::super) writable: bool,
}

impl Told<'_> {
    pub(super) fn mounts(&self) -> Result<Vec<Folder>, VmSettingsError> {
        self.list("MOUNT")?.iter().map(|text| folder(text)).collect()
    }
}

/// `FROM:TO[:rw]`
fn folder(text: &str) -> Result<Folder, VmSettingsError> {
    let wrong = |why: &str| Err(VmSettingsError::Wrong("MOUNT", format!("{text:?}: {why}")));
    let parts: Vec<_> = text.split(':').collect();
    let (from, to, writable) = match parts.as_slice() {
        [from, to] | [from, to, "ro"] => (*from, *to, false),
        [from, to, "rw"] => (*from, *to, true),
        _ => return wrong("expected /from:/to or /from:/to:rw"),
    };
    let plain = |path: &str| path.starts_with('/') && !path.split('/').any(|part| matches!(part, ".." | "."));
    if !plain(from) || !plain(to) {
        return wrong("both are absolute paths, without . and ..");
    }
    let to = to.trim_end_matches('/');
    if to.is_empty() || OWN.contains(&to) || ["/proc/", "/sys/", "/dev/"].iter().any(|own| to.starts_with(own)) {
        return wrong("that place is the machine's own");
    }
    Ok(Folder { from: PathBuf::from(from), to: to.to_owned(), writable })
}
