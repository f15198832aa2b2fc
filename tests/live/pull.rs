//! Pull requests of forks are held, and built without secrets once approved: by a builder with nothing but an executor.

use serde_json::{Value, json};

use crate::fake::delivery::{Delivery, commit};
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::gitea::Gitea;
use crate::story::{ACTOR, INJECT, SECRET, Story, person, until};

const SCRIPT: &str = "#!/bin/sh
echo \"building $COMMIT of $BRANCH for $EVENT\"
if [ -n \"${SECRET_PATH:-}\" ]; then wc -c <\"$SECRET_PATH\"; else echo 'no secrets'; fi
";

/// Approves the one held change.
async fn approve(story: &Story, serve: &Serve) {
    let open = story.records("open").await;
    let (claim, record) = open.iter().find(|(_, record)| record["phase"]["is"] == "held").unwrap();
    assert!(record.get("build").is_none(), "nothing is dispatched: {record}");
    let path = format!("/builds/claim/{claim}/approve");
    assert_eq!(person(serve, "POST", &path, Some("somebody")).await.status, 401);
    let reply = person(serve, "POST", &path, Some(ACTOR)).await;
    assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivered_pull_request_of_a_fork_waits_and_gets_no_secrets() {
    let Some(story) = Story::begin("held").await else { return };
    let serve = story.serve().await;
    let sha = commit(0xc1);
    story.forge.push("quentin/albatros", "main", &commit(0xc0));
    story.forge.commit("quentin/albatros", &sha);
    let reply = Delivery::pull(7, &sha).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert!(reply.text.contains("held: waiting for approval"), "{}", reply.text);
    let waits = || async { story.forge.of(&sha).last().cloned() };
    let status = until("the status", waits).await;
    assert_eq!((status.state.as_str(), status.description.as_str()), ("pending", "Waiting for approval"));
    assert_eq!(status.context, "Albatros default (pull request)");
    assert!(story.children().await.is_empty());
    approve(&story, &serve).await;
    assert_eq!(story.final_of(&sha).await.state, "success");
    let child = &story.children().await[0];
    assert!(child["Payload"].as_str().unwrap_or_default().is_empty(), "no payload");
    story.all_done().await;
    story.tell(&format!("{:?}; then {:?}", status.description, story.one_final(&sha)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gitea_shows_a_push_built_with_secrets_and_a_forks_pull_request_without() {
    let Some(story) = Story::begin("gitea").await else { return };
    let Some(gitea) = Gitea::start("gitea").await else { return };
    story.cluster.register_plain_builder().await;
    let serve = story.serve().await;
    let (owner, guest) = (gitea.quentin.clone(), gitea.mallory.clone());
    gitea.call(&owner, "POST", "/user/repos", &json!({"name": "hello", "auto_init": true})).await;
    let repo = format!("{}/quentin/hello.git", gitea.url());
    let mut config = story.config();
    config["gitea"] = json!({"url": gitea.url(), "token": owner});
    config["builders"]["default"] = "builder".into();
    story.configure_at(&repo, &config).await;
    let hook = json!({
        "type": "gitea", "active": true, "events": ["push", "pull_request"],
        "config": {"url": format!("{}/hook", serve.url), "content_type": "json", "secret": SECRET},
    });
    gitea.call(&owner, "POST", "/repos/quentin/hello/hooks", &hook).await;

    // A push by who is trusted.
    let pushed = gitea.commit(&owner, "quentin/hello", ".albatros", SCRIPT).await;
    let build = until("the push to be built", || built(&story, &pushed)).await;
    let said = person(&serve, "GET", &format!("/build?job={build}"), None).await.text;
    assert!(said.contains(&format!("building {pushed} of main for push\n{}\n", INJECT.len())), "{said}");
    let status = newest(&gitea, &pushed, "success").await;
    story.tell(&format!("push: {status:?}"));
    assert_eq!(status.0, "Albatros default");

    // A fork, and a pull request from it.
    gitea.call(&guest, "POST", "/repos/quentin/hello/forks", &json!({})).await;
    let head = gitea.commit(&guest, "mallory/hello", "a-file", "of a fork").await;
    let pull = json!({"head": "mallory:main", "base": "main", "title": "from a fork"});
    gitea.call(&guest, "POST", "/repos/quentin/hello/pulls", &pull).await;
    let status = newest(&gitea, &head, "pending").await;
    assert_eq!((status.0.as_str(), status.2.as_str()), ("Albatros default (pull request)", "Waiting for approval"));
    story.tell(&format!("pull request: {status:?}"));
    approve(&story, &serve).await;
    let build = until("the pull request to be built", || built(&story, &head)).await;
    let said = person(&serve, "GET", &format!("/build?job={build}"), None).await.text;
    assert!(said.contains(&format!("building {head} of pull/1/head for pull_request\nno secrets\n")), "{said}");
    let status = newest(&gitea, &head, "success").await;
    assert!(story.cluster.nomad.job(&build).await["Payload"].as_str().unwrap_or_default().is_empty());
    story.all_done().await;
    story.tell(&format!("approved: {status:?}"));
    let mut all = vec![pushed.clone(), head.clone()];
    all.extend(a_sender_is_approved_and_revoked(&story, &gitea, &serve, &repo).await);
    for sha in &all {
        let finals = gitea.statuses(sha).await.into_iter().filter(|status| status.1 != "pending").count();
        assert_eq!(finals, 1);
    }

    // By hand: the forge says what is meant, and what is over is built again.
    for (fields, sha, place) in [
        (json!({"repo": repo, "commit": &pushed[..8]}), &pushed, "main for push"),
        (json!({"repo": repo, "pull_request": 1, "commit": &head[..8]}), &head, "pull/1/head for pull_request"),
    ] {
        let first = ended(&story, &ask(&serve, "/trigger", Some(&fields)).await).await;
        let again = ended(&story, &ask(&serve, &format!("/builds/{first}/retry"), None).await).await;
        for build in [first, again] {
            let said = person(&serve, "GET", &format!("/build?job={build}"), Some(ACTOR)).await.text;
            assert!(said.contains(&format!("building {sha} of {place}\nno secrets\n")), "{said}");
        }
    }
}

/// Asks for a build; gives its claim.
async fn ask(serve: &Serve, path: &str, body: Option<&Value>) -> String {
    let request = crate::fake::http::client().post(format!("{}{path}", serve.url)).bearer_auth(ACTOR);
    let request = request.header("accept", "application/json");
    let request = body.iter().fold(request, |request, body| request.json(body));
    let reply = crate::fake::http::Reply::read(request.send().await.unwrap()).await;
    assert!([200, 202].contains(&reply.status), "{path}: {} {}", reply.status, reply.text);
    reply.value()["claim"].as_str().unwrap().to_owned()
}

/// The build of a claim, once it has ended with success.
async fn ended(story: &Story, claim: &str) -> String {
    let done = || async { story.records("done").await.into_iter().find(|(key, _)| key == claim).map(|(_, done)| done) };
    let done = until("the end of what was asked for", done).await;
    assert_eq!(done["outcome"]["is"], "success", "{done}");
    done["build"].as_str().unwrap().to_owned()
}

/// What is held, with its files; then its sender's next push is built at once, and the one after that is held again.
/// Gives the commits.
async fn a_sender_is_approved_and_revoked(story: &Story, gitea: &Gitea, serve: &Serve, repo: &str) -> [String; 3] {
    let fork = async |file: &str| gitea.commit(&gitea.mallory, "mallory/hello", file, "of a fork").await;
    let first = fork("docs-file").await;
    newest(gitea, &first, "pending").await;
    let found = until("Gitea to list the files", || listed(serve, repo)).await;
    assert_eq!((&found["pull_request"], &found["commit"]), (&json!(1), &json!(first)), "{found}");
    assert_eq!(found["why"], "a pull request from a fork");
    let files = &found["files"];
    assert_eq!(
        (&files["names"], &files["albatros"]),
        (&json!(["a-file", "docs-file"]), &json!("unchanged")),
        "{found}"
    );
    let approve = format!("/builds/claim/{}/approve?always=true", found["claim"].as_str().unwrap());
    let reply = person(serve, "POST", &approve, Some(ACTOR)).await;
    assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
    newest(gitea, &first, "success").await;

    let second = fork("another-file").await;
    let status = newest(gitea, &second, "success").await;
    let build = built(story, &second).await.unwrap();
    let said = person(serve, "GET", &format!("/build?job={build}"), None).await.text;
    assert!(said.contains(&format!("building {second} of pull/1/head for pull_request\nno secrets\n")), "{said}");
    story.tell(&format!("approved always, pushed: {status:?}"));

    let revoke = format!("/approved?repo={repo}&login=mallory");
    let reply = person(serve, "DELETE", &revoke, Some(ACTOR)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let third = fork("third-file").await;
    let status = newest(gitea, &third, "pending").await;
    assert_eq!(status.2, "Waiting for approval");
    let found = until("the change to be held again", || listed(serve, repo)).await;
    let claim = format!("/builds/claim/{}", found["claim"].as_str().unwrap());
    assert_eq!(person(serve, "DELETE", &claim, Some(ACTOR)).await.status, 202);
    newest(gitea, &third, "failure").await;
    story.all_done().await;
    story.tell(&format!("revoked, pushed: {status:?}"));
    [first, second, third]
}

/// The one change of the repository that is held, once the forge lists its files.
async fn listed(serve: &Serve, repo: &str) -> Option<Value> {
    let request = client().get(format!("{}/held?files=true&repo={repo}", serve.url)).bearer_auth(ACTOR);
    let reply = Reply::read(request.header("accept", "application/json").send().await.ok()?).await;
    let found: Value = serde_json::from_str(&reply.text).ok()?;
    let one = found["held"].as_array()?.first()?.clone();
    one["files"]["names"].is_array().then_some(one)
}

/// The build of a commit, once there is one.
async fn built(story: &Story, sha: &str) -> Option<String> {
    let all = [story.records("open").await, story.records("done").await].concat();
    let found = all.into_iter().find(|(_, record): &(String, Value)| record["commit"] == *sha);
    found.and_then(|(_, record)| record["build"].as_str().map(str::to_owned))
}

/// The newest status of a commit, once it is in this state.
async fn newest(gitea: &Gitea, sha: &str, state: &str) -> (String, String, String) {
    let look = || async { gitea.statuses(sha).await.into_iter().next().filter(|status| status.1 == state) };
    until(&format!("Gitea to show {state} for {sha}"), look).await
}
