//! How a local build ends, by itself and from outside.

use std::time::{Duration, Instant};

use albatros::domain::outcome::{Outcome, Verdict};
use albatros::engine::DispatchError;

use super::{Machine, failed_with, is_gone, pid};

#[tokio::test]
async fn a_script_that_exits_0_is_a_success() {
    let machine = Machine::new();
    let said = machine.build("#!/bin/sh\necho hello\n").await;
    assert_eq!(said.outcome, Outcome::Success, "{}", said.stderr);
    assert_eq!(said.stdout, "hello\n");
    assert_eq!(said.stderr, "");
}

#[tokio::test]
async fn the_scripts_exit_code_is_handed_on() {
    let machine = Machine::new();
    assert_eq!(machine.build("#!/bin/sh\nexit 3\n").await.outcome, failed_with(3));
    assert_eq!(machine.build("#!/bin/sh\nexit 255\n").await.outcome, failed_with(255));
}

#[tokio::test]
async fn death_by_a_signal_is_128_and_its_number() {
    let machine = Machine::new();
    assert_eq!(machine.build("#!/bin/sh\nkill -KILL $$\n").await.outcome, failed_with(137));
}

#[tokio::test]
async fn cancelling_ends_what_ignores_signals_has_its_own_session_or_is_a_daemon() {
    let machine = Machine::new();
    let script = "#!/bin/sh\n\
        trap '' TERM INT HUP\n\
        (trap '' TERM; setsid sh -c 'echo session $$; trap \"\" TERM; while :; do sleep 1; done') &\n\
        (setsid sh -c 'cd /; env -i /bin/sh -c \"echo daemon \\$\\$; exec sleep 1000\" &' &)\n\
        echo script $$\n\
        while :; do sleep 1; done\n";
    let build = machine.dispatch(script).await;
    machine.printed(&build, "session ").await;
    machine.printed(&build, "daemon ").await;
    let said = machine.printed(&build, "script ").await;

    machine.engine().stop(&build).await.unwrap();

    assert!(matches!(machine.outcome(&build).await, Outcome::Cancelled { .. }));
    for name in ["session ", "daemon ", "script "] {
        let said = super::text(&machine.log(&build, albatros::engine::LogStream::Stdout).await);
        assert!(is_gone(pid(&said, name)), "{name} is alive");
    }
    drop(said);
}

#[tokio::test]
async fn a_script_that_minds_its_signal_ends_at_once_and_is_cancelled_even_with_exit_0() {
    let machine = Machine::new();
    let build =
        machine.dispatch("#!/bin/sh\ntrap 'echo bye; exit 0' TERM\necho ready\nwhile :; do sleep 0.05; done\n").await;
    machine.printed(&build, "ready").await;
    let asked = Instant::now();
    machine.engine().stop(&build).await.unwrap();
    let said = machine.end_of(&build).await;
    assert!(matches!(said.outcome, Outcome::Cancelled { .. }), "{:?}", said.outcome);
    assert_eq!(said.stdout, "ready\nbye\n");
    assert!(asked.elapsed() < Duration::from_secs(4), "it did not wait for the grace to be over");
}

#[tokio::test]
async fn a_build_over_its_limit_is_ended_and_timed_out() {
    let machine = Machine::new();
    let mut order =
        machine.order(&machine.script("#!/bin/sh\ntrap 'exit 0' TERM\necho pid $$\nwhile :; do sleep 0.05; done\n"));
    order.timeout = Duration::from_secs(1);
    let said = machine.build_order(&order).await;
    assert_eq!(said.outcome, Outcome::Timeout);
    assert!(is_gone(pid(&said.stdout, "pid ")));
}

#[tokio::test]
async fn what_a_finished_script_left_behind_is_ended_and_its_verdict_stays() {
    let machine = Machine::new();
    let said = machine
        .build(
            "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; echo left $$; while :; do sleep 1; done' &\nsleep 0.3\nexit 0\n",
        )
        .await;
    assert_eq!(said.outcome, Outcome::Success);
    assert!(is_gone(pid(&said.stdout, "left ")));
}

#[tokio::test]
async fn a_fork_bomb_is_ended() {
    let machine = Machine::new();
    let script = "#!/bin/sh\nspawn() { while [ -e go ]; do sh -c 'exec sleep 0.01' & sleep 0.005; done; }\n\
        touch go; spawn & spawn & echo ready; wait\n";
    let build = machine.dispatch(script).await;
    machine.printed(&build, "ready").await;
    machine.engine().stop(&build).await.unwrap();
    assert!(matches!(machine.outcome(&build).await, Outcome::Cancelled { .. }));
}

#[tokio::test]
async fn a_stop_after_the_end_changes_nothing() {
    let machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\nexit 4\n").await;
    assert_eq!(machine.outcome(&build).await, failed_with(4));
    machine.engine().stop(&build).await.unwrap();
    assert_eq!(machine.outcome(&build).await, failed_with(4));
}

#[tokio::test]
async fn a_build_without_a_place_waits_and_can_be_cancelled_there() {
    let machine = Machine::with_places(1);
    let first = machine.dispatch("#!/bin/sh\necho ready\nexec sleep 1000\n").await;
    machine.printed(&first, "ready").await;
    let second = machine.dispatch("#!/bin/sh\necho second\n").await;
    let third = machine.dispatch("#!/bin/sh\necho third\n").await;
    assert!(matches!(machine.verdict(&second).await, Verdict::Queued { .. }), "{:?}", machine.verdict(&second).await);

    machine.engine().stop(&third).await.unwrap();
    let said = machine.end_of(&third).await;
    assert!(matches!(said.outcome, Outcome::Cancelled { .. }));
    assert_eq!(said.stdout, "never: the build was stopped before it was started");

    machine.engine().stop(&first).await.unwrap();
    assert_eq!(machine.end_of(&second).await.stdout, "second\n");
}

#[tokio::test]
async fn one_claim_is_one_build_and_other_values_under_it_are_refused() {
    let machine = Machine::new();
    let mut order = machine.order(&machine.script("#!/bin/sh\n"));
    let first = machine.engine().dispatch(&order).await.unwrap();
    assert_eq!(machine.engine().dispatch(&order).await.unwrap(), first);
    assert_eq!(machine.engine().find(&order.builder, &order.claim, 0).await.unwrap(), Some(first.clone()));
    assert_eq!(machine.engine().children(&order.builder, 10).await.unwrap().len(), 1);
    order.meta.insert("BRANCH".to_owned(), "other".to_owned());
    assert!(matches!(machine.engine().dispatch(&order).await, Err(DispatchError::NotOurs(_))));
    machine.outcome(&first).await;
}
