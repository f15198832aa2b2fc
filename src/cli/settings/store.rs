//! `ALBATROS_STORE…`, and `AWS_*` as AWS's own tools mean them.

use std::str::FromStr as _;

use url::Url;

use super::own::Overrides;
use super::source::{Environment, SettingsError, Source, parse};
use crate::api::store::{S3Keys, S3Settings, StoreAddress, StoreSettings};
use crate::dispatcher::BlobSettings;
use crate::domain::duration::Span;
use crate::domain::size::Bytes;

/// Single objects of a bucket may be no larger, however they are written.
const OBJECT_MOST: u64 = 5 << 30;
/// One page of a bucket's list.
const COUNT_MOST: usize = 1_000;

pub(super) fn read(flag: Option<&str>, environment: Environment<'_>) -> Result<Option<StoreSettings>, SettingsError> {
    let from = Source::new(environment);
    let told = flag.filter(|it| !it.is_empty()).map(str::to_owned).or_else(|| from.text("ALBATROS_STORE"));
    let Some(text) = told else { return Ok(None) };
    let address = parse::<StoreAddress>("ALBATROS_STORE", &text)?;
    let s3 = match &address {
        StoreAddress::Files(_) => S3Settings::default(),
        StoreAddress::S3 { .. } => s3(from)?,
    };
    Ok(Some(StoreSettings { address, s3, signs: from.switch("ALBATROS_STORE_SIGN")?.unwrap_or(true) }))
}

fn s3(from: Source<'_>) -> Result<S3Settings, SettingsError> {
    let either = |first: &str, second: &str| from.text(first).or_else(|| from.text(second));
    let endpoint = either("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL").map(|text| endpoint(&text)).transpose()?;
    let keys = match (from.text("AWS_ACCESS_KEY_ID"), from.secret("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Some(S3Keys { id, secret, token: from.secret("AWS_SESSION_TOKEN") }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(SettingsError::new("AWS_SECRET_ACCESS_KEY", "is needed beside AWS_ACCESS_KEY_ID"));
        }
        (None, Some(_)) => {
            return Err(SettingsError::new("AWS_ACCESS_KEY_ID", "is needed beside AWS_SECRET_ACCESS_KEY"));
        }
    };
    Ok(S3Settings {
        endpoint,
        region: either("AWS_REGION", "AWS_DEFAULT_REGION"),
        keys,
        ca: from.path("AWS_CA_BUNDLE"),
        identity_file: from.text("AWS_WEB_IDENTITY_TOKEN_FILE"),
        role: from.text("AWS_ROLE_ARN"),
    })
}

fn endpoint(text: &str) -> Result<Url, SettingsError> {
    let wrong = || SettingsError::new("AWS_ENDPOINT_URL", "expected http(s)://host[:port]");
    let url = Url::from_str(text).map_err(|_no_url| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain { Ok(url) } else { Err(wrong()) }
}

/// What of a build is kept, and for how long.
pub(super) fn limits(flags: &Overrides, from: Source<'_>) -> Result<BlobSettings, SettingsError> {
    let usual = BlobSettings::default();
    let told = |flag: &Option<String>, name: &str| flag.clone().filter(|it| !it.is_empty()).or_else(|| from.text(name));
    let object = |name: &str, usual: u64| match from.text(name) {
        None => Ok(usual),
        Some(text) => match parse::<Bytes>(name, &text)?.get() {
            bytes if bytes <= OBJECT_MOST => Ok(bytes),
            _ => Err(SettingsError::new(name, "expected at most 5GiB: that is what object stores take in one piece")),
        },
    };
    let count = |name: &str, usual: usize| match from.text(name).map(|text| text.parse::<usize>()) {
        None => Ok(usual),
        Some(Ok(number)) if (1..=COUNT_MOST).contains(&number) => Ok(number),
        Some(_) => Err(SettingsError::new(name, "expected a number from 1 to 1000")),
    };
    let keep = told(&flags.store_keep, "ALBATROS_STORE_KEEP");
    let size = told(&flags.store_size, "ALBATROS_STORE_SIZE");
    Ok(BlobSettings {
        artifact: object("ALBATROS_ARTIFACT_LIMIT", usual.artifact)?,
        artifacts: count("ALBATROS_ARTIFACT_COUNT", usual.artifacts)?,
        cache: object("ALBATROS_CACHE_LIMIT", usual.cache)?,
        caches: count("ALBATROS_CACHE_COUNT", usual.caches)?,
        keep: keep.map_or(Ok(usual.keep), |text| parse::<Span>("ALBATROS_STORE_KEEP", &text).map(Span::get))?,
        size: size.map(|text| parse::<Bytes>("ALBATROS_STORE_SIZE", &text).map(Bytes::get)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn look<'a>(table: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name: &str| table.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn there_is_no_store_unless_one_is_told() {
        assert!(read(None, &look(&[("AWS_ACCESS_KEY_ID", "x")])).unwrap().is_none());
        assert_eq!(limits(&Overrides::default(), Source::new(&look(&[]))).unwrap(), BlobSettings::default());
    }

    #[test]
    fn a_folder_and_a_bucket_are_stores() {
        let files = read(Some("file:///srv/albatros"), &look(&[])).unwrap().unwrap();
        assert_eq!(files.address, StoreAddress::Files(Path::new("/srv/albatros").to_owned()));
        let table = [
            ("ALBATROS_STORE", "s3://ci-blobs/albatros/one/"),
            ("AWS_ENDPOINT_URL", "http://garage.example:3900"),
            ("AWS_DEFAULT_REGION", "garage"),
            ("AWS_ACCESS_KEY_ID", "GK1"),
            ("AWS_SECRET_ACCESS_KEY", "s3cr3t-of-the-bucket"),
        ];
        let bucket = read(None, &look(&table)).unwrap().unwrap();
        let expected = StoreAddress::S3 { bucket: "ci-blobs".to_owned(), prefix: "albatros/one".to_owned() };
        assert_eq!((&bucket.address, bucket.signs), (&expected, true));
        assert_eq!(bucket.s3.region.as_deref(), Some("garage"));
        assert!(!format!("{bucket:?}").contains("s3cr3t"), "{bucket:?}");
    }

    #[test]
    fn a_wrong_value_names_its_variable() {
        let s3 = ("ALBATROS_STORE", "s3://bucket");
        for (name, value) in [
            ("ALBATROS_STORE", "/srv/albatros"),
            ("ALBATROS_STORE", "file://srv/albatros"),
            ("ALBATROS_STORE", "file:///"),
            ("ALBATROS_STORE", "s3://a/../b"),
            ("ALBATROS_STORE", "s3:///b"),
            ("ALBATROS_STORE_SIGN", "maybe"),
            ("AWS_ENDPOINT_URL", "garage:3900"),
            ("AWS_SECRET_ACCESS_KEY", "alone"),
        ] {
            let table = if name == "ALBATROS_STORE" { vec![(name, value)] } else { vec![s3, (name, value)] };
            let error = read(None, &look(&table)).unwrap_err();
            assert!(error.name == name || value == "alone", "{name}={value}: {error}");
            assert!(!error.to_string().contains("alone"));
        }
        for (name, value) in [
            ("ALBATROS_ARTIFACT_LIMIT", "6GiB"),
            ("ALBATROS_ARTIFACT_COUNT", "0"),
            ("ALBATROS_CACHE_LIMIT", "much"),
            ("ALBATROS_STORE_KEEP", "30"),
            ("ALBATROS_STORE_SIZE", "0"),
        ] {
            let error = limits(&Overrides::default(), Source::new(&look(&[(name, value)]))).unwrap_err();
            assert_eq!(error.name, name);
        }
    }

    #[test]
    fn limits_are_taken_in_units() {
        let table = [("ALBATROS_ARTIFACT_LIMIT", "100MiB"), ("ALBATROS_STORE_SIZE", "2TiB")];
        let flags = Overrides { store_keep: Some("7d".to_owned()), ..Overrides::default() };
        let it = limits(&flags, Source::new(&look(&table))).unwrap();
        assert_eq!((it.artifact, it.size, it.keep), (100 << 20, Some(2 << 40), Duration::from_secs(7 * 86_400)));
    }
}
