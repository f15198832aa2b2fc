//! (a) From the hook to the first line of the script, and what Nomad alone takes for its part of it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::delivery::{SECRET, Template, request, signature};
use crate::load::{self, Connection};
use crate::local::Local;
use crate::report::{Report, median, ms};
use crate::server::Server;
use crate::stage::REPO;

/// Builds of each kind, by turns, so that a machine that slows down slows both.
const ROUNDS: u64 = 20;
/// The same here.
const LOCAL_ROUNDS: u64 = 20;
const LOCAL_AIM: Duration = Duration::from_millis(25);
const LAMINAR: Duration = Duration::from_millis(33);
const RATIO_AIM: f64 = 1.1;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    on_this_machine(report).await?;
    let Some(mut cluster) = Cluster::given()? else {
        report.note("skipped: the hook against Nomad's own dispatch (NOMAD_ADDR and CONSUL_HTTP_ADDR are not set)");
        return Ok(());
    };
    let measured = on_nomad(&mut cluster, report).await;
    cluster.clear().await?;
    measured
}

async fn on_this_machine(report: &mut Report) -> anyhow::Result<()> {
    let local = Local::start(0).await?;
    let mut times = Vec::new();
    for round in 0..=LOCAL_ROUNDS {
        let body = local.template.body(round + 1);
        let began = Timestamp::now();
        let build = hook(&local.server, "", &body, &local.secret).await?;
        let took = script_began(&whole_log(&local.server, &build).await?, began)?;
        // The first warms up.
        if round > 0 {
            times.push(took);
        }
    }
    let middle = median(&times);
    report
        .row(
            format!("hook to the script's first line, this machine, with checkout (median of {LOCAL_ROUNDS})"),
            ms(middle),
        )
        .against("Laminar 33 ms, as published", middle.as_secs_f64() / LAMINAR.as_secs_f64())
        .aim("< 25 ms", middle < LOCAL_AIM);
    Ok(())
}

/// Waits for a build's end; gives what it printed.
pub(crate) async fn whole_log(server: &Server, build: &str) -> anyhow::Result<String> {
    let head = format!("GET /build?job={build}&raw=1 HTTP/1.0\r\nHost: {}\r\n", server.address);
    let (status, log) = load::read(server.address, head).await?;
    ensure!(status == 200, "the log of {build} is answered {status}: {log}");
    Ok(log)
}

async fn on_nomad(cluster: &mut Cluster, report: &mut Report) -> anyhow::Result<()> {
    let builder = cluster.builder("script", "date +%s%N").await?;
    let server = cluster.serve().await?;
    let template = Template::new(REPO, None)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let began = Timestamp::now();
        let build = cluster.dispatch(&builder).await?;
        let raw = script_began(&cluster.log(&cluster.ended(&build).await?).await?, began)?;
        let began = Timestamp::now();
        let build = hook(&server, "", &template.body(round), SECRET).await?;
        let hooked = script_began(&cluster.log(&cluster.ended(&build).await?).await?, began)?;
        // The first of each warms up.
        if round > 0 {
            theirs.push(raw);
            ours.push(hooked);
        }
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    report
        .row(format!("hook to the script's first line, Nomad (median of {ROUNDS})"), ms(ours))
        .against(format!("dispatch alone {}", ms(theirs)), ratio)
        .aim("≤ 1.1 ×", ratio <= RATIO_AIM);
    Ok(())
}

/// Delivers a body; the id of the build it started.
pub(crate) async fn hook(server: &Server, query: &str, body: &str, secret: &str) -> anyhow::Result<String> {
    let mut connection = Connection::open(server.address).await?;
    let status = connection.exchange(&request(server.address, query, body, &signature(secret, body))).await?;
    let answer = String::from_utf8_lossy(connection.body()).trim().to_owned();
    ensure!(status == 200, "the hook was answered {status}: {answer}; {}", server.printed());
    Ok(answer)
}

/// From `began` to the nanoseconds since 1970 that stand in the first line of `log`.
pub(crate) fn script_began(log: &str, began: Timestamp) -> anyhow::Result<Duration> {
    let first = log.lines().next().context("the script printed nothing")?;
    let script = Timestamp::from_nanosecond(first.trim().parse().with_context(|| format!("no time: {first}"))?)?;
    Ok(script.duration_since(began).try_into()?)
}
