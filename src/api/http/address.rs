//! Where a service is, in the forms that HashiCorp's clients take.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// A service's address: `http(s)://host[:port][/path]`, `host:port` (plain HTTP) or `unix:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Web(Url),
    /// Over a socket file, plain HTTP.
    Unix(PathBuf),
}

/// Not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address: {0}")]
pub struct AddressError(&'static str);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(AddressError("a socket needs an absolute path, as in unix:///run/consul.sock"));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let url = match text.split_once("://") {
            Some(_) => Url::parse(text),
            None => Url::parse(&format!("http://{text}")),
        };
        let url = url.map_err(|_| AddressError("expected http(s)://host:port, host:port or unix:///path"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(AddressError("expected http(s)://host:port, host:port or unix:///path"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError("user and password belong into the HTTP_AUTH variable, not into the address"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError("an address has no query and no fragment"));
        }
        Ok(Self::Web(url))
    }
}

impl Address {
    /// The same place over TLS; a socket stays what it is.
    #[must_use]
    pub fn secured(self) -> Self {
        match self {
            Self::Web(mut url) => {
                // An unwritten port 80 would silently become 443 with the scheme.
                let port = url.port_or_known_default();
                if url.set_scheme("https").is_ok() {
                    let _ = url.set_port(port);
                }
                Self::Web(url)
            }
            Self::Unix(path) => Self::Unix(path),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Web(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        for (text, means) in [
            ("http://127.0.0.1:4646", "http://127.0.0.1:4646"),
            ("https://nomad.example:4646/under/", "https://nomad.example:4646/under"),
            ("127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("localhost:8500", "http://localhost:8500"),
            ("[::1]:8500", "http://[::1]:8500"),
            ("unix:///run/consul.sock", "unix:///run/consul.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), means);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "ftp://x", "http://", "unix://", "unix://run/x", "http://u:p@x", "http://x?y", "a b"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn tls_keeps_the_port() {
        let address: Address = "127.0.0.1:8501".parse().unwrap();
        assert_eq!(address.secured().to_string(), "https://127.0.0.1:8501");
    }
}
