//! (g) Artifacts up and down through the controller's socket, against `cp` of the same file; and that their size costs no
//! memory.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::load;
use crate::local::Local;
use crate::peak::Watch;
use crate::report::{Report, mb, median};
use crate::script::{hook, whole_log};

/// The flavor is the file's size in MiB; the large one is there for memory alone. Each round prints the nanoseconds of a
/// copy, of the way up and of the way down; what comes back must be what went.
const SCRIPT: &str = r#"#!/bin/sh
set -eu
[ "$FLAVOR" != default ] || exit 0
now() { date +%s%N; }
head -c "$FLAVOR"M /dev/urandom >file
rounds=ROUNDS round=0
[ "$FLAVOR" != LARGE ] || rounds=1
while [ $round -lt $rounds ]; do
    round=$((round + 1))
    rm -rf copy down; mkdir down
    begun=$(now); cp file copy; copied=$(now)
    albatros artifact put "round-$round" file >/dev/null; up=$(now)
    albatros artifact get "round-$round" down >/dev/null; got=$(now)
    cmp file down/file
    echo "took $((copied - begun)) $((up - copied)) $((got - up))"
done
"#;
const ROUNDS: usize = 5;
/// MiB. What its memory is compared with.
const SMALL: u64 = 16;
/// MiB. The one whose speed counts: long enough for start-up not to.
const MIDDLE: u64 = 256;
/// MiB.
const LARGE: u64 = 1024;
/// Against `cp`, which sends the bytes through no process and reckons no hash.
const SPEED_AIM: f64 = 0.5;
/// The large one's peak against the small one's.
const FLAT: f64 = 1.5;
const VERBS: &[&str] = &["controller", "artifact"];

/// What a build with one size of file took.
struct Taken {
    rounds: Vec<[Duration; 3]>,
    peaks: BTreeMap<String, u64>,
}

impl Taken {
    fn middle(&self, which: usize) -> Duration {
        let times: Vec<Duration> = self.rounds.iter().filter_map(|round| round.get(which).copied()).collect();
        median(&times)
    }
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let script = SCRIPT.replace("ROUNDS", &ROUNDS.to_string()).replace("LARGE", &LARGE.to_string());
    let local = Local::with(&script).await?;
    let small = build(&local, SMALL, ROUNDS).await?;
    let middle = build(&local, MIDDLE, ROUNDS).await?;
    let large = build(&local, LARGE, 1).await?;
    let copied = middle.middle(0);
    for (which, what) in [(1, "put"), (2, "get")] {
        let took = middle.middle(which);
        let ratio = copied.as_secs_f64() / took.as_secs_f64();
        report
            .row(format!("artifact {what}, {MIDDLE} MiB (median of {ROUNDS})"), speed(took))
            .against(format!("cp {}", speed(copied)), ratio)
            .aim(format!("≥ {SPEED_AIM} of cp"), ratio >= SPEED_AIM);
    }
    for (who, peak) in &large.peaks {
        let before = small.peaks.get(who).copied().context("nobody was seen with the small file")?;
        let ratio = *peak as f64 / before as f64;
        report
            .row(format!("peak memory of `{who}`, artifact of {LARGE} MiB up and down"), mb(*peak))
            .against(format!("of {SMALL} MiB {}", mb(before)), ratio)
            .aim(format!("≤ {FLAT} ×"), ratio <= FLAT);
    }
    Ok(())
}

/// Builds the flavor of this size.
async fn build(local: &Local, size: u64, expected: usize) -> anyhow::Result<Taken> {
    local.server.forget_peak()?;
    let watch = Watch::begin(VERBS);
    let id = hook(&local.server, &format!("?flavor={size}"), &local.template.body(size), &local.secret).await?;
    // Its end is the build's end.
    let head = format!("GET /build?job={id}&log=stderr HTTP/1.1\r\nHost: {}\r\n", local.server.address);
    load::drain(local.server.address, head).await?;
    let mut peaks = watch.end();
    peaks.insert("serve".to_owned(), local.server.peak());
    let log = whole_log(&local.server, &id).await?;
    let rounds: Vec<[Duration; 3]> = log.lines().filter_map(times).collect();
    ensure!(rounds.len() == expected, "the build with {size} MiB printed: {log}; {}", local.server.printed());
    ensure!(VERBS.iter().all(|verb| peaks.contains_key(*verb)), "not every process was seen: {peaks:?}");
    Ok(Taken { rounds, peaks })
}

/// `took 1 2 3`, nanoseconds.
fn times(line: &str) -> Option<[Duration; 3]> {
    let mut times = line.strip_prefix("took ")?.split(' ').map(|word| word.parse().ok().map(Duration::from_nanos));
    Some([times.next()??, times.next()??, times.next()??])
}

fn speed(took: Duration) -> String {
    format!("{:.0} MB/s", (MIDDLE << 20) as f64 / took.as_secs_f64() / 1e6)
}
