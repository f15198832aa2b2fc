//! Who can push can choose what stands in a log, in a report and in names: nothing of it does anything on a page.

use serde_json::json;

use super::audit::assert_decent;
use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

/// A branch that git allows.
const BRANCH: &str = "x\"'><img/src=/x/onerror=window.pwned=1><script>window.pwned=2</script>";
const SENDER: &str = "<svg/onload=window.pwned=3>";

/// What a terminal or a careless page would act on. The last line is in order, and must be seen.
const SCRIPT: &str = r#"#!/bin/sh
cat >report.md <<'END'
# <script>window.pwned=4</script><img src=x onerror=window.pwned=5>
[click](javascript:window.pwned=6) </pre></section>
END
cat >unit.xml <<'END'
<testsuite name="&lt;script&gt;window.pwned=7&lt;/script&gt;"><testcase name="&quot;&gt;&lt;img src=x onerror=window.pwned=8&gt;">
<failure message="&lt;svg onload=window.pwned=9&gt;">x</failure></testcase></testsuite>
END
"$ALBATROS_PROGRAM" report --summary report.md
"$ALBATROS_PROGRAM" report --junit unit.xml
echo '<script>window.pwned=10;alert(1)</script>'
echo '<img src=x onerror="window.pwned=11"> <svg/onload=window.pwned=12> <iframe src=javascript:window.pwned=13>'
echo '</span></div></pre></section></main><h1>taken over</h1><title>taken over</title><base href=//evil.example>'
printf '\033]8;;javascript:window.pwned=14\033\\a link\033]8;;\033\\ \033]8;;http://evil.example/\007another\033]8;;\007\n'
printf '\033]52;c;cHduZWQ=\007\033]0;taken over\007\033]2;taken over\033\\ \033[5i\033[?1049h\033c\n'
printf '\033[31;1mred \033[99999999999999999999999m \033[38;5;999m \033[;;;;m \033[38;2;1;2m still\n'
printf '\342\200\256 gnp.exe \342\200\253 \342\201\247 \357\273\277 \377\376 \000 \010\010 \033[2J\033[H\n'
printf '&lt;b&gt; &amp;amp; {{ 7 * 7 }} ${window.pwned=15} `x`\n'
printf 'one\rtwo\r\033[K'
echo
echo 'the last line is in order'
printf '\033]8;;http://evil.example/without-end'
"#;

#[tokio::test]
async fn hostile_text_and_names_do_nothing() {
    if !is_there("hostile text") {
        return;
    }
    let desk = Desk::start().await;
    let script = SCRIPT.replace("$ALBATROS_PROGRAM", Desk::program());
    let page = desk.push(Push { sender: SENDER, ..Push::new(BRANCH, &script) }).await;
    let browser = Browser::open(How::default()).await;
    // Once as it comes in, once as it is kept.
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.until_shown("the last line is in order").await;
    assert_eq!(desk.outcome(&page).await, "success");
    browser.until("/success/i.test(document.querySelector('h1').innerText)").await;
    assert_untouched(&browser, &desk).await;

    let list = "/builds".to_owned();
    let filtered = browser.run("return '/builds?branch=' + encodeURIComponent(arguments[0])", &[json!(BRANCH)]).await;
    let filtered = filtered.as_str().unwrap().to_owned();
    for address in [page.clone(), format!("{page}/log"), list, filtered] {
        browser.goto(&format!("{}{address}", desk.url)).await;
        browser
            .until_shown(if address.starts_with("/builds?") || address == "/builds" { BRANCH } else { "in order" })
            .await;
        assert_untouched(&browser, &desk).await;
        assert_decent(&browser).await;
    }
    browser.assert_quiet(&[&desk.url]).await;
    browser.close().await;
}

/// That no name or text has become anything but text.
async fn assert_untouched(browser: &Browser, desk: &Desk) {
    let address = browser.text("location.href").await;
    assert_eq!(browser.value("window.pwned ?? null").await, json!(null), "a script of a build ran on {address}");
    assert!(!browser.text("document.title").await.contains("taken over"), "the title is the page's own on {address}");
    let made = "[...document.querySelectorAll('main script, main img, main iframe, main svg[onload], main base, \
                [onerror], [onload], .log-lines h1')].map(element => element.outerHTML)";
    assert_eq!(browser.value(made).await, json!([]), "elements were made on {address}");
    let links = "[...document.links].map(link => link.href)";
    let links = browser.value(links).await;
    let is_ours = |link: &str| [&desk.url, "http://localhost/"].iter().any(|known| link.starts_with(*known));
    let foreign: Vec<_> = links.as_array().unwrap().iter().filter(|link| !is_ours(link.as_str().unwrap())).collect();
    assert!(foreign.is_empty(), "links lead away from {address}: {foreign:?}");
}
