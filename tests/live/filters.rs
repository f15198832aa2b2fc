//! What is not built, by what a real Gitea says that was changed; its checks do not hang.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::gitea::Gitea;
use crate::story::{SECRET, Story, until};

/// Commits a file with this message to a branch, which is made from `main` where it is not there.
async fn commit(gitea: &Gitea, file: &str, branch: &str, message: &str) -> String {
    let mut body = json!({"content": BASE64_STANDARD.encode(message), "message": message, "branch": "main"});
    if branch != "main" {
        body["new_branch"] = branch.into();
    }
    let made = gitea.call(&gitea.quentin, "POST", &format!("/repos/quentin/hello/contents/{file}"), &body).await;
    made["commit"]["sha"].as_str().unwrap().to_owned()
}

/// The one status of a commit that is not built.
async fn skipped(gitea: &Gitea, sha: &str) -> (String, String, String) {
    let last = || async { gitea.statuses(sha).await.into_iter().next().filter(|status| status.1 != "pending") };
    let status = until("the commit to be skipped", last).await;
    assert!(status.1 == "success" && status.2.starts_with("Skipped: "), "{status:?}");
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gitea_is_told_of_what_is_not_built() {
    let Some(story) = Story::begin("filters").await else { return };
    let Some(gitea) = Gitea::start("filters").await else { return };
    let serve = story.serve().await;
    gitea.call(&gitea.quentin, "POST", "/user/repos", &json!({"name": "hello", "auto_init": true})).await;
    let mut config = story.config();
    config["gitea"] = json!({"url": gitea.url(), "token": gitea.quentin});
    config["branches"] = json!(["main", "topic"]);
    config["paths"] = json!(["src/**"]);
    story.configure_at(&format!("{}/quentin/hello.git", gitea.url()), &config).await;
    let hook = json!({
        "type": "gitea", "active": true, "events": ["push", "pull_request"],
        "config": {"url": format!("{}/hook", serve.url), "content_type": "json", "secret": SECRET},
    });
    gitea.call(&gitea.quentin, "POST", "/repos/quentin/hello/hooks", &hook).await;

    for (file, branch, message, words) in [
        ("docs.md", "main", "of no account", "`paths`"),
        ("src/a", "main", "typo\n\n[Skip CI]", "[skip ci]"),
        ("src/b", "elsewhere", "of another branch", "`branches`"),
        ("topic.md", "topic", "of a new branch", "`paths`"),
    ] {
        let sha = commit(&gitea, file, branch, message).await;
        let status = skipped(&gitea, &sha).await;
        assert!(status.2.contains(words), "{file}: {status:?}");
        story.tell(&format!("{file} on {branch}: {status:?}"));
    }
    // A pull request of a fork is judged by its own files, before anybody is asked to approve it.
    gitea.call(&gitea.mallory, "POST", "/repos/quentin/hello/forks", &json!({})).await;
    let head = gitea.commit(&gitea.mallory, "mallory/hello", "fork.md", "of a fork").await;
    let pull = json!({"head": "mallory:main", "base": "main", "title": "docs"});
    gitea.call(&gitea.mallory, "POST", "/repos/quentin/hello/pulls", &pull).await;
    let status = skipped(&gitea, &head).await;
    assert_eq!(status.0, "Albatros default (pull request)");
    story.tell(&format!("fork: {status:?}"));
    assert!(story.children().await.is_empty());

    let wanted = commit(&gitea, "src/c", "main", "of account").await;
    let is_built =
        || async { story.children().await.into_iter().find(|child: &Value| child["Meta"]["COMMIT"] == wanted) };
    until("what is wanted to be built", is_built).await;
    story.all_done().await;
}
