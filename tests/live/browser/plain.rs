//! Nothing needs scripts to be read.

use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

#[tokio::test]
async fn pages_are_read_without_scripts_and_a_running_one_comes_to_its_end() {
    if !is_there("pages without scripts") {
        return;
    }
    let desk = Desk::start().await;
    let done = desk.push(Push::new("done", "#!/bin/sh\necho 'it was quick'\n")).await;
    let script = format!("#!/bin/sh\necho begun\nuntil [ -e '{}' ]; do sleep 0.1; done\nexit 4\n", desk.gate("end"));
    let slow = desk.push(Push::new("slow", &script)).await;
    assert_eq!(desk.outcome(&done).await, "success");

    let browser = Browser::open(How { without_scripts: true, ..How::default() }).await;
    browser.goto("data:text/html,<p id=p>off<script>document.getElementById('p').textContent = 'on'</script>").await;
    assert_eq!(browser.shown().await, "off", "scripts of pages do not run");

    browser.goto(&format!("{}/builds", desk.url)).await;
    let list = browser.shown().await;
    assert!(list.contains("done") && list.contains("slow"), "{list}");
    browser.click("main tbody a.page").await;
    browser.until("location.pathname !== '/builds'").await;

    browser.goto(&format!("{}{done}", desk.url)).await;
    assert!(browser.shown().await.contains("it was quick"));
    browser.goto(&format!("{}{done}/log", desk.url)).await;
    assert!(browser.shown().await.contains("it was quick"));

    browser.goto(&format!("{}{slow}", desk.url)).await;
    browser.until_shown("begun").await;
    desk.open_gate("end");
    browser.until_shown("Failed with exit 4").await;
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}
