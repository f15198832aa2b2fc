//! What a stream is for: told as it is opened, and known before anything of it is read.

/// The longest purpose, in bytes.
pub(super) const LONGEST: usize = 256;
/// The longest name of a folder, in bytes.
const NAME_MOST: usize = 64;

/// Which end of the link one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the machine runs.
    Host,
    /// In the machine.
    Guest,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Host => Self::Guest,
            Self::Guest => Self::Host,
        }
    }
}

/// What a stream is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Messages of the handshake, a line each; once.
    Control,
    /// One connection to the controller's API.
    Api,
    /// One connection to the build's service.
    Service,
    /// What the workload writes to its standard output; once.
    Stdout,
    /// And to its standard error; once.
    Stderr,
    /// A folder's archive on its way into the machine.
    In(String),
    /// And out of it.
    Out(String),
}

impl Purpose {
    /// Who may open such a stream.
    #[must_use]
    pub fn opener(&self) -> Side {
        match self {
            Self::Service => Side::Host,
            Self::Control | Self::Api | Self::Stdout | Self::Stderr | Self::In(_) | Self::Out(_) => Side::Guest,
        }
    }

    /// Whether there is one at most on a link.
    pub(super) fn once(&self) -> bool {
        match self {
            Self::Control | Self::Stdout | Self::Stderr | Self::In(_) | Self::Out(_) => true,
            Self::Api | Self::Service => false,
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Control => "control".to_owned(),
            Self::Api => "api".to_owned(),
            Self::Service => "service".to_owned(),
            Self::Stdout => "stdout".to_owned(),
            Self::Stderr => "stderr".to_owned(),
            Self::In(name) => format!("in {name}"),
            Self::Out(name) => format!("out {name}"),
        }
    }

    /// None: it is no purpose.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let named = |name: &str| is_name(name).then(|| name.to_owned());
        Some(match text {
            "control" => Self::Control,
            "api" => Self::Api,
            "service" => Self::Service,
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            _ => match text.split_once(' ')? {
                ("in", name) => Self::In(named(name)?),
                ("out", name) => Self::Out(named(name)?),
                _ => return None,
            },
        })
    }

    /// Whether the other side would know it.
    pub(super) fn is_sayable(&self) -> bool {
        match self {
            Self::In(name) | Self::Out(name) => is_name(name),
            Self::Control | Self::Api | Self::Service | Self::Stdout | Self::Stderr => true,
        }
    }
}

/// `[A-Za-z0-9][A-Za-z0-9._-]*`: never a path.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= NAME_MOST && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_purpose_is_refused_or_said_as_it_was_heard(text in "(in |out |control|api)?[ -~]{0,80}") {
            if let Some(purpose) = Purpose::parse(text.as_bytes()) {
                prop_assert_eq!(purpose.text(), text);
                prop_assert!(purpose.is_sayable());
            }
        }
    }

    #[test]
    fn a_folder_is_a_name_and_no_path() {
        for text in ["in ", "in ..", "in a/b", "in -x", "out a\n", "in", "shell", ""] {
            assert_eq!(Purpose::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Purpose::parse(b"in m0"), Some(Purpose::In("m0".to_owned())));
    }
}
