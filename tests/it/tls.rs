//! Mutual TLS with services: their authority replaces the public ones, and they see our certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use albatros::api::http::{
    CaSource, ClientKey, Endpoint, EndpointConfig, EndpointError, HttpError, Service, Tls, TokenSource, forge_client,
};
use albatros::domain::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A folder of PEM files, and a server that takes only clients with a certificate of the same authority.
struct Site {
    folder: tempfile::TempDir,
    port: u16,
    server: tokio::task::JoinHandle<()>,
}

/// Whom a server takes.
#[derive(Clone, Copy)]
enum Clients {
    Certified,
    Anybody,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    /// The server's certificate holds `name` only, and it wants one of the client.
    async fn start(name: &str) -> Self {
        Self::with(name, Clients::Certified).await
    }

    async fn with(name: &str, clients: Clients) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
            (certificate, key)
        };
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("authorities")).unwrap();
        write("ca.pem", ca.pem());
        write("authorities/one.pem", ca.pem());
        let (certificate, key) = leaf("client.global.nomad");
        write("client.pem", certificate.pem());
        write("client.key", key.serialize_pem());

        let (certificate, key) = leaf(name);
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        let config = match clients {
            Clients::Certified => ServerConfig::builder().with_client_cert_verifier(verifier),
            Clients::Anybody => ServerConfig::builder().with_no_client_auth(),
        };
        let config = config.with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
        Self { folder, port, server }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls {
            ca: Some(CaSource::File(self.file("ca.pem"))),
            identity: Some(ClientKey { certificate: self.file("client.pem"), key: self.file("client.key") }),
            server_name: None,
            skip_verify: false,
        }
    }

    async fn ask(&self, tls: Tls) -> Result<String, HttpError> {
        let endpoint = endpoint(&format!("https://127.0.0.1:{}", self.port), tls).unwrap();
        let request = endpoint.request(Method::GET, &["v1", "status"], Some(Duration::from_secs(10)))?;
        Ok(endpoint.call("ask", request, 4096).await?.words())
    }
}

fn endpoint(address: &str, tls: Tls) -> Result<Endpoint, EndpointError> {
    Endpoint::new(EndpointConfig {
        service: Service::Nomad,
        address: address.parse().unwrap(),
        token: Some(TokenSource::Value(Secret::new("t0ken"))),
        tls,
        http_auth: None,
        query: Vec::new(),
    })
}

/// Answers each connection with the head of its request.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut head = vec![0; 4096];
        let Ok(length) = stream.read(&mut head).await else { continue };
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn both_sides_show_a_certificate_of_their_own_authority() {
    let site = Site::start("127.0.0.1").await;
    let head = site.ask(site.tls()).await.unwrap();
    assert!(head.starts_with("GET /v1/status HTTP/1.1"), "{head}");
    assert!(head.contains("x-nomad-token: t0ken"), "{head}");

    let folder = Tls { ca: Some(CaSource::Folder(site.file("authorities"))), ..site.tls() };
    assert!(site.ask(folder).await.is_ok());
    let unverified = Tls { ca: None, skip_verify: true, ..site.tls() };
    assert!(site.ask(unverified).await.is_ok());

    let nobody = Tls { identity: None, ..site.tls() };
    assert!(site.ask(nobody).await.is_err());
    let stranger = Site::start("127.0.0.1").await;
    let other_ca = Tls { ca: stranger.tls().ca, ..site.tls() };
    assert!(site.ask(other_ca).await.unwrap_err().surely_unsent());
    let other_identity = Tls { identity: stranger.tls().identity, ..site.tls() };
    assert!(site.ask(other_identity).await.is_err());
}

#[tokio::test]
async fn the_server_name_is_what_the_certificate_must_hold_and_the_host_stays_the_address() {
    let site = Site::start("server.global.nomad").await;
    assert!(site.ask(site.tls()).await.is_err());
    let named = Tls { server_name: Some("server.global.nomad".to_owned()), ..site.tls() };
    let head = site.ask(named).await.unwrap();
    assert!(head.contains(&format!("host: 127.0.0.1:{}", site.port)), "{head}");
    let other = Tls { server_name: Some("client.global.nomad".to_owned()), ..site.tls() };
    assert!(site.ask(other).await.is_err());
}

#[tokio::test]
async fn files_that_are_missing_or_hold_something_else_are_told_at_the_start() {
    let site = Site::start("127.0.0.1").await;
    let missing = Tls { ca: Some(CaSource::File(site.file("none.pem"))), ..Tls::default() };
    assert!(matches!(endpoint("https://127.0.0.1:1", missing), Err(EndpointError::File { .. })));
    let wrong = Tls { ca: Some(CaSource::File(site.file("client.key"))), ..Tls::default() };
    assert!(matches!(endpoint("https://127.0.0.1:1", wrong), Err(EndpointError::Content(_))));
    let no_key = ClientKey { certificate: site.file("client.pem"), key: site.file("client.pem") };
    let no_key = Tls { identity: Some(no_key), ..Tls::default() };
    assert!(matches!(endpoint("https://127.0.0.1:1", no_key), Err(EndpointError::Content(_))));
    assert!(forge_client(Some(Path::new("/nonexistent/ca.pem"))).is_err());
    assert!(forge_client(Some(&site.file("ca.pem"))).is_ok());
}

#[tokio::test]
async fn a_socket_file_is_spoken_to_in_plain_http() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("consul.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let endpoint = endpoint(&format!("unix://{}", path.display()), Tls::default()).unwrap();
    let request = endpoint.request(Method::GET, &["v1", "kv", "a/b"], Some(Duration::from_secs(10))).unwrap();
    assert_eq!(endpoint.call("ask", request, 10).await.unwrap().words(), "ok");
    assert!(server.await.unwrap().starts_with("GET /v1/kv/a%2Fb HTTP/1.1"));
}

#[tokio::test]
async fn a_verb_takes_the_server_s_authority_from_its_own_flag_or_the_environment() {
    let site = Site::with("127.0.0.1", Clients::Anybody).await;
    let list = async |flag: Option<&Path>, variable: Option<&Path>| {
        let mut verb = tokio::process::Command::new(env!("CARGO_BIN_EXE_albatros"));
        verb.args(["list", "--url", &format!("https://127.0.0.1:{}", site.port)]).env_clear().kill_on_drop(true);
        if let Some(file) = flag {
            verb.arg("--cacert").arg(file);
        }
        if let Some(file) = variable {
            verb.env("ALBATROS_CACERT", file);
        }
        String::from_utf8(verb.output().await.unwrap().stderr).unwrap()
    };
    let ca = site.file("ca.pem");
    // It is no Albatros that answers, but it does answer.
    for (flag, variable) in [(Some(&*ca), None), (None, Some(&*ca)), (Some(&*ca), Some(Path::new("/none")))] {
        let said = list(flag, variable).await;
        assert!(said.contains("the answer is not one of Albatros"), "{said}");
    }
    let said = list(None, None).await;
    assert!(said.contains("does not answer"), "{said}");
    let said = list(Some(Path::new("/none/ca.pem")), None).await;
    assert!(said.contains("/none/ca.pem"), "{said}");
}
