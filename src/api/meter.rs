//! How long the services take that we call, and what goes wrong with them: one measure for all clients of a process.
//!
//! Each client asks for it in the one place where it sends; what a call is named is written at its call site, so that
//! no address, key or name of a repository can become a label.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use reqwest::StatusCode;

use super::http::HttpError;

/// Seconds: a read of Consul is a millisecond, and every call is given up after some ten seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What a label's values are called: all of them stand here, so none can be made up by who asks.
macro_rules! label_words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl prometheus_client::encoding::EncodeLabelValue for $name {
            fn encode(
                &self,
                encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> Result<(), std::fmt::Error> {
                prometheus_client::encoding::EncodeLabelValue::encode(&self.word(), encoder)
            }
        }

        impl $name {
            /// In a word, as labels and log lines have it.
            #[must_use]
            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}
pub(crate) use label_words;

/// Who was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Callee {
    /// Nomad.
    Nomad,
    /// Consul.
    Consul,
    /// Gitea, Forgejo or GitHub.
    Forge,
    /// The object store.
    Store,
}

label_words!(Callee { Nomad => "nomad", Consul => "consul", Forge => "forge", Store => "store" });

/// What went wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No connection.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The answer broke off, or is none of this service's.
    Broken,
    /// 401 or 403: a token lacks a right.
    Denied,
    /// 429, or 503: it has enough to do.
    Busy,
    /// 5xx.
    Failed,
    /// Another status that says no.
    Refused,
    /// We stopped waiting before it answered.
    Abandoned,
}

label_words!(Fault {
    Unreachable => "unreachable",
    Timeout => "timeout",
    Broken => "broken",
    Denied => "denied",
    Busy => "busy",
    Failed => "failed",
    Refused => "refused",
    Abandoned => "abandoned",
});

impl Fault {
    /// What a status says; none for an answer, that nothing is there and that somebody was quicker among them.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::GONE | StatusCode::PRECONDITION_FAILED => None,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Self::Denied),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some(Self::Busy),
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Some(Self::Timeout),
            status if status.is_server_error() => Some(Self::Failed),
            status if status.is_client_error() => Some(Self::Refused),
            _ => None,
        }
    }

    /// Why there was no answer.
    #[must_use]
    pub fn of_error(error: &HttpError) -> Option<Self> {
        match error {
            HttpError::Path => Some(Self::Refused),
            HttpError::Unsent(_) => Some(Self::Unreachable),
            HttpError::Slow => Some(Self::Timeout),
            HttpError::Silent(cause) | HttpError::Cut(cause) if cause.is_timeout() => Some(Self::Timeout),
            HttpError::Silent(_) | HttpError::Cut(_) | HttpError::TooLarge(_) | HttpError::Json(_) => {
                Some(Self::Broken)
            }
            HttpError::Status { status, .. } => Self::of_status(*status),
        }
    }

    fn of(outcome: Result<StatusCode, &HttpError>) -> Option<Self> {
        match outcome {
            Ok(status) => Self::of_status(status),
            Err(error) => Self::of_error(error),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    service: Callee,
    call: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabel {
    service: Callee,
    call: &'static str,
    error: Fault,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// The measure. Clones share what was measured; one that nobody registered measures for nobody.
#[derive(Debug, Clone)]
pub struct Meter {
    seconds: Family<CallLabel, Histogram, fn() -> Histogram>,
    errors: Family<FaultLabel, Counter>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { seconds: Family::new_with_constructor(seconds), errors: Family::default() }
    }
}

impl Meter {
    /// Has a registry tell what is measured.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Seconds that a call of a service took, whatever was answered; long polls and streams are not in it";
        registry.register("request_seconds", help, self.seconds.clone());
        let help = "Calls of a service, long polls and streams among them, that had no answer or one that says no";
        registry.register("request_errors", help, self.errors.clone());
    }

    /// A call begins; it is counted as abandoned unless it is told how it went.
    pub(in crate::api) fn begin(&self, service: Callee, call: &'static str) -> Running<'_> {
        Running { meter: self, service, call, since: Instant::now(), told: false }
    }

    /// What came of a call whose time says nothing: a long poll, or a stream.
    pub(in crate::api) fn waited(&self, service: Callee, call: &'static str, came: Result<StatusCode, &HttpError>) {
        self.count(service, call, Fault::of(came));
    }

    fn count(&self, service: Callee, call: &'static str, error: Option<Fault>) {
        if let Some(error) = error {
            self.errors.get_or_create(&FaultLabel { service, call, error }).inc();
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(in crate::api) struct Running<'a> {
    meter: &'a Meter,
    service: Callee,
    call: &'static str,
    since: Instant,
    told: bool,
}

impl Running<'_> {
    /// It was answered, or not.
    pub(in crate::api) fn end(self, came: Result<StatusCode, &HttpError>) {
        self.end_with(Fault::of(came));
    }

    /// The same, where what went wrong is known already.
    pub(in crate::api) fn end_with(mut self, fault: Option<Fault>) {
        self.note(fault);
    }

    fn note(&mut self, fault: Option<Fault>) {
        self.told = true;
        let label = CallLabel { service: self.service, call: self.call };
        self.meter.seconds.get_or_create(&label).observe(self.since.elapsed().as_secs_f64());
        self.meter.count(self.service, self.call, fault);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.note(Some(Fault::Abandoned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(meter: &Meter) -> String {
        let mut registry = Registry::default();
        meter.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn each_call_is_timed_once_and_what_went_wrong_is_counted() {
        let meter = Meter::default();
        meter.begin(Callee::Nomad, "read a job").end(Ok(StatusCode::NOT_FOUND));
        meter.begin(Callee::Nomad, "read a job").end(Ok(StatusCode::TOO_MANY_REQUESTS));
        drop(meter.begin(Callee::Nomad, "read a job"));
        meter.waited(Callee::Consul, "wait for a change", Err(&HttpError::Slow));
        let told = told(&meter);
        for line in [
            "request_seconds_count{service=\"nomad\",call=\"read a job\"} 3",
            "request_errors_total{service=\"nomad\",call=\"read a job\",error=\"busy\"} 1",
            "request_errors_total{service=\"nomad\",call=\"read a job\",error=\"abandoned\"} 1",
            "request_errors_total{service=\"consul\",call=\"wait for a change\",error=\"timeout\"} 1",
        ] {
            assert!(told.contains(line), "{line}\n{told}");
        }
        assert_eq!(told.matches("request_errors_total{").count(), 3, "{told}");
        assert_eq!(told.matches("_count{").count(), 1, "a long poll is not timed: {told}");
    }

    #[test]
    fn what_is_no_fault_of_a_service_is_none() {
        for status in [200, 204, 206, 304, 404, 409, 410, 412] {
            assert_eq!(Fault::of_status(StatusCode::from_u16(status).unwrap()), None, "{status}");
        }
        for (status, fault) in [
            (401, Fault::Denied),
            (403, Fault::Denied),
            (408, Fault::Timeout),
            (422, Fault::Refused),
            (429, Fault::Busy),
            (500, Fault::Failed),
            (503, Fault::Busy),
            (504, Fault::Timeout),
        ] {
            assert_eq!(Fault::of_status(StatusCode::from_u16(status).unwrap()), Some(fault), "{status}");
        }
    }
}
