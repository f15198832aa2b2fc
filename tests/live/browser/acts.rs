//! What can be done by buttons, by whom, and by nobody else's page.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use serde_json::json;

use super::audit::assert_decent;
use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};
use crate::fake::wire::{Call, Service, Wire};

/// A page of somebody else's that sends a form to where its address says.
#[derive(Debug)]
struct Elsewhere;

impl Service for Elsewhere {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        let to = call.param("to").unwrap_or_default();
        let page = format!(
            "<!doctype html><title>Elsewhere</title><link rel=icon href=data:,><form method=post action=\"{to}\">\
             <input name=csrf value=guessed><button>Win a prize</button></form>"
        );
        let mut answer = Response::new(Body::from(page));
        answer.headers_mut().insert("content-type", "text/html; charset=utf-8".parse().unwrap());
        answer
    }
}

fn waits(desk: &Desk) -> String {
    format!("#!/bin/sh\necho begun\nuntil [ -e '{}' ]; do sleep 0.1; done\n", desk.gate("end"))
}

/// Signs in on the page that is open, by the keyboard.
async fn sign_in(browser: &Browser, token: &str) {
    browser.until("document.querySelector('input[name=token]')").await;
    browser.write("input[name=token]", token).await;
    browser.click("form.signin button, main form button").await;
}

#[tokio::test]
async fn who_signs_in_cancels_and_retries_and_nobody_does_after_signing_out() {
    if !is_there("signing in") {
        return;
    }
    let desk = Desk::start().await;
    let page = desk.push(Push::new("main", &waits(&desk))).await;
    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.until_shown("begun").await;
    assert_eq!(
        browser.value("document.querySelectorAll('main form button').length").await,
        0,
        "a stranger has no button"
    );
    browser.click("main a[href*='/signin']").await;
    browser.until("location.pathname === '/signin'").await;
    assert_decent(&browser).await;

    sign_in(&browser, "not-a-token").await;
    browser.until("document.querySelector('[role=alert]')").await;
    assert_decent(&browser).await;
    let said = browser.complaints().await;
    assert!(said.iter().all(|line| line.contains("401")), "{said:#?}");

    sign_in(&browser, &desk.token()).await;
    browser.until(&format!("location.pathname === {}", json!(page))).await;
    browser.until_shown("begun").await;
    assert_decent(&browser).await;
    browser.click("form[action$='/cancel'] button").await;
    browser.until("/cancelled/i.test(document.querySelector('h1').innerText)").await;
    assert_eq!(desk.outcome(&page).await, "cancelled");

    desk.open_gate("end");
    browser.until("document.querySelector(\"form[action$='/retry'] button\")").await;
    browser.click("form[action$='/retry'] button").await;
    browser.until("/success/i.test(document.querySelector('h1').innerText)").await;
    assert_ne!(browser.text("location.pathname").await, page, "a retry is a build of its own");

    browser.click("form[action$='/signout'] button").await;
    browser.until("document.querySelector(\"header a[href*='/signin']\")").await;
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.until_shown("Cancelled").await;
    assert_eq!(browser.value("document.querySelectorAll('main form').length").await, 0, "who signed out has no button");
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}

#[tokio::test]
async fn a_form_of_another_site_cancels_nothing() {
    if !is_there("a form of another site") {
        return;
    }
    let desk = Desk::start().await;
    let page = desk.push(Push::new("main", &waits(&desk))).await;
    let elsewhere = Wire::start(Arc::new(Elsewhere)).await;
    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}/signin?back={page}", desk.url)).await;
    sign_in(&browser, &desk.token()).await;
    browser.until("document.querySelector(\"form[action$='/cancel'] button\")").await;

    // A neighbour on the same host, which browsers take for the same site, and another host.
    let neighbour = elsewhere.url();
    let stranger = neighbour.replace("127.0.0.1", "localhost");
    for from in [&neighbour, &stranger] {
        for act in ["cancel", "retry"] {
            browser.goto(&format!("{from}/?to={}{page}/{act}", desk.url)).await;
            browser.click("button").await;
            browser.until(&format!("location.origin === {}", json!(desk.url))).await;
            assert!(browser.shown().await.contains("did not come from"), "{}", browser.shown().await);
        }
        browser.goto(&format!("{from}/?to={}/signout", desk.url)).await;
        browser.click("button").await;
        browser.until(&format!("location.origin === {}", json!(desk.url))).await;
    }
    let build = desk.build(&page).await;
    assert_eq!(build["ended"], false, "{build:#}");
    assert!(build["stop"].is_null(), "{build:#}");
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.until("document.querySelector(\"form[action$='/cancel'] button\")").await;
    let said = browser.complaints().await;
    assert!(said.iter().all(|line| line.contains("403")), "{said:#?}");
    browser.assert_quiet(&[&desk.url, &neighbour, &stranger]).await;
    desk.open_gate("end");
    desk.outcome(&page).await;
    browser.close().await;
}
