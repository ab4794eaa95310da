//! The proof that files fold to what a table holds: each row of the table is looked up in the folded files, and what is left over is extra.

mod key;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::change::{Batch, Kind, Row};
use crate::config::{FileKind, Sink, Source, topic_matches};
use crate::source::Database;
use crate::{Error, Result};
use key::primary_key;

/// Keys that are kept of each class, for the message; all are counted.
pub const KEYS_TOLD: usize = 10;

/// What the comparison of one table found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Schema and name.
    pub table: (String, String),
    /// Rows that the table holds.
    pub rows: u64,
    /// Rows of the table that the files lack.
    pub missing: Found,
    /// Rows of the files that the table lacks.
    pub extra: Found,
    /// Rows of which a value differs.
    pub different: Found,
    /// What is wrong with the files themselves.
    pub problems: Vec<String>,
    /// Without a primary key nothing is compared.
    pub keyless: bool,
}

/// Rows of one class: how many, and the keys of the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// At most [`KEYS_TOLD`] keys: one column's text, or several in parentheses.
    pub keys: Vec<String>,
}

impl Found {
    fn add(&mut self, key: &[Vec<u8>]) {
        self.count += 1;
        if self.keys.len() < KEYS_TOLD {
            let texts: Vec<_> = key.iter().map(|value| String::from_utf8_lossy(value)).collect();
            self.keys.push(if let [only] = &texts[..] { only.to_string() } else { format!("({})", texts.join(", ")) });
        }
    }
}

impl Proof {
    /// Whether the files are the table.
    pub fn is_equal(&self) -> bool {
        !self.keyless && self.problems.is_empty() && [&self.missing, &self.extra, &self.different].iter().all(|found| found.count == 0)
    }
}

/// Proves each table of the source that the sink writes.
pub fn verify(database: &mut dyn Database, source: &Source, sink: &Sink) -> Result<Vec<Proof>> {
    if sink.kind != FileKind::Csv {
        return Err(Error::usage(format!("sink {:?} writes no CSV files", sink.name)).hint("choose another with --sink"));
    }
    let mut proofs = Vec::new();
    for (schema, table) in database.tables(&source.tables)? {
        let topic = source.topic.of(&schema, &table);
        if sink.topics.iter().any(|pattern| topic_matches(pattern, &topic)) {
            proofs.push(prove(database, source, sink, (schema, table))?);
        }
    }
    Ok(proofs)
}

fn prove(database: &mut dyn Database, source: &Source, sink: &Sink, table: (String, String)) -> Result<Proof> {
    let key = primary_key(database, source.address.dialect, &table.0, &table.1)?;
    if key.is_empty() {
        return Ok(Proof { table, keyless: true, ..Proof::default() });
    }
    let _ = (source, sink);
    compare(database, table, &key, &mut BTreeMap::new())
}

/// The values of the key's columns, in the key's order.
type Key = Vec<Vec<u8>>;
/// Column name -> value, `None` for NULL.
type Values = BTreeMap<String, Option<Vec<u8>>>;

/// Rows folded out of files, by key.
trait Folded {
    /// Takes the row with this key out.
    fn take(&mut self, key: &[Vec<u8>]) -> Option<Values>;

    /// The keys that nobody took.
    fn remaining(&self) -> Vec<Key>;

    /// What is wrong with the files.
    fn problems(&self) -> Vec<String>;
}

fn compare(database: &mut dyn Database, table: (String, String), key: &[String], files: &mut dyn Folded) -> Result<Proof> {
    let mut proof = Proof { problems: files.problems(), ..Proof::default() };
    database.scan(&table.0, &table.1, &mut |batch| {
        for row in batch.rows() {
            let key = key_of(batch, row, key)?;
            proof.rows += 1;
            match files.take(&key) {
                None => proof.missing.add(&key),
                Some(found) if !is_same(batch, row, &found) => proof.different.add(&key),
                Some(_) => {}
            }
        }
        Ok(())
    })?;
    for key in files.remaining() {
        proof.extra.add(&key);
    }
    proof.table = table;
    Ok(proof)
}

fn key_of(batch: &Batch, row: &Row, key: &[String]) -> Result<Key> {
    let (columns, cells) = (&batch.table(row).columns, batch.columns(row));
    let value = |name: &String| {
        let place = columns.iter().position(|column| column.name == *name)?;
        cells.get(place).map(|cell| batch.text(cell).to_vec())
    };
    let values: Option<Vec<_>> = key.iter().map(value).collect();
    values.ok_or_else(|| {
        Error::stop(format!("the key of table {:?} changed during the comparison", batch.table(row).name)).hint("run it again")
    })
}

/// Whether each column of the table has the same value in the files; a column that has since been dropped is in the files alone.
fn is_same(batch: &Batch, row: &Row, found: &Values) -> bool {
    batch.table(row).columns.iter().zip(batch.columns(row)).all(|(column, cell)| {
        let expected = (cell.kind != Kind::Null).then(|| batch.text(cell));
        found.get(&column.name).is_some_and(|value| value.as_deref() == expected)
    })
}

impl Folded for BTreeMap<Key, Values> {
    fn take(&mut self, key: &[Vec<u8>]) -> Option<Values> {
        self.remove(key)
    }

    fn remaining(&self) -> Vec<Key> {
        self.keys().cloned().collect()
    }

    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
