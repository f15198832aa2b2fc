//! A repository is registered from the command line with an operator's rights, its webhook tried, and a push built.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::consul;
use crate::fake::serve::Serve;
use crate::gitea::Gitea;
use crate::story::{Story, until};

/// Runs a verb with the rights of the shipped policy; gives its code and what it printed.
async fn repo(story: &Story, serve: &Serve, token: &str, verb: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.arg("repo").args(verb).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.env("ALBATROS_URL", &serve.url).env("ALBATROS_PREFIX", &story.name);
    command.env("CONSUL_HTTP_ADDR", story.cluster.consul.url()).env("CONSUL_HTTP_TOKEN", token);
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_is_registered_at_a_real_gitea_and_its_push_is_built() {
    let Some(story) = Story::begin("repo").await else { return };
    let rules = include_str!("../../hcl/policy/consul-operator.hcl").replace("\"albatros", "\"repo");
    let operator = consul::token(&story.cluster.consul, "repo-operator", &rules).await;
    let Some(gitea) = Gitea::start("repo").await else { return };
    let serve = story.serve().await;
    let owner = gitea.quentin.clone();
    gitea.call(&owner, "POST", "/user/repos", &json!({"name": "hello", "auto_init": true})).await;
    let room = tempfile::tempdir().unwrap();
    let token = room.path().join("token");
    std::fs::write(&token, &owner).unwrap();
    let token = token.to_str().unwrap();
    // Without .git and with other letters: what the forge calls it counts.
    let url = format!("{}/Quentin/hello", gitea.url());
    let add = ["add", &url, "--token-file", token, "--trusted", "quentin", "--builder", "repo"];
    let (code, said) = repo(&story, &serve, &operator, &add).await;
    assert!(code == 0 && said.contains("test       arrived, signed right: push of gitea"), "{said}");
    story.tell(&said.lines().filter(|line| !line.starts_with("token")).collect::<Vec<_>>().join("; "));
    assert!(story.children().await.is_empty(), "a test is never built");

    let repository = format!("{}/quentin/hello.git", gitea.url());
    let (code, said) = repo(&story, &serve, &operator, &["check", &repository, "--strict"]).await;
    assert!(code == 0 && said.contains("all is well") && !said.contains(&owner), "{said}");

    let pushed = gitea.commit(&owner, "quentin/hello", "a-file", "a push").await;
    let green = || async { gitea.statuses(&pushed).await.into_iter().find(|status| status.1 == "success") };
    let status = until("Gitea to show success", green).await;
    story.tell(&format!("push: {status:?}"));

    let (code, said) = repo(&story, &serve, &operator, &["remove", &repository, "--yes"]).await;
    assert!(code == 0 && said.contains("webhooks: 1"), "{said}");
    let hooks = gitea.call(&owner, "GET", "/repos/quentin/hello/hooks", &serde_json::Value::Null).await;
    assert_eq!(hooks, json!([]));
    let (code, said) = repo(&story, &serve, &operator, &["show", &repository]).await;
    assert!(code == 2 && said.contains("there is no entry"), "{said}");
}
