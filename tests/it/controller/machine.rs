//! What the host of a build's machine tells, which the script in it, with the same token, cannot.

use albatros::domain::outcome::Machine;
use albatros::domain::secret::Secret;

use super::serve::FakeServe;
use super::{detail, given, start};

fn key(digit: &str) -> Secret {
    Secret::new(digit.repeat(64))
}

#[tokio::test(start_paused = true)]
async fn serve_knows_of_a_machine_before_it_is_started_and_of_its_end_before_the_executors() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let host = running.as_script();
    host.machine_runs(&key("a")).await.unwrap();
    assert_eq!(serve.reports().pop().unwrap().1.machine, Some(Machine::Running));
    let finished = host.finish_machine(0, Some(&key("a")), Some("the workspace did not come back")).await.unwrap();
    assert_eq!(finished.trouble.as_deref(), Some("the workspace did not come back"));
    let last = serve.reports().pop().unwrap().1;
    assert_eq!((last.machine, last.trouble), (Some(Machine::Ended { exit_code: Some(0) }), finished.trouble));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_has_failed_says_why() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let host = running.as_script();
    host.machine_runs(&key("a")).await.unwrap();
    host.machine_failed(&key("a"), "its kernel was not up").await.unwrap();
    let why = "its kernel was not up".to_owned();
    assert_eq!(serve.reports().pop().unwrap().1.machine, Some(Machine::Failed { why }));
}

#[tokio::test]
async fn only_the_host_tells_a_machines_end() {
    let running = start(given(true)).await;
    let script = running.as_script();
    script.machine_runs(&key("a")).await.unwrap();
    script.machine_runs(&key("a")).await.unwrap();
    assert_eq!(script.machine_runs(&key("b")).await.unwrap_err().status().unwrap().as_u16(), 409);
    assert_eq!(script.machine_failed(&key("b"), "x").await.unwrap_err().status().unwrap().as_u16(), 403);
    assert_eq!(script.finish(0).await.unwrap_err().status().unwrap().as_u16(), 403);
    let wrong = script.finish_machine(0, Some(&key("b")), None).await.unwrap_err();
    assert_eq!(wrong.status().unwrap().as_u16(), 403);
    script.finish_machine(0, Some(&key("a")), None).await.unwrap();
}

#[tokio::test]
async fn what_is_no_machine_is_refused() {
    let running = start(given(true)).await;
    let key = "a".repeat(64);
    for body in [
        "{}".to_owned(),
        format!(r#"{{"state":"ended","key":"{key}"}}"#),
        r#"{"state":"running","key":"abc"}"#.to_owned(),
        format!(r#"{{"state":"running","key":"{}"}}"#, "x".repeat(64)),
        format!(r#"{{"state":"failed","key":"{key}"}}"#),
    ] {
        let answered = running.script("POST /v1/machine application/json", &body).await;
        assert_eq!(answered.status, 422, "{body}");
        detail(&answered);
    }
}
