//! Plain SQL on a PostgreSQL database, and whole tables as inserts.

use super::super::{Address, Database, Tables};
use super::catalog::{Catalog, Shape};
use super::connection::{Connection, Purpose};
use super::failure::quote_identifier;
use super::message::Malformed;
use crate::change::{Batch, CellKind, Operation, Position, RowHead, Transaction};
use crate::{Code, Error, Result};

/// A database that statements are run on.
#[derive(Debug)]
pub struct PostgresDatabase {
    catalog: Catalog,
    /// Apart from the catalog's, since statements may take as long as they like.
    connection: Connection,
}

/// Connects to a database for plain SQL.
///
/// # Errors
/// `Link` if the server cannot be reached, `Stop` if it refuses the log-in.
pub fn open(address: &Address) -> Result<PostgresDatabase> {
    Ok(PostgresDatabase { catalog: Catalog::open(address)?, connection: patient(address)? })
}

fn patient(address: &Address) -> Result<Connection> {
    let mut connection = Connection::open(address, Purpose::Sql)?;
    connection.time_out = None;
    Ok(connection)
}

impl PostgresDatabase {
    fn connection(&mut self) -> Result<&mut Connection> {
        if self.connection.is_broken() {
            self.connection = patient(self.catalog.address())?;
        }
        Ok(&mut self.connection)
    }
}

impl Database for PostgresDatabase {
    fn execute(&mut self, statement: &str) -> Result<u64> {
        self.connection()?.execute(statement)
    }

    fn query(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.connection()?.query(query)
    }

    fn scan(&mut self, schema: &str, table: &str, each: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        let shape = self.catalog.shape(schema, table)?;
        let shape = shape.ok_or_else(|| {
            Error::stop(
                Code::TableMissing,
                format!(
                    "table \"{schema}.{table}\" does not exist in database {:?}",
                    self.catalog.address().database
                ),
            )
            .hint("check the name; names are case-sensitive here")
        })?;
        let columns: Vec<_> =
            shape.table.columns.iter().map(|column| quote_identifier(&column.name)).collect();
        // The stream names the table that a row lies in, so children by inheritance are left to their own
        // scans.
        let only = if shape.partitioned { "" } else { "ONLY " };
        let statement = format!(
            "COPY (SELECT {} FROM {only}{}.{}) TO STDOUT",
            columns.join(", "),
            quote_identifier(schema),
            quote_identifier(table)
        );
        let mut scan = Scan::new(shape);
        self.connection()?.copy_out(&statement, &mut |line| {
            scan.line(line)?;
            if scan.batch.is_full() { scan.hand_out(each) } else { Ok(()) }
        })?;
        scan.hand_out(each)
    }

    fn tables(&mut self, wanted: &Tables) -> Result<Vec<(String, String)>> {
        Ok(self.catalog.captured(wanted)?.into_iter().map(|table| (table.schema, table.name)).collect())
    }
}

/// Lines of `COPY` (documentation of COPY, "Text Format") on their way into batches.
pub(super) struct Scan {
    shape: Shape,
    /// The rows since the last one was taken.
    pub batch: Box<Batch>,
    scratch: Vec<u8>,
    position: Position,
}

impl Scan {
    /// Of lines with all columns of this table.
    pub fn new(shape: Shape) -> Self {
        Self { shape, batch: Box::default(), scratch: Vec::new(), position: Position::START }
    }

    /// The rows so far; the next ones begin another batch.
    pub fn take(&mut self) -> Box<Batch> {
        self.position = Position::START;
        std::mem::take(&mut self.batch)
    }

    fn hand_out(&mut self, each: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        if !self.batch.rows().is_empty() {
            each(&self.batch)?;
            self.batch.clear();
            self.position = Position::START;
        }
        Ok(())
    }

    /// Adds the row of a line.
    pub fn line(&mut self, line: &[u8]) -> Result<()> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let Self { shape, batch, scratch, position } = self;
        let batch = &mut **batch;
        let columns = batch.mark();
        if !shape.encodings.is_empty() {
            let mut fields = line.split(|&byte| byte == b'\t');
            for (encoding, column) in shape.encodings.iter().zip(&shape.table.columns) {
                let field = fields.next().ok_or(Malformed)?;
                let printed = match field {
                    b"\\N" => {
                        batch.add_cell(CellKind::Null, b"");
                        continue;
                    }
                    field if memchr::memchr(b'\\', field).is_none() => field,
                    field => {
                        unescape(field, scratch)?;
                        scratch.as_slice()
                    }
                };
                encoding.add(batch, printed).map_err(|_| {
                    let table = shape.table.qualified_name();
                    Error::stop(Code::ValueUnreadable, format!(
                        "column {:?} of table {table:?} holds a value that is not UTF-8, or not of its type",
                        column.name
                    ))
                })?;
            }
            if fields.next().is_some() {
                return Err(Malformed.into());
            }
        }
        let table = batch.add_table(&shape.table);
        if batch.transactions().is_empty() {
            batch.add_transaction(Transaction::default());
        }
        batch.push(
            RowHead { operation: Operation::Insert, table, transaction: 0, lsn: 0 },
            columns,
            batch.mark(),
            position,
        );
        Ok(())
    }
}

fn unescape(field: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.clear();
    let mut rest = field;
    while let Some(found) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..found]);
        let (&escape, after) = rest[found + 1..].split_first().ok_or(Malformed)?;
        rest = after;
        out.push(match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        });
    }
    out.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn lines_of_copy() {
        let mut out = Vec::new();
        unescape(br"a\\b\tc\nd\r\b\f\v", &mut out).unwrap();
        assert_eq!(out, b"a\\b\tc\nd\r\x08\x0c\x0b");
        assert!(unescape(br"\", &mut out).is_err());
    }
}
