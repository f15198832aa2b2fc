//! One address that always leads to the newest build of a branch.

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::world::{READER, World, person};

fn asked(rest: &str) -> String {
    format!("/builds/latest?repo={REPO}&{rest}")
}

#[tokio::test]
async fn the_newest_build_of_a_branch_has_one_address() {
    let world = World::new().await;
    world.set("ALBATROS_URL", "https://ci.example/ci/");
    let serve = world.serve().await;
    let none = person(&serve, "GET", &asked("branch=main"), None).await;
    assert_eq!(none.status, 404, "{}", none.text);
    let first = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&first);
    world.nomad.exit(&first, 0);
    world.all_done(1).await;
    let newest = async |rest: &str, bearer: Option<&str>| {
        let reply = person(&serve, "GET", &asked(rest), bearer).await;
        let location = reply.headers.get("location").map(|value| value.to_str().unwrap().to_owned());
        (reply.status, location)
    };
    let at = |build: &str| (302, Some(format!("/ci/builds/{build}")));
    assert_eq!(newest("branch=main", None).await, at(&first), "an ended one");
    let second = world.build(&serve, "main", &commit(2), &commit(3)).await;
    assert_eq!(newest("branch=main", None).await, at(&second), "an open one");
    assert_eq!(newest("ref=refs/heads/main&flavor=default", None).await, at(&second));
    assert_eq!(newest("branch=main&flavor=big", None).await.0, 404);
    assert_eq!(newest("branch=other", None).await.0, 404);
    let spelled = format!("/builds/latest?repo={}/&branch=main", REPO.replace("https://", "HTTPS://"));
    assert_eq!(person(&serve, "GET", &spelled, None).await.status, 302, "any spelling of the repository");

    world.forge.push("quentin/albatros", "main", &commit(4));
    let hidden = world.build_by(&serve, &Delivery::push("main", &commit(3), &commit(4)).private()).await;
    assert_eq!(newest("branch=main", None).await, at(&second), "what may not be seen is not there");
    assert_eq!(newest("branch=main", Some("guessed")).await, at(&second));
    assert_eq!(newest("branch=main", Some(READER)).await, at(&hidden));
}

#[tokio::test]
async fn what_cannot_be_meant_is_said() {
    let world = World::new().await;
    let serve = world.serve().await;
    for (path, words) in [
        ("/builds/latest", "repo: "),
        ("/builds/latest?repo=x&branch=main", "repo: "),
        (&*asked(""), "branch="),
        (&*asked("branch=a&ref=refs/tags/b"), "branch="),
    ] {
        let reply = person(&serve, "GET", path, None).await;
        assert!(reply.status == 400 && reply.text.contains(words), "{path}: {} {}", reply.status, reply.text);
    }
}
