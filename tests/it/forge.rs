//! What a forge is told and asked, and what its answers mean.

use albatros::api::forge::{Forge as Client, ForgeError, NewStatus};
use albatros::api::http::forge_client;
use albatros::domain::config::{ForgeConfig, ForgeKind};
use albatros::domain::id::CommitSha;
use albatros::domain::secret::Secret;
use albatros::domain::status::State;

use crate::fake::fault::{Fault, Times};
use crate::fake::forge::{Forge, Right};

const REPO: &str = "https://git.example/quentin/albatros.git";
const BOTH: [ForgeKind; 2] = [ForgeKind::Gitea, ForgeKind::Github];

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

async fn forge() -> Forge {
    let forge = Forge::start().await;
    forge.token("may-write", Right::Write);
    forge.token("may-read", Right::Read);
    for digit in ['1', '2', '3'] {
        forge.push("quentin/albatros", "main", sha(digit).as_str());
    }
    forge
}

fn client(forge: &Forge, kind: ForgeKind, token: &str, repo: &str) -> Client {
    let config = ForgeConfig { kind, url: forge.url().parse().unwrap(), token: Secret::new(token) };
    Client::new(forge_client(None).unwrap(), &config, repo).unwrap()
}

fn status(description: &str) -> NewStatus {
    NewStatus {
        state: State::Success,
        description: description.to_owned(),
        context: "Albatros default".to_owned(),
        target_url: Some("https://ci.example/builds/x".parse().unwrap()),
    }
}

#[tokio::test]
async fn a_status_arrives_and_is_listed_newest_first() {
    for kind in BOTH {
        let forge = forge().await;
        let client = client(&forge, kind, "may-write", REPO);
        for n in 0..120 {
            client.post_status(&sha('3'), &status(&format!("number {n}"))).await.unwrap();
        }
        client.post_status(&sha('3'), &status(&"🦤".repeat(300))).await.unwrap();
        let listed = client.statuses(&sha('3')).await.unwrap();
        assert_eq!(listed.len(), 121, "{kind:?}");
        assert_eq!(listed[0].description.chars().count(), 140);
        assert_eq!((listed[1].description.as_str(), listed[1].state.as_str()), ("number 119", "success"));
        assert_eq!(listed[1].target_url, "https://ci.example/builds/x");
    }
}

#[tokio::test]
async fn what_will_never_work_is_refused_with_a_sentence() {
    let forge = forge().await;
    let unknown = sha('9');
    for kind in BOTH {
        for (token, repo, commit, says) in [
            ("nobody", REPO, &sha('3'), "token"),
            ("may-read", REPO, &sha('3'), "right"),
            ("may-write", "https://git.example/quentin/other", &sha('3'), "repository"),
            ("may-write", REPO, &unknown, "99999999"),
        ] {
            let answer = client(&forge, kind, token, repo).post_status(commit, &status("x")).await;
            let Err(ForgeError::Refused(why)) = answer else { panic!("{kind:?} {token} {repo}: {answer:?}") };
            assert!(why.contains(says), "{kind:?}: {why}");
            assert!(!why.contains(token), "{why}");
        }
    }
    assert!(forge.statuses().is_empty());
}

#[tokio::test]
async fn what_may_pass_is_no_refusal() {
    let forge = forge().await;
    for kind in BOTH {
        let client = client(&forge, kind, "may-write", REPO);
        for fault in [
            Fault::Text(500, r#"{"message": "pq: too many connections"}"#),
            Fault::Text(502, "Bad Gateway"),
            Fault::Html(403),
            Fault::Html(404),
            Fault::Html(200),
            Fault::CutAfter,
            Fault::CutBefore,
        ] {
            forge.faults().arm("POST", "/statuses/", Times::Next(1), fault);
            let answer = client.post_status(&sha('3'), &status("x")).await;
            assert!(matches!(answer, Err(ForgeError::Unanswered(_))), "{kind:?} {fault:?}: {answer:?}");
        }
        forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::TooMany);
        let answer = client.post_status(&sha('3'), &status("x")).await;
        assert!(matches!(answer, Err(ForgeError::Unavailable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_commit_is_held_by_its_ref_or_not() {
    let odd = ["a;b'c\"d$(id)", "feat/émoji-🦤", "refs/tags/v9", "x%2Fy", "x${NOMAD_TOKEN}", "-dash", "a#b?c"];
    for kind in BOTH {
        let forge = forge().await;
        for branch in odd {
            forge.push("quentin/albatros", branch, sha('4').as_str());
        }
        forge.tag("quentin/albatros", "v1/rc", sha('2').as_str());
        forge.commit("quentin/albatros", sha('7').as_str());
        let client = client(&forge, kind, "may-read", REPO);
        for digit in ['1', '2', '3'] {
            assert!(client.holds("refs/heads/main", &sha(digit)).await.unwrap(), "{kind:?} {digit}");
        }
        for digit in ['4', '7', '9'] {
            assert!(!client.holds("refs/heads/main", &sha(digit)).await.unwrap(), "{kind:?} {digit}");
        }
        for branch in odd {
            assert!(client.holds(&format!("refs/heads/{branch}"), &sha('4')).await.unwrap(), "{kind:?} {branch}");
        }
        assert!(client.holds("refs/tags/v1/rc", &sha('2')).await.unwrap());
        assert_eq!(client.head("refs/heads/none").await.unwrap(), None);
        assert!(!client.holds("refs/heads/none", &sha('1')).await.unwrap());

        forge.force_push("quentin/albatros", "main", sha('8').as_str());
        assert!(!client.holds("refs/heads/main", &sha('3')).await.unwrap());
    }
}

#[tokio::test]
async fn a_repository_that_the_token_may_not_see_is_not_a_missing_ref() {
    let forge = forge().await;
    for kind in BOTH {
        let client = client(&forge, kind, "may-read", "https://git.example/quentin/secret");
        assert!(matches!(client.holds("refs/heads/main", &sha('1')).await, Err(ForgeError::Refused(_))));
    }
}
