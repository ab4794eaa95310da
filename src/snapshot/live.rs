//! Snapshots of real servers under load: `scripts/services up`, then `eval "$(scripts/services env)"`.
//!
//! Several sessions insert, update, delete, change keys, roll back and truncate through the whole snapshot,
//! which is broken off and taken up again at random. Every change is counted: the first one of a key must be
//! an insert, no row may come twice, and in the end the rows are those of the table.

mod topic;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Snapshots;
use super::run::Pace;
use crate::change::{Batch, Checkpoint, Operation, Position, Row};
use crate::source::{self, Address, Database, Dialect, Settings, Snapshot, Source, Tables, postgres::Plugin};
use crate::threads;
use topic::follow_in_topic;

/// Keys that the load chooses from.
const KEYS: u64 = 1_500;
/// Rows before the snapshot.
const ROWS: u64 = 1_000;

/// A generator that a failed run can be repeated with.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// How a table is made and its keys are written.
#[derive(Debug, Clone, Copy)]
struct Form {
    name: &'static str,
    columns: &'static str,
    key: fn(u64) -> String,
    has_key: bool,
}

const INTEGER: Form = Form {
    name: "integer",
    columns: "k int PRIMARY KEY, v varchar(40)",
    key: |number| format!("k = {number}"),
    has_key: true,
};
/// In an order that is not that of bytes: `a2`, `B1`, `b10`…
const TEXT: Form = Form {
    name: "text",
    columns: "k varchar(20) PRIMARY KEY, v varchar(40)",
    key: |number| format!("k = '{}{number}'", if number % 2 == 0 { 'a' } else { 'B' }),
    has_key: true,
};
const PAIR: Form = Form {
    name: "pair",
    columns: "v varchar(40), a int NOT NULL, k varchar(20) NOT NULL, PRIMARY KEY (k, a)",
    key: |number| format!("a = {}, k = 'x{}'", number / 10, number % 10),
    has_key: true,
};
const WITHOUT: Form = Form {
    name: "without",
    columns: "k int, v varchar(40)",
    key: |number| format!("k = {number}"),
    has_key: false,
};

/// A table under load.
struct Bench {
    address: Address,
    table: String,
    form: Form,
}

/// `a = 1, k = 'x'` as a list of columns, one of values, and a condition.
fn parts(key: &str) -> (String, String, String) {
    let pairs: Vec<(&str, &str)> = key.split(", ").map(|pair| pair.split_once(" = ").unwrap()).collect();
    let columns: Vec<_> = pairs.iter().map(|(column, _)| *column).collect();
    let values: Vec<_> = pairs.iter().map(|(_, value)| *value).collect();
    (columns.join(", "), values.join(", "), key.replace(", ", " AND "))
}

impl Bench {
    fn new(address: &Address, form: Form, test: &str) -> Self {
        let table = format!("snap_{test}_{}_{}", form.name, std::process::id());
        let bench = Self { address: address.clone(), table, form };
        let mut database = bench.open();
        let mut run = |statement: String| {
            database.execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
        };
        run(format!("CREATE TABLE {} ({})", bench.table, form.columns));
        if address.dialect == Dialect::Postgres && !form.has_key {
            run(format!("ALTER TABLE {} REPLICA IDENTITY FULL", bench.table));
        }
        for first in (0..ROWS).step_by(100) {
            let rows: Vec<_> = (first..first + 100)
                .map(|number| format!("({}, 'v{number}')", parts(&(form.key)(number)).1))
                .collect();
            let (columns, ..) = parts(&(form.key)(0));
            run(format!("INSERT INTO {} ({columns}, v) VALUES {}", bench.table, rows.join(", ")));
        }
        bench
    }

    fn open(&self) -> Box<dyn Database> {
        source::open(&self.address).unwrap()
    }

    fn source(&self) -> Snapshots {
        let schema =
            if self.address.dialect == Dialect::Postgres { "public" } else { &self.address.database };
        let settings = Settings {
            name: self.table.clone(),
            address: self.address.clone(),
            tables: Tables::parse(std::slice::from_ref(&self.table), schema).unwrap(),
            snapshot: Snapshot::Initial,
            temporary: false,
            plugin: Plugin::Pgoutput,
            slot: self.table.clone(),
            publication: self.table.clone(),
            server_id: 1_000_000
                + u32::from(self.address.port)
                + self.table.bytes().map(u32::from).sum::<u32>(),
        };
        let mut source =
            Snapshots::new(&self.table, (self.address.dialect.kind().build)(settings), Snapshot::Initial);
        source.pace = Pace { first: 60, min: 30, max: 90, slice: Duration::from_millis(20) };
        source
    }

    /// One statement, or one transaction of several.
    fn statement(&self, random: &mut Random, truncates: bool) -> String {
        let table = &self.table;
        let mut one = || {
            let (columns, values, condition) = parts(&(self.form.key)(random.below(KEYS)));
            let value = random.below(1_000_000);
            match random.below(if truncates { 400 } else { 399 }) {
                0..150 => format!("INSERT INTO {table} ({columns}, v) VALUES ({values}, 'i{value}')"),
                150..280 => format!("UPDATE {table} SET v = 'u{value}' WHERE {condition}"),
                280..350 => format!("DELETE FROM {table} WHERE {condition}"),
                350..399 => format!(
                    "UPDATE {table} SET {}, v = 'm{value}' WHERE {condition}",
                    (self.form.key)(random.below(KEYS))
                ),
                _ => format!("TRUNCATE TABLE {table}"),
            }
        };
        let first = one();
        if first.starts_with("TRUNCATE") {
            return first;
        }
        let second = one();
        match random.below(4) {
            0 if !second.starts_with("TRUNCATE") => format!("BEGIN; {first}; {second}; COMMIT"),
            1 if !second.starts_with("TRUNCATE") => format!("BEGIN; {first}; {second}; ROLLBACK"),
            _ => first,
        }
    }

    /// Changes rows until it is told to stop; what the server refuses (a key that is there) does not count.
    fn load(&self, seed: u64, truncates: bool, is_over: &AtomicBool) {
        let (mut random, mut database) = (Random(seed), self.open());
        while !is_over.load(Ordering::Relaxed) {
            if database.execute(&self.statement(&mut random, truncates)).is_err() {
                let _ = database.execute("ROLLBACK");
            }
            std::thread::sleep(Duration::from_micros(random.below(2_000)));
        }
    }

    /// The rows as the table holds them, by key; without one, how often each is there.
    fn rows(&self) -> Fold {
        let schema =
            if self.address.dialect == Dialect::Postgres { "public" } else { &self.address.database };
        let mut fold = Fold { has_key: self.form.has_key, ..Fold::default() };
        self.open()
            .scan(schema, &self.table, &mut |batch| {
                batch.rows().iter().for_each(|row| fold.take(&Change::of(batch, row)));
                Ok(())
            })
            .unwrap();
        fold
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let mut database = self.open();
        let _ = database.execute(&format!("DROP TABLE {}", self.table));
        if self.address.dialect == Dialect::Postgres {
            let _ = database.execute(&format!("DROP PUBLICATION IF EXISTS {}", self.table));
            for _ in 0..50 {
                if database.query(&format!("SELECT pg_drop_replication_slot('{}')", self.table)).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// A change as a consumer sees it.
#[derive(Debug, Clone)]
struct Change {
    position: Position,
    operation: Operation,
    key: Option<String>,
    new: String,
    old: String,
}

impl Change {
    fn of(batch: &Batch, row: &Row) -> Self {
        let print = |cells: &[crate::change::Cell]| {
            let texts: Vec<_> = cells.iter().map(|cell| String::from_utf8_lossy(batch.text(cell))).collect();
            texts.join("|")
        };
        Self {
            position: row.position,
            operation: row.operation,
            key: batch.key_texts(row).map(|key| key.join("|")),
            new: print(batch.columns(row)),
            old: print(batch.identity(row)),
        }
    }
}

/// What the changes fold to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Fold {
    has_key: bool,
    rows: BTreeMap<String, Vec<String>>,
}

impl Fold {
    fn take(&mut self, change: &Change) {
        let Change { position: place, operation, key, new, old } = change;
        let by_key = |text: &String| key.clone().unwrap_or_else(|| text.clone());
        match operation {
            Operation::Truncate => self.rows.clear(),
            Operation::Insert => self.add(by_key(new), new, *place),
            Operation::Delete => self.remove(&by_key(old), old, *place),
            Operation::Update => {
                self.remove(&by_key(old), old, *place);
                self.add(by_key(new), new, *place);
            }
        }
    }

    fn add(&mut self, key: String, row: &str, place: Position) {
        let rows = self.rows.entry(key).or_default();
        assert!(rows.is_empty() || !self.has_key, "{row} comes at {place}, and {rows:?} is there");
        rows.push(row.to_owned());
        rows.sort();
    }

    fn remove(&mut self, key: &str, old: &str, place: Position) {
        let rows =
            self.rows.get_mut(key).unwrap_or_else(|| panic!("{old} goes at {place}, and is not there"));
        let found = if self.has_key { Some(0) } else { rows.iter().position(|row| row == old) };
        rows.remove(found.unwrap_or_else(|| panic!("{old} goes at {place}, and only {rows:?} are there")));
        if rows.is_empty() {
            self.rows.remove(key);
        }
    }
}

/// What is kept of a run that is broken off: all that was there when a checkpoint was handed out.
#[derive(Clone)]
struct Kept {
    checkpoint: Checkpoint,
    fold: Fold,
    written: Position,
}

/// Reads until the snapshot is done and the load is over, breaking off every now and then.
type Follow = fn(&Bench, u64, bool, &AtomicBool);

fn check(variable: &str, form: Form, test: &str, truncates: bool, follow: Follow) {
    let address = Address::parse(&crate::live::variable(variable)).unwrap();
    let seed = 1 | u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    eprintln!("{variable} {} seed {seed}", form.name);
    let bench = Bench::new(&address, form, test);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for session in 1..=3_u64 {
            let (bench, is_over) = (&bench, &is_over);
            threads::spawn_scoped(scope, move || {
                bench.load(seed.wrapping_mul(session * 2 + 1), truncates, is_over);
            });
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            follow(&bench, seed, truncates, &is_over);
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(failed) = ended {
            std::panic::resume_unwind(failed);
        }
    });
}

/// Into files, which are cut to what a checkpoint counts.
fn follow_in_files(bench: &Bench, seed: u64, truncates: bool, is_over: &AtomicBool) {
    let mut random = Random(seed ^ 0x5555);
    let mut source = bench.source();
    let began = source.start(None).unwrap();
    let fold = Fold { has_key: bench.form.has_key, ..Fold::default() };
    let mut kept = Kept { checkpoint: began, fold, written: Position::START };
    let (mut now, mut batch, mut end) = (kept.clone(), Batch::default(), None);
    let (mut breaks, began_at, mut done_at) = (0, Instant::now(), None);
    loop {
        assert!(began_at.elapsed() < Duration::from_mins(2), "no end: {:?}", now.checkpoint);
        batch.clear();
        source.read(&mut batch, Duration::from_millis(50)).unwrap();
        for row in batch.rows() {
            if row.position > now.written {
                now.fold.take(&Change::of(&batch, row));
                now.written = row.position;
            }
        }
        if let Some(checkpoint) = batch.checkpoint.take() {
            now.checkpoint = checkpoint;
            if random.below(3) == 0 {
                kept = now.clone();
            }
        }
        let is_read = now.checkpoint.snapshot.is_none();
        if is_read && done_at.is_none() {
            done_at = Some(Instant::now());
        }
        if done_at.is_some_and(|done: Instant| done.elapsed() > Duration::from_millis(500)) && end.is_none() {
            is_over.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(200));
            end = Some(source.head().unwrap());
        }
        if end.is_some_and(|end| batch.read_to >= end) {
            break;
        }
        if !is_read && breaks < 5 && random.below(12) == 0 {
            breaks += 1;
            drop(source);
            source = bench.source();
            source.start(Some(&kept.checkpoint)).unwrap();
            source.go_on_behind(kept.written, None);
            now = kept.clone();
        }
    }
    assert!(breaks > 0 || truncates || !bench.form.has_key, "it was never broken off");
    assert_eq!(now.fold, bench.rows());
}

/// Every form of a table, into files and into a topic.
fn check_all(variable: &str) {
    for form in [INTEGER, TEXT, PAIR, WITHOUT] {
        check(variable, form, "files", false, follow_in_files);
        check(variable, form, "topic", false, follow_in_topic);
    }
}

#[test]
fn live_postgres_under_load() {
    check_all("LIST_SYNC_POSTGRES_URL");
}

#[test]
fn live_mysql_under_load() {
    check_all("LIST_SYNC_MYSQL_URL");
}

#[test]
fn live_mariadb_under_load() {
    check_all("LIST_SYNC_MARIADB_URL");
}

#[test]
fn live_tables_that_are_truncated_meanwhile() {
    for variable in ["LIST_SYNC_POSTGRES_URL", "LIST_SYNC_MYSQL_URL", "LIST_SYNC_MARIADB_URL"] {
        check(variable, INTEGER, "truncate_files", true, follow_in_files);
        check(variable, INTEGER, "truncate_topic", true, follow_in_topic);
    }
}
