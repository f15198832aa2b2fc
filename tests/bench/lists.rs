//! (i) Lists and pages over 10,000 builds, against Nomad's own listing; and readers of events.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, task};
use crate::delivery::SECRET;
use crate::fake::http::client;
use crate::report::{Report, mb, median, ms};
use crate::server::Server;

/// Ended builds in the registry, and children in Nomad.
const BUILDS: u64 = 10_000;
/// Open changes beside them: they are held, so that nobody acts on them.
const HELD: u64 = 300;
/// Requests of each kind, by turns with Nomad's.
const ROUNDS: usize = 200;
/// The slowest of a hundred counts.
const OF_100: usize = 99;
/// Readers of one build's events at once.
const READERS: usize = 500;
const REPO: &str = "http://git.example/bench/project-7";

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::given()? else {
        report.note("skipped: lists against Nomad's own (NOMAD_ADDR and CONSUL_HTTP_ADDR are not set)");
        return Ok(());
    };
    let measured = on_nomad(&mut cluster, report).await;
    cluster.clear().await?;
    measured
}

async fn on_nomad(cluster: &mut Cluster, report: &mut Report) -> anyhow::Result<()> {
    let builder = cluster.name("lists");
    // No allocation is wanted of it: its children are rows, and nothing else.
    cluster.job_of(&builder, &[task("executor", "true")], 0).await?;
    let mut children = cluster.dispatch_many(&builder, BUILDS - 1).await?;
    // The one that is looked at alone. Nomad goes through all of them for a token.
    children.push(cluster.dispatch_claimed(&builder, &claim(BUILDS - 1)).await?);
    let config = json!({ "hook": { "secret": SECRET }, "builders": { "default": builder }, "private": false });
    for n in 0..10 {
        cluster.configure(&repo(n), &config).await?;
    }
    let held = (0..HELD).map(|n| (format!("open/{}", claim(BUILDS + n)), held(BUILDS + n, &builder)));
    let ended = children.iter().zip(0..).map(|(child, n)| (format!("done/{}", claim(n)), done(n, child)));
    cluster.keep(ended.chain(held).collect()).await?;
    let server = cluster.serve().await?;
    let idle = server.resident();
    let began = Instant::now();
    ours(&server, "/builds?limit=50", "application/json").await?;
    report.row(format!("the first list of {BUILDS} ended builds, all read"), ms(began.elapsed()));
    report.row("memory before it, and behind it", format!("{} {}", mb(idle), mb(server.resident())));
    let theirs = [("prefix", format!("{builder}/")), ("per_page", "50".to_owned())];
    let theirs: Vec<(&str, &str)> = theirs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (what, query) in [
        ("a list of 50", "limit=50".to_owned()),
        ("a list of 50 of a branch", format!("limit=50&repo={REPO}&branch=branch-3")),
        ("a list of 50 that failed", "limit=50&state=failure".to_owned()),
    ] {
        let path = format!("/builds?{query}");
        compare(report, (&server, &path, what), || cluster.listed(&theirs)).await?;
    }
    let last = children.last().context("no child")?;
    let (parent, child) = last.rsplit_once('/').context("no child's name")?;
    let path = format!("/builds/{}/{child}", parent.replace('/', "%2F"));
    compare(report, (&server, &path, "one build, against Nomad's list of 50"), || cluster.listed(&theirs)).await?;
    compare(report, (&server, &path, "one build, against Nomad's one job"), || cluster.read(last)).await?;
    let open = format!("/builds/claim/{}", claim(BUILDS));
    readers(report, &server, &open).await
}

/// The same as JSON and as a page, by turns with Nomad's.
async fn compare<F: Future<Output = anyhow::Result<()>>>(
    report: &mut Report,
    (server, path, what): (&Server, &str, &str),
    theirs: impl Fn() -> F,
) -> anyhow::Result<()> {
    for (form, accept) in [("JSON", "application/json"), ("page", "text/html")] {
        let (mut own, mut nomad) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            ours(server, path, accept).await?;
            own.push(began.elapsed());
            let began = Instant::now();
            theirs().await?;
            nomad.push(began.elapsed());
        }
        let (middle, their_middle) = (median(&own), median(&nomad));
        let ratio = middle.as_secs_f64() / their_middle.as_secs_f64();
        let told = |times: &[Duration]| format!("{} p99 {}", ms(median(times)), ms(slowest(times)));
        report
            .row(format!("{what}, {form} (median of {ROUNDS})"), told(&own))
            .against(format!("Nomad {}", told(&nomad)), ratio)
            .aim("<= 1", ratio <= 1.0);
    }
    Ok(())
}

fn slowest(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * OF_100 / 100).copied().unwrap_or_default()
}

async fn ours(server: &Server, path: &str, accept: &str) -> anyhow::Result<()> {
    thread_local! {
        static CLIENT: reqwest::Client = client();
    }
    let request = CLIENT.with(|client| client.get(format!("http://{}{path}", server.address)));
    let answer = request.header("accept", accept).send().await?;
    ensure!(answer.status() == 200, "{path} is answered {}; {}", answer.status(), server.printed());
    answer.bytes().await?;
    Ok(())
}

/// Live readers of one change, and what they cost.
async fn readers(report: &mut Report, server: &Server, path: &str) -> anyhow::Result<()> {
    let before = server.resident();
    server.forget_peak()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n", server.address);
    let mut streams = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    for _ in 0..READERS {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(head.as_bytes()).await?;
        let mut got = String::new();
        while !got.contains("event: build") {
            let count = stream.read(&mut buffer).await?;
            ensure!(count > 0, "a stream ended: {got}; {}", server.printed());
            got.push_str(&String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()));
        }
        streams.push(stream);
    }
    let (during, peak) = (server.resident(), server.peak());
    drop(streams);
    let each = during.saturating_sub(before) / READERS as u64;
    report.row(
        format!("memory before {READERS} readers of a build's events, with them, peak; bytes a reader"),
        format!("{} {} {} {each}", mb(before), mb(during), mb(peak)),
    );
    Ok(())
}

fn repo(n: u64) -> String {
    format!("http://git.example/bench/project-{}", n % 10)
}

fn claim(n: u64) -> String {
    format!("{:016x}{n:048x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn at(n: u64) -> String {
    format!("2999-01-{:02}T{:02}:{:02}:{:02}Z", 1 + n / 86_400, n / 3600 % 24, n / 60 % 60, n % 60)
}

fn done(n: u64, child: &str) -> Value {
    let outcome = if n.is_multiple_of(9) {
        json!({"is": "failure", "exit_code": 1, "signal": 0})
    } else {
        json!({"is": "success"})
    };
    json!({
        "version": 1, "build": child, "outcome": outcome, "created": at(n), "let_through": at(n), "started": at(n + 2),
        "finished": at(n + 60), "repo": repo(n), "ref": format!("refs/heads/branch-{}", n / 10 % 7), "before": "",
        "placed": {"at": at(n + 1), "node": "node-1", "allocation": format!("a1b2c3d4-0000-4000-8000-{n:012x}")},
        "commit": format!("{n:040x}"), "flavor": "default", "event": "push", "private": false, "trusted": true,
        "sender": {"login": format!("person-{}", n % 30), "id": n % 30}, "session": "5".repeat(64), "kept": true,
    })
}

fn held(n: u64, builder: &str) -> Value {
    json!({
        "version": 1, "nonce": "n", "repo": repo(n), "canonical": repo(n), "ref": "refs/pull/7/head", "branch": "pull",
        "before": "", "commit": format!("{n:040x}"), "flavor": "default", "event": "pull_request", "trusted": false,
        "sender": {"login": "somebody"}, "private": false, "builder": builder, "namespace": "ci", "meta": {},
        "pull": {"number": 7, "origin": "fork"}, "created": at(n), "phase": {"is": "held"}, "statuses": {},
    })
}
