//! Shapes of tables, written to `list_sync.tables` before the first row that names them.

use std::collections::HashSet;

use crate::Result;
use crate::change::Table;
use crate::format::{Options, ShapeId, shape_text};

/// The shapes that this run has written. An earlier run may have written them too: they are written again,
/// since the topic may have been made again.
#[derive(Debug)]
pub struct Shapes {
    options: Options,
    written: HashSet<ShapeId>,
}

impl Shapes {
    /// Of messages that are written with these options.
    pub fn new(options: Options) -> Self {
        Self { options, written: HashSet::new() }
    }

    /// The id of a table's shape, and its text if that is still to be written.
    pub fn of(&mut self, table: &Table) -> Result<(ShapeId, Option<String>)> {
        let text = shape_text(table, self.options)?;
        let id = ShapeId::of(&text);
        Ok((id, self.written.insert(id).then_some(text)))
    }
}
