//! Tests against real servers: `scripts/services up mysql mariadb`, then `eval "$(scripts/services env)"`.

mod connection;
mod refusals;
mod statements;
mod stream;
mod types;

use std::time::Duration;

use super::super::{Address, Database, Dialect, Snapshot, Source, Tables};
use super::{MysqlDatabase, MysqlSource, Settings, open};
use crate::Error;
use crate::change::{Batch, Cell, CellKind, Checkpoint, Position};

fn address(variable: &str) -> Address {
    Address::parse(&crate::live::variable(variable)).unwrap()
}

fn both() -> [Address; 2] {
    ["LIST_SYNC_MYSQL_URL", "LIST_SYNC_MARIADB_URL"].map(address)
}

/// A table of its own for one test, and a source of it. Dropped at the end.
struct Bench {
    address: Address,
    table: String,
    database: MysqlDatabase,
}

impl Bench {
    /// `columns` as CREATE TABLE has them.
    fn new(address: &Address, table: &str, columns: &str) -> Self {
        let table = format!("my_live_{table}");
        let mut database = open(address).unwrap();
        database.execute(&format!("DROP TABLE IF EXISTS {table}")).unwrap();
        database.execute(&format!("CREATE TABLE {table} ({columns})")).unwrap();
        Self { address: address.clone(), table, database }
    }

    /// A source of other tables too.
    fn source_of(&self, patterns: &[&str]) -> MysqlSource {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut source = self.source(Snapshot::Never);
        source.settings.tables = Tables::parse(&patterns, &self.address.database).unwrap();
        source
    }

    fn source(&self, snapshot: Snapshot) -> MysqlSource {
        MysqlSource::new(Settings {
            name: format!("{}-{}", self.table, self.address.dialect.product()),
            address: self.address.clone(),
            tables: Tables::parse(std::slice::from_ref(&self.table), &self.address.database).unwrap(),
            snapshot,
            server_id: None,
        })
    }

    fn run(&mut self, statement: &str) {
        let statement = statement.replace("{t}", &self.table);
        self.database.execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    fn scan(&mut self) -> Vec<String> {
        let mut rows = Vec::new();
        let schema = self.address.database.clone();
        self.database
            .scan(&schema, &self.table.clone(), &mut |batch| {
                rows.extend(batch.rows().iter().map(|row| print_cells(batch, batch.columns(row))));
                Ok(())
            })
            .unwrap();
        rows
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.database.execute(&format!("DROP TABLE IF EXISTS {}", self.table));
    }
}

/// Reads until the source has read what was in the log when this was called.
fn read_all(source: &mut MysqlSource) -> (Vec<String>, Vec<Position>, Checkpoint) {
    let head = source.head().unwrap();
    let (mut rows, mut positions, mut checkpoint) = (Vec::new(), Vec::new(), None);
    let started = std::time::Instant::now();
    loop {
        let mut batch = Batch::default();
        source.read(&mut batch, Duration::from_millis(200)).unwrap();
        for row in batch.rows() {
            rows.push(format!(
                "{:?} {} <- {}",
                row.operation,
                print_cells(&batch, batch.columns(row)),
                print_cells(&batch, batch.identity(row))
            ));
            positions.push(row.position);
        }
        checkpoint = batch.checkpoint.or(checkpoint);
        if batch.read_to >= head {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "read to {:?}, head {head:?}", batch.read_to);
    }
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    (rows, positions, checkpoint.unwrap())
}

/// Reads until the source stops, and answers the rows before it.
fn read_failure(source: &mut MysqlSource) -> (Vec<String>, Error) {
    let started = std::time::Instant::now();
    let mut rows = Vec::new();
    loop {
        let mut batch = Batch::default();
        let failure = source.read(&mut batch, Duration::from_millis(200)).err();
        rows.extend(
            batch
                .rows()
                .iter()
                .map(|row| format!("{:?} {}", row.operation, print_cells(&batch, batch.columns(row)))),
        );
        if let Some(error) = failure {
            return (rows, error);
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the source goes on: {rows:?}");
    }
}

fn print_cells(batch: &Batch, cells: &[Cell]) -> String {
    let texts = cells.iter().map(|cell| match cell.kind {
        CellKind::Missing => "-".to_owned(),
        CellKind::Null => "NULL".to_owned(),
        CellKind::Literal => String::from_utf8(batch.text(cell).to_vec()).unwrap(),
        CellKind::Text => format!("{:?}", String::from_utf8(batch.text(cell).to_vec()).unwrap()),
    });
    texts.collect::<Vec<_>>().join("|")
}

fn is_mariadb(address: &Address) -> bool {
    address.dialect == Dialect::Mariadb
}
