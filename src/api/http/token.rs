//! The token that a service is shown, read again where it stands in a file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;

use super::EndpointError;
use crate::domain::secret::Secret;

/// How long a token from a file is used before the file is looked at again: Nomad replaces the files of workload
/// identities at half their life, minutes before the old ones end.
const REREAD: Duration = Duration::from_secs(5);

/// Where a token comes from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// It is this one, for ever.
    Value(Secret),
    /// It is what the file holds now, without surrounding space.
    File(PathBuf),
}

/// A token ready to be sent; clones share what was read.
#[derive(Clone)]
pub(super) enum Token {
    None,
    Value(HeaderValue),
    File { path: PathBuf, read: Arc<Mutex<(Instant, HeaderValue)>> },
}

impl Token {
    pub(super) fn new(source: Option<TokenSource>) -> Result<Self, EndpointError> {
        match source {
            None => Ok(Self::None),
            Some(TokenSource::Value(secret)) => match header(secret.expose()) {
                Some(value) => Ok(Self::Value(value)),
                None => Err(EndpointError::Content("a token holds what a header cannot carry".to_owned())),
            },
            Some(TokenSource::File(path)) => {
                let value = read(&path).map_err(|source| EndpointError::File {
                    what: "the token file",
                    path: path.display().to_string(),
                    source,
                })?;
                Ok(Self::File { path, read: Arc::new(Mutex::new((Instant::now(), value))) })
            }
        }
    }

    /// The token to send now. While its file cannot be read the last one is used: files are replaced under our eyes.
    pub(super) fn now(&self) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Value(value) => Some(value.clone()),
            Self::File { path, read: last } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.0.elapsed() >= REREAD {
                    match read(path) {
                        Ok(value) => last.1 = value,
                        Err(error) => tracing::warn!(%error, path = %path.display(), "token file not read"),
                    }
                    last.0 = Instant::now();
                }
                Some(last.1.clone())
            }
        }
    }
}

fn read(path: &Path) -> std::io::Result<HeaderValue> {
    let text = std::fs::read_to_string(path)?;
    match text.trim() {
        "" => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty")),
        token => header(token)
            .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "the file holds no single token")),
    }
}

fn header(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(token).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(token: &Token) {
        if let Token::File { read, .. } = token {
            read.lock().unwrap().0 = Instant::now().checked_sub(REREAD).unwrap();
        }
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_vanishes_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nomad_token");
        std::fs::write(&path, "first\n").unwrap();
        let token = Token::new(Some(TokenSource::File(path.clone()))).unwrap();
        assert_eq!(token.now().unwrap(), "first");

        std::fs::write(&path, "second").unwrap();
        age(&token);
        assert_eq!(token.now().unwrap(), "second");

        std::fs::remove_file(&path).unwrap();
        age(&token);
        assert_eq!(token.now().unwrap(), "second");
    }

    #[test]
    fn a_missing_or_empty_file_is_an_error_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(Token::new(Some(TokenSource::File(path.clone()))).is_err());
        std::fs::write(&path, " \n").unwrap();
        assert!(Token::new(Some(TokenSource::File(path))).is_err());
    }
}
