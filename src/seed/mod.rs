//! The test table and its load: so many inserts, updates and deletes, interleaved in each transaction.

mod random;
mod row;
mod statements;

#[cfg(test)]
mod tests;

use std::thread;
use std::time::{Duration, Instant};

use crate::control::Control;
use crate::metrics::SourceFigures;
use crate::source::{Address, Database, Dialect};
use crate::{Code, Error, Result};
use random::Random;
use statements::TestTable;

/// Each transaction goes through inserts, updates and deletes so many times, so that the three stand mixed in
/// the log.
const ROUNDS: u64 = 2;
/// Ids that one query asks for: a few megabytes of answer.
const IDS_A_QUERY: usize = 100_000;
/// The longest sleep between two looks at the stop flag.
const NAP: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Load {
    /// `name` or `schema.name`.
    pub table: String,
    /// Changes altogether.
    pub rows: u64,
    /// Changes a transaction.
    pub batch: u64,
    /// Changes a second; `None`: as fast as the database goes.
    pub rate: Option<u64>,
    /// Parts of inserts, updates and deletes.
    pub mix: Mix,
    /// The same number gives the same values.
    pub random_seed: u64,
}

/// Parts of inserts, updates and deletes in a load, as in `50,25,25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Parts of inserts.
    pub inserts: u32,
    /// Parts of updates.
    pub updates: u32,
    /// Parts of deletes.
    pub deletes: u32,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

impl Counts {
    fn sum(self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    fn minus(self, other: Self) -> Self {
        let (inserted, updated) = (self.inserted - other.inserted, self.updated - other.updated);
        Self { inserted, updated, deleted: self.deleted - other.deleted }
    }
}

impl Mix {
    /// Reads `50,25,25`. The error completes "…: ".
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let parts: Option<Vec<u32>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        match parts.as_deref() {
            Some(&[inserts, updates, deletes])
                if [inserts, updates, deletes].iter().any(|part| *part > 0) =>
            {
                Ok(Self { inserts, updates, deletes })
            }
            _ => Err("expected parts of inserts, updates and deletes, such as 50,25,25".to_owned()),
        }
    }

    /// What the first `rows` changes of a load are: exact at its end, and never off by more than one change
    /// of a kind on the way.
    fn of(self, rows: u64) -> Counts {
        let whole = u128::from(self.inserts) + u128::from(self.updates) + u128::from(self.deletes);
        let share = |parts: u128| (u128::from(rows) * parts / whole.max(1)) as u64;
        let deleted = share(u128::from(self.deletes));
        let updated = share(u128::from(self.updates) + u128::from(self.deletes)) - deleted;
        Counts { inserted: rows - updated - deleted, updated, deleted }
    }
}

/// Makes the table if it is missing and runs the load; a request to stop ends it after the current
/// transaction.
pub fn seed(
    database: &mut dyn Database,
    address: &Address,
    load: &Load,
    control: &Control,
    figures: &SourceFigures,
) -> Result<Counts> {
    let table = test_table(&load.table, address);
    for statement in table.session() {
        database.execute(statement)?;
    }
    create_if_missing(database, &table)?;
    let ids = existing_ids(database, &table)?;
    enough_rows(load, ids.len() as u64)?;
    let next_id = ids.last().map_or(1, |last| last + 1);
    let random = Random::new(load.random_seed);
    Loader { database, table, ids, next_id, random }.run(load, control, figures)
}

fn test_table(written: &str, address: &Address) -> TestTable {
    let default_schema = if address.dialect == Dialect::Postgres { "public" } else { &address.database };
    let (schema, name) = written.split_once('.').unwrap_or((default_schema, written));
    TestTable { dialect: address.dialect, schema: schema.to_owned(), name: name.to_owned() }
}

fn create_if_missing(database: &mut dyn Database, table: &TestTable) -> Result<()> {
    let found = database.query(&table.exists())?;
    if found.iter().flatten().flatten().all(|count| count == "0") {
        for statement in table.create() {
            database.execute(&statement)?;
        }
    }
    Ok(())
}

fn existing_ids(database: &mut dyn Database, table: &TestTable) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    loop {
        let page = database.query(&table.ids(ids.last().copied(), IDS_A_QUERY))?;
        let page: Vec<i64> = page.iter().flatten().flatten().filter_map(|id| id.parse().ok()).collect();
        ids.extend_from_slice(&page);
        if page.len() < IDS_A_QUERY {
            return Ok(ids);
        }
    }
}

/// Refuses a load that would run out of rows to update or delete, before it begins.
fn enough_rows(load: &Load, mut rows: u64) -> Result<()> {
    let mut done = Counts::default();
    for end in steps(load) {
        let step = load.mix.of(end).minus(done);
        rows += step.inserted;
        if rows < step.updated.max(step.deleted) {
            let fact = format!("table {:?} has too few rows for this mix", load.table);
            return Err(Error::usage(Code::ArgumentInvalid, fact)
                .hint("insert some first: list_sync seed --mix 100,0,0"));
        }
        rows -= step.deleted;
        done = load.mix.of(end);
    }
    Ok(())
}

/// The ends of the rounds, in changes since the start.
fn steps(load: &Load) -> impl Iterator<Item = u64> {
    let (rows, batch) = (load.rows, load.batch.max(1));
    let transactions =
        (0..rows.div_ceil(batch)).map(move |number| (number * batch, ((number + 1) * batch).min(rows)));
    transactions
        .flat_map(|(begin, end)| (1..=ROUNDS).map(move |round| begin + (end - begin) * round / ROUNDS))
}

struct Loader<'a> {
    database: &'a mut dyn Database,
    table: TestTable,
    ids: Vec<i64>,
    next_id: i64,
    random: Random,
}

impl Loader<'_> {
    fn run(mut self, load: &Load, control: &Control, figures: &SourceFigures) -> Result<Counts> {
        let started = Instant::now();
        let (mut planned, mut counted) = (Counts::default(), Counts::default());
        let ends: Vec<u64> = steps(load).collect();
        for transaction in ends.chunks(ROUNDS as usize) {
            if control.is_stopping() {
                break;
            }
            self.database.execute("BEGIN")?;
            for end in transaction {
                let target = load.mix.of(*end);
                self.round(target.minus(planned), &mut counted)?;
                planned = target;
            }
            self.database.execute("COMMIT")?;
            figures.rows.inc_by(planned.sum() - figures.rows.get());
            wait_for_rate(load.rate, planned.sum(), started, control);
        }
        if counted != planned {
            tracing::warn!(
                "table {:?} was changed by others during the load: some updates or deletes found no row",
                self.table.name
            );
        }
        Ok(counted)
    }

    fn round(&mut self, step: Counts, counted: &mut Counts) -> Result<()> {
        if step.inserted > 0 {
            let ids = self.next_id..self.next_id + step.inserted as i64;
            counted.inserted += self.database.execute(&self.table.insert(ids.clone(), &mut self.random))?;
            self.next_id = ids.end;
            self.ids.extend(ids);
        }
        if step.updated > 0 {
            let begin = self.draw(step.updated);
            counted.updated +=
                self.database.execute(&self.table.update(&self.ids[begin..], &mut self.random))?;
        }
        if step.deleted > 0 {
            let begin = self.draw(step.deleted);
            counted.deleted += self.database.execute(&self.table.delete(&self.ids[begin..]))?;
            self.ids.truncate(begin);
        }
        Ok(())
    }

    /// Chooses rows: they stand at the end of `ids`, in order, which spares the server's cache.
    fn draw(&mut self, count: u64) -> usize {
        let begin = self.random.draw(&mut self.ids, count as usize);
        self.ids[begin..].sort_unstable();
        begin
    }
}

fn wait_for_rate(rate: Option<u64>, rows: u64, started: Instant, control: &Control) {
    let Some(rate) = rate else { return };
    let due = started + Duration::from_secs_f64(rows as f64 / rate.max(1) as f64);
    while !control.is_stopping() {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(NAP));
    }
}
