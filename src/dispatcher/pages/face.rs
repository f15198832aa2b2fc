//! How a state looks: a word, a symbol and a colour, so that none of them has to be told from the colour alone.

/// The look of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Face {
    /// The word that people read.
    pub(crate) word: &'static str,
    /// The colour, a class of the style.
    pub(crate) tone: &'static str,
    /// The lines of the symbol, inside a circle of radius 7 around 8,8.
    pub(crate) symbol: &'static str,
}

const CHECK: &str = "M4.8 8.3 7 10.6l4.3-5";
const CROSS: &str = "m5.5 5.5 5 5m0-5-5 5";
const EXCLAMATION: &str = "M8 4.4v4.4m0 2.6v.1";
const CLOCK: &str = "M8 4.6V8l2.4 1.5";
const PAUSE: &str = "M6.3 5.6v4.8m3.4-4.8v4.8";
const DOT: &str = "M8 7.2a.8.8 0 1 0 0 1.6.8.8 0 1 0 0-1.6z";
const BAR: &str = "M5 8h6";
const ARROWS: &str = "m5 5.6 2.4 2.4L5 10.4m3.6-4.8L11 8l-2.4 2.4";
const QUESTION: &str = "M6.2 6.4a1.8 1.8 0 1 1 2.6 1.7c-.5.3-.8.6-.8 1.2m0 2.1v.1";

/// Of a state's or an outcome's word, as `BuildView.state` has it.
pub(crate) fn face(state: &str) -> Face {
    let (word, tone, symbol) = match state {
        "success" => ("success", "good", CHECK),
        "failure" => ("failure", "bad", CROSS),
        "oom" => ("out of memory", "bad", CROSS),
        "timeout" => ("timed out", "bad", CLOCK),
        "cancelled" => ("cancelled", "idle", BAR),
        "skipped" => ("skipped", "idle", ARROWS),
        "infra" => ("infrastructure", "warn", EXCLAMATION),
        "lost" => ("lost", "warn", EXCLAMATION),
        "expired" => ("expired", "warn", QUESTION),
        "unplaceable" => ("no node fits", "warn", EXCLAMATION),
        "held" => ("held", "hold", PAUSE),
        "running" => ("running", "busy", DOT),
        "preparing" => ("preparing", "busy", DOT),
        "queued" => ("queued", "idle", CLOCK),
        "claimed" => ("starting", "idle", CLOCK),
        _ => ("waiting", "idle", CLOCK),
    };
    Face { word, tone, symbol }
}

/// The states that a list can be filtered by, in the order of a build's life.
pub(super) const STATES: [&str; 16] = [
    "held",
    "waiting",
    "claimed",
    "queued",
    "unplaceable",
    "preparing",
    "running",
    "success",
    "failure",
    "oom",
    "timeout",
    "cancelled",
    "skipped",
    "infra",
    "lost",
    "expired",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = STATES.iter().map(|state| face(state).word).collect();
        assert_eq!(words.len(), STATES.len());
    }
}
