//! The tables of a source: which are captured, and the form of each at the present place of the log.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Dialect, Tables};
use super::catalog::Catalog;
use super::cursor::{Cursor, Malformed, Parsed};
use super::effect::Seen;
use super::hidden;
use super::place::Place;
use super::shape::{self, Shape};
use super::table_map::TableName;
use crate::change::Table;
use crate::{Code, Error, Result};

/// Forms that are kept; with more (each new number of a table is one) all are forgotten between two
/// transactions.
const SHAPES_MAX: usize = 4096;

/// A table number's form; `None` for a table that is not captured.
struct Mapped {
    event_body: Vec<u8>,
    shape: Option<Arc<Shape>>,
}

/// What is captured, and how it looks.
pub(super) struct Captured {
    /// The source's name, for messages.
    pub source: String,
    pub patterns: Tables,
    pub catalog: Catalog,
    /// Schemas with a captured table, as far as known.
    pub schemas: Vec<String>,
    /// The server holds names in lower case, whatever a statement says.
    pub lower_case: bool,
    pub seen: Seen,
    shapes: HashMap<u64, Mapped>,
    truncated: HashMap<(String, String), Arc<Table>>,
}

impl Captured {
    pub fn new(
        source: &str,
        patterns: Tables,
        catalog: Catalog,
        schemas: Vec<String>,
        lower_case: bool,
    ) -> Self {
        let (shapes, truncated) = (HashMap::new(), HashMap::new());
        Self {
            source: source.to_owned(),
            patterns,
            catalog,
            schemas,
            lower_case,
            seen: Seen::default(),
            shapes,
            truncated,
        }
    }

    /// Between two transactions no form is needed: each statement describes its tables anew.
    pub fn forget_if_many(&mut self) {
        if self.shapes.len() > SHAPES_MAX {
            self.shapes.clear();
        }
    }

    /// Takes the body of a `TABLE_MAP` event.
    pub fn describe(&mut self, event_body: Vec<u8>, place: &Place) -> Result<()> {
        let unreadable = |Malformed| {
            Error::stop(Code::LogDamaged, format!("a description of a table at {place} cannot be read"))
        };
        let id = table_id(&event_body).map_err(unreadable)?;
        if self.shapes.get(&id).is_some_and(|mapped| mapped.event_body == event_body) {
            return Ok(());
        }
        let name = TableName::parse(&event_body).map_err(unreadable)?;
        let mut shape = None;
        if self.patterns.contains(name.schema, name.name) {
            let mariadb = self.catalog.address.dialect == Dialect::Mariadb;
            let map = name.columns(mariadb).map_err(|Malformed| {
                Error::stop(
                    Code::LogDamaged,
                    format!(
                        "the log's description of table \"{}.{}\" at {place} cannot be read",
                        name.schema, name.name
                    ),
                )
            })?;
            if !self.schemas.iter().any(|schema| schema == name.schema) {
                self.schemas.push(name.schema.to_owned());
            }
            if !(mariadb && hidden::is_sequence(&map)) {
                shape = Some(Arc::new(shape::build(&name, &map, &mut self.catalog)?));
            }
        }
        self.shapes.insert(id, Mapped { event_body, shape });
        Ok(())
    }

    /// The form of the table that the body of a row event belongs to; `None` if the table is not captured.
    pub fn shape(&self, event_body: &[u8], place: &Place) -> Result<Option<&Arc<Shape>>> {
        let id = table_id(event_body).map_err(|Malformed| {
            Error::stop(Code::LogDamaged, format!("a row event at {place} cannot be read"))
        })?;
        let mapped = self.shapes.get(&id);
        let mapped = mapped.ok_or_else(|| {
            Error::stop(
                Code::LogDamaged,
                format!("a row event at {place} has no description of its table before it"),
            )
        })?;
        Ok(mapped.shape.as_ref())
    }

    /// The form of a table that a TRUNCATE names; `None` if it is not captured. Before any row of it was
    /// seen, the catalog is asked.
    pub fn table(&mut self, schema: &str, name: &str) -> Result<Option<Arc<Table>>> {
        if !self.patterns.contains(schema, name) {
            return Ok(None);
        }
        let shapes = self.shapes.iter().filter_map(|(id, mapped)| Some((id, mapped.shape.as_ref()?)));
        let newest = shapes
            .filter(|(_, shape)| shape.table.schema == schema && shape.table.name == name)
            .max_by_key(|(id, _)| **id);
        let key = (schema.to_owned(), name.to_owned());
        let table = match newest.map(|(_, shape)| &shape.table).or_else(|| self.truncated.get(&key)) {
            Some(table) => Arc::clone(table),
            None => Arc::new(self.catalog.table(schema, name)?),
        };
        self.truncated.insert(key, Arc::clone(&table));
        Ok(Some(table))
    }
}

fn table_id(event_body: &[u8]) -> Parsed<u64> {
    Cursor::new(event_body).number(6)
}
