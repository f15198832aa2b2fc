//! Tables for people: no lines, and colours where they are wanted.

use anstream::{AutoStream, ColorChoice};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// An empty one for standard output. Its cells' colours are shown as `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM` and
/// the lack of a terminal ask for, which are the rules of <https://bixense.com/clicolors/>.
pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    match AutoStream::choice(&std::io::stdout()) {
        ColorChoice::Never => table.force_no_tty(),
        ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => table.enforce_styling(),
    };
    table
}
