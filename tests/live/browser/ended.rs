//! Builds that are over: what went wrong stands on the page.

use super::audit::assert_decent;
use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

#[tokio::test]
async fn a_failed_build_shows_its_reason_and_a_failed_preparation_its_last_lines() {
    if !is_there("failed builds") {
        return;
    }
    let desk = Desk::start().await;
    let script = "#!/bin/sh\nprintf '\\033[1;31mit breaks\\033[0m here\\n'; exit 42\n";
    let failed = desk.push(Push::new("broken", script)).await;
    let gone = "0123456789012345678901234567890123456789";
    let unprepared = desk.deliver(Push::new("gone", ""), gone).await;
    let fine = desk.push(Push::new("fine", "#!/bin/sh\necho 'all is well'\n")).await;
    assert_eq!(desk.outcome(&failed).await, "failure");
    assert_eq!(desk.outcome(&unprepared).await, "infra");
    assert_eq!(desk.outcome(&fine).await, "success");

    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}{failed}", desk.url)).await;
    browser.until_shown("Failed with exit 42").await;
    browser.until_shown("it breaks here").await;
    assert_decent(&browser).await;

    browser.goto(&format!("{}{unprepared}", desk.url)).await;
    // What git says, in whatever words it has.
    browser.until(&format!("document.querySelector('main .log-lines').innerText.includes('{gone}')")).await;
    assert_decent(&browser).await;

    browser.goto(&format!("{}{fine}", desk.url)).await;
    browser.until_shown("all is well").await;
    browser.until("/success/i.test(document.querySelector('h1').innerText)").await;
    assert_decent(&browser).await;

    browser.goto(&format!("{}{fine}/log", desk.url)).await;
    browser.until_shown("all is well").await;
    assert_decent(&browser).await;

    browser.goto(&format!("{}/builds", desk.url)).await;
    for branch in ["broken", "gone", "fine"] {
        browser.until_shown(branch).await;
    }
    assert_decent(&browser).await;
    let titles = [&failed, &unprepared, &fine].map(|page| format!("{}{page}", desk.url));
    let mut seen = Vec::new();
    for page in titles {
        browser.goto(&page).await;
        seen.push(browser.text("document.title").await);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "a tab's title says which build it is: {seen:?}");
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}
