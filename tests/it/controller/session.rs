//! How a build comes by its session, and how its report goes back.

use std::time::Duration;

use albatros::domain::runner::Ended;
use tokio::time::Instant;

use super::serve::{CLAIM, FakeServe};
use super::{Running, start};

const BLANK: &str = "about:blank";
const FORGE: &str = "urn:albatros:forge";

/// Asks as `prepare` does, for as long as it is told to.
async fn workspace(
    running: &Running,
) -> Result<albatros::api::controller::Workspace, albatros::api::controller::ControllerError> {
    loop {
        match running.as_trusted().workspace().await {
            Err(error) if error.waiting() => {}
            decided => return decided,
        }
    }
}

async fn notice(refusals: &[(u16, &'static str)]) -> String {
    let serve = FakeServe::start(refusals).await;
    let running = start(serve.source()).await;
    let workspace = workspace(&running).await.unwrap();
    assert!(workspace.checkout.credential.is_none());
    assert_eq!(running.script("GET /v1/params", "").await.status, 403);
    workspace.notice.unwrap()
}

#[tokio::test]
async fn a_session_is_asked_for_with_the_identity_and_a_secret_made_up_for_it() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    assert!(workspace(&running).await.unwrap().checkout.credential.is_some());
    assert_eq!(running.as_script().param("SECRET1").await.unwrap().unwrap().expose(), "xx");
    let [(jwt, body)] = serve.exchanges().try_into().unwrap();
    assert_eq!((jwt.as_str(), body["claim"].as_str().unwrap()), ("first.jwt", CLAIM));
    let secret = body["secret"].as_str().unwrap();
    assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(secret != running.script && secret != running.trusted);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_with_the_same_secret_and_the_identity_of_that_moment() {
    let serve = FakeServe::start(&[(503, BLANK), (429, BLANK), (500, BLANK), (302, BLANK), (401, BLANK)]).await;
    let running = start(serve.source()).await;
    while serve.exchanges().is_empty() {
        tokio::task::yield_now().await;
    }
    serve.identity("second.jwt");
    assert!(workspace(&running).await.unwrap().notice.is_none());
    let asked = serve.exchanges();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|(_, body)| *body == asked[0].1));
    assert_eq!((asked[0].0.as_str(), asked[5].0.as_str()), ("first.jwt", "second.jwt"));
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_refused_runs_without_a_session_and_says_why() {
    for status in [403, 404, 409, 410, 400, 422] {
        let said = notice(&[(status, BLANK)]).await;
        assert!(status == 404 || said.contains(&format!("refused with {status}")), "{status}: {said}");
    }
    let said = notice(&[(401, BLANK); 3]).await;
    assert!(said.contains("identity") && said.contains("refused with 401"), "{said}");
}

#[tokio::test]
async fn a_task_without_identity_runs_without_a_session() {
    let serve = FakeServe::start(&[]).await;
    let mut source = serve.source();
    if let albatros::controller::Source::Server { identity, .. } = &mut source {
        *identity = identity.with_file_name("nowhere");
    }
    let running = start(source).await;
    assert!(workspace(&running).await.unwrap().notice.unwrap().contains("identity"));
    assert!(serve.exchanges().is_empty());
}

#[tokio::test]
async fn a_commit_that_is_gone_ends_the_build() {
    let serve = FakeServe::start(&[(422, "urn:albatros:commit-gone")]).await;
    let running = start(serve.source()).await;
    let refused = workspace(&running).await.unwrap_err();
    assert_eq!((refused.ended(), refused.to_string().as_str()), (Some(Ended::CommitGone), "refused with 422"));
    assert_eq!(running.script("GET /v1/params", "").await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_found() {
    let mut serve = FakeServe::start(&[]).await;
    serve.down();
    let running = start(serve.source()).await;
    let waiting = running.as_trusted().workspace().await.unwrap_err();
    assert!(waiting.waiting(), "{waiting}");
    serve.up().await;
    assert!(workspace(&running).await.unwrap().notice.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_is_given_up_after_ten_minutes() {
    let mut serve = FakeServe::start(&[]).await;
    serve.down();
    let (running, begun) = (start(serve.source()).await, Instant::now());
    let refused = workspace(&running).await.unwrap_err();
    assert_eq!(refused.ended(), Some(Ended::NoAnswer), "{refused}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(600) && took < Duration::from_secs(640), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_cannot_be_asked_is_waited_for_an_hour() {
    let serve = FakeServe::start(&[(503, FORGE); 2000]).await;
    let (running, begun) = (start(serve.source()).await, Instant::now());
    let refused = workspace(&running).await.unwrap_err();
    assert_eq!(refused.ended(), Some(Ended::NoAnswer), "{refused}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3600) && took < Duration::from_secs(3640), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_report_is_delivered_before_finish_is_answered() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    workspace(&running).await.unwrap();
    let script = running.as_script();
    script.summary("# done", false).await.unwrap();
    script.tests("", "<testsuite><testcase name='a'><failure message='no'/></testcase></testsuite>").await.unwrap();
    script.finish(0).await.unwrap();
    let (bearer, report) = serve.reports().pop().unwrap();
    assert_eq!(bearer, serve.exchanges()[0].1["secret"].as_str().unwrap());
    assert_eq!(report.summary, "# done");
    assert_eq!(report.tests.unwrap().failures[0].message, "no");
}

#[tokio::test(start_paused = true)]
async fn changes_are_gathered_and_delivered_while_the_script_runs() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    workspace(&running).await.unwrap();
    for number in 0..100 {
        running.as_script().summary(format!("{number}"), false).await.unwrap();
    }
    while serve.reports().last().is_none_or(|(_, report)| report.summary != "99") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(serve.reports().len() <= 5, "{} reports", serve.reports().len());
}

#[tokio::test(start_paused = true)]
async fn a_report_waits_for_a_server_that_was_away() {
    let mut serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    workspace(&running).await.unwrap();
    serve.down();
    running.as_script().summary("late", false).await.unwrap();
    let script = running.as_script();
    let finishing = tokio::spawn(async move { script.finish(0).await });
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(!finishing.is_finished() && serve.reports().is_empty());
    serve.up().await;
    finishing.await.unwrap().unwrap();
    assert_eq!(serve.reports().pop().unwrap().1.summary, "late");
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_delivered_holds_no_build_up_for_long() {
    let mut serve = FakeServe::start(&[]).await;
    let mut running = start(serve.source()).await;
    workspace(&running).await.unwrap();
    serve.down();
    running.as_script().summary("lost", false).await.unwrap();
    let begun = Instant::now();
    running.as_script().finish(0).await.unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(21), "{took:?}");
    let begun = Instant::now();
    running.end().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_refused_for_good_is_not_offered_again() {
    for status in [401, 403, 404, 410, 413] {
        let serve = FakeServe::start(&[]).await;
        let running = start(serve.source()).await;
        workspace(&running).await.unwrap();
        serve.refuse_reports(status);
        running.as_script().summary("x", false).await.unwrap();
        let begun = Instant::now();
        running.as_script().finish(0).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{status}");
        assert_eq!(serve.reports().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_stopped_still_delivers_what_it_reported() {
    let serve = FakeServe::start(&[]).await;
    let mut running = start(serve.source()).await;
    workspace(&running).await.unwrap();
    running.as_script().summary("last words", false).await.unwrap();
    running.end().await;
    assert_eq!(serve.reports().pop().unwrap().1.summary, "last words");
}
