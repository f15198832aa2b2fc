//! What a server logs: text for people, or one object a line.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{SECRET, World};

#[tokio::test]
async fn each_line_is_one_object_with_its_fields() {
    let world = World::new().await;
    world.set("ALBATROS_LOG_FORMAT", "json");
    world.set("ALBATROS_LOG", "trace,h2=off");
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    Delivery::push("main", &commit(1), "no commit").send(&serve.url, SECRET).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let printed = std::sync::Arc::clone(&serve.printed);
    assert_eq!(serve.terminate().await, Some(0));
    let all = printed.all();
    let mut ours = 0;
    for line in all.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        let level = object["level"].as_str().unwrap();
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line}");
        let target = object["target"].as_str().unwrap();
        if target.starts_with("albatros") {
            assert!(object["message"].is_string(), "{line}");
            ours += 1;
        }
    }
    assert!(ours > 3, "{all}");
}

#[tokio::test]
async fn a_word_that_is_no_format_is_told_at_the_start() {
    for (flags, variable) in [(&["--log-format", "xml"][..], ""), (&[][..], "xml")] {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_albatros"));
        serve.arg("serve").args(flags).env_clear().env("ALBATROS_LOG_FORMAT", variable).stdin(Stdio::null());
        let said = serve.output().await.unwrap();
        assert_eq!(said.status.code(), Some(2));
        let error = String::from_utf8_lossy(&said.stderr);
        assert!(error.contains("expected `text` or `json`, not `xml`"), "{error}");
    }
}
