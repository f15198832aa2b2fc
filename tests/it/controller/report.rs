//! What a script reports beside its exit code.

use serde_json::json;

use super::{detail, given, start};

const XML: &str = "application/xml";

#[tokio::test]
async fn a_summary_is_replaced_or_grows() {
    let running = start(given(true)).await;
    for (query, body, size) in [("", "# one\n", 6), ("?append=true", "two", 9), ("", "three", 5)] {
        let reported = running.script(&format!("POST /v1/report{query} text/markdown;charset=utf-8"), body).await;
        assert_eq!(reported.value(), json!({"summary": size}));
    }
}

#[tokio::test]
async fn test_results_are_counted_over_all_names() {
    let running = start(given(true)).await;
    let script = running.as_script();
    script
        .tests("unit tests.xml", "<testsuite><testcase name='a'/><testcase name='b'><skipped/></testcase></testsuite>")
        .await
        .unwrap();
    let failing =
        "<testsuites><testsuite><testcase name='c'><failure message='no'/></testcase></testsuite></testsuites>";
    let counts = script.tests("e2e", failing).await.unwrap().tests.unwrap();
    assert_eq!((counts.total, counts.failed, counts.skipped), (3, 1, 1));
    let counts = script.tests("e2e", "<testsuite/>").await.unwrap().tests.unwrap();
    assert_eq!((counts.total, counts.failed, counts.skipped), (2, 0, 1));
}

#[tokio::test]
async fn a_report_that_is_none_is_refused_and_the_one_before_stays() {
    let running = start(given(true)).await;
    assert_eq!(running.script("POST /v1/report text/markdown", "kept").await.status, 200);
    let (long, name) = ("a".repeat(32 * 1024 + 1), "n".repeat(257));
    for (line, body, status) in [
        ("/v1/report text/markdown".to_owned(), long.as_str(), 413),
        ("/v1/report?append=true text/markdown".to_owned(), &long[..32 * 1024], 413),
        ("/v1/report?append=maybe text/markdown".to_owned(), "x", 400),
        ("/v1/report application/json".to_owned(), "{}", 415),
        ("/v1/report application/x-www-form-urlencoded".to_owned(), "x", 415),
        (format!("/v1/report {XML}"), "<html/>", 422),
        (format!("/v1/report {XML}"), "", 422),
        (format!("/v1/report?name={name} {XML}"), "<testsuite/>", 422),
    ] {
        let refused = running.script(&format!("POST {line}"), body).await;
        assert_eq!(refused.status, status, "{line:.60}: {}", refused.text);
        detail(&refused);
    }
    assert_eq!(running.script("POST /v1/report?append=true text/markdown", "").await.value(), json!({"summary": 4}));
}
