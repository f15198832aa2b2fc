//! Where a build's controller is: `ALBATROS_API`.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, OFlags, open};
use url::Url;

/// So many bytes fit into a socket's address, a NUL behind them.
const SHORT: usize = 107;

/// `unix:<path>`, or `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerAddress {
    /// A socket's path, of any length.
    Unix(PathBuf),
    /// Over TCP, in plain HTTP.
    Web(Url),
}

/// Not an address of a controller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected unix:/path or http://host:port")]
pub struct AddressError;

impl FromStr for ControllerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(PathBuf::from(path))) } else { Err(AddressError) };
        }
        let url = Url::parse(text).map_err(|_parse| AddressError)?;
        let plain = url.scheme() == "http" && url.has_host() && url.username().is_empty() && url.password().is_none();
        if plain { Ok(Self::Web(url)) } else { Err(AddressError) }
    }
}

impl std::fmt::Display for ControllerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Web(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

/// A path by which a socket can be connected to or bound, and what must stay open for that.
#[derive(Debug)]
pub struct Reach {
    path: PathBuf,
    _held: Option<OwnedFd>,
}

impl Reach {
    /// The socket at `path`, through its directory where the path is too long for a socket's address.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn path(path: &Path) -> std::io::Result<Self> {
        if path.as_os_str().len() <= SHORT {
            return Ok(Self { path: path.to_owned(), _held: None });
        }
        let wrong = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path names no socket");
        let (folder, name) = path.parent().zip(path.file_name()).ok_or_else(wrong)?;
        let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { path: through(&folder).join(name), _held: Some(folder) })
    }

    /// The very socket that was opened (with `O_PATH`), whatever stands at its path by now.
    #[must_use]
    pub fn opened(socket: OwnedFd) -> Self {
        Self { path: through(&socket), _held: Some(socket) }
    }

    /// Good as long as this lives.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

fn through(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_others_are_refused() {
        for (text, means) in [
            ("unix:/alloc/albatros.sock", "unix:/alloc/albatros.sock"),
            ("unix:///alloc/albatros.sock", "unix:/alloc/albatros.sock"),
            ("http://127.0.0.1:7000", "http://127.0.0.1:7000"),
        ] {
            assert_eq!(text.parse::<ControllerAddress>().unwrap().to_string(), means);
        }
        for text in ["", "unix:", "unix:x", "unix://x/y", "/alloc/albatros.sock", "https://x", "http://u:p@x"] {
            assert!(text.parse::<ControllerAddress>().is_err(), "{text}");
        }
    }
}
