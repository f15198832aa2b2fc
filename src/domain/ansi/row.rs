//! The line that is being written, as a terminal has it: cells, and a cursor that may go back.

use super::line::Span;
use super::style::Style;

/// The most characters of a line; what is longer goes on in another one.
pub const LINE_MOST: usize = 16 * 1024;
/// How far the cursor may go behind the end of the line: a wide terminal.
const WIDTH: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Cell {
    char: char,
    style: Style,
}

/// Cells and a cursor.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
    cursor: usize,
}

impl Row {
    /// How many more cells may be written behind the cursor.
    pub(super) fn room(&self) -> usize {
        LINE_MOST.saturating_sub(self.cursor)
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.cursor = 0;
    }

    /// Writes a character over what stands at the cursor.
    pub(super) fn write(&mut self, char: char, style: Style) {
        while self.cells.len() < self.cursor {
            self.cells.push(Cell { char: ' ', style: Style::default() });
        }
        let cell = Cell { char, style };
        match self.cells.get_mut(self.cursor) {
            Some(old) => *old = cell,
            None => self.cells.push(cell),
        }
        self.cursor += 1;
    }

    /// Writes printable ASCII.
    pub(super) fn write_ascii(&mut self, bytes: &[u8], style: Style) {
        if self.cursor == self.cells.len() {
            self.cells.extend(bytes.iter().map(|byte| Cell { char: char::from(*byte), style }));
            self.cursor = self.cells.len();
        } else {
            bytes.iter().for_each(|byte| self.write(char::from(*byte), style));
        }
    }

    /// Moves the cursor to a column, counted from 0; not far behind what there is, so that few bytes never make much.
    pub(super) fn go_to(&mut self, column: usize) {
        self.cursor = column.min(self.cells.len().max(WIDTH));
    }

    pub(super) fn go_by(&mut self, forward: usize, back: usize) {
        self.go_to(self.cursor.saturating_add(forward).saturating_sub(back));
    }

    /// `CSI K`: to the end, or all of the line. What erases from its beginning is passed over, as nothing uses it.
    pub(super) fn erase(&mut self, what: u16) {
        match what {
            0 => self.cells.truncate(self.cursor),
            2 => {
                self.cells.clear();
                self.go_to(self.cursor);
            }
            _ => {}
        }
    }

    /// What stands there, in pieces of one style.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut last = None;
        for cell in &self.cells {
            if last != Some(cell.style) {
                spans.push(Span { classes: cell.style.classes(), text: String::new() });
                last = Some(cell.style);
            }
            if let Some(span) = spans.last_mut() {
                push_shown(&mut span.text, cell.char);
            }
        }
        spans
    }
}

/// Whether a character is shown by a mark in its place: it cannot be seen, or changes what is seen around it.
pub(super) fn is_marked(char: char) -> bool {
    matches!(char,
        '\0'..='\x08' | '\x0a'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The character, or the mark for it.
fn push_shown(text: &mut String, char: char) {
    let code = u32::from(char);
    match code {
        _ if !is_marked(char) => text.push(char),
        0..=0x1f => text.extend(char::from_u32(0x2400 + code)),
        0x7f => text.push('\u{2421}'),
        _ => text.push_str(&format!("⟨U+{code:04X}⟩")),
    }
}
