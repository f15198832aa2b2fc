//! A build's jobs, as its script asks for them.

mod asked;
mod ends;
pub(super) mod serve;
mod services;
mod verbs;

use serde_json::{Value, json};

use super::serve::FakeServe;
use super::{Running, start};

/// A controller whose serve has jobs.
async fn build() -> (FakeServe, Running) {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    (serve, running)
}

async fn post(running: &Running, body: Value) -> crate::fake::http::Reply {
    running.script("POST /v1/jobs application/json", &body.to_string()).await
}

/// What the script sees of a job once it is so.
async fn seen(running: &Running, name: &str, good: impl Fn(&Value) -> bool) -> Value {
    let mut query = String::new();
    let waited = async {
        loop {
            let job = running.script(&format!("GET /v1/jobs/{name}{query}"), "").await.value();
            if good(&job) {
                return job;
            }
            query = "?wait=20s".to_owned();
        }
    };
    tokio::time::timeout(crate::fake::wire::PATIENCE, waited).await.expect("it comes to that")
}

async fn state(running: &Running, name: &str, word: &str) -> Value {
    seen(running, name, |job| job["state"] == word).await
}

fn job(name: &str, needs: &[&str]) -> Value {
    json!({"name": name, "command": ["true"], "needs": needs})
}
