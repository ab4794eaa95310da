//! The connection for plain SQL beside the stream, and what is asked of the server's catalog.

use super::super::Address;
use super::charsets::Charsets;
use super::connection::{Connection, SQL_TIMEOUT, quote};
use super::values::charset::Charset;
use crate::change::{Column, Table};
use crate::{Code, Error, Result};

/// Plain SQL on the server of a source.
pub(super) struct Catalog {
    pub address: Address,
    conn: Option<Connection>,
    pub charsets: Charsets,
}

impl Catalog {
    /// Connects and reads the server's collations.
    pub fn open(address: &Address) -> Result<Self> {
        let mut conn = Connection::open(address, SQL_TIMEOUT)?;
        let charsets = Charsets::load(&mut conn, address.dialect)?;
        Ok(Self { address: address.clone(), conn: Some(conn), charsets })
    }

    /// For fuzzing: the server is not there.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn without_server(address: Address, charsets: Charsets) -> Self {
        Self { address, conn: None, charsets }
    }

    fn conn(&mut self) -> Result<&mut Connection> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => Connection::open(&self.address, SQL_TIMEOUT)?,
        };
        Ok(self.conn.insert(conn))
    }

    /// Reads a small answer. A connection that the server closed while it was idle is opened again.
    pub fn query(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
        let was_open = self.conn.is_some();
        match self.conn()?.query(statement) {
            Err(error) if was_open && error.kind() == crate::error::ErrorKind::Link => {
                self.conn = None;
                self.conn()?.query(statement)
            }
            answer => answer,
        }
    }

    /// The first value of the first row.
    pub fn text(&mut self, statement: &str) -> Result<Option<String>> {
        Ok(self.query(statement)?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// How a character set becomes UTF-8.
    pub fn converter(&mut self, charset: &str) -> Result<Option<Charset>> {
        if let Some(known) = self.charsets.known(charset) {
            return Ok(Some(known));
        }
        self.conn()?;
        match &mut self.conn {
            Some(conn) => self.charsets.converter(conn, charset),
            None => Err(Error::link(Code::DatabaseDisconnected, "no connection")),
        }
    }

    /// Name and type of a table's columns, as the catalog holds them now.
    pub fn columns(&mut self, schema: &str, table: &str) -> Result<Vec<CatalogColumn>> {
        let rows = self.query(&format!(
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, GENERATION_EXPRESSION FROM \
             information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
            quote(schema),
            quote(table)
        ))?;
        let columns = rows.into_iter().map(|row| {
            let mut values = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || values.next().unwrap_or_default();
            CatalogColumn { name: next(), data_type: next(), column_type: next(), generation: next() }
        });
        Ok(columns.collect())
    }

    /// A table as the catalog describes it now; without columns if it does not exist.
    pub fn table(&mut self, schema: &str, name: &str) -> Result<Table> {
        let columns = self.columns(schema, name)?;
        let key_names = self.query(&format!(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = \
             {} \
             AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
            quote(schema),
            quote(name)
        ))?;
        let mut key: Vec<usize> = key_names
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|name| {
                columns.iter().position(|column| column.name == name && column.generation != "ROW END")
            })
            .collect();
        key.sort_unstable();
        let columns = columns.into_iter().map(CatalogColumn::into_column).collect();
        Ok(with_identity(Table { schema: schema.to_owned(), name: name.to_owned(), columns, key }))
    }
}

/// Marks the columns that name an old row: all of them, since a full row image holds the whole old row.
pub(super) fn with_identity(mut table: Table) -> Table {
    table.columns.iter_mut().for_each(|column| column.identity = true);
    table
}

/// A row of `information_schema.COLUMNS`.
#[derive(Debug, Clone)]
pub(super) struct CatalogColumn {
    pub name: String,
    /// `varchar`
    pub data_type: String,
    /// `varchar(64)`
    pub column_type: String,
    /// Of a generated column: `ROW END` in MariaDB's versioned tables.
    pub generation: String,
}

impl CatalogColumn {
    /// Integers lose the width that MariaDB and older MySQL print, so that both databases and the log agree.
    fn into_column(self) -> Column {
        let width = matches!(
            self.data_type.as_str(),
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year"
        );
        let mut type_name = self.column_type.replace(" zerofill", "");
        if width
            && let (Some(start), Some(end)) = (type_name.find('('), type_name.find(')'))
            && start < end
        {
            type_name.replace_range(start..=end, "");
        }
        Column { name: self.name, type_name, identity: false }
    }
}
