//! Which token opens what.

use super::{ask, detail, given, start};

/// Each route with what the script and the trusted tasks are answered, the last ones last.
const ROUTES: &[(&str, &str, u16, u16)] = &[
    ("GET /v1/build", "", 200, 200),
    ("GET /v1/workspace", "", 403, 200),
    ("POST /v1/attach", "", 403, 204),
    ("POST /v1/prepared", "", 403, 204),
    ("GET /v1/params", "", 200, 403),
    ("GET /v1/params/SECRET1", "", 200, 403),
    ("POST /v1/events application/json", r#"{"type":"a"}"#, 200, 403),
    ("POST /v1/report text/markdown", "done", 200, 403),
    // A build of no server has no runner.
    ("POST /v1/runner", "", 403, 403),
    ("GET /v1/nothing", "", 404, 404),
    ("DELETE /v1/params", "", 405, 405),
    (
        "POST /v1/machine application/json",
        r#"{"state":"running","key":"0123456789012345678901234567890123456789012345678901234567890123"}"#,
        204,
        403,
    ),
    (
        "POST /v1/finish application/json",
        r#"{"exit_code":0,"machine":"0123456789012345678901234567890123456789012345678901234567890123"}"#,
        200,
        403,
    ),
];

#[tokio::test]
async fn each_token_opens_its_own_routes_and_no_others() {
    let running = start(given(true)).await;
    // Opened before the trusted socket's name is taken away.
    let socket =
        rustix::fs::open(running.trusted_socket(), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    let held = std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&socket)));
    for (line, body, script, trusted) in ROUTES {
        let answered = ask(&held, Some(&running.trusted), line, body).await;
        assert_eq!(answered.status, *trusted, "trusted: {line}: {}", answered.text);
        let answered = running.script(line, body).await;
        assert_eq!(answered.status, *script, "script: {line}: {}", answered.text);
        if answered.status >= 400 {
            detail(&answered);
        }
    }
}

#[tokio::test]
async fn no_token_and_an_unknown_one_open_nothing() {
    let running = start(given(true)).await;
    let near_miss = format!("{}0", &running.script[..63]);
    for socket in [running.socket(), running.trusted_socket()] {
        for (line, body, ..) in ROUTES {
            for token in [None, Some(""), Some("x"), Some(near_miss.as_str())] {
                if token == Some(running.script.as_str()) {
                    continue;
                }
                let answered = ask(&socket, token, line, body).await;
                assert_eq!(answered.status, 401, "{line}");
                assert_eq!(answered.headers["www-authenticate"], "Bearer");
                detail(&answered);
            }
        }
    }
}

#[tokio::test]
async fn a_token_at_the_other_socket_is_refused_whatever_it_asks_for() {
    let running = start(given(true)).await;
    for (line, body, ..) in ROUTES {
        let answered = ask(&running.socket(), Some(&running.trusted), line, body).await;
        assert_eq!(answered.status, 403, "trusted at the script's: {line}");
        let answered = ask(&running.trusted_socket(), Some(&running.script), line, body).await;
        assert_eq!(answered.status, 403, "script at the trusted one: {line}");
    }
}

#[tokio::test]
async fn after_finish_the_scripts_token_is_dead_and_the_sidecars_is_not() {
    let running = start(given(true)).await;
    assert_eq!(running.script("POST /v1/finish application/json", r#"{"exit_code":0}"#).await.status, 200);
    for (line, body, ..) in ROUTES {
        assert_eq!(running.script(line, body).await.status, 410, "{line}");
    }
    assert_eq!(running.trusted("GET /v1/build").await.status, 200);
}

#[tokio::test]
async fn no_answer_is_kept_or_guessed_at() {
    let running = start(given(true)).await;
    for line in ["GET /v1/params/SECRET1", "GET /v1/params", "GET /v1/nothing"] {
        let answered = running.script(line, "").await;
        assert_eq!(answered.headers["cache-control"], "no-store", "{line}");
        assert_eq!(answered.headers["x-content-type-options"], "nosniff", "{line}");
    }
}
