//! A cluster where nobody has a token and everybody needs a certificate.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::commands::shell;
use crate::fake::delivery::{Delivery, commit};
use crate::fake::forge::{Forge, Right};
use crate::fake::http::send;
use crate::fake::serve::Serve;
use crate::minded::{Minded, Room, free_ports, say};
use crate::nomad::{self, Nomad};
use crate::story::{SECRET, builder, until};

const NONE: &str = "0000000000000000000000000000000000000000";
const REPO: &str = "http://git.example/quentin/albatros.git";

/// An authority, one certificate for servers and one for clients.
fn certificates(room: &Room) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    room.write("ca.pem", &ca.pem());
    for (file, names) in [
        ("server", &["localhost", "127.0.0.1", "server.global.nomad", "client.global.nomad", "server.dc1.consul"][..]),
        ("client", &["cli.global.nomad"][..]),
    ] {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        room.write(&format!("{file}.pem"), &certificate.pem());
        room.write(&format!("{file}.key"), &key.serialize_pem());
    }
}

fn consul(room: Room) -> (Minded, u16) {
    let [port, server, lan, wan] = free_ports();
    let path = room.path().display();
    let config = format!(
        r#"
ports {{ http = -1 https = {port} dns = -1 grpc = -1 server = {server} serf_lan = {lan} serf_wan = {wan} }}
bind_addr = "127.0.0.1"
verify_incoming = true
verify_outgoing = true
ca_file   = "{path}/ca.pem"
cert_file = "{path}/server.pem"
key_file  = "{path}/server.key"
"#
    );
    let file = room.write("consul.hcl", &config);
    let command = ["consul", "agent", "-dev", "-config-file", &file].map(str::to_owned);
    (Minded::start(room, &command), port)
}

fn nomad(room: Room) -> Nomad {
    let path = room.path().display().to_string();
    let tls = format!(
        r#"
tls {{
  http = true
  rpc  = true
  ca_file   = "{path}/ca.pem"
  cert_file = "{path}/server.pem"
  key_file  = "{path}/server.key"
  verify_server_hostname = true
  verify_https_client    = true
}}
"#
    );
    Nomad::launch(room, &tls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_ends_green_where_only_certificates_count() {
    if !nomad::can_run("mtls") {
        return;
    }
    let certs = Room::new("certificates");
    certificates(&certs);
    let folder = certs.path().to_owned();
    let copy = |name: &str| {
        let room = Room::new(name);
        for file in ["ca.pem", "server.pem", "server.key"] {
            std::fs::copy(folder.join(file), room.path().join(file)).unwrap();
        }
        room
    };
    let (consul, consul_port) = consul(copy("consul"));
    let nomad = nomad(copy("nomad"));
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut operator = Vec::new();
    for service in ["NOMAD", "CONSUL"] {
        for (name, value) in [("CACERT", "ca.pem"), ("CLIENT_CERT", "client.pem"), ("CLIENT_KEY", "client.key")] {
            operator.push((format!("{service}_{name}"), file(value)));
        }
    }
    operator.push(("NOMAD_ADDR".to_owned(), format!("https://{}", nomad.address())));
    operator.push(("CONSUL_HTTP_ADDR".to_owned(), format!("https://127.0.0.1:{consul_port}")));

    let forge = Forge::start().await;
    forge.token("t", Right::Write);
    let config = json!({
        "hook": {"secret": SECRET}, "gitea": {"url": forge.url(), "token": "t"}, "builders": {"default": "certified"},
    });
    let lines = format!(
        "until consul kv put albatros/{} '{config}' && nomad namespace apply ci && nomad node status | grep -q ready; \
         do sleep 0.5; done >/dev/null 2>&1\nnomad job run -detach - <<'HCL'\n{}\nHCL\n",
        BASE64_STANDARD.encode(REPO),
        builder("certified", "/none", &[]),
    );
    let within = Duration::from_secs(90);
    let up = tokio::time::timeout(within, shell(&lines, &operator)).await;
    assert!(up.is_ok(), "{}\n{}", consul.last_words(), nomad.server().last_words());

    // Without a certificate nothing is ready, with one a push is built.
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut settings = operator.clone();
    settings.extend([own("ALBATROS_LISTEN", "127.0.0.1:0"), own("ALBATROS_URL", "https://ci.example")]);
    let bare: Vec<_> = settings.iter().filter(|(name, _)| !name.contains("_CLIENT_")).cloned().collect();
    let stranger = Serve::start(&bare, None).await;
    let refused = send(&stranger.url, "GET", "/readyz", None).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    drop(stranger);

    let serve = Serve::start(&settings, None).await;
    let ready = || async { (send(&serve.url, "GET", "/readyz", None).await.text == "ready\n").then_some(()) };
    until("readyz", ready).await;
    let sha = commit(0xb1);
    forge.push("quentin/albatros", "main", &sha);
    let delivery = Delivery::push("main", NONE, &sha).repo(REPO);
    assert!([200, 202].contains(&delivery.send(&serve.url, SECRET).await.status));
    let status =
        until("a final status", || async { forge.of(&sha).into_iter().find(|status| status.state != "pending") });
    let status = status.await;
    assert_eq!(status.state, "success", "{status:?}");
    say(&format!("mtls: without a certificate {:?}; with one {status:?}", refused.text.trim()));
    std::fs::remove_dir_all(folder).unwrap();
}
