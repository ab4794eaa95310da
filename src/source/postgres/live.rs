//! Tests against the real server of `LIST_SYNC_POSTGRES_URL`. Each has a schema, a slot and a publication of
//! its own.

mod failures;
mod keys;
mod left_out;
mod origin;
mod refill;
mod resume;
mod same_rows;

use std::time::{Duration, Instant};

use super::{
    DEFAULT_SCHEMA, Plugin, PostgresDatabase, PostgresSource, Settings, catalog, checks, open, publication,
    slot,
};
use crate::change::{Batch, Cell, Checkpoint, Position, Restart, Row};
use crate::source::{Address, Database, Snapshot, Source, Tables};

fn address() -> Address {
    Address::parse(&crate::live::postgres()).unwrap()
}

/// A schema on the server, and what is to be removed with it.
struct Stage {
    database: PostgresDatabase,
    schema: String,
    slots: Vec<String>,
}

impl Stage {
    fn new(name: &str) -> Self {
        let mut stage =
            Self { database: open(&address()).unwrap(), schema: format!("pgsrc_{name}"), slots: Vec::new() };
        for plugin in [Plugin::Pgoutput, Plugin::Wal2json] {
            stage.slots.push(format!("{}_{}", stage.schema, plugin.name()));
        }
        stage.clear();
        stage.run(&format!("CREATE SCHEMA {}", stage.schema));
        stage
    }

    fn run(&mut self, statement: &str) -> u64 {
        let statement = statement.replace("SCHEMA_", &self.schema);
        self.database.execute(&statement).unwrap_or_else(|error| panic!("{error}: {statement}"))
    }

    fn settings(&self, plugin: Plugin) -> Settings {
        let tables = Tables::parse(&[format!("{}.*", self.schema)], DEFAULT_SCHEMA).unwrap();
        let slot = format!("{}_{}", self.schema, plugin.name());
        Settings {
            plugin,
            publication: slot.clone(),
            slot,
            ..Settings::new(&self.schema, address(), tables, Snapshot::Never)
        }
    }

    fn clear(&mut self) {
        for slot in &self.slots {
            let drop = format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = \
                 '{slot}'"
            );
            let since = Instant::now();
            while self.database.query(&drop).is_err() && since.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = self.database.execute(&format!("DROP PUBLICATION IF EXISTS {slot}"));
        }
        let _ = self.database.execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clear();
    }
}

/// All that a batch says of a row, as a line.
fn line(batch: &Batch, row: &Row) -> String {
    let (table, transaction) = (batch.table(row), batch.transaction(row));
    let cells = |cells: &[Cell]| {
        let named = table.columns.iter().zip(cells);
        let printed = named.map(|(column, cell)| {
            format!(
                "{}{}:{}={:?} {:?}",
                column.name,
                if column.identity { "*" } else { "" },
                column.type_name,
                cell.kind,
                String::from_utf8_lossy(batch.text(cell))
            )
        });
        printed.collect::<Vec<_>>().join(", ")
    };
    let key: Vec<_> = table.key.iter().map(|&place| &table.columns[place].name).collect();
    format!(
        "{} {:?} {} key {key:?} [{}] [{}] xid {} at {} lsn {:x}",
        row.position,
        row.operation,
        table.qualified_name(),
        cells(batch.columns(row)),
        cells(batch.identity(row)),
        transaction.xid,
        transaction.committed_us,
        row.lsn
    )
}

/// What was read up to the end of the log.
#[derive(Default)]
struct Reading {
    lines: Vec<String>,
    positions: Vec<Position>,
    checkpoints: Vec<Checkpoint>,
}

/// Reads up to where the log ends now; batches stay small if `rows_max` says so.
fn read_to_head(source: &mut PostgresSource) -> Reading {
    let head = source.head().unwrap();
    let (mut batch, mut reading, since) = (Batch::default(), Reading::default(), Instant::now());
    while batch.read_to < head {
        assert!(since.elapsed() < Duration::from_mins(1), "stuck at {} before {head}", batch.read_to);
        batch.clear();
        source.read(&mut batch, Duration::from_secs(2)).unwrap();
        for row in batch.rows() {
            reading.lines.push(line(&batch, row));
            reading.positions.push(row.position);
        }
        if let Some(checkpoint) = &batch.checkpoint {
            let finished = checkpoint.position;
            let later = reading.positions.iter().filter(|position| **position >= finished);
            let open = later.map(|position| position.commit).collect::<std::collections::BTreeSet<_>>();
            assert!(open.len() <= 1, "only the open transaction lies behind a checkpoint: {open:?}");
            reading.checkpoints.push(checkpoint.clone());
        }
    }
    assert!(reading.positions.is_sorted_by(|a, b| a < b), "positions rise");
    reading
}

/// The part of a source's rows that does not depend on where in the log they stand.
fn without_place(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once(' ').unwrap().1.split(" xid ").next().unwrap()).collect()
}
