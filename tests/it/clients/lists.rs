//! Lists: what is asked for, who started it, why it waits, and where the rest is.

use serde_json::Value;

use super::Person;
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::world::{ACTOR, World};

fn commits(said: &Value) -> Vec<u64> {
    let number = |view: &Value| u64::from_str_radix(view["commit"].as_str().unwrap(), 16).unwrap();
    said.as_array().unwrap().iter().map(number).collect()
}

#[tokio::test]
async fn a_list_is_of_what_was_asked_for() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    world.forge.push("quentin/albatros", "main", &commit(9));
    world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.build_by(&serve, &Delivery::push("main", &commit(2), &commit(3)).sender("lx").flavor("big")).await;
    actor.runs(&["trigger", REPO, "--branch", "main", "--commit", &commit(4)]).await.ends(0, "");
    for (filter, expected) in [
        (vec![], vec![4, 3, 2]),
        (vec!["--sender", "LX"], vec![3]),
        (vec!["--sender", "@trigger"], vec![4]),
        (vec!["--flavor", "big"], vec![3]),
        (vec!["--event", "push"], vec![4, 3, 2]),
        (vec!["--event", "tag"], vec![]),
        (vec!["--flavor", "default", "--sender", "quentin"], vec![2]),
    ] {
        let said = actor.runs(&[vec!["list", "--json"], filter.clone()].concat()).await;
        said.ends(0, "");
        assert_eq!(commits(&said.json()), expected, "{filter:?}");
    }
    let table = actor.runs(&["list"]).await.out;
    assert!(table.lines().any(|line| line.contains(&commit(4)[..8]) && line.contains("@trigger")), "{table}");
}

#[tokio::test]
async fn a_list_that_is_cut_says_how_it_goes_on() {
    let world = World::new().await;
    let serve = world.serve().await;
    let anybody = Person::at(&serve.url, None);
    for n in 2..5 {
        world.build(&serve, "main", &commit(n - 1), &commit(n)).await;
    }
    let part = anybody.runs(&["list", "--limit", "2"]).await;
    part.ends(0, "there are more: --before ");
    let before = part.err.trim_end().rsplit(' ').next().unwrap().to_owned();
    let rest = anybody.runs(&["list", "--json", "--before", &before]).await;
    rest.ends(0, "");
    assert_eq!(commits(&rest.json()), [2]);
    anybody.runs(&["list", "--limit", "3"]).await.ends(0, "");
}

#[tokio::test]
async fn a_list_and_a_build_say_why_it_waits() {
    let world = World::new().await;
    let serve = world.serve().await;
    let anybody = Person::at(&serve.url, None);
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.block(&build);
    let queued = || world.forge.of(&commit(2)).iter().any(|status| status.description.starts_with("Queued: "));
    world.forge.wait("it is said why it waits", queued).await;
    for verb in [vec!["list"], vec!["status", &build]] {
        let said = anybody.runs(&verb).await;
        assert!(said.out.contains("queued") && said.out.contains("memory"), "{verb:?}: {said:?}");
    }
}
