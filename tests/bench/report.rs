//! What was measured, as a table of ratios.

use std::time::Duration;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// One measurement.
#[derive(Debug)]
struct Row {
    what: String,
    ours: String,
    against: String,
    ratio: String,
    aim: String,
    met: &'static str,
}

/// All rows of a run, and what was left out of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// A measurement on its way into the report.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    report: &'a mut Report,
    row: Row,
}

impl Report {
    /// A measurement of ours.
    pub(crate) fn row(&mut self, what: impl Into<String>, ours: impl Into<String>) -> Entry<'_> {
        let row = Row {
            what: what.into(),
            ours: ours.into(),
            against: String::new(),
            ratio: String::new(),
            aim: String::new(),
            met: "",
        };
        Entry { report: self, row }
    }

    /// Something the reader of the table should know; said at once, too.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("- {note}");
        self.notes.push(note);
    }

    /// Prints it all.
    pub(crate) fn print(&self) {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["measured", "albatros", "against", "ratio", "aim", "met"]);
        for row in &self.rows {
            table.add_row([&row.what, &row.ours, &row.against, &row.ratio, &row.aim, row.met]);
        }
        for column in 1..4 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("\n{table}\n");
        for note in &self.notes {
            println!("- {note}");
        }
    }
}

impl Entry<'_> {
    /// What it is compared with.
    pub(crate) fn against(mut self, other: impl Into<String>, ratio: f64) -> Self {
        self.row.against = other.into();
        self.row.ratio = format!("{ratio:.2}");
        self
    }

    /// What it should be.
    pub(crate) fn aim(mut self, aim: impl Into<String>, met: bool) -> Self {
        self.row.aim = aim.into();
        self.row.met = if met { "yes" } else { "NO" };
        self
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let empty = Row {
            what: String::new(),
            ours: String::new(),
            against: String::new(),
            ratio: String::new(),
            aim: String::new(),
            met: "",
        };
        let row = std::mem::replace(&mut self.row, empty);
        println!("  {}: {} {} {}", row.what, row.ours, row.against, row.ratio);
        self.report.rows.push(row);
    }
}

/// The middle one; zero of none.
pub(crate) fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// `12.3 ms`
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Bytes as `1.5 MB`.
pub(crate) fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
