//! An image of a registry, downloaded layer by layer into files.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use url::Url;

use super::super::error::{ImageError, failed};
use super::super::layers::Slice;
use super::manifest::{CARD_MOST, Card, Config, Descriptor, check, sha256};
use super::{Draft, Fetched, Known, Layer, Making, Parts, credentials};
use crate::api::http::HttpError;
use crate::api::images::{Asker, Repository};
use crate::domain::secret::Secret;

/// A connection that brings nothing for so long is given up.
const READ_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Saying who asks takes no longer.
const ACCESS_LIMIT: Duration = Duration::from_secs(120);
/// A whole image takes no longer.
const LIMIT: Duration = Duration::from_secs(3600);
/// All layers of an image together, as they are sent.
const BYTES_MOST: u64 = 32 << 30;
/// Indexes within indexes.
const INDEXES: usize = 4;

/// A name as registries have them, or a sentence about what else could be typed.
pub(super) fn parsed(text: &str) -> Result<Reference, ImageError> {
    let usage = |_error| {
        ImageError::Usage(format!(
            "\"{}\" is no image: expected docker:NAME, podman:NAME, oci:DIR|FILE[:TAG], tar:FILE, - or \
             registry/name:tag",
            text.escape_debug()
        ))
    };
    text.parse().map_err(usage)
}

struct Registry {
    repository: Repository,
    image: Reference,
}

/// Downloads an image whose layers are not known yet. Those of one that is known are left where they are.
pub(super) async fn fetch(name: &str, draft: &Draft, making: &Making, known: Known<'_>) -> Result<Fetched, ImageError> {
    let slow = |_elapsed| ImageError::Slow(name.to_owned());
    tokio::time::timeout(LIMIT, download(name, draft, making, known)).await.map_err(slow)?
}

async fn download(name: &str, draft: &Draft, making: &Making, known: Known<'_>) -> Result<Fetched, ImageError> {
    let registry = Registry::new(parsed(name)?, making).await?;
    (making.told)(&format!("asking {}", registry.image.resolve_registry()));
    let manifest = registry.manifest().await?;
    let config = manifest.config.as_ref().ok_or_else(|| registry.wrong("its manifest has no configuration"))?;
    let config = Config::parse(&registry.card(config).await?)?;
    let sums = config.sums(manifest.layers.len())?;
    if let Some(there) = known(&config.content)? {
        return Ok(Fetched::There(there));
    }
    let all: u64 = manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size));
    if all > BYTES_MOST {
        return Err(registry.wrong(&format!("its layers have more than {BYTES_MOST} bytes")));
    }
    let mut layers = Vec::new();
    let count = manifest.layers.len();
    for (at, (layer, unpacked)) in manifest.layers.iter().zip(sums).enumerate() {
        (making.told)(&format!("downloading layer {} of {count}, {} MiB", at + 1, layer.size >> 20));
        let path = draft.path().join(format!("layer-{at}"));
        let blob = registry.layer(layer, &path).await?;
        layers.push(Layer { blob, digest: Some(sha256(&layer.digest)?.to_owned()), unpacked: Some(unpacked) });
    }
    Ok(Fetched::Parts(Parts { config: config.config, content: Some(config.content), layers, whiteouts: true }))
}

impl Registry {
    async fn new(image: Reference, making: &Making) -> Result<Self, ImageError> {
        let host = image.resolve_registry().to_owned();
        let auth = credentials::find(&host, making.docker_config.as_deref()).await?;
        let slow = |_elapsed| ImageError::Slow(image.whole());
        let asker = tokio::time::timeout(ACCESS_LIMIT, access(&image, auth)).await.map_err(slow)??;
        let scheme = if is_loopback(&host) { "http" } else { "https" };
        let at = Url::parse(&format!("{scheme}://{host}/v2/{}/", image.repository()));
        let at = at.map_err(|error| refused(&host, "an answer", error))?;
        let repository = Repository::new(at, asker, READ_LIMIT).map_err(|error| refused(&host, "an answer", error))?;
        Ok(Self { repository, image })
    }

    fn refused(&self, what: &str) -> impl FnOnce(HttpError) -> ImageError {
        let (host, what) = (self.image.resolve_registry().to_owned(), what.to_owned());
        move |error| refused(&host, &what, error)
    }

    fn wrong(&self, what: &str) -> ImageError {
        ImageError::Source(format!("the image {}: {what}", self.image.whole()))
    }

    /// The manifest of the image for this machine.
    async fn manifest(&self) -> Result<Card, ImageError> {
        let mut image = self.image.clone();
        for _ in 0..INDEXES {
            let name = image.digest().or(image.tag()).unwrap_or("latest");
            let asked = self.repository.manifest(name).await;
            let bytes = asked.map_err(self.refused(&format!("the manifest of {}", image.whole())))?;
            image.digest().map_or(Ok(()), |digest| check(&bytes, digest))?;
            let card = Card::parse(&bytes)?;
            if card.config.is_some() {
                return Ok(card);
            }
            image = self.image.clone_with_digest(card.pick(None)?.digest.clone());
        }
        Err(self.wrong("too many indexes within each other"))
    }

    async fn card(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        if descriptor.size > CARD_MOST {
            return Err(self.wrong("its configuration is too large"));
        }
        let mut bytes = Vec::new();
        self.blob(descriptor, &mut bytes).await?;
        check(&bytes, &descriptor.digest).map(|()| bytes)
    }

    /// Its sum is checked when it is unpacked.
    async fn layer(&self, descriptor: &Descriptor, path: &Path) -> Result<Slice, ImageError> {
        let mut file = tokio::fs::File::create(path).await.map_err(failed(path, "made"))?;
        self.blob(descriptor, &mut file).await?;
        file.flush().await.map_err(failed(path, "written"))?;
        Slice::whole(path)
    }

    async fn blob(&self, descriptor: &Descriptor, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ImageError> {
        sha256(&descriptor.digest)?;
        let what = format!("{} of {}", descriptor.digest, self.image.whole());
        let mut blob = self.repository.blob(&descriptor.digest).await.map_err(self.refused(&what))?;
        let mut size = 0_u64;
        while let Some(piece) = blob.piece().await.map_err(self.refused(&what))? {
            size = size.saturating_add(piece.len() as u64);
            if size > descriptor.size {
                return Err(self.wrong(&format!("{} is longer than its manifest says", descriptor.digest)));
            }
            to.write_all(&piece).await.map_err(failed(Path::new("layer"), "written"))?;
        }
        if size == descriptor.size { Ok(()) } else { Err(self.wrong(&format!("{} was cut off", descriptor.digest))) }
    }
}

/// Who asks this registry, after it was asked what it wants to know.
async fn access(image: &Reference, auth: RegistryAuth) -> Result<Asker, ImageError> {
    let host = image.resolve_registry();
    let protocol = if is_loopback(host) { ClientProtocol::Http } else { ClientProtocol::Https };
    let config = ClientConfig {
        protocol,
        read_timeout: Some(READ_LIMIT),
        connect_timeout: Some(CONNECT_LIMIT),
        user_agent: concat!("albatros/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    let client = Client::try_from(config).map_err(|error| refused(host, "an answer", without_address(error)))?;
    let token = client.auth(image, &auth, RegistryOperation::Pull).await;
    let token = token.map_err(|error| refused(host, "access", without_address(error)))?;
    Ok(match (token, auth) {
        (Some(token), _) | (None, RegistryAuth::Bearer(token)) => Asker::Token(Secret::new(token)),
        (None, RegistryAuth::Basic(user, password)) => Asker::User(user, Secret::new(password)),
        (None, RegistryAuth::Anonymous) => Asker::Anybody,
    })
}

/// Addresses of what was asked for stay out of errors: they may be signed.
fn without_address(error: OciDistributionError) -> OciDistributionError {
    match error {
        OciDistributionError::RequestError(error) => OciDistributionError::RequestError(error.without_url()),
        error => error,
    }
}

fn refused(registry: &str, what: &str, error: impl std::error::Error + Send + Sync + 'static) -> ImageError {
    ImageError::Registry { registry: registry.to_owned(), what: what.to_owned(), source: Box::new(error) }
}

/// Only to this machine itself one speaks in the clear.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:3000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["docker.io", "registry:5000", "10.0.0.1:5000", "localhost.example", "127.0.0.1.example:80"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
