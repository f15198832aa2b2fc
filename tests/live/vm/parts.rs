//! What a machine is made of, where this one has it.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use albatros::domain::elf;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::minded::{may_run, say};

/// What is not on every user's PATH.
const FOLDERS_OF_ROOT: [&str; 2] = ["/usr/sbin", "/sbin"];

static TURN: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// The static program, and the right to run a machine as long as this is kept.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) program: PathBuf,
    _turn: OwnedMutexGuard<()>,
}

impl Parts {
    /// None, and a line that is always seen, where something is missing.
    pub(super) async fn find(story: &str) -> Option<Self> {
        if !may_run(story, &["qemu-system-x86_64", "busybox"]) {
            return None;
        }
        match program() {
            Ok(program) => Some(Self { program, _turn: Arc::clone(&TURN).lock_owned().await }),
            Err(missing) => {
                say(&format!("SKIPPED {story}: {missing}"));
                None
            }
        }
    }
}

fn program() -> Result<PathBuf, &'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS_OF_ROOT.map(PathBuf::from));
    if !folders.into_iter().any(|folder| folder.join("mke2fs").is_file()) {
        return Err("there is no `mke2fs`");
    }
    let boot = std::fs::read_dir("/boot").into_iter().flatten().flatten();
    let kernels = boot.filter_map(|file| file.file_name().to_str()?.strip_prefix("vmlinuz-").map(str::to_owned));
    if !kernels.into_iter().any(|version| PathBuf::from("/lib/modules").join(version).is_dir()) {
        return Err("there is no kernel in /boot with its modules in /lib/modules");
    }
    let program = std::env::var_os("ALBATROS_STATIC").map(PathBuf::from);
    let program = program.ok_or("ALBATROS_STATIC names no static program; .ci/run makes one")?;
    let bytes = std::fs::read(&program).map_err(|_missing| "what ALBATROS_STATIC names is not there")?;
    match bytes.get(..elf::HEAD).is_some_and(elf::is_static) {
        true => Ok(program),
        false => Err("what ALBATROS_STATIC names is not static"),
    }
}
