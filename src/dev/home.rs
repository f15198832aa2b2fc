//! The data directory of `dev`: which directory is which repository, and the credentials that were made up for it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::copy::Head;
use super::name_of;
use crate::domain::id::CommitSha;
use crate::domain::secret::Secret;
use crate::engine::Keep;

/// The file's name.
const FILE: &str = "dev.json";

/// What `dev` keeps between its runs. For its owner's eyes only.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    kept: Kept,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// A bearer that may act.
    token: String,
    /// By the repository's name.
    repositories: BTreeMap<String, Known>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Known {
    dir: PathBuf,
    secret: String,
    #[serde(default)]
    last: Option<Push>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.repositories.keys()).finish()
    }
}

/// What was delivered last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Push {
    pub(super) git_ref: String,
    pub(super) before: String,
    pub(super) commit: CommitSha,
}

impl Home {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let dir = dir.canonicalize()?;
        let mut kept: Kept = match std::fs::read(dir.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        if kept.token.is_empty() {
            kept.token = made_up()?;
        }
        let home = Self { dir, kept };
        home.save()?;
        home.private("token", home.kept.token.as_bytes())?;
        Ok(home)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the workspaces of failed builds are kept.
    pub(super) fn kept(&self) -> Keep {
        Keep { dir: self.dir.join("kept"), always: false }
    }

    /// The name of a directory: the one it had before, or a new one.
    pub(super) fn name(&mut self, dir: &Path) -> io::Result<String> {
        if let Some((name, _)) = self.kept.repositories.iter().find(|(_, known)| known.dir == dir) {
            return Ok(name.clone());
        }
        let first = name_of(dir);
        let next = (2_u32..).map(|number| format!("{first}-{number}"));
        let mut names = std::iter::once(first.clone()).chain(next);
        let name = names.find(|name| !self.kept.repositories.contains_key(name)).unwrap_or(first);
        let known = Known { dir: dir.to_owned(), secret: made_up()?, last: None };
        self.kept.repositories.insert(name.clone(), known);
        self.save()?;
        Ok(name)
    }

    /// The key that deliveries of a repository are signed with.
    pub(super) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.kept.repositories.get(name).map(|known| known.secret.clone()).unwrap_or_default())
    }

    /// The bearer of the one whose machine this is.
    pub(super) fn token(&self) -> Secret {
        Secret::new(self.kept.token.clone())
    }

    /// The push that brought this head; the same one as before if nothing has changed since.
    pub(super) fn push(&mut self, name: &str, head: &Head) -> io::Result<Push> {
        let zeros = || "0".repeat(head.commit.as_str().len());
        let Some(known) = self.kept.repositories.get_mut(name) else {
            return Ok(Push { git_ref: head.git_ref.clone(), before: zeros(), commit: head.commit.clone() });
        };
        if let Some(last) = known.last.as_ref().filter(|last| last.commit == head.commit) {
            return Ok(last.clone());
        }
        let before =
            known.last.as_ref().filter(|last| last.git_ref == head.git_ref).map(|last| last.commit.to_string());
        let before = before.unwrap_or_else(zeros);
        let push = Push { git_ref: head.git_ref.clone(), before, commit: head.commit.clone() };
        known.last = Some(push.clone());
        self.save()?;
        Ok(push)
    }

    /// Writes a file that only its owner can read, and gives its path.
    pub(super) fn private(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.dir.join(name);
        let beside = self.dir.join(format!("{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        std::fs::rename(&beside, &path)?;
        Ok(path)
    }

    fn save(&self) -> io::Result<()> {
        self.private(FILE, &serde_json::to_vec_pretty(&self.kept)?).map(drop)
    }
}

fn made_up() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex::encode(bytes))
}
