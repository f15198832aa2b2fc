//! How far a machine is, and what ends it.

use super::*;

#[tokio::test]
async fn an_end_without_its_nonce_is_none_and_the_machine_is_lost() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        guest.say(json!({"is": "done", "nonce": "00", "end": {"code": 0}})).await;
        guest.say(json!({"is": "done", "end": {"code": 0}})).await;
        // The connection ends with it.
    });
    assert!(why(ending.await).contains("closed the stream of the handshake"));
    assert!(room.workspace().join("old").exists());
}

#[tokio::test]
async fn an_end_told_twice_is_told_once() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        guest.done(1).await;
        guest.done(0).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Done(End { code: 1, oom: false }, None));
}

#[tokio::test]
async fn words_without_sense_are_ignored_up_to_a_bound() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        for _ in 0..=IGNORED_MOST {
            guest.say(json!({"is": "nonsense"})).await;
        }
        guest.stays().await;
    });
    assert!(why(ending.await).contains("makes no sense"));
}

#[tokio::test]
async fn a_machine_that_is_not_up_in_time_hangs_and_one_that_ends_before_does_not() {
    let mut room = Room::new();
    room.within.boot = Duration::from_millis(20);
    let ending = room.meets(async |guest: Guest| {
        guest.stays().await;
    });
    assert!(matches!(ending.await, Ending::Hung(why) if why.contains("its kernel was not up")));
    room.life = Duration::ZERO;
    let ending = room.meets(async |guest: Guest| {
        guest.stays().await;
    });
    assert!(matches!(ending.await, Ending::Lost(Course::Booting, why) if why.contains("longer than its limit")));
}

#[tokio::test]
async fn bytes_that_are_no_link_end_it() {
    let room = Room::new();
    let ending = room.meets(async |guest: Guest| {
        drop(guest);
    });
    assert!(matches!(ending.await, Ending::Lost(Course::Booting, _)));
}

#[tokio::test]
async fn a_machine_that_says_nothing_is_lost_after_its_limit() {
    let mut room = Room::new();
    room.within.boot = Duration::from_millis(50);
    let silent = room.meets(async |guest: Guest| {
        guest.stays().await;
    });
    assert!(why(silent.await).contains("its kernel was not up"));
    room.within = Within { boot: LONG, setup: Duration::from_millis(50), grace: LONG, back: LONG };
    let slow = room.meets(async |mut guest: Guest| {
        guest.say(json!({"is": "booted", "version": 1})).await;
        guest.stays().await;
    });
    assert!(why(slow.await).contains("has not begun to run the script"));
}

#[tokio::test]
async fn a_machine_lives_no_longer_than_its_limit() {
    let mut room = Room::new();
    room.life = Duration::from_millis(200);
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        guest.stays().await;
    });
    assert!(why(ending.await).contains("longer than its limit"));
}

#[tokio::test]
async fn what_the_guests_init_says_is_told_and_harmless() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.say(json!({"is": "booted", "version": 1})).await;
        guest.hear().await;
        guest.say(json!({"is": "failed", "nonce": NONCE, "why": "no \u{1b}[31mroot"})).await;
        guest.stays().await;
    });
    assert_eq!(why(ending.await), "its init says: no \\u{1b}[31mroot");
}
