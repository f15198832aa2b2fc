//! A stop, and who hears it.

use super::*;

#[tokio::test]
async fn the_first_stop_is_the_scripts_and_another_signal_ends_the_machine() {
    let room = Room::new();
    let (hand, stops) = Stops::by_hand();
    let plan = plan(&room.workspace(), &room.output);
    let ending = room.meets_with(plan, stops, async |mut guest: Guest| {
        guest.runs().await;
        // The host has heard that it runs when it reads what comes after that.
        guest.print(Purpose::Stderr, b"x").await;
        while room.output.text().is_empty() {
            tokio::task::yield_now().await;
        }
        hand.send(15).await.unwrap();
        let stop = guest.hear().await;
        assert_eq!((&stop["is"], &stop["signal"]), (&json!("stop"), &json!(15)));
        hand.send(15).await.unwrap();
        hand.send(2).await.unwrap();
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Stopped(15));
}

#[tokio::test]
async fn a_script_that_ends_when_it_is_told_to_has_ended_by_itself() {
    let room = Room::new();
    let (hand, stops) = Stops::by_hand();
    let plan = plan(&room.workspace(), &room.output);
    let ending = room.meets_with(plan, stops, async |mut guest: Guest| {
        guest.runs().await;
        guest.print(Purpose::Stderr, b"x").await;
        while room.output.text().is_empty() {
            tokio::task::yield_now().await;
        }
        hand.send(15).await.unwrap();
        guest.hear().await;
        // Whoever sends it again means the same: the machine goes on to its script's end.
        hand.send(15).await.unwrap();
        guest.done(143).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Done(End { code: 143, oom: false }, None));
}
