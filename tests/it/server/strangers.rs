//! What strangers try costs little.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{READER, SECRET, World, person};

#[tokio::test]
async fn guessed_builds_cost_nomad_nothing_and_consul_one_list_a_second() {
    let world = World::new().await;
    let serve = world.serve().await;
    // The follower's own look at the list waits for a change, but for the first; those of people do not.
    world.consul.wire().wait_seen("GET", "open%2F?recurse=true&index=", 1).await;
    let lists = || {
        let seen = world.consul.wire().seen();
        let of_open =
            |path: &str| path.contains("albatros-builds") && path.contains("open") && !path.contains("index=");
        seen.iter().filter(|one| one.method == "GET" && of_open(&one.path)).count()
    };
    let before = lists();
    let began = std::time::Instant::now();
    for number in 0..100 {
        let path = format!("/builds/nobody-s/dispatch-1766000000-{number:08x}");
        assert_eq!(person(&serve, "GET", &path, None).await.status, 404);
    }
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let made = lists() - before;
    assert!((1..=most).contains(&made), "{made} lists were read, not {most}");
    let asked = world.nomad.wire().seen().into_iter().find(|one| one.path.contains("nobody-s"));
    assert!(asked.is_none(), "{asked:?}");
}

#[tokio::test]
async fn a_build_is_found_whose_builder_no_repository_names_any_more() {
    let world = World::new().await;
    let serve = world.serve().await;
    let open = world.build(&serve, "main", &commit(1), &commit(2)).await;
    let ended = world.build(&serve, "other", &commit(1), &commit(3)).await;
    world.nomad.run(&open);
    world.nomad.run(&ended);
    world.nomad.exit(&ended, 0);
    world.consul.wait("albatros-builds/", "one has ended", |_| world.done().len() == 1).await;
    serve.kill().await;
    world.let_locks_go();
    let mut config = world.config();
    config["builders"] = serde_json::json!({"default": "another"});
    world.put_config(&config);
    let serve = world.serve().await;
    for (build, state) in [(&open, "running"), (&ended, "success")] {
        let page = person(&serve, "GET", &format!("/builds/{build}"), Some(READER)).await;
        assert!(page.status == 200 && page.text.contains(state), "{build}: {} {}", page.status, page.text);
    }
}

#[tokio::test]
async fn a_repository_without_an_entry_is_told_in_the_log() {
    let world = World::new().await;
    let serve = world.serve().await;
    let push = Delivery::push("main", &commit(1), &commit(2)).repo("https://git.example/mistyped/key.git");
    for _ in 0..20 {
        assert_eq!(push.send(&serve.url, SECRET).await.status, 401);
    }
    let line = serve.printed.wait("verdict=\"unauthorized\"").await;
    assert!(line.contains("https://git.example/mistyped/key.git") && line.contains("no entry"), "{line}");
    let lines = world.printed().lines().filter(|line| line.contains("verdict=\"unauthorized\"")).count();
    assert!(lines < 20, "each is logged");
}

#[tokio::test]
async fn no_answer_is_kept_or_taken_for_a_page() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    for path in ["/builds", &format!("/builds/{build}"), "/builds/a/b", "/build", "/nothing", "/hook", "/healthz"] {
        for accept in ["text/html", "application/json"] {
            let request = crate::fake::http::client().get(format!("{}{path}", serve.url)).header("accept", accept);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path} {accept}");
            assert_eq!(answer.headers()["cache-control"], "no-store", "{path} {accept}");
        }
    }
}

#[tokio::test]
async fn who_may_not_see_a_change_costs_nomad_nothing() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2)).private();
    let build = world.build_by(&serve, &push).await;
    world.nomad.run(&build);
    world.forge.wait_state(&commit(2), "pending").await;
    let open = world.open();
    let claim = open[0].0.strip_prefix(crate::fake::world::OPEN).unwrap_or(&open[0].0);
    // While Nomad is away, whoever would ask it gets 503.
    world.nomad.wire().down(true);
    let path = format!("/builds/claim/{claim}");
    assert_eq!(person(&serve, "GET", &path, None).await.status, 404);
    assert_eq!(person(&serve, "GET", &path, Some(READER)).await.status, 503);
    world.nomad.wire().down(false);
}
