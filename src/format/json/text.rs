//! Cells as JSON values.

use crate::change::{Batch, Cell, CellKind};
use crate::json_string::write_string;

/// Writes a cell as a JSON value; one that was not sent is `null`.
pub(in crate::format) fn write_value(batch: &Batch, cell: &Cell, out: &mut Vec<u8>) {
    match cell.kind {
        CellKind::Missing | CellKind::Null => out.extend_from_slice(b"null"),
        CellKind::Literal => out.extend_from_slice(batch.text(cell)),
        CellKind::Text => write_string(batch.text(cell), out),
    }
}
