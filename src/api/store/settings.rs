//! Which store: what was told of it, before anything is opened.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::domain::secret::Secret;

/// A store, as it was told.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `ALBATROS_STORE`.
    pub address: StoreAddress,
    /// For a bucket.
    pub s3: S3Settings,
    /// `ALBATROS_STORE_SIGN`: whether builds and people are sent to the bucket, by signed addresses, or all bytes pass through `serve`.
    pub signs: bool,
}

impl StoreSettings {
    /// Files below a folder.
    #[must_use]
    pub fn files(root: PathBuf) -> Self {
        Self { address: StoreAddress::Files(root), s3: S3Settings::default(), signs: true }
    }
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// `file:///folder`
    Files(PathBuf),
    /// `s3://bucket[/prefix]`
    S3 {
        /// The bucket.
        bucket: String,
        /// Where our keys begin in it, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// What AWS's own tools take, from the variables that they take it from.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    /// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`: absent for AWS.
    pub endpoint: Option<Url>,
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_ACCESS_KEY_ID` and its companions; absent: what the machine's role or the workload's identity is given.
    pub keys: Option<S3Keys>,
    /// `AWS_CA_BUNDLE`: authorities to trust beside the public ones.
    pub ca: Option<PathBuf>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`: a workload identity.
    pub identity_file: Option<String>,
    /// `AWS_ROLE_ARN`: what the identity is exchanged for.
    pub role: Option<String>,
}

/// A key pair.
#[derive(Debug, Clone)]
pub struct S3Keys {
    /// `AWS_ACCESS_KEY_ID`
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret: Secret,
    /// `AWS_SESSION_TOKEN`
    pub token: Option<Secret>,
}

/// Not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected file:///an/absolute/folder or s3://bucket[/prefix]")]
pub struct StoreAddressError;

impl FromStr for StoreAddress {
    type Err = StoreAddressError;

    fn from_str(text: &str) -> Result<Self, StoreAddressError> {
        if let Some(path) = text.strip_prefix("file://") {
            let path = PathBuf::from(path);
            let fits = path.is_absolute() && path.parent().is_some() && !text.contains(['?', '#', '%', '\0']);
            return if fits { Ok(Self::Files(path)) } else { Err(StoreAddressError) };
        }
        let rest = text.strip_prefix("s3://").ok_or(StoreAddressError)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(named);
        let is_prefix = prefix.is_empty()
            || prefix.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(named));
        if !is_bucket || !is_prefix {
            return Err(StoreAddressError);
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}
