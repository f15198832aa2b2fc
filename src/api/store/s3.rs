//! A bucket.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use super::{S3Settings, StoreError};

/// A bucket that answers slowly is better than none, one that does not is told early.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Between two pieces of an answer; there is no limit for the whole, which may be large.
const SILENCE: Duration = Duration::from_secs(30);
/// Callers try again by themselves, and later.
const RETRIES: usize = 2;
const RETRY_WITHIN: Duration = Duration::from_secs(15);
/// What AWS's own tools take where nothing is told and nothing can be asked.
const REGION: &str = "us-east-1";

pub(super) fn open(bucket: &str, told: &S3Settings) -> Result<AmazonS3, StoreError> {
    let settings = |error: object_store::Error| StoreError::Settings(Box::new(error));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(told.region.as_deref().unwrap_or(REGION))
        .with_client_options(client(told)?)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: RETRY_WITHIN,
        });
    if let Some(endpoint) = &told.endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    if let Some(keys) = &told.keys {
        builder = builder.with_access_key_id(&keys.id).with_secret_access_key(keys.secret.expose());
        if let Some(token) = &keys.token {
            builder = builder.with_token(token.expose());
        }
    }
    for (key, value) in
        [(AmazonS3ConfigKey::WebIdentityTokenFile, &told.identity_file), (AmazonS3ConfigKey::RoleArn, &told.role)]
    {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    builder.build().map_err(settings)
}

fn client(told: &S3Settings) -> Result<ClientOptions, StoreError> {
    let plain = told.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
    let mut options = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_WITHIN)
        .with_read_timeout(SILENCE)
        .with_allow_http(plain)
        // A machine without authorities could not even speak plain HTTP.
        .with_no_system_certificates(plain);
    if let Some(file) = &told.ca {
        let failed = |error: std::io::Error| {
            let told = format!("AWS_CA_BUNDLE {}: {error}", file.display());
            StoreError::Settings(Box::new(std::io::Error::new(error.kind(), told)))
        };
        let pem = std::fs::read(file).map_err(failed)?;
        let found = Certificate::from_pem_bundle(&pem).map_err(|error| StoreError::Settings(Box::new(error)))?;
        options = found.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    Ok(options)
}
