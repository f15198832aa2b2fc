//! Where log lines go: standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::settings::Environment;

/// What filters lines, and how they are written.
const FILTER: &str = "ALBATROS_LOG";
const FORMAT: &str = "ALBATROS_LOG_FORMAT";

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// For people.
    Text,
    /// One object a line: timestamp, level, target, message and fields, and those of the spans around it.
    Json,
}

/// What was said about logging makes no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error("ALBATROS_LOG_FORMAT, or --log-format: expected `text` or `json`, not `{0}`")]
    Format(String),
    #[error("ALBATROS_LOG: not a filter such as `info` or `warn,albatros::audit=info`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
}

fn read(format: Option<String>, filter: Option<String>) -> Result<(Format, EnvFilter), LogError> {
    let format = match format.as_deref() {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => return Err(LogError::Format(other.chars().take(64).collect())),
    };
    let filter = filter.unwrap_or_else(|| "info".to_owned()).parse().map_err(LogError::Filter)?;
    Ok((format, filter))
}

/// Starts logging: `ALBATROS_LOG` filters (default `info`), `ALBATROS_LOG_FORMAT=json` gives one object a line. A build
/// and a terminal are not stopped by a word that makes no sense.
pub(super) fn start(environment: Environment<'_>) {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let format = set(FORMAT).filter(|format| format == "json");
    let (format, filter) = read(format, set(FILTER)).unwrap_or_else(|_odd| (Format::Text, EnvFilter::new("info")));
    begin(format, filter, environment);
}

/// The same for a server, whose operator is told of such a word; `format` is the flag's.
///
/// # Errors
/// See [`LogError`].
pub(super) fn start_server(format: Option<&str>, environment: Environment<'_>) -> Result<(), LogError> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let (format, filter) = read(format.map(str::to_owned).or_else(|| set(FORMAT)), set(FILTER))?;
    begin(format, filter, environment);
    Ok(())
}

fn begin(format: Format, filter: EnvFilter, environment: Environment<'_>) {
    let plain = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !plain);
    let started = match format {
        Format::Json => subscriber.json().flatten_event(true).with_current_span(false).try_init(),
        Format::Text => subscriber.try_init(),
    };
    // A second start keeps the first one's settings.
    drop(started);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_format_and_a_filter_that_is_none_are_told() {
        let read = |format: &str, filter: &str| read(Some(format.to_owned()), Some(filter.to_owned()));
        assert_eq!(read("json", "warn,albatros::audit=info").unwrap().0, Format::Json);
        assert_eq!(read("text", "debug").unwrap().0, Format::Text);
        assert!(read("xml", "info").unwrap_err().to_string().ends_with("not `xml`"));
        assert!(matches!(read("json", "albatros=loud"), Err(LogError::Filter(_))));
    }
}
