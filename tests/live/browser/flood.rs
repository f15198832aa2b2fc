//! A log of a hundred megabytes, followed by a tab that stays alive.

use std::time::{Duration, Instant};

use super::desk::{Desk, Push};
use super::driver::{Browser, How, is_there};

/// As fast as can be written: 100 MB of 100 bytes a line.
const SCRIPT: &str = "#!/bin/sh
yes 'a line of a log that goes on and on, as a test does that says each thing that it has looked at: ok!' | head -c 100000000
echo; echo 'the end of the flood'
";
/// Frames so far, rows of the log, and whether its end is among them.
const LOOK: &str = "return [frames_seen, document.querySelectorAll('.log-lines .l').length, \
                    document.querySelector('#log').textContent.includes('the end of the flood')]";
/// A tab that answers no sooner is frozen for whoever looks at it; a busy machine is not as slow as that.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// For all of it, on a busy machine.
const END_WITHIN: Duration = Duration::from_secs(300);
/// Rows of a log that a page may keep.
const ROWS_MOST: u64 = 20_000;

#[tokio::test]
async fn a_tab_stays_alive_under_a_hundred_megabytes_and_comes_to_their_end() {
    if !is_there("a large log") {
        return;
    }
    let desk = Desk::start().await;
    let script = format!("#!/bin/sh\necho begun\nuntil [ -e '{}' ]; do sleep 0.1; done\n{SCRIPT}", desk.gate("go"));
    let page = desk.push(Push::new("flood", &script)).await;
    let browser = Browser::open(How { unwatched: true, ..How::default() }).await;
    browser.goto(&format!("{}{page}", desk.url)).await;
    browser.until_shown("begun").await;
    browser
        .run(
            "window.frames_seen = 0; const tick = () => { frames_seen += 1; requestAnimationFrame(tick) }; tick()",
            &[],
        )
        .await;
    desk.open_gate("go");
    let begun = Instant::now();
    loop {
        let look = tokio::time::timeout(ANSWER_WITHIN, browser.run(LOOK, &[])).await;
        let look = look.unwrap_or_else(|_| panic!("the tab says nothing for {ANSWER_WITHIN:?}"));
        let rows = look[1].as_u64().unwrap();
        assert!(rows <= ROWS_MOST, "{rows} rows are kept");
        if look[2] == true {
            break;
        }
        assert!(begun.elapsed() < END_WITHIN, "the end was not seen: {look}");
        // It goes on to paint.
        browser.until(&format!("window.frames_seen > {}", look[0])).await;
    }
    browser.until("/success/i.test(document.querySelector('h1').innerText)").await;
    browser.close().await;
}
