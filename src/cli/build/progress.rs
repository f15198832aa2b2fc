//! How far an upload or download is: a bar on a terminal, and nothing anywhere else.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::interval;

use crate::sidecar::keep::Counter;

/// Between two pictures.
const EVERY: Duration = Duration::from_millis(100);

/// Does the work, and shows on a terminal how far it is.
pub(super) async fn shown<T>(what: &str, counter: &Counter, work: impl Future<Output = T>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    // Templates of ours are good ones; else the bar's own is.
    let styled =
        |template| ProgressStyle::with_template(template).unwrap_or_else(|_wrong| ProgressStyle::default_bar());
    let mut looks = interval(EVERY);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return done;
            }
            _ = looks.tick() => {
                let (done, whole) = counter.now();
                if whole != bar.length() || bar.position() == 0 {
                    bar.set_style(match whole {
                        Some(_) => styled("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
                        None => styled("{msg} {spinner} {bytes} {bytes_per_sec}"),
                    });
                    if let Some(whole) = whole {
                        bar.set_length(whole);
                    }
                }
                bar.set_position(done);
            }
        }
    }
}
