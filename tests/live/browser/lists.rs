//! The list of builds, and the page of what is not there.

use super::audit::assert_decent;
use super::desk::Desk;
use super::driver::{Browser, How, is_there};

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    if !is_there("what is not there") {
        return;
    }
    let desk = Desk::start().await;
    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}/builds/builder/dispatch-1-2", desk.url)).await;
    assert_decent(&browser).await;
    let said = browser.complaints().await;
    assert!(said.iter().all(|line| line.contains("404 (Not Found)")), "{said:#?}");
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}
