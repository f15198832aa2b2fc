//! Long logs on a real Nomad, which rotates them.

use std::fmt::Write as _;

use crate::fake::delivery::commit;
use crate::story::{INJECT, Story, person};

const NONE: &str = "0000000000000000000000000000000000000000";
/// Lines of 20 bytes: 20 MB.
const LINES: u32 = 1_000_000;

fn lines() -> String {
    let mut text = format!("{}\n", INJECT.len());
    for n in 1..=LINES {
        writeln!(text, "{n:019}").unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_20_megabytes_arrives_byte_for_byte_over_rotations() {
    let Some(story) = Story::begin("flood").await else { return };
    let more = [("LINES", "seq -f %019.0f 1 1000000"), ("= 30", "= 100"), ("max_files     = 2", "max_files     = 40")];
    story.register("flood", &more).await;
    let serve = story.serve().await;
    let build = story.push(&serve, "flood", NONE, &commit(0xa1)).await;
    let live = person(&serve, "GET", &format!("/build?job={build}&raw=1"), None).await;
    story.final_of(&commit(0xa1)).await;
    let after = person(&serve, "GET", &format!("/build?job={build}&raw=1"), None).await;
    let expected = lines();
    for (which, reply) in [("while it ran", &live), ("after its end", &after)] {
        assert_eq!(reply.text.len(), expected.len(), "read {which}");
        assert!(reply.text == expected, "read {which}");
    }
    story.tell(&format!("{} bytes in files of 1 MB, read while it ran and after its end: the same", expected.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nomad_has_rotated_away_is_told_in_the_log() {
    let Some(story) = Story::begin("rotated").await else { return };
    story.register("rotated", &[("LINES", "seq -f %019.0f 1 1000000")]).await;
    let serve = story.serve().await;
    let build = story.push(&serve, "flood", NONE, &commit(0xa2)).await;
    story.final_of(&commit(0xa2)).await;
    let reply = person(&serve, "GET", &format!("/build?job={build}&raw=1"), None).await;
    let expected = lines();
    assert!(reply.text.len() < expected.len() / 2, "most is gone: {}", reply.text.len());
    let told: Vec<&str> = reply.text.lines().filter(|line| line.contains("missing")).collect();
    assert!(!told.is_empty(), "it is told: {:?}", reply.text.get(..200));
    let last = reply.text.rsplit_once(told[told.len() - 1]).unwrap().1.trim_start_matches('\n');
    assert!(!last.is_empty() && expected.ends_with(last), "what is there is the log's end, unaltered");
    story.tell(&format!("{} of {} bytes, and {told:?}", reply.text.len(), expected.len()));
}
