//! What changes while somebody looks: a log that grows, an outcome that comes, a build that is new.

use super::audit::assert_decent;
use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

/// Says three lines, and waits at a gate before each but the first.
fn gated(desk: &Desk) -> String {
    let wait = |gate: &str| format!("until [ -e '{}' ]; do sleep 0.1; done", desk.gate(gate));
    format!(
        "#!/bin/sh\necho 'the first line'\n{}\necho 'the second line'\n{}\necho 'the third line'\nexit 3\n",
        wait("second"),
        wait("third")
    )
}

#[tokio::test]
async fn a_running_build_grows_line_by_line_and_says_its_outcome_without_a_reload() {
    if !is_there("a running build") {
        return;
    }
    let desk = Desk::start().await;
    let page = desk.push(Push::new("main", &gated(&desk))).await;
    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.until_shown("the first line").await;
    browser.run("window.stayed = true", &[]).await;
    assert_decent(&browser).await;
    assert!(!browser.shown().await.contains("the second line"));

    desk.open_gate("second");
    browser.until_shown("the second line").await;
    assert!(!browser.shown().await.contains("exit 3"), "it is not over yet");

    desk.open_gate("third");
    browser.until_shown("the third line").await;
    browser.until_shown("Failed with exit 3").await;
    assert_eq!(browser.value("window.stayed === true").await, true, "the page was loaded again");
    let order = "document.body.innerText.match(/the (first|second|third) line/g).join()";
    assert_eq!(browser.text(order).await, "the first line,the second line,the third line", "each line once, in order");
    assert_decent(&browser).await;
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}

#[tokio::test]
async fn a_list_shows_a_new_build_and_its_end_by_itself() {
    if !is_there("a list that is looked at") {
        return;
    }
    let desk = Desk::start().await;
    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}/builds", desk.url)).await;
    browser.run("window.stayed = true", &[]).await;
    assert!(!browser.shown().await.contains("a-new-branch"));
    desk.push(Push::new("a-new-branch", &gated(&desk))).await;
    browser.until_shown("a-new-branch").await;
    browser.until("/running/i.test(document.querySelector('main table').innerText)").await;
    desk.open_gate("second");
    desk.open_gate("third");
    browser.until("/failed|failure/i.test(document.querySelector('main table').innerText)").await;
    assert_eq!(browser.value("window.stayed === true").await, true, "the page was loaded again");
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}
