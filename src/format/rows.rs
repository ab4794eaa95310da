//! The parts of a message to a row of a batch: the same for every format.

use std::collections::HashMap;
use std::sync::Arc;

use super::parts::{List, NO_TABLE, Parts, Reason};
use super::shape::{Known, Origin, OriginId, Shape, Shapes};
use crate::change::{Batch, CellKind, Operation, Position, RowHead, Table, Transaction};

/// Adds rows; keeps what it learned of tables.
#[derive(Debug, Default)]
pub(super) struct Rows {
    shapes: Shapes,
    /// Of the messages that come now.
    origin: Origin,
    topics: HashMap<String, u32>,
}

impl Rows {
    /// The messages that follow are of this table, which a shape names.
    pub fn of_table(&mut self, table: &Arc<Table>) {
        if self.origin.id() != OriginId::Table(Arc::as_ptr(table).addr()) {
            self.origin = Origin::Table(Arc::clone(table));
        }
    }

    /// The messages that follow are of this topic, and name no shape.
    pub fn of_topic(&mut self, topic: &str) {
        let number = self.topics.get(topic).copied().unwrap_or_else(|| {
            let number = self.topics.len() as u32 + 1;
            self.topics.insert(topic.to_owned(), number);
            number
        });
        self.origin = Origin::Topic(number);
    }

    /// What the messages that come now are of.
    pub fn origin(&self) -> OriginId {
        self.origin.id()
    }

    /// Adds the row of a message. What its action needs and it lacks is the reason of a refusal, which leaves
    /// the batch's rows as they were.
    pub fn add(
        &mut self,
        operation: Operation,
        message: &[u8],
        parts: &Parts,
        position: Position,
        batch: &mut Batch,
    ) -> Result<Known, Reason> {
        let (new, old) =
            (matches!(operation, Operation::Insert | Operation::Update), operation == Operation::Delete);
        if parts.table.is_none() {
            return Err(NO_TABLE);
        } else if new && !parts.columns.given {
            return Err("it has no columns");
        } else if old && !parts.identity.given {
            return Err("it has no identity");
        }
        let known = self.shapes.of(&self.origin, operation, message, parts)?;
        let shape = self.shapes.get(known).ok_or("its columns are unknown")?;
        push(shape, operation, message, parts, position, batch);
        Ok(known)
    }

    /// Adds the row of a message with the same operation, names and types as one before. False, and nothing
    /// added, if these mean another table by now.
    pub fn add_known(
        &mut self,
        known: Known,
        message: &[u8],
        parts: &Parts,
        position: Position,
        batch: &mut Batch,
    ) -> bool {
        let Some(shape) = self.shapes.get(known) else { return false };
        push(shape, known.operation, message, parts, position, batch);
        true
    }
}

fn push(
    shape: &Shape,
    operation: Operation,
    message: &[u8],
    parts: &Parts,
    position: Position,
    batch: &mut Batch,
) {
    let table = batch.add_table(&shape.table);
    let transaction =
        if batch.transactions().is_empty() { batch.add_transaction(Transaction::default()) } else { 0 };
    let columns = batch.mark();
    if matches!(operation, Operation::Insert | Operation::Update) {
        add_cells(batch, message, &parts.columns, &shape.columns);
    }
    let identity = batch.mark();
    if matches!(operation, Operation::Update | Operation::Delete) {
        add_cells(batch, message, &parts.identity, &shape.identity);
    }
    batch.push_one(RowHead { operation, table, transaction, lsn: 0 }, columns, identity, position);
}

fn add_cells(batch: &mut Batch, message: &[u8], list: &List, places: &[Option<usize>]) {
    for place in places {
        match place.and_then(|place| list.fields.get(place)) {
            None => batch.add_cell(CellKind::Missing, b""),
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
