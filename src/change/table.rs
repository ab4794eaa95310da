//! A table as the log describes it at one position.

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// The name as the database holds it, without quotes.
    pub name: String,
    /// The type as the database prints it (`character varying(64)`, `bigint unsigned`); empty where the
    /// carrier does not say.
    pub type_name: String,
    /// Part of the replica identity: what an update or delete names the old row by.
    pub identity: bool,
}

/// A table's name, columns and key. Shared by all rows of a batch that were written with this shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Table {
    /// PostgreSQL: the schema; MySQL and MariaDB: the database. Empty where the carrier does not say.
    pub schema: String,
    /// The name without schema.
    pub name: String,
    /// In the table's order.
    pub columns: Vec<Column>,
    /// Indices into `columns`, of the primary key's columns, rising (as wal2json lists them, and as MariaDB
    /// logs them); empty without one.
    pub key: Vec<usize>,
}

impl Table {
    /// `schema.name`, or the bare name where no schema is known.
    pub fn qualified_name(&self) -> String {
        if self.schema.is_empty() { self.name.clone() } else { format!("{}.{}", self.schema, self.name) }
    }
}
