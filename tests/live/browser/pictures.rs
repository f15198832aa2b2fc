//! The README's pictures, of builds that are made for them.
//!
//! `ALBATROS_LIVE=1 ALBATROS_PICTURES=example/picture cargo test --test live pictures` makes them again.

use std::path::PathBuf;

use super::audit::{PHONE, assert_decent};
use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

/// What a build of the pictures says and does; it ends by `END`.
const SCRIPT: &str = r#"#!/bin/sh
set -eu
say() { printf '\033[1;32m%12s\033[0m %s\n' "$1" "$2"; }
albatros job start lint -- sh -c 'echo "no complaint"'
albatros job start docs --need lint -- sh -c 'echo "12 pages"'
say Compiling 'wings v0.4.0'
say Compiling 'albatross v1.2.0'
printf '\033[1;33mwarning\033[0m\033[1m: unused variable: `wind`\033[0m\n'
printf '  \033[1;34m-->\033[0m src/glide.rs:42:9\n'
printf '   \033[1;34m|\033[0m\n\033[1;34m42 |\033[0m     let wind = ocean.wind();\n'
printf '   \033[1;34m|\033[0m         \033[1;33m^^^^ help: prefix it with an underscore: `_wind`\033[0m\n'
say Finished '`test` profile [unoptimized] in 2.31s'
say Running 'unittests src/lib.rs'
echo 'running 4 tests'
for test in feather::is_light glide::goes_far wing::is_long; do printf "test $test ... \033[32mok\033[0m\n"; done
albatros job wait lint docs
END
"#;
/// It ends with a failed test and its report.
const FAILS: &str = r#"
printf 'test landing::is_soft ... \033[1;31mFAILED\033[0m\n\n'
printf "thread 'landing::is_soft' panicked at src/landing.rs:17:5:\n"
printf 'assertion `left == right` failed\n  left: \033[31m"splash"\033[0m\n right: \033[32m"soft"\033[0m\n'
cat >unit.xml <<'END_OF_FILE'
<testsuite name="unit"><testcase name="feather::is_light"/><testcase name="glide::goes_far"/><testcase name="wing::is_long"/>
<testcase name="landing::is_soft"><failure message="left: &quot;splash&quot;, right: &quot;soft&quot;"/></testcase></testsuite>
END_OF_FILE
albatros report --junit unit.xml >/dev/null
exit 101"#;
/// It ends well, and leaves something.
const SUCCEEDS: &str = r#"
printf 'test landing::is_soft ... \033[32mok\033[0m\n'
echo 'a picture of a bird' >albatross.txt
albatros artifact put albatross albatross.txt >/dev/null"#;

/// Where a picture goes, if they are asked for. They are taken all the same: that they can be is what is tested.
async fn take(browser: &Browser, name: &str, shape: (u32, u32), is_dark: bool) {
    browser.shape(shape, is_dark).await;
    browser.run("document.activeElement.blur(); scrollTo(0, 0)", &[]).await;
    let picture = browser.picture().await;
    assert!((5_000..150_000).contains(&picture.len()), "{name} has {} bytes", picture.len());
    if let Some(folder) = std::env::var_os("ALBATROS_PICTURES") {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), picture).unwrap();
    }
}

#[tokio::test]
async fn the_pictures_of_the_readme_can_be_taken() {
    if !is_there("the README's pictures") {
        return;
    }
    let desk = Desk::named("albatross").await;
    let script = |end: &str| SCRIPT.replace("\nEND\n", &format!("{end}\n"));
    let waits = format!("\necho 'waiting for the wind'\nuntil [ -e '{}' ]; do sleep 0.1; done", desk.gate("end"));
    let ended = [
        ("main", SUCCEEDS, "success"),
        ("docs", "", "success"),
        ("soft-landing", FAILS, "failure"),
        ("longer-wings", SUCCEEDS, "success"),
    ];
    let mut pages = Vec::new();
    for (branch, end, outcome) in ended {
        let page = desk.push(Push::new(branch, &script(end))).await;
        assert_eq!(desk.outcome(&page).await, outcome, "{}", desk.last_words());
        pages.push(page);
    }
    let running = desk.push(Push::new("tail-wind", &script(&waits))).await;
    let browser = Browser::open(How::default()).await;
    browser.goto(&format!("{}{running}", desk.url)).await;
    browser.until_shown("waiting for the wind").await;
    browser.goto(&format!("{}{running}", desk.url)).await;
    browser.until("document.querySelector('.graph')?.textContent.includes('docs')").await;
    browser.until_shown("waiting for the wind").await;
    assert_decent(&browser).await;
    take(&browser, "build-dark.png", (1100, 1000), true).await;
    take(&browser, "phone.png", PHONE, false).await;

    browser.goto(&format!("{}/builds", desk.url)).await;
    browser.until_shown("tail-wind").await;
    take(&browser, "builds.png", (1100, 720), false).await;

    browser.goto(&format!("{}{}", desk.url, pages[2])).await;
    browser.until_shown("Failed with exit 101").await;
    browser.until_shown("landing::is_soft").await;
    assert_decent(&browser).await;
    take(&browser, "build.png", (1100, 1300), false).await;

    browser.goto(&format!("{}{}/log", desk.url, pages[2])).await;
    browser.until_shown("landing::is_soft").await;
    assert_decent(&browser).await;
    take(&browser, "log.png", (1100, 640), false).await;
    desk.open_gate("end");
    desk.outcome(&running).await;
    browser.close().await;
}
