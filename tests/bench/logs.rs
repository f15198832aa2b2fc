//! (c) Logs: bytes a second for one reader and for five hundred, against Nomad's own endpoint.

use std::net::SocketAddr;

use anyhow::ensure;

use crate::cluster::Cluster;
use crate::delivery::{SECRET, Template};
use crate::load::{self, Read};
use crate::local::Local;
use crate::report::{Report, mb, ms};
use crate::script::hook;
use crate::server::Server;
use crate::stage::REPO;

/// The log that is read.
const SIZE: u64 = 16 << 20;
/// Readers at once.
const READERS: usize = 500;
/// Reads by one reader alone, of which the best counts.
const TRIES: usize = 3;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    match Cluster::given()? {
        Some(mut cluster) => {
            let measured = on_nomad(&mut cluster, report).await;
            cluster.clear().await?;
            measured
        }
        None => {
            report.note("skipped: logs against Nomad's own endpoint (NOMAD_ADDR and CONSUL_HTTP_ADDR are not set)");
            on_this_machine(report).await
        }
    }
}

async fn on_nomad(cluster: &mut Cluster, report: &mut Report) -> anyhow::Result<()> {
    let line = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ -- line of the log";
    cluster.builder("log", &format!("yes '{line}' | head -c {SIZE}")).await?;
    let server = cluster.serve().await?;
    let build = hook(&server, "", &Template::new(REPO, None)?.body(0), SECRET).await?;
    let allocation = cluster.ended(&build).await?;
    let ours = Target { address: server.address, head: head(&server, &build) };
    let Some((address, head)) = cluster.log_request(&allocation)? else {
        report.note("skipped: logs against Nomad's own endpoint, because it does not speak plain HTTP");
        return alone(report, &server, &ours, None).await;
    };
    alone(report, &server, &ours, Some(&Target { address, head })).await
}

/// The same without Nomad.
async fn on_this_machine(report: &mut Report) -> anyhow::Result<()> {
    let local = Local::start(SIZE).await?;
    let build = hook(&local.server, "?flavor=log", &local.template.body(1), &local.secret).await?;
    let ours = Target { address: local.server.address, head: head(&local.server, &build) };
    alone(report, &local.server, &ours, None).await
}

/// Where a log is read, and how.
#[derive(Debug, Clone)]
struct Target {
    address: SocketAddr,
    head: String,
}

fn head(server: &Server, build: &str) -> String {
    let path = build.replace('/', "%2F");
    format!("GET /build?job={path}&raw=1 HTTP/1.1\r\nHost: {}\r\n", server.address)
}

async fn alone(report: &mut Report, server: &Server, ours: &Target, theirs: Option<&Target>) -> anyhow::Result<()> {
    let first = read(ours).await?;
    ensure!(first.status == 200 && first.bytes >= SIZE, "the log came as {first:?}; {}", server.printed());
    let (one, before) = (best(ours).await?, server.resident());
    server.forget_peak()?;
    let many = crowd(ours).await?;
    let peak = server.peak();
    let (begun, ended) = (ms(first.first), ms(first.took - first.last));
    let what =
        format!("log of {}, the first reader of all (first byte after {begun}, end {ended} after the last)", mb(SIZE));
    report.row(what, speed(first.bytes as f64 / first.last.as_secs_f64()));
    let their_one = match theirs {
        Some(target) => Some(best(target).await?),
        None => None,
    };
    let row = report.row(format!("log of {}, one reader", mb(SIZE)), speed(one));
    drop(match their_one {
        Some(theirs) => row.against(format!("Nomad {}", speed(theirs)), one / theirs),
        None => row,
    });
    let their_many = match theirs {
        Some(target) => Some(crowd(target).await?),
        None => None,
    };
    let row = report.row(format!("{READERS} readers at once, {} served", many.served), speed(many.rate));
    let row = match &their_many {
        Some(theirs) => {
            let words = format!("Nomad {}, {} served", speed(theirs.rate), theirs.served);
            row.against(words, many.rate / theirs.rate)
        }
        None => row,
    };
    drop(row.aim("all served", many.served == READERS));
    report.row(format!("memory before {READERS} readers, and peak"), format!("{} {}", mb(before), mb(peak)));
    Ok(())
}

async fn read(target: &Target) -> anyhow::Result<Read> {
    load::drain(target.address, target.head.clone()).await
}

async fn best(target: &Target) -> anyhow::Result<f64> {
    let mut best = 0.0_f64;
    for _ in 0..TRIES {
        best = best.max(rate(&read(target).await?));
    }
    Ok(best)
}

/// What many readers got together.
struct Crowd {
    served: usize,
    rate: f64,
}

async fn crowd(target: &Target) -> anyhow::Result<Crowd> {
    let began = std::time::Instant::now();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let target = target.clone();
        readers.spawn(async move { read(&target).await });
    }
    let (mut served, mut bytes) = (0, 0);
    while let Some(read) = readers.join_next().await {
        // Nomad resets some of those it refuses.
        let Ok(read) = read? else { continue };
        if read.status == 200 && read.bytes >= SIZE {
            served += 1;
            bytes += read.bytes;
        }
    }
    Ok(Crowd { served, rate: bytes as f64 / began.elapsed().as_secs_f64() })
}

fn rate(read: &Read) -> f64 {
    read.bytes as f64 / read.took.as_secs_f64()
}

fn speed(rate: f64) -> String {
    format!("{:.0} MB/s", rate / 1e6)
}
