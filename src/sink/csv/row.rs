//! Rows as CSV: RFC 4180 with `\n`, NULL an empty unquoted field, an empty string `""`, as PostgreSQL's `COPY
//! … CSV` reads and writes it.

use crate::change::{Batch, Cell, CellKind, Position, Row};
use crate::sink::files::TableRows;

/// Appends a text as a field: in quotes if it is empty or holds a comma, quote or line end. Spaces are part
/// of a field and need none.
pub(super) fn write_field(text: &[u8], out: &mut Vec<u8>) {
    if text.is_empty() {
        out.extend_from_slice(b"\"\"");
    } else if !needs_quotes(text) {
        out.extend_from_slice(text);
    } else {
        write_quoted(text, out);
    }
}

fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(place) = memchr::memchr(b'"', rest) {
        let (head, tail) = rest.split_at(place + 1);
        out.extend_from_slice(head);
        out.push(b'"');
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Eight bytes at a time: a byte of `word ^ pattern` is zero where the pattern's byte stands.
fn needs_quotes(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut rest = text;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let has = |byte: u8| {
            let word = word ^ (ONES * u64::from(byte));
            word.wrapping_sub(ONES) & !word & HIGH
        };
        if has(b',') | has(b'"') | has(b'\n') | has(b'\r') != 0 {
            return true;
        }
        rest = tail;
    }
    rest.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
}

/// Appends `action,table,<columns>` and the line end.
pub(super) fn write_header(columns: &[String], position: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"action,table");
    for name in columns {
        out.push(b',');
        write_field(name.as_bytes(), out);
    }
    out.extend_from_slice(if position { b",position\n" } else { b"\n" });
}

/// What all rows of one file share.
#[derive(Debug)]
pub struct RowStyle {
    /// The table's name as a field.
    pub table: Vec<u8>,
    /// What stands for a value that is not known; without quotes, which tells it from a value of the same
    /// text.
    pub unchanged: Vec<u8>,
    /// Whether the row's position is its last field.
    pub position: bool,
}

impl TableRows for RowStyle {
    /// The new row: cells and file line up. A value that was not sent is taken from the old row.
    fn write_insert(&self, batch: &Batch, row: &Row, out: &mut Vec<u8>) {
        out.extend_from_slice(b"I,");
        out.extend_from_slice(&self.table);
        let identity = batch.identity(row);
        for (place, cell) in batch.columns(row).iter().enumerate() {
            out.push(b',');
            if cell.kind == CellKind::Missing {
                match identity.get(place) {
                    Some(old) if old.kind != CellKind::Missing => self.write_cell(batch, old, out),
                    _ => out.extend_from_slice(&self.unchanged),
                }
            } else {
                self.write_cell(batch, cell, out);
            }
        }
        self.end(row, out);
    }

    /// The old row; for each column of the file its place in the table, `None` where the table has no such
    /// column.
    fn write_delete(&self, batch: &Batch, row: &Row, places: &[Option<u32>], out: &mut Vec<u8>) {
        out.extend_from_slice(b"D,");
        out.extend_from_slice(&self.table);
        let identity = batch.identity(row);
        for place in places {
            out.push(b',');
            if let Some(cell) = place.and_then(|place| identity.get(place as usize)) {
                self.write_cell(batch, cell, out);
            }
        }
        self.end(row, out);
    }

    /// `T@<position>` and empty fields: all rows before are gone.
    fn write_truncate(&self, row: &Row, width: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"T@");
        out.extend_from_slice(&row.position.digits());
        out.push(b',');
        out.extend_from_slice(&self.table);
        out.resize(out.len() + width, b',');
        self.end(row, out);
    }
}

impl RowStyle {
    #[inline]
    fn write_cell(&self, batch: &Batch, cell: &Cell, out: &mut Vec<u8>) {
        let text = batch.text(cell);
        match cell.kind {
            CellKind::Missing | CellKind::Null => {}
            CellKind::Literal | CellKind::Text if text.len() == self.unchanged.len() => {
                self.write_same_length(text, cell.kind, out);
            }
            // Digits, `true` or `false`: nothing to quote.
            CellKind::Literal => out.extend_from_slice(text),
            CellKind::Text => write_field(text, out),
        }
    }

    /// A value that may be the text which stands for an unknown one; quotes tell it apart.
    #[cold]
    fn write_same_length(&self, text: &[u8], kind: CellKind, out: &mut Vec<u8>) {
        if text == self.unchanged {
            write_quoted(text, out);
        } else if kind == CellKind::Literal {
            out.extend_from_slice(text);
        } else {
            write_field(text, out);
        }
    }

    fn end(&self, row: &Row, out: &mut Vec<u8>) {
        if self.position {
            out.push(b',');
            out.extend_from_slice(&row.position.digits());
        }
        out.push(b'\n');
    }
}

/// The position of a truncate, from the action field of its row.
pub(super) fn truncate_position(action: &[u8]) -> Option<Position> {
    Position::from_digits(action.strip_prefix(b"T@")?)
}

#[cfg(test)]
mod tests {
    use super::{needs_quotes, write_field};
    use proptest::prelude::*;

    #[test]
    fn quoting() {
        for (text, expected) in [
            ("", "\"\""),
            ("a", "a"),
            (" a ", " a "),
            ("a,b", "\"a,b\""),
            ("\"", "\"\"\"\""),
            ("a\"b\"\"c", "\"a\"\"b\"\"\"\"c\""),
            ("12345678\n", "\"12345678\n\""),
            ("\r12345678", "\"\r12345678\""),
            ("\\.", "\\."),
            ("=1+1", "=1+1"),
            ("é€😀", "é€😀"),
        ] {
            let mut out = Vec::new();
            write_field(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn the_word_scan_finds_what_a_byte_scan_finds(text in "[ -/\\n\\ra-c\\x80-\\x8d]{0,30}") {
            prop_assert_eq!(needs_quotes(text.as_bytes()), text.contains([',', '"', '\n', '\r']));
        }
    }
}
