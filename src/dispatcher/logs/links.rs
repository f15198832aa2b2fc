//! The ways from one log's page to the others, and to its other parts.

use super::ask::{Ask, TASKS};
use super::page::LINES;
use super::window::LogWindow;
use crate::dispatcher::App;
use crate::dispatcher::claim::url_encoded;
use crate::dispatcher::known::Known;
use crate::dispatcher::pages;
use crate::domain::secret::Secret;
use crate::engine::LogStream;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) label: String,
    pub(super) href: String,
    pub(super) is_this: bool,
}

/// Links of which one is this page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) label: &'static str,
    pub(super) choices: Vec<Choice>,
}

/// Which lines these are, and links to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) words: String,
    pub(super) choices: Vec<Choice>,
}

/// Makes the links of one page; each keeps the key that opened it.
#[derive(Debug, Clone)]
pub(super) struct Links {
    build: String,
    /// `GET /build`, which is text for browsers, too.
    text: String,
    ask: Ask,
    key: Option<Secret>,
}

impl Links {
    pub(super) fn new(app: &App, known: &Known, ask: &Ask, key: Option<&Secret>) -> Self {
        let (builder, child) = (url_encoded(known.build.builder()), url_encoded(known.build.child()));
        let build = format!("{}/builds/{builder}/{child}", pages::base(app));
        let text = format!("{}/build?job={}", pages::base(app), url_encoded(known.build.as_str()));
        Self { build, text, ask: *ask, key: key.cloned() }
    }

    /// The build's own page.
    pub(super) fn build(&self) -> String {
        let key = self.key();
        if key.is_empty() { self.build.clone() } else { format!("{}?{key}", self.build) }
    }

    /// The text, for whatever reads it.
    pub(super) fn raw(&self) -> String {
        let query = self.query(&self.ask, None);
        if query.is_empty() { self.text.clone() } else { format!("{}&{query}", self.text) }
    }

    /// This log, from a line or at its end.
    pub(super) fn page(&self, from: Option<u64>) -> String {
        self.log(&self.ask, from)
    }

    fn log(&self, ask: &Ask, from: Option<u64>) -> String {
        let query = self.query(ask, from);
        if query.is_empty() { format!("{}/log", self.build) } else { format!("{}/log?{query}", self.build) }
    }

    fn key(&self) -> String {
        self.key.as_ref().map(|key| format!("key={}", url_encoded(key.expose()))).unwrap_or_default()
    }

    fn query(&self, ask: &Ask, from: Option<u64>) -> String {
        let mut words = Vec::new();
        if TASKS.first() != Some(&ask.task) {
            words.push(format!("task={}", ask.task));
        }
        match ask.stream {
            _ if ask.both => words.push("log=both".to_owned()),
            LogStream::Stdout => {}
            LogStream::Stderr => words.push("log=stderr".to_owned()),
        }
        words.extend(ask.times.then(|| "times=1".to_owned()));
        words.extend(from.map(|from| format!("from={from}")));
        words.push(self.key());
        words.retain(|word| !word.is_empty());
        words.join("&")
    }

    fn choice(&self, label: &str, ask: &Ask) -> Choice {
        let is_this = (ask.task, ask.stream, ask.both, ask.times)
            == (self.ask.task, self.ask.stream, self.ask.both, self.ask.times);
        Choice { label: label.to_owned(), href: self.log(ask, None), is_this }
    }

    /// Whose log.
    pub(super) fn tasks(&self, has_controller: bool) -> Group {
        let plain = Ask { both: false, times: false, stream: LogStream::Stdout, ..self.ask };
        let labels = ["Script", "Preparation", "Sidecar"];
        let count = if has_controller { TASKS.len() } else { 1 };
        let choices = TASKS.into_iter().zip(labels).take(count).map(|(task, label)| Choice {
            is_this: task == self.ask.task,
            ..self.choice(label, &Ask { task, ..plain })
        });
        Group { label: "Whose log", choices: choices.collect() }
    }

    /// Which of its streams.
    pub(super) fn streams(&self, has_store: bool) -> Group {
        let one = |stream| Ask { both: false, stream, ..self.ask };
        let mut choices =
            vec![self.choice("stdout", &one(LogStream::Stdout)), self.choice("stderr", &one(LogStream::Stderr))];
        if has_store && TASKS.first() == Some(&self.ask.task) {
            choices.push(self.choice("both", &Ask { both: true, ..one(LogStream::Stdout) }));
        }
        Group { label: "Which stream", choices }
    }

    /// With the time of each line, or without; of the script alone it is known.
    pub(super) fn times(&self) -> Option<Group> {
        let with = |times| Ask { times, ..self.ask };
        let choices = vec![self.choice("without times", &with(false)), self.choice("with times", &with(true))];
        (TASKS.first() == Some(&self.ask.task)).then_some(Group { label: "Times", choices })
    }

    /// Which lines a page shows; none where it shows all.
    pub(super) fn range(&self, log: &LogWindow) -> Option<Range> {
        let last = log.reach.saturating_sub(1);
        if log.next <= log.first || (log.first <= 1 && log.next >= log.reach) {
            return None;
        }
        let words =
            format!("Lines {} to {} of {last}{}", log.first, log.next - 1, if log.is_open { " so far" } else { "" });
        let mut choices = Vec::new();
        let mut link = |label: &str, from| {
            choices.push(Choice { label: label.to_owned(), href: self.page(from), is_this: false });
        };
        if log.first > 1 {
            link("First lines", Some(1));
            link("Earlier lines", Some(log.first.saturating_sub(LINES).max(1)));
        }
        if log.next < log.reach {
            link("Later lines", Some(log.next));
            link("Last lines", None);
        }
        Some(Range { words, choices })
    }
}
