//! Albatros as the README deploys it: its commands, the shipped job files and policies, on a cluster with ACLs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::agent::ROOT;
use crate::commands::{of_readme, shell};
use crate::fake::delivery::Delivery;
use crate::fake::http::send;
use crate::git::Git;
use crate::minded::{free_ports, say};
use crate::story::{SECRET, Story, page, until};

const NONE: &str = "0000000000000000000000000000000000000000";
const SCRIPT: &str = "#!/bin/sh\necho \"building $COMMIT of $BRANCH\"\nwc -c <\"$SECRET_PATH\"\n\
                      echo \"made of $COMMIT\" >made; albatros artifact put made made\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_commands_deploy_it_with_the_rights_it_needs() {
    let Some(story) = Story::begin("deployed").await else { return };
    let [port] = free_ports();
    let cluster = story.cluster;
    if !story.cluster.nomad.has("exec").await {
        say("SKIPPED deployed: this machine's Nomad cannot run exec");
        return;
    }
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = [
        pair("NOMAD_ADDR", &cluster.nomad.url()),
        pair("NOMAD_TOKEN", cluster.nomad.management_token()),
        pair("CONSUL_HTTP_ADDR", &cluster.consul.url()),
        pair("CONSUL_HTTP_TOKEN", ROOT),
        // The answers to the job files' variables that this cluster needs. raw_exec could mount no volume.
        pair("NOMAD_VAR_driver", "exec"),
        pair("NOMAD_VAR_albatros", "/usr/bin/albatros"),
        pair("NOMAD_VAR_port", &port.to_string()),
        pair("NOMAD_VAR_nomad_addr", &cluster.nomad.url()),
        pair("NOMAD_VAR_consul_addr", &cluster.consul.url()),
    ];
    let url = format!("http://127.0.0.1:{port}");
    for words in ["hcl/exec.hcl", "nomad acl policy apply", "consul acl token create", "nomad volume create"] {
        let commands = of_readme("## Deploy on Nomad", words).replace("http://ci.example.org:8080", &url);
        shell(&commands, &environment).await;
    }
    let last = of_readme("## Deploy on Nomad", "hcl/albatros.hcl");
    let start = last.lines().find(|line| line.contains("hcl/albatros.hcl")).unwrap();
    shell(start, &environment).await;
    let ready = || async {
        let answer = crate::fake::http::client().get(format!("{url}/readyz")).send().await.ok()?;
        let (status, said) = (answer.status().as_u16(), answer.text().await.ok()?);
        story.tell(&format!("readyz: {status} {said:?}"));
        (status == 200).then_some(said)
    };
    assert_eq!(until("readyz", ready).await, "ready\n");

    let git = Git::with(SCRIPT).await;
    let mut config = story.config();
    config["builders"]["default"] = "builder".into();
    let key = format!("albatros/{}", BASE64_STANDARD.encode(git.url()));
    let consul = cluster.consul.consul(Some(ROOT));
    assert!(consul.put(&key, config.to_string().into(), None, 0).await.unwrap());
    story.forge.push("quentin/hello", "main", &git.commit);
    let delivery = Delivery::push("main", NONE, &git.commit).repo(&git.url());
    let delivered = || async {
        let reply = delivery.send(&url, SECRET).await;
        (reply.status == 200 && !reply.text.contains("already")).then_some(reply.text)
    };
    let build = until("the delivery to be taken", delivered).await.trim().to_owned();
    assert!(build.starts_with("builder/dispatch-"), "{build}");
    let said = send(&url, "GET", &format!("/build?job={build}"), None).await;
    let status = story.final_of(&git.commit).await;
    assert!(said.text.contains(&format!("building {} of main\n37\n", git.commit)), "{}", said.text);
    assert_eq!(story.one_final(&git.commit).state, "success", "{}", said.text);
    let made = send(&url, "GET", &format!("{}/artifacts/made", page(&build)), None).await;
    assert_eq!((made.status, made.text), (200, format!("made of {}\n", git.commit)), "the artifact, from the store");
    story.tell(&format!("{build}: {status:?}"));
    shell("nomad job stop -purge -namespace default albatros", &environment).await;
}
