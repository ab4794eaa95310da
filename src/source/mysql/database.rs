//! Plain SQL on MySQL and MariaDB, beside the stream.

use std::sync::Arc;

use super::super::{Address, Database, Tables};
use super::catalog::Catalog;
use super::connection::{Connection, SQL_TIMEOUT, quote_name};
use super::{checks, scan};
use crate::change::{Batch, Operation, Position, RowHead, Table, Transaction};
use crate::{Code, Error, Result};

/// A session for plain SQL.
pub struct MysqlDatabase {
    address: Address,
    conn: Connection,
}

/// Opens a session in UTC.
pub fn open(address: &Address) -> Result<MysqlDatabase> {
    Ok(MysqlDatabase { address: address.clone(), conn: Connection::open(address, SQL_TIMEOUT)? })
}

impl Database for MysqlDatabase {
    fn execute(&mut self, statement: &str) -> Result<u64> {
        self.conn.execute(statement)
    }

    fn query(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.conn.query(statement)
    }

    fn scan(&mut self, schema: &str, table: &str, each: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        let described = Catalog::open(&self.address)?.table(schema, table)?;
        if described.columns.is_empty() {
            return Err(Error::stop(
                Code::TableMissing,
                format!("table \"{schema}.{table}\" does not exist"),
            )
            .hint(format!("create it, or give user {:?} SELECT on it", self.address.user)));
        }
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
        let scanned = self.scan_described(&Arc::new(described), each);
        let ended = self.run("COMMIT");
        scanned.and(ended)
    }

    fn tables(&mut self, wanted: &Tables) -> Result<Vec<(String, String)>> {
        checks::matching_tables(&mut Catalog::open(&self.address)?, wanted)
    }
}

impl MysqlDatabase {
    fn run(&mut self, statement: &str) -> Result<()> {
        self.conn.execute(statement).map(|_| ())
    }

    /// All rows by the binary protocol, whose floats are whole.
    fn scan_described(
        &mut self,
        table: &Arc<Table>,
        each: &mut dyn FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<String> = table.columns.iter().map(|column| quote_name(&column.name)).collect();
        let select = format!(
            "SELECT {} FROM {}.{}",
            names.join(", "),
            quote_name(&table.schema),
            quote_name(&table.name)
        );
        let (mut batch, mut position) = (Batch::default(), Position::START);
        self.conn.select(&select, &mut |columns, row| {
            if batch.rows().is_empty() {
                batch.add_table(table);
                batch.add_transaction(Transaction::default());
            }
            let start = batch.mark();
            let mut row = scan::Row::open(columns, row)?;
            for column in columns {
                batch.add_cell_with(|out| row.write(column, out))?;
            }
            batch.push(
                RowHead { operation: Operation::Insert, table: 0, transaction: 0, lsn: 0 },
                start,
                batch.mark(),
                &mut position,
            );
            if batch.is_full() {
                each(&batch)?;
                batch.clear();
            }
            Ok(())
        })?;
        if batch.rows().is_empty() { Ok(()) } else { each(&batch) }
    }
}
