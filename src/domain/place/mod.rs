//! Where things are kept in the store.
//!
//! ```text
//! repos/<repo>/builds/<claim>/artifacts/<id>.json            manifest of an artifact: it is there when this is
//! repos/<repo>/builds/<claim>/objects/<upload>               bytes of an artifact
//! repos/<repo>/builds/<claim>/log/<own claim>/<stream>/…     pieces of a log, and `end`
//! repos/<repo>/builds/<claim>/record/<own claim>.json        how a build ended
//! repos/<repo>/caches/<trusted|untrusted>/<id>.json          manifest of a cache
//! repos/<repo>/caches/<trusted|untrusted>/objects/<upload>   bytes of a cache
//! repos/<repo>/green/<trusted|untrusted>/<ref>/<flavor>.json the newest green build of a ref
//! history/<newest first>-<claim>                             for lists
//! index/<build>                                              finds a build by its id
//! ready                                                      written to see that the store can be
//! ```
//! `<repo>`, `<ref>` and `<build>` are SHA-256 in hexadecimal digits, everything else is a checked word: nothing that comes from outside can name another
//! place than its own. `<claim>` is the change's; a job's things are in the place of the build that started it, under its own claim where there is one for each.

mod green;
mod read;

use sha2::{Digest as _, Sha256};

use super::id::{BlobId, BuildId, ClaimId, Flavor, UploadId};

pub use green::Green;
pub use read::{InBuild, Place, RepoHash};

/// The name of one thing in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// As the store knows it, below its prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where names begin that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(String);

impl Folder {
    /// Without a slash at its end; empty for everything.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything that there is.
    #[must_use]
    pub fn all() -> Self {
        Self(String::new())
    }

    /// The name of a key within.
    #[must_use]
    pub fn name<'a>(&self, key: &'a Key) -> Option<&'a str> {
        key.0.strip_prefix(&self.0)?.strip_prefix('/')
    }

    /// A name that sorts just before all names within that begin with `start`, to list from there.
    #[must_use]
    pub fn before(&self, start: &BlobId) -> Key {
        // Nothing of ours is called so: a manifest has an ending.
        Key(format!("{}/{start}", self.0))
    }
}

/// Whether secrets may have been at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    /// What a trusted build left.
    Trusted,
    /// What any build left.
    Untrusted,
}

impl Trust {
    /// Of a build.
    #[must_use]
    pub fn of(trusted: bool) -> Self {
        if trusted { Self::Trusted } else { Self::Untrusted }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Which of a script's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// `stdout`
    Stdout,
    /// `stderr`
    Stderr,
}

impl Output {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// By its name; none for any other word.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|output| output.as_str() == text)
    }

    /// As it stands in addresses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// All that is kept of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPlace(RepoHash);

impl RepoPlace {
    /// By its canonical address.
    #[must_use]
    pub fn of(canonical: &str) -> Self {
        Self(RepoHash::of(canonical))
    }

    /// By what was read.
    #[must_use]
    pub fn by_hash(hash: RepoHash) -> Self {
        Self(hash)
    }

    /// What stands for the repository in keys.
    #[must_use]
    pub fn hash(&self) -> &RepoHash {
        &self.0
    }

    /// What is kept of one change.
    #[must_use]
    pub fn build(&self, claim: &ClaimId) -> BuildPlace {
        BuildPlace(format!("repos/{}/builds/{claim}", self.0))
    }

    /// The caches that builds of this trust have left.
    #[must_use]
    pub fn caches(&self, trust: Trust) -> Folder {
        Folder(format!("repos/{}/caches/{}", self.0, trust.as_str()))
    }

    /// The manifest of a cache.
    #[must_use]
    pub fn cache(&self, trust: Trust, id: &BlobId) -> Key {
        Key(format!("{}/{id}.json", self.caches(trust).0))
    }

    /// The bytes of a cache.
    #[must_use]
    pub fn cache_object(&self, trust: Trust, upload: &UploadId) -> Key {
        Key(format!("{}/objects/{upload}", self.caches(trust).0))
    }

    /// What says which builds are green.
    #[must_use]
    pub fn greens(&self) -> Folder {
        Folder(format!("repos/{}/green", self.0))
    }

    /// What says which build of a ref is the newest green one; see [`Green`].
    #[must_use]
    pub fn green(&self, trust: Trust, git_ref: &str, flavor: &Flavor) -> Key {
        // A flavor may be `..`, which with the ending is a name like any other.
        Key(format!("{}/{}/{}/{flavor}.json", self.greens().0, trust.as_str(), hash(git_ref)))
    }
}

/// All that is kept of one change and its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlace(String);

impl BuildPlace {
    /// Everything.
    #[must_use]
    pub fn all(&self) -> Folder {
        Folder(self.0.clone())
    }

    /// The manifests of its artifacts.
    #[must_use]
    pub fn artifacts(&self) -> Folder {
        Folder(format!("{}/artifacts", self.0))
    }

    /// The manifest of an artifact.
    #[must_use]
    pub fn artifact(&self, id: &BlobId) -> Key {
        Key(format!("{}/artifacts/{id}.json", self.0))
    }

    /// The bytes of an artifact.
    #[must_use]
    pub fn object(&self, upload: &UploadId) -> Key {
        Key(format!("{}/objects/{upload}", self.0))
    }

    /// The pieces of a log of the change or, with its own claim, of a job.
    #[must_use]
    pub fn log(&self, own: &ClaimId, output: Output) -> Folder {
        Folder(format!("{}/log/{own}/{}", self.0, output.as_str()))
    }

    /// One piece of a log, by the offset of its first byte.
    #[must_use]
    pub fn log_chunk(&self, own: &ClaimId, output: Output, offset: u64) -> Key {
        Key(format!("{}/{offset:020}", self.log(own, output).0))
    }

    /// What says that a log is whole.
    #[must_use]
    pub fn log_end(&self, own: &ClaimId, output: Output) -> Key {
        Key(format!("{}/end", self.log(own, output).0))
    }

    /// How the change or, with its own claim, a job ended.
    #[must_use]
    pub fn record(&self, own: &ClaimId) -> Key {
        Key(format!("{}/record/{own}.json", self.0))
    }
}

/// More milliseconds than there will be for a while: what is taken from it sorts the newest first.
const FAR: i64 = 9_999_999_999_999;

/// What lists are made of, newest first.
#[must_use]
pub fn histories() -> Folder {
    Folder("history".to_owned())
}

/// One line of a list.
#[must_use]
pub fn history(created: jiff::Timestamp, claim: &ClaimId) -> Key {
    Key(format!("history/{:013}-{claim}", (FAR - created.as_millisecond()).clamp(0, FAR)))
}

/// What sorts just behind all lines of changes that began at `created`, to list from there.
#[must_use]
pub fn history_before(created: jiff::Timestamp) -> Key {
    // A claim is hexadecimal digits.
    Key(format!("history/{:013}-z", (FAR - created.as_millisecond()).clamp(0, FAR)))
}

/// What finds builds by their ids.
#[must_use]
pub fn indexes() -> Folder {
    Folder("index".to_owned())
}

/// Finds a build by its id.
#[must_use]
pub fn index(build: &BuildId) -> Key {
    Key(format!("index/{}", hash(build.as_str())))
}

/// Finds a change by its claim. No build's id is a claim: it has a slash.
#[must_use]
pub fn index_of_claim(claim: &ClaimId) -> Key {
    Key(format!("index/{}", hash(claim.as_str())))
}

/// Written to see that the store can be.
#[must_use]
pub fn ready() -> Key {
    Key("ready".to_owned())
}

#[cfg(test)]
mod tests;
