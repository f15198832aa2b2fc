//! Streams that were asked for, and others.

use super::*;

#[tokio::test]
async fn a_flood_that_nobody_reads_delays_nothing_else() {
    let mut room = Room::new();
    room.within.setup = Duration::from_secs(2);
    let plan = Plan { stdout: Some(Box::new(Stuck)), ..plan(&room.workspace(), &room.output) };
    let ending = room.meets_with(plan, Stops::by_hand().1, async |mut guest: Guest| {
        guest.runs().await;
        let mut flood = guest.link.open(Purpose::Stdout).unwrap();
        let flooding = tokio::spawn(async move { while flood.write_all(&[b'x'; 4096]).await.is_ok() {} });
        guest.print(Purpose::Stderr, b"heard\n").await;
        guest.done(0).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
        flooding.await.unwrap();
    });
    assert_eq!(ending.await, Ending::Done(End { code: 0, oom: false }, None));
    assert_eq!(room.output.text(), "heard\n");
}

#[tokio::test]
async fn a_folder_that_was_not_asked_for_is_refused() {
    let room = Room::new();
    let ending = room.meets(async |mut guest: Guest| {
        guest.runs().await;
        for purpose in [Purpose::Out("etc".to_owned()), Purpose::In("etc".to_owned()), Purpose::Api] {
            let mut stream = guest.link.open(purpose).unwrap();
            let mut nothing = Vec::new();
            assert!(stream.read_to_end(&mut nothing).await.is_err() || nothing.is_empty());
        }
        guest.done(0).await;
        guest.give(&room.inside()).await;
        guest.stays().await;
    });
    assert_eq!(ending.await, Ending::Done(End { code: 0, oom: false }, None));
}
