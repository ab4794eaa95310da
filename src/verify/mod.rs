//! The proof that files fold to what a table holds: each row of the table is looked up in the folded files, and what is left over is extra.

mod key;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::change::{Batch, Kind, Row, Table};
use crate::config::{FileKind, Sink, Source};
use crate::sink::csv::{self, Field, Fold, FoldRow};
use crate::source::Database;
use crate::{Error, Result};
use key::primary_key;

/// Keys that are kept of each class, for the message; all are counted.
pub const KEYS_TOLD: usize = 10;

/// What the comparison of one table found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Schema.
    pub schema: String,
    /// Name.
    pub table: String,
    /// The columns of the primary key; without one whole rows are compared, each as often as it is there.
    pub key: Vec<String>,
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
}

/// Rows of one class: how many, and the keys of the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// At most [`KEYS_TOLD`] keys: one column's text, or several in parentheses. None of a table without a key, since its rows are no one's
    /// to print.
    pub keys: Vec<String>,
}

impl Found {
    fn add<'a>(&mut self, key: impl ExactSizeIterator<Item = Option<&'a [u8]>>) {
        self.count += 1;
        if self.keys.len() >= KEYS_TOLD || key.len() == 0 {
            return;
        }
        let texts: Vec<_> = key.map(|value| value.map_or("NULL".into(), String::from_utf8_lossy)).collect();
        self.keys.push(if let [only] = &texts[..] { only.to_string() } else { format!("({})", texts.join(", ")) });
    }
}

impl Proof {
    /// Whether the files are the table.
    pub fn is_equal(&self) -> bool {
        self.problems.is_empty() && [&self.missing, &self.extra, &self.different].iter().all(|found| found.count == 0)
    }
}

/// Proves each table of the source that the sink writes.
pub fn verify(database: &mut dyn Database, source: &Source, sink: &Sink) -> Result<Vec<Proof>> {
    if sink.kind != FileKind::Csv {
        return Err(Error::usage(format!("sink {:?} writes no CSV files", sink.name)).hint("choose another with --sink"));
    }
    let mut proofs = Vec::new();
    for (schema, name) in database.tables(&source.tables)? {
        let topic = source.topic.of(&schema, &name);
        if sink.takes(&topic) {
            let key = primary_key(database, source.address.dialect, &schema, &name)?;
            let stem = csv::stem(&sink.path, &topic, &Table { schema: schema.clone(), name: name.clone(), ..Table::default() })?;
            let proof = Proof { schema, table: name, key, ..Proof::default() };
            proofs.push(prove(database, proof, &stem, &sink.unchanged)?);
        }
    }
    Ok(proofs)
}

/// Fills in what was found. The files are read first: what they hold by then, a table that stands still holds as well.
fn prove(database: &mut dyn Database, mut proof: Proof, stem: &Path, unchanged: &str) -> Result<Proof> {
    let mut files = Fold::read_table(stem, &proof.table, &proof.key, unchanged)?;
    proof.problems = files.problems().collect();
    let (schema, table) = (proof.schema.clone(), proof.table.clone());
    database.scan(&schema, &table, &mut |batch| batch.rows().iter().try_for_each(|row| look_up(&mut proof, &mut files, batch, row)))?;
    for row in files.remaining() {
        let text = |column: &String| match row.first().map(|row| row.value(column)) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        };
        proof.extra.add(proof.key.iter().map(text));
    }
    Ok(proof)
}

fn look_up(proof: &mut Proof, files: &mut Fold, batch: &Batch, row: &Row) -> Result<()> {
    let places = places(batch, row, &proof.key)?;
    let cells = batch.columns(row);
    let value = |place: &usize| cells.get(*place).filter(|cell| cell.kind != Kind::Null).map(|cell| batch.text(cell));
    let key: Vec<_> = places.iter().map(value).collect();
    proof.rows += 1;
    let told = key.iter().copied().take(proof.key.len());
    match files.take(&key) {
        None => proof.missing.add(told),
        Some(candidates) if !candidates.iter().any(|candidate| is_same(batch, row, candidate)) => proof.different.add(told),
        Some(_) => {}
    }
    Ok(())
}

/// Where the key's columns stand in a row; all columns without a key.
fn places(batch: &Batch, row: &Row, key: &[String]) -> Result<Vec<usize>> {
    let table = batch.table(row);
    if key.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    let places: Option<Vec<_>> = key.iter().map(place).collect();
    places.ok_or_else(|| Error::stop(format!("the key of table {:?} changed during the comparison", table.name)).hint("run it again"))
}

/// Whether each column of the table has the same value in the files; a column that was dropped since is in the files alone, and one that was
/// added since is NULL in the rows that were there.
fn is_same(batch: &Batch, row: &Row, candidate: &FoldRow) -> bool {
    batch.table(row).columns.iter().zip(batch.columns(row)).all(|(column, cell)| {
        let expected = if cell.kind == Kind::Null { Field::Null } else { Field::Text(batch.text(cell)) };
        let was_added = cell.kind == Kind::Null && !candidate.columns().contains(&column.name);
        was_added || candidate.value(&column.name) == expected
    })
}
