//! (d) How fast a server starts, and what it takes while it does nothing.

use std::time::Duration;

use crate::report::{Report, mb, median, ms};
use crate::stage::Stage;

const STARTS: usize = 7;
/// What a server does right after its start is over by then.
const SETTLED: Duration = Duration::from_secs(2);
const IDLE_AIM: u64 = 15_000_000;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let stage = Stage::new().await;
    let mut times = Vec::new();
    for _ in 1..STARTS {
        times.push(stage.serve().await?.started_in);
    }
    let last = stage.serve().await?;
    times.push(last.started_in);
    report.row(format!("start of `serve` to the first 200 (median of {STARTS})"), ms(median(&times)));
    tokio::time::sleep(SETTLED).await;
    let idle = last.resident();
    report.row("memory of an idle `serve`", mb(idle)).aim("< 15 MB", idle < IDLE_AIM);
    Ok(())
}
