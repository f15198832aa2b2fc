//! Which files a change touches, as both forges tell it.

use albatros::api::forge::{Changed, Forge as Client, ForgeError, Range};
use albatros::api::http::forge_client;
use albatros::domain::config::{ForgeConfig, ForgeKind};
use albatros::domain::id::CommitSha;
use albatros::domain::secret::Secret;

use crate::fake::fault::{Fault, Times};
use crate::fake::fixture::exchange;
use crate::fake::forge::{Forge, Right};

const REPO: &str = "quentin/albatros";
const BOTH: [ForgeKind; 2] = [ForgeKind::Gitea, ForgeKind::Github];
const NEW: &str = "0000000000000000000000000000000000000000";

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

/// `main` with the commits 1, 2 and 3, of which each touches a file of its number.
async fn forge() -> Forge {
    let forge = Forge::start().await;
    forge.token("may-read", Right::Read);
    for digit in ['1', '2', '3'] {
        forge.push(REPO, "main", sha(digit).as_str());
        forge.touches(REPO, sha(digit).as_str(), &[format!("{digit}.txt").as_str()]);
    }
    forge
}

fn client(forge: &Forge, kind: ForgeKind, repo: &str) -> Client {
    let config = ForgeConfig { kind, url: forge.url().parse().unwrap(), token: Secret::new("may-read") };
    Client::new(forge_client(None).unwrap(), &config, &format!("https://git.example/{repo}.git")).unwrap()
}

async fn push(client: &Client, branch: &str, before: &str, commit: char) -> Changed {
    let (git_ref, commit) = (format!("refs/heads/{branch}"), sha(commit));
    client.changed(&Range::Push { git_ref: &git_ref, before, commit: &commit }).await.unwrap()
}

async fn pull(client: &Client, number: u64, commit: char) -> Changed {
    client.changed(&Range::Pull { number, commit: &sha(commit) }).await.unwrap()
}

fn all(files: &[&str]) -> Changed {
    Changed { files: files.iter().map(|&file| file.to_owned()).collect(), whole: true }
}

#[tokio::test]
async fn a_push_touches_what_lies_between_its_two_commits() {
    for kind in BOTH {
        let forge = forge().await;
        forge.touches(REPO, sha('3').as_str(), &["3.txt", "docs/a.md -> docs/b.md"]);
        let client = client(&forge, kind, REPO);
        let found = push(&client, "main", sha('1').as_str(), '3').await;
        assert_eq!(found, all(&["2.txt", "3.txt", "docs/a.md", "docs/b.md"]), "{kind:?}");
        assert_eq!(push(&client, "main", sha('3').as_str(), '3').await, all(&[]));
    }
}

#[tokio::test]
async fn a_forced_push_touches_what_it_took_back_too() {
    for kind in BOTH {
        let forge = forge().await;
        let client = client(&forge, kind, REPO);
        assert_eq!(push(&client, "main", sha('3').as_str(), '1').await, all(&["2.txt", "3.txt"]), "{kind:?}");
        forge.push(REPO, "topic", sha('2').as_str());
        forge.force_push(REPO, "lost", sha('8').as_str());
        let found = push(&client, "main", sha('3').as_str(), '8').await;
        // GitHub knows how far apart they are; Gitea says that nothing is between them.
        assert_eq!(found.whole, kind == ForgeKind::Github, "{found:?}");
    }
}

#[tokio::test]
async fn a_new_branch_touches_what_it_has_beside_the_default_one() {
    for kind in BOTH {
        let forge = forge().await;
        forge.push(REPO, "topic", sha('2').as_str());
        forge.push(REPO, "topic", sha('5').as_str());
        forge.touches(REPO, sha('5').as_str(), &["5.txt"]);
        let client = client(&forge, kind, REPO);
        assert_eq!(push(&client, "topic", NEW, '5').await, all(&["5.txt"]), "{kind:?}");
        assert_eq!(push(&client, "old", NEW, '2').await, all(&[]), "{kind:?}");
        assert_eq!(push(&client, "same", NEW, '3').await, all(&[]), "{kind:?}");
        // There is nothing that the default branch itself could be compared with.
        assert!(!push(&client, "main", NEW, '3').await.whole, "{kind:?}");
    }
}

#[tokio::test]
async fn what_a_forge_does_not_know_is_not_whole() {
    for kind in BOTH {
        let forge = forge().await;
        let client = client(&forge, kind, REPO);
        assert!(!push(&client, "main", sha('9').as_str(), '3').await.whole, "{kind:?}");
        assert!(!push(&client, "main", sha('1').as_str(), '9').await.whole, "{kind:?}");
        assert!(!push(&client, "main", "", '3').await.whole, "{kind:?}");
        assert!(!pull(&client, 4, '3').await.whole, "{kind:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_cut_off_is_not_whole() {
    let many: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for kind in BOTH {
        let forge = forge().await;
        forge.touches(REPO, sha('3').as_str(), &many);
        let found = push(&client(&forge, kind, REPO), "main", sha('2').as_str(), '3').await;
        assert_eq!((found.files.len(), found.whole), (300, kind == ForgeKind::Gitea));
    }
}

#[tokio::test]
async fn a_pull_requests_files_are_read_page_by_page() {
    let names: Vec<String> = (0..3_001).map(|n| format!("f{n:04}")).collect();
    let files = |most: usize| names.iter().take(most).map(String::as_str).collect::<Vec<_>>();
    for kind in BOTH {
        let forge = forge().await;
        forge.pull(REPO, 4, sha('6').as_str(), &files(120));
        forge.pull(REPO, 5, sha('7').as_str(), &files(3_001));
        forge.pull(REPO, 6, sha('8').as_str(), &["a -> b"]);
        let client = client(&forge, kind, REPO);
        assert_eq!(pull(&client, 4, '6').await, all(&files(120)), "{kind:?}");
        let found = pull(&client, 5, '7').await;
        assert_eq!((found.files.len(), found.whole), (3_000, false), "{kind:?}");
        assert_eq!(pull(&client, 6, '8').await, all(&["a", "b"]), "{kind:?}");
        // Its head is another one now.
        assert_eq!(pull(&client, 4, '5').await, Changed::default(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_commits_message_is_told() {
    for kind in BOTH {
        let forge = forge().await;
        forge.says(REPO, sha('3').as_str(), "docs\n\n[skip ci]\n");
        let client = client(&forge, kind, REPO);
        assert_eq!(client.message(&sha('3')).await.unwrap().as_deref(), Some("docs\n\n[skip ci]\n"), "{kind:?}");
        assert_eq!(client.message(&sha('9')).await.unwrap(), None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_an_error_and_not_an_empty_list() {
    let commit = sha('3');
    for kind in BOTH {
        let forge = forge().await;
        forge.pull(REPO, 4, commit.as_str(), &["a"]);
        let before = sha('1');
        let range = Range::Push { git_ref: "refs/heads/main", before: before.as_str(), commit: &commit };
        for (part, range) in [("/compare/", range), ("/pulls/", Range::Pull { number: 4, commit: &commit })] {
            for fault in [Fault::Text(502, "Bad Gateway"), Fault::Html(404), Fault::Html(200), Fault::CutAfter] {
                forge.faults().arm("GET", part, Times::Next(1), fault);
                let answer = client(&forge, kind, REPO).changed(&range).await;
                assert!(matches!(answer, Err(ForgeError::Unanswered(_))), "{kind:?} {fault:?}: {answer:?}");
            }
            let answer = client(&forge, kind, "quentin/secret").changed(&range).await;
            assert!(matches!(answer, Err(ForgeError::Refused(_))), "{kind:?}: {answer:?}");
        }
    }
}

/// What Gitea 1.25.4 answered: a branch is merged into `main`, or `main` into it, or the histories have nothing in common.
#[tokio::test]
async fn a_merge_touches_what_it_brought_to_the_branch_that_took_it() {
    for (name, files, whole) in [
        ("compare-merge", &["docs/x.md", "src/a.rs", "src/b.rs"][..], true),
        ("compare-merge-second-parent", &[], false),
        ("compare-unrelated", &[], false),
    ] {
        let recorded = exchange(&format!("gitea/api/{name}"));
        let ends = recorded.path.split(['/', '?']).find(|part| part.contains("...")).unwrap();
        let (before, commit) = ends.split_once("...").unwrap();
        let forge = forge().await;
        let body: &'static str = Box::leak(recorded.answer.to_string().into_boxed_str());
        forge.faults().arm("GET", &format!("/compare/{ends}"), Times::All, Fault::Text(200, body));
        let commit: CommitSha = commit.parse().unwrap();
        let range = Range::Push { git_ref: "refs/heads/main", before, commit: &commit };
        let found = client(&forge, ForgeKind::Gitea, REPO).changed(&range).await.unwrap();
        assert_eq!(found.whole, whole, "{name}: {found:?}");
        assert!(!whole || found.files == files, "{name}: {found:?}");
    }
}
