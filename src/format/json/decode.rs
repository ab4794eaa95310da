//! JSON messages to rows of a batch: those of list_sync with any `include`, and those of plain wal2json format-version 2.

use super::parse::parse;
use crate::Error;
use crate::change::{Batch, Operation, Position};
use crate::format::parts::{Parts, Reason};
use crate::format::rows::Rows;

/// Reads messages. Keeps what it learned of tables from call to call.
///
/// ```
/// use list_sync::change::{Batch, Position};
/// use list_sync::format::json::Decoder;
///
/// let mut batch = Batch::default();
/// let message = br#"{"action":"D","table":"test","identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#;
/// Decoder::default().decode(message, Position::START, &mut batch)?;
/// assert_eq!(batch.text(&batch.identity(&batch.rows()[0])[0]), b"1");
/// # Ok::<(), list_sync::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    rows: Rows,
    parts: Parts,
}

impl Decoder {
    /// Adds the row of a message to `batch`, at `position`. Messages of wal2json that carry no row (`B`, `C`, `M`) add nothing.
    ///
    /// White space, the order of keys and unknown keys do not matter. A message that is not valid JSON or lacks what its action needs
    /// is a `Stop` and leaves the batch's rows as they were.
    pub fn decode(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> crate::Result<()> {
        let Self { rows, parts } = self;
        let action = parse(parts, message).and_then(|action| operation_of(action.raw(message)));
        let result =
            action.and_then(|operation| operation.map_or(Ok(()), |operation| rows.add(operation, message, parts, position, batch)));
        result.map_err(|reason| {
            Error::stop(format!("a message is no row change in JSON: {reason}"))
                .hint("check that the topic holds only messages of list_sync or wal2json (format-version 2), and that `format` names their format")
        })
    }
}

/// `None` for what carries no row.
fn operation_of(action: &[u8]) -> Result<Option<Operation>, Reason> {
    match action {
        b"I" => Ok(Some(Operation::Insert)),
        b"U" => Ok(Some(Operation::Update)),
        b"D" => Ok(Some(Operation::Delete)),
        b"T" => Ok(Some(Operation::Truncate)),
        b"B" | b"C" | b"M" => Ok(None),
        b"" => Err("it has no action"),
        _ => Err("its action is unknown"),
    }
}
