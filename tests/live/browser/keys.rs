//! Without a mouse.

use serde_json::{Value, json};

use super::audit::DESK;
use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

/// What can have the focus, in the order of the page: a page that follows what changes may put new elements in the
/// place of others at any time.
const REACHABLE: &str = r#"
const all = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
const found = [...document.querySelectorAll(all)].filter((one) =>
  one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0);
"#;
const ALL: &str = "return found.map((one) => one.outerHTML.slice(0, 120));";

/// After [`REACHABLE`]: the focused element's place among them, and whether it can be seen that it has the focus.
const FOCUSED: &str = r#"
const one = document.activeElement;
const style = getComputedStyle(one);
const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
const box = one.getBoundingClientRect();
const isSeen = box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0 && box.top < innerHeight && box.left < innerWidth;
return [found.indexOf(one), isSeen && (isOutlined || style.boxShadow !== "none"), one.outerHTML.slice(0, 120)];
"#;

/// Whoever has not touched the page begins at its start, also where a field takes the focus by itself.
const START: &str = r#"
const root = document.documentElement;
root.tabIndex = -1;
root.focus({ preventScroll: true });
root.removeAttribute("tabindex");
scrollTo(0, 0);
"#;

async fn assert_reachable(browser: &Browser) {
    let reachable = browser.run(&format!("{REACHABLE}{ALL}"), &[]).await;
    let reachable = reachable.as_array().unwrap();
    assert!(reachable.len() > 2, "{reachable:?}");
    browser.run(START, &[]).await;
    for (place, element) in reachable.iter().enumerate() {
        browser.tab().await;
        let focused = browser.run(&format!("{REACHABLE}{FOCUSED}"), &[]).await;
        assert_eq!(focused[0], json!(place), "Tab leads to {element} after the one before: {focused}");
        assert_eq!(focused[1], Value::Bool(true), "it is seen where the focus is: {focused}");
    }
}

#[tokio::test]
async fn all_is_reached_by_the_keyboard_and_the_focus_is_seen() {
    if !is_there("the keyboard") {
        return;
    }
    let desk = Desk::start().await;
    let page = desk.push(Push::new("main", "#!/bin/sh\necho one\necho two\nexit 1\n")).await;
    assert_eq!(desk.outcome(&page).await, "failure");
    let browser = Browser::open(How::default()).await;
    for address in ["/builds", &page, &format!("{page}/log"), "/signin"] {
        browser.goto(&format!("{}{address}", desk.url)).await;
        browser.shape(DESK, false).await;
        assert_reachable(&browser).await;
    }
    // Past what stands on every page.
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.tab().await;
    let skips = "document.activeElement.getAttribute('href') === '#main' \
                 && document.activeElement.getBoundingClientRect().top >= 0";
    assert_eq!(browser.value(skips).await, true, "the first is to skip what stands on every page");
    browser.enter().await;
    browser.tab().await;
    browser.until("document.querySelector('main').contains(document.activeElement)").await;
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}
