//! (b) Hooks a second, and what they cost in memory.

use std::time::Duration;

use anyhow::ensure;

use crate::delivery::{SECRET, Template, request, signature};
use crate::load::{self, Amount, Answers};
use crate::report::{Entry, Report, mb, median, ms};
use crate::server::Server;
use crate::stage::{REPO, Stage};

/// How long each kind is sent.
const EACH: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 64;
/// At most so many changes: each leaves a record and a job behind.
const CHANGES: u64 = 4000;
const REFUSED_AIM: f64 = 20_000.0;
/// After that the memory of a burst should have been given back.
const SETTLED: Duration = Duration::from_secs(3);

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let stage = Stage::new().await;
    let server = stage.serve().await?;
    let template = Template::new(REPO, None)?;
    let body = template.body(0);
    let size = body.len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.resident();
    server.forget_peak()?;

    let asked = stage.consul.wire().seen().len();
    let forged = request(server.address, "", &body, &signature(SECRET, "something else"));
    let bad = send(&server, vec![forged], true).await?;
    bad.answers.all(401)?;
    let asked = stage.consul.wire().seen().len() - asked;
    // The blocking queries of the copy and the follower's lock go on meanwhile.
    ensure!(asked < 100, "{} bad signatures made {asked} requests to Consul", bad.answers.total());
    row(report, &format!("hooks a second, bad signature ({size} bytes each)"), &bad)
        .aim("≥ 20000", bad.answers.a_second() >= REFUSED_AIM);
    report.note(format!("Consul saw {asked} requests while {} bad signatures came", bad.answers.total()));

    let stranger = Template::new("http://git.example/nobody/nothing", None)?.body(0);
    let unknown =
        send(&server, vec![request(server.address, "", &stranger, &signature(SECRET, &stranger))], true).await?;
    unknown.answers.all(401)?;
    row(report, "hooks a second, unknown repository", &unknown);

    let changes = (1..=CHANGES).map(|number| template.body(number));
    let changes = changes.map(|body| request(server.address, "", &body, &signature(SECRET, &body))).collect::<Vec<_>>();
    let again = changes.first().cloned().into_iter().collect();
    let distinct = send(&server, changes, false).await?;
    row(report, "hooks a second, valid and distinct (stand-ins share the machine)", &distinct);
    let duplicate = send(&server, again, true).await?;
    row(report, "hooks a second, the same change again", &duplicate);
    let started = usize::try_from(stage.nomad.dispatches())?;
    ensure!(
        started <= distinct.answers.total(),
        "{} changes were dispatched {started} times",
        distinct.answers.total()
    );

    let peak = server.peak();
    tokio::time::sleep(SETTLED).await;
    let after = server.resident();
    report.row("memory before, peak and after all of them", format!("{} {} {}", mb(before), mb(peak), mb(after)));
    Ok(())
}

fn row<'a>(report: &'a mut Report, what: &str, sent: &Sent) -> Entry<'a> {
    let answers = &sent.answers;
    let statuses = answers.by_status.iter().map(|(status, count)| format!("{count}×{status}")).collect::<Vec<_>>();
    let middle = ms(median(&answers.latencies));
    let processor = sent.processor.as_micros() / answers.total().max(1) as u128;
    let what = format!("{what} [{}; median {middle}; {processor} µs of processor each]", statuses.join(" "));
    report.row(what, format!("{:.0}/s", answers.a_second()))
}

/// What was answered, and the processor time that the server took for all of it.
struct Sent {
    answers: Answers,
    processor: Duration,
}

async fn send(server: &Server, requests: Vec<Vec<u8>>, repeat: bool) -> anyhow::Result<Sent> {
    let before = server.processor();
    let amount = Amount { connections: CONNECTIONS, within: EACH };
    let answers = load::send(server.address, requests, repeat, amount).await?;
    Ok(Sent { answers, processor: server.processor().saturating_sub(before) })
}
