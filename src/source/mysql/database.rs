//! Plain SQL on MySQL and MariaDB, beside the stream.

use std::sync::Arc;

use mysql::Conn;
use mysql::prelude::Queryable as _;

use super::super::{Address, Database, Tables};
use super::catalog::Catalog;
use super::connection::{SQL_TIMEOUT, connect, explain, query, quote_name};
use super::{checks, scan};
use crate::change::{Batch, Operation, Position, RowHead, Table, Transaction};
use crate::{Error, Result};

/// A session for plain SQL.
pub struct MysqlDatabase {
    address: Address,
    conn: Conn,
}

/// Opens a session in UTC.
pub fn open(address: &Address) -> Result<MysqlDatabase> {
    Ok(MysqlDatabase { address: address.clone(), conn: connect(address, SQL_TIMEOUT)? })
}

impl Database for MysqlDatabase {
    fn execute(&mut self, statement: &str) -> Result<u64> {
        let address = &self.address;
        let mut answer = self.conn.query_iter(statement).map_err(|error| explain(address, error))?;
        let mut changed = 0;
        while let Some(set) = answer.iter() {
            changed += set.affected_rows();
            for row in set {
                row.map_err(|error| explain(address, error))?;
            }
        }
        Ok(changed)
    }

    fn query(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
        query(&mut self.conn, &self.address, statement)
    }

    fn scan(&mut self, schema: &str, table: &str, each: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        let described = Catalog::open(&self.address)?.table(schema, table)?;
        if described.columns.is_empty() {
            return Err(Error::stop(format!("table \"{schema}.{table}\" does not exist"))
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
        self.conn.query_drop(statement).map_err(|error| explain(&self.address, error))
    }

    /// All rows by the binary protocol, whose floats are whole.
    fn scan_described(
        &mut self,
        table: &Arc<Table>,
        each: &mut dyn FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let explain = |error| explain(&self.address, error);
        let names: Vec<String> = table.columns.iter().map(|column| quote_name(&column.name)).collect();
        let select = format!(
            "SELECT {} FROM {}.{}",
            names.join(", "),
            quote_name(&table.schema),
            quote_name(&table.name)
        );
        let rows = self.conn.exec_iter(select, ()).map_err(explain)?;
        let (mut batch, mut position) = (Batch::default(), Position::START);
        for row in rows {
            let row = row.map_err(explain)?;
            if batch.rows().is_empty() {
                batch.add_table(table);
                batch.add_transaction(Transaction::default());
            }
            let start = batch.mark();
            for (place, column) in row.columns_ref().iter().enumerate() {
                let value = row.as_ref(place).unwrap_or(&mysql::Value::NULL);
                batch.add_cell_with(|out| scan::write(column, value, out))?;
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
        }
        if batch.rows().is_empty() { Ok(()) } else { each(&batch) }
    }
}
