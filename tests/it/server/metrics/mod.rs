//! What `/metrics` tells: each number moves when its thing happens, and nobody makes it grow from outside.

mod bounded;
mod moves;
mod named;

use std::collections::BTreeMap;

use crate::fake::serve::Serve;
use crate::fake::wire::PATIENCE;
use crate::fake::world::person;

/// Each series by its name and labels, as they are written.
pub(super) type Series = BTreeMap<String, f64>;

/// All that is told now.
pub(super) async fn told(serve: &Serve) -> Series {
    let reply = person(serve, "GET", "/metrics", None).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(reply.text.ends_with("# EOF\n"), "{}", reply.text);
    let lines = reply.text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

/// Waits until a series has the value, and keeps it: what may rise further is for [`reached`].
async fn until(serve: &Serve, series: &str, value: f64) -> Series {
    waited(serve, series, value, |told| told == value).await
}

/// Waits until a series has at least the value.
async fn reached(serve: &Serve, series: &str, value: f64) -> Series {
    waited(serve, series, value, |told| told >= value).await
}

async fn waited(serve: &Serve, series: &str, value: f64, is_it: impl Fn(f64) -> bool) -> Series {
    let seen = async {
        loop {
            let told = told(serve).await;
            if told.get(series).is_some_and(|value| is_it(*value)) {
                return told;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, seen).await {
        Ok(told) => told,
        Err(_late) => panic!("{series} is not {value}: {:#?}", told(serve).await.get(series)),
    }
}

/// How much a series has risen.
fn risen(before: &Series, after: &Series, series: &str) -> f64 {
    assert!(after.contains_key(series), "{series} is not told: {after:#?}");
    after[series] - before.get(series).copied().unwrap_or_default()
}
