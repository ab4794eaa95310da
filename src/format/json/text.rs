//! Cells as JSON values.

use crate::change::{Batch, Cell, Kind};
use crate::json_string::write_string;

/// Writes a cell as a JSON value; one that was not sent is `null`.
pub(in crate::format) fn write_value(batch: &Batch, cell: &Cell, out: &mut Vec<u8>) {
    match cell.kind {
        Kind::Missing | Kind::Null => out.extend_from_slice(b"null"),
        Kind::Literal => out.extend_from_slice(batch.text(cell)),
        Kind::Text => write_string(batch.text(cell), out),
    }
}
