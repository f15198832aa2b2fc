//! Where log lines go: standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::settings::Environment;

/// Starts logging: `ALBATROS_LOG` filters (default `info`), `ALBATROS_LOG_FORMAT=json` gives one object a line.
pub(super) fn start(environment: Environment<'_>) {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let filter =
        set("ALBATROS_LOG").and_then(|text| text.parse::<EnvFilter>().ok()).unwrap_or_else(|| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && set("NO_COLOR").is_none());
    let started = if set("ALBATROS_LOG_FORMAT").as_deref() == Some("json") {
        subscriber.json().flatten_event(true).try_init()
    } else {
        subscriber.try_init()
    };
    // A second start keeps the first one's settings.
    drop(started);
}
