//! JSON messages to rows of a batch: those of list_sync with any `include`, and those of plain wal2json format-version 2.

use super::parse::{List, Parts, Reason};
use super::shape::Shapes;
use super::text::unescape;
use crate::Error;
use crate::change::{Batch, Kind, Operation, Position, RowHead, Transaction};

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
    shapes: Shapes,
    parts: Parts,
}

impl Decoder {
    /// Adds the row of a message to `batch`, at `position`. Messages of wal2json that carry no row (`B`, `C`, `M`) add nothing.
    ///
    /// White space, the order of keys and unknown keys do not matter. A message that is not valid JSON or lacks what its action needs
    /// is a `Stop` and leaves the batch's rows as they were.
    pub fn decode(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> crate::Result<()> {
        let result = self.parts.parse(message).and_then(|()| self.add(message, position, batch));
        result.map_err(|reason| {
            Error::stop(format!("a message is no row change in JSON: {reason}"))
                .hint("check that the topic holds only messages of list_sync or wal2json (format-version 2), and that `format` names their format")
        })
    }

    fn add(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> Result<(), Reason> {
        let parts = &self.parts;
        let operation = match parts.action.raw(message) {
            b"I" => Operation::Insert,
            b"U" => Operation::Update,
            b"D" => Operation::Delete,
            b"T" => Operation::Truncate,
            b"B" | b"C" | b"M" => return Ok(()),
            b"" => return Err("it has no action"),
            _ => return Err("its action is unknown"),
        };
        let (new, old) = (matches!(operation, Operation::Insert | Operation::Update), operation == Operation::Delete);
        if parts.table.is_none() {
            return Err("it names no table");
        } else if new && !parts.columns.given {
            return Err("it has no columns");
        } else if old && !parts.identity.given {
            return Err("it has no identity");
        }
        let shape = self.shapes.of(operation, message, parts)?;
        let table = batch.add_table(&shape.table);
        let transaction = if batch.transactions().is_empty() { batch.add_transaction(Transaction::default()) } else { 0 };
        let columns = batch.mark();
        if new {
            add_cells(batch, message, &parts.columns, &shape.columns);
        }
        let identity = batch.mark();
        if old || operation == Operation::Update {
            add_cells(batch, message, &parts.identity, &shape.identity);
        }
        batch.push_one(RowHead { operation, table, transaction, lsn: 0 }, columns, identity, position);
        Ok(())
    }
}

fn add_cells(batch: &mut Batch, message: &[u8], list: &List, places: &[Option<usize>]) {
    for place in places {
        match place.and_then(|place| list.fields.get(place)) {
            None => batch.add_cell(Kind::Missing, b""),
            Some(field) if field.value.escaped => {
                let written = batch.add_cell_with(|out| {
                    // The parser checked the escapes.
                    let _ = unescape(field.value.raw(message), out);
                    Ok::<_, std::convert::Infallible>(field.kind)
                });
                let Ok(()) = written;
            }
            Some(field) => batch.add_cell(field.kind, field.value.raw(message)),
        }
    }
}
