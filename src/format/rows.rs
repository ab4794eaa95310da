//! The parts of a message to a row of a batch: the same for every format.

use super::parts::{List, NO_TABLE, Parts, Reason};
use super::shape::Shapes;
use crate::change::{Batch, Kind, Operation, Position, RowHead, Transaction};

/// Adds rows; keeps what it learned of tables.
#[derive(Debug, Default)]
pub(super) struct Rows {
    shapes: Shapes,
}

impl Rows {
    /// Adds the row of a message. What its action needs and it lacks is the reason of a refusal, which leaves the batch's rows as they were.
    pub fn add(
        &mut self,
        operation: Operation,
        message: &[u8],
        parts: &Parts,
        position: Position,
        batch: &mut Batch,
    ) -> Result<(), Reason> {
        let (new, old) = (matches!(operation, Operation::Insert | Operation::Update), operation == Operation::Delete);
        if parts.table.is_none() {
            return Err(NO_TABLE);
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
                    let _ = field.value.write(message, out);
                    Ok::<_, std::convert::Infallible>(field.kind)
                });
                let Ok(()) = written;
            }
            Some(field) => batch.add_cell(field.kind, field.value.raw(message)),
        }
    }
}
