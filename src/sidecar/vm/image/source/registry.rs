//! An image of a registry, downloaded layer by layer into files.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::super::error::{ImageError, failed};
use super::super::layers::Slice;
use super::manifest::{CARD_MOST, Card, Config, Descriptor, check, sha256};
use super::{Draft, Known, Layer, Making, Parts, credentials};

/// A connection that brings nothing for so long is given up.
const READ_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// A whole image takes no longer.
const LIMIT: Duration = Duration::from_secs(3600);
/// All layers of an image together, as they are sent.
const BYTES_MOST: u64 = 32 << 30;
/// Indexes within indexes.
const INDEXES: usize = 4;
/// What a registry may answer with.
const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

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
    client: Client,
    image: Reference,
    auth: RegistryAuth,
}

/// Downloads an image whose layers are not known yet. Those of one that is known are left where they are.
pub(super) async fn fetch(name: &str, draft: &Draft, making: &Making, known: Known<'_>) -> Result<Parts, ImageError> {
    let slow = |_elapsed| ImageError::Slow(name.to_owned());
    tokio::time::timeout(LIMIT, download(name, draft, making, known)).await.map_err(slow)?
}

async fn download(name: &str, draft: &Draft, making: &Making, known: Known<'_>) -> Result<Parts, ImageError> {
    let registry = Registry::new(parsed(name)?, making).await?;
    (making.told)(&format!("asking {}", registry.image.resolve_registry()));
    let manifest = registry.manifest().await?;
    let config = manifest.config.as_ref().ok_or_else(|| registry.wrong("its manifest has no configuration"))?;
    let config = Config::parse(&registry.card(config).await?)?;
    let sums = config.sums(manifest.layers.len())?;
    let mut layers = Vec::new();
    if !known(&config.content)? {
        let all: u64 = manifest.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size));
        if all > BYTES_MOST {
            return Err(registry.wrong(&format!("its layers have more than {BYTES_MOST} bytes")));
        }
        let count = manifest.layers.len();
        for (at, (layer, unpacked)) in manifest.layers.iter().zip(sums).enumerate() {
            (making.told)(&format!("downloading layer {} of {count}, {} MiB", at + 1, layer.size >> 20));
            let path = draft.path().join(format!("layer-{at}"));
            let blob = registry.layer(layer, &path).await?;
            layers.push(Layer { blob, digest: Some(sha256(&layer.digest)?.to_owned()), unpacked: Some(unpacked) });
        }
    }
    Ok(Parts { config: config.config, content: Some(config.content), layers, whiteouts: true })
}

impl Registry {
    async fn new(image: Reference, making: &Making) -> Result<Self, ImageError> {
        let host = image.resolve_registry().to_owned();
        let auth = credentials::find(&host, making.docker_config.as_deref()).await?;
        let protocol = if is_loopback(&host) { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            read_timeout: Some(READ_LIMIT),
            connect_timeout: Some(CONNECT_LIMIT),
            user_agent: concat!("albatros/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let refused = |what: &str, error| refused(&host, what.to_owned(), error);
        let client = Client::try_from(config).map_err(|error| refused("an answer", error))?;
        let asked = client.auth(&image, &auth, RegistryOperation::Pull).await;
        asked.map_err(|error| refused("access", error))?;
        Ok(Self { client, image, auth })
    }

    fn refused(&self, what: String) -> impl FnOnce(OciDistributionError) -> ImageError {
        let host = self.image.resolve_registry().to_owned();
        move |error| refused(&host, what, error)
    }

    fn wrong(&self, what: &str) -> ImageError {
        ImageError::Source(format!("the image {}: {what}", self.image.whole()))
    }

    /// The manifest of the image for this machine.
    async fn manifest(&self) -> Result<Card, ImageError> {
        let mut image = self.image.clone();
        for _ in 0..INDEXES {
            let asked = self.client.pull_manifest_raw(&image, &self.auth, ACCEPTED).await;
            let (bytes, digest) = asked.map_err(self.refused(format!("the manifest of {}", image.whole())))?;
            check(&bytes, image.digest().unwrap_or(&digest))?;
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

    /// Its sum is checked when it is unpacked, and by the client.
    async fn layer(&self, descriptor: &Descriptor, path: &Path) -> Result<Slice, ImageError> {
        let mut file = tokio::fs::File::create(path).await.map_err(failed(path, "made"))?;
        self.blob(descriptor, &mut file).await?;
        file.flush().await.map_err(failed(path, "written"))?;
        Slice::whole(path)
    }

    async fn blob(&self, descriptor: &Descriptor, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ImageError> {
        sha256(&descriptor.digest)?;
        let what = || format!("{} of {}", descriptor.digest, self.image.whole());
        let asked = self.client.pull_blob_stream(&self.image, descriptor.digest.as_str()).await;
        let mut stream = asked.map_err(self.refused(what()))?.stream;
        let mut size = 0_u64;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| self.refused(what())(OciDistributionError::IoError(error)))?;
            size = size.saturating_add(piece.len() as u64);
            if size > descriptor.size {
                return Err(self.wrong(&format!("{} is longer than its manifest says", descriptor.digest)));
            }
            to.write_all(&piece).await.map_err(failed(Path::new("layer"), "written"))?;
        }
        if size == descriptor.size { Ok(()) } else { Err(self.wrong(&format!("{} was cut off", descriptor.digest))) }
    }
}

/// Addresses of what was asked for stay out of errors: they may be signed.
fn refused(registry: &str, what: String, error: OciDistributionError) -> ImageError {
    let source = match error {
        OciDistributionError::RequestError(error) => OciDistributionError::RequestError(error.without_url()),
        OciDistributionError::IoError(error) if error.get_ref().is_some_and(|inner| inner.is::<reqwest::Error>()) => {
            OciDistributionError::IoError(std::io::ErrorKind::ConnectionAborted.into())
        }
        error => error,
    };
    ImageError::Registry { registry: registry.to_owned(), what, source: Box::new(source) }
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
