//! Clients: trust, keys, server names and sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use url::{Host, Url};

use super::{Address, CONNECT_TIMEOUT, EndpointError, Service};

/// Where the authorities come from that replace the public ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaSource {
    /// A file of one or more PEM certificates.
    File(PathBuf),
    /// A folder of such files, read with all folders below.
    Folder(PathBuf),
}

/// A client certificate and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// The certificate, with intermediate ones behind it.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// How TLS is spoken with a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Replaces the public roots.
    pub ca: Option<CaSource>,
    /// Shown to the service.
    pub identity: Option<ClientKey>,
    /// The name its certificate must hold, where it is not the address's.
    pub server_name: Option<String>,
    /// Take any certificate.
    pub skip_verify: bool,
}

/// Connections that are kept open for the next call to a service. The client opens new ones while it waits for one of
/// these, so without a limit a burst of calls leaves more than agents take.
const IDLE: usize = 12;

/// What every client has in common.
fn bare() -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("albatros/", env!("CARGO_PKG_VERSION")))
}

/// The client of one service.
pub(super) fn build(service: Service, address: &Address, tls: &Tls) -> Result<Client, EndpointError> {
    // HTTP/1.1 only: over one HTTP/2 connection a slow log reader would hold up every other call.
    let mut builder = bare().http1_only().pool_max_idle_per_host(IDLE);
    if let Some(identity) = &tls.identity {
        builder = builder.identity(read_identity(identity)?);
    }
    builder = match (&tls.ca, address) {
        (Some(ca), _) => builder.tls_certs_only(read_ca(ca)?),
        // Without this a machine without a CA bundle could not even speak plain HTTP.
        (None, Address::Unix(_)) => builder.tls_certs_only([]),
        (None, Address::Web(url)) if url.scheme() == "http" => builder.tls_certs_only([]),
        (None, Address::Web(_)) if tls.skip_verify => builder.tls_certs_only([]),
        (None, Address::Web(_)) => builder,
    };
    if tls.skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder = match address {
        Address::Unix(path) => builder.unix_socket(path.as_path()),
        Address::Web(url) => {
            // As in Go: what is on this machine is never asked for through a proxy.
            if is_loopback(url) || tls.server_name.is_some() {
                builder = builder.no_proxy();
            }
            match (&tls.server_name, url.scheme()) {
                (Some(_), "https") => builder.dns_resolver(Elsewhere::of(url)),
                _ => builder,
            }
        }
    };
    builder.build().map_err(|source| EndpointError::Tls { service: service.name(), source })
}

/// The URL to build requests on and, where that names the certificate's host instead of the service's, the true
/// `Host` header. Giving the URL the expected name is what makes the TLS library ask for it and check it.
pub(super) fn base(address: &Address, tls: &Tls) -> Result<(Url, Option<HeaderValue>), EndpointError> {
    let refused = || EndpointError::Content("the TLS server name is not a host name".to_owned());
    let url = match address {
        Address::Unix(_) => return Url::parse("http://localhost/").map(|url| (url, None)).map_err(|_| refused()),
        Address::Web(url) => url,
    };
    let Some(name) = tls.server_name.as_deref().filter(|name| url.scheme() == "https" && url.host_str() != Some(*name))
    else {
        return Ok((url.clone(), None));
    };
    let authority = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(refused()),
    };
    if !matches!(Host::parse(name), Ok(Host::Domain(_))) {
        return Err(refused());
    }
    let mut named = url.clone();
    named.set_host(Some(name)).map_err(|_| refused())?;
    Ok((named, Some(HeaderValue::from_str(&authority).map_err(|_| refused())?)))
}

/// Answers every name with the addresses of one host.
struct Elsewhere {
    host: String,
}

impl Elsewhere {
    fn of(url: &Url) -> Self {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => String::new(),
        };
        Self { host }
    }
}

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.host.clone();
        Box::pin(async move {
            // Port 0: the one of the URL is taken.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, EndpointError> {
    std::fs::read(path).map_err(|source| EndpointError::File { what, path: path.display().to_string(), source })
}

fn read_identity(pair: &ClientKey) -> Result<Identity, EndpointError> {
    let mut pem = read("the client key", &pair.key)?;
    pem.push(b'\n');
    pem.extend(read("the client certificate", &pair.certificate)?);
    Identity::from_pem(&pem).map_err(|_| {
        EndpointError::Content(format!(
            "{} and {} are not a certificate and its key in PEM",
            pair.certificate.display(),
            pair.key.display()
        ))
    })
}

fn read_ca(source: &CaSource) -> Result<Vec<Certificate>, EndpointError> {
    let (path, found) = match source {
        CaSource::File(path) => (path, certificates(&read("the CA certificate", path)?)),
        CaSource::Folder(path) => (path, read_folder(path)?),
    };
    if found.is_empty() {
        return Err(EndpointError::Content(format!("{} holds no CA certificate in PEM", path.display())));
    }
    Ok(found)
}

fn read_folder(folder: &Path) -> Result<Vec<Certificate>, EndpointError> {
    let failed = |source| EndpointError::File { what: "the CA folder", path: folder.display().to_string(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // A link to a folder is not followed, so that a loop of links ends.
        if path.is_dir() && !path.is_symlink() {
            found.extend(read_folder(&path)?);
        } else if path.is_file() {
            found.extend(certificates(&read("a certificate of the CA folder", &path)?));
        }
    }
    Ok(found)
}

fn certificates(pem: &[u8]) -> Vec<Certificate> {
    Certificate::from_pem_bundle(pem).unwrap_or_default()
}

/// The client for forges: public roots, and those of `extra` where a forge has a private authority.
///
/// # Errors
/// When `extra` cannot be read.
pub fn forge_client(extra: Option<&Path>) -> Result<Client, EndpointError> {
    let extra = match extra {
        Some(path) => read_ca(&CaSource::File(path.to_owned()))?,
        None => Vec::new(),
    };
    let client = bare().tls_certs_merge(extra.clone()).build().or_else(|error| {
        tracing::warn!(%error, "no CA certificates on this machine: forges over https need ALBATROS_FORGE_CACERT");
        bare().tls_certs_only(extra).build()
    });
    client.map_err(|source| EndpointError::Tls { service: "the forge", source })
}

/// A client for plain HTTP on this machine, over a socket where `socket` names one: no proxy and no authority, so that it
/// is made in no time.
///
/// # Errors
/// When there can be no client.
pub fn local_client(socket: Option<&Path>) -> Result<Client, EndpointError> {
    let mut builder = bare().http1_only().no_proxy().tls_certs_only([]);
    if let Some(socket) = socket {
        builder = builder.unix_socket(socket);
    }
    builder.build().map_err(|source| EndpointError::Tls { service: "the controller", source })
}

/// The client for one server at `base`: with `ca` that authority alone is trusted, else the public ones.
///
/// # Errors
/// When `ca` cannot be read, or there can be no client.
pub fn service_client(base: &Url, ca: Option<&Path>) -> Result<Client, EndpointError> {
    let mut builder = bare().http1_only();
    builder = match ca {
        Some(path) => builder.tls_certs_only(read_ca(&CaSource::File(path.to_owned()))?),
        None if base.scheme() == "http" => builder.tls_certs_only([]),
        None => builder,
    };
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|source| EndpointError::Tls { service: "the server", source })
}

/// A client for an address that another service named: public roots, and that of `extra` beside them.
///
/// # Errors
/// When `extra` cannot be read, or there can be no client.
pub fn named_client(address: &Url, extra: Option<&Path>) -> Result<Client, EndpointError> {
    let mut builder = bare().http1_only();
    builder = match extra {
        _ if address.scheme() == "http" => builder.tls_certs_only([]),
        Some(path) => builder.tls_certs_merge(read_ca(&CaSource::File(path.to_owned()))?),
        None => builder,
    };
    if is_loopback(address) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|source| EndpointError::Tls { service: "the store", source })
}

/// How long a connection to a registry may take: it may be on the other side of the world.
const FAR: Duration = Duration::from_secs(20);
/// A registry may send elsewhere for what it is asked, so many times.
const ELSEWHERE: usize = 5;

/// The client for a registry of images: public roots. It is followed where it sends; what it was shown does not go along
/// to another host. A connection that brings nothing for `silence` is given up.
///
/// # Errors
/// When there can be no client.
pub fn registry_client(address: &Url, silence: Duration) -> Result<Client, EndpointError> {
    let mut builder = bare().redirect(Policy::limited(ELSEWHERE)).connect_timeout(FAR).read_timeout(silence);
    if address.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(address) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|source| EndpointError::Tls { service: "the registry", source })
}
