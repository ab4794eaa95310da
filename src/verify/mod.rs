//! The proof that files fold to what a table holds: each row of the table is looked up in the folded files,
//! and what is left over is extra. A table that could not be read is no proof: it is told with the reason,
//! and counts as a failure.

mod difference;
mod key;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::change::{Batch, CellKind, Row, Table};
use crate::config::{Sink, Source};
use crate::error::ErrorKind;
use crate::glob::is_pattern;
use crate::sink::csv::{Field, Fold, FoldRow};
use crate::sink::{Folded, files};
use crate::source::{Database, Dialect};
use crate::{Code, Error, Result};
use key::{columns, primary_key};

/// What the files of a table fold to, by the sink that wrote them.
type FoldFn = fn(&Folded<'_>) -> Result<Fold>;

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
    /// Without a key: all columns.
    pub columns: Vec<String>,
    /// Why nothing was compared.
    pub not_compared: Option<String>,
    /// Rows that the table holds.
    pub rows: u64,
    /// Rows of the table that the files lack.
    pub missing: Found,
    /// Rows of the files that the table lacks.
    pub extra: Found,
    /// Rows of which a value differs.
    pub different: Found,
    /// Of the first of those: the column, and both values.
    pub differences: Vec<String>,
    /// What is wrong with the files themselves.
    pub problems: Vec<String>,
}

/// Rows of one class: how many, and the keys of the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// At most [`KEYS_TOLD`] keys: one column's text, or several in parentheses. None of a table without a
    /// key, since its rows are no one's to print.
    pub keys: Vec<String>,
}

impl Found {
    fn add<'a>(&mut self, key: impl ExactSizeIterator<Item = Option<&'a [u8]>>) {
        self.count += 1;
        if self.keys.len() >= KEYS_TOLD || key.len() == 0 {
            return;
        }
        let texts: Vec<_> = key.map(|value| value.map_or("NULL".into(), String::from_utf8_lossy)).collect();
        self.keys.push(if let [only] = &texts[..] {
            only.to_string()
        } else {
            format!("({})", texts.join(", "))
        });
    }
}

impl Proof {
    /// Whether the files are the table.
    pub fn is_equal(&self) -> bool {
        self.not_compared.is_none()
            && self.problems.is_empty()
            && [&self.missing, &self.extra, &self.different].iter().all(|found| found.count == 0)
    }
}

/// Proves each table of the source that the sink writes.
pub fn verify(database: &mut dyn Database, source: &Source, sink: &Sink) -> Result<Vec<Proof>> {
    let Some(fold) = sink.kind.fold else {
        return Err(Error::usage(
            Code::NothingToDo,
            format!("sink {:?} writes no files that can be read back", sink.name),
        )
        .hint("choose another with --sink"));
    };
    let found = database.tables(&source.tables)?;
    let mut proofs = unseen(source, &found);
    for (schema, name) in found {
        let topic = source.topic.of(&schema, &name);
        if sink.takes(&topic) {
            proofs.push(prove_table(database, (source, sink), fold, &topic, (schema, name))?);
        }
    }
    Ok(proofs)
}

/// What the patterns name and the database does not show. MySQL and MariaDB hide tables that a user may not
/// read.
fn unseen(source: &Source, found: &[(String, String)]) -> Vec<Proof> {
    let is_hidden_silently = source.address.dialect != Dialect::Postgres;
    let unmatched =
        source.tables.unmatched(found.iter().map(|(schema, name)| (schema.as_str(), name.as_str())));
    let unmatched = unmatched.into_iter().filter(|pattern| is_hidden_silently || !is_pattern(pattern));
    let proof = |pattern: &str| {
        let reason = format!("no such table is there, or user {:?} may not see it", source.address.user);
        Proof { table: pattern.to_owned(), not_compared: Some(reason), ..Proof::default() }
    };
    unmatched.map(proof).collect()
}

fn prove_table(
    database: &mut dyn Database,
    (source, sink): (&Source, &Sink),
    fold: FoldFn,
    topic: &str,
    (schema, name): (String, String),
) -> Result<Proof> {
    let stem = files::stem(
        &sink.path,
        topic,
        &Table { schema: schema.clone(), name: name.clone(), ..Table::default() },
    )?;
    let asked = Proof { schema, table: name, ..Proof::default() };
    let dialect = source.address.dialect;
    let mut compare = || {
        let key = primary_key(database, dialect, &asked.schema, &asked.table)?;
        let columns = if key.is_empty() {
            columns(database, dialect, &asked.schema, &asked.table)?
        } else {
            Vec::new()
        };
        prove(database, Proof { key, columns, ..asked.clone() }, &stem, &sink.unchanged, fold)
    };
    match compare() {
        // The other tables may well be compared.
        Err(error) if error.kind() == ErrorKind::Stop => {
            let hint = error.hint_text().map_or_else(String::new, |hint| format!(" ({hint})"));
            Ok(Proof { not_compared: Some(format!("{error}{hint}")), ..asked.clone() })
        }
        proof => proof,
    }
}

/// Fills in what was found. The files are read first: what they hold by then, a table that stands still holds
/// as well.
fn prove(
    database: &mut dyn Database,
    mut proof: Proof,
    stem: &Path,
    unchanged: &str,
    fold: FoldFn,
) -> Result<Proof> {
    let has_key = !proof.key.is_empty();
    let columns = if has_key { &proof.key } else { &proof.columns };
    let mut files = fold(&Folded { stem, table: &proof.table, columns, has_key, unchanged })?;
    proof.problems = files.problems().collect();
    let (schema, table) = (proof.schema.clone(), proof.table.clone());
    database.scan(&schema, &table, &mut |batch| {
        batch.rows().iter().try_for_each(|row| look_up(&mut proof, &mut files, batch, row))
    })?;
    for row in files.remaining() {
        let text = |column: &String| match row.first().map(|row| row.value(column)) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        };
        proof.extra.add(proof.key.iter().map(text));
    }
    if files.files() == 0 && proof.rows > 0 {
        proof.problems.push(format!(
            "no file \"{}….csv\" is there: was the table renamed since (its rows then lie under the old \
             name), or is the folder another one?",
            stem.display()
        ));
    }
    Ok(proof)
}

fn look_up(proof: &mut Proof, files: &mut Fold, batch: &Batch, row: &Row) -> Result<()> {
    let places = places(batch, row, proof)?;
    let cells = batch.columns(row);
    let value = |place: &Option<usize>| {
        let cell = place.and_then(|place| cells.get(place));
        cell.filter(|cell| cell.kind != CellKind::Null).map(|cell| batch.text(cell))
    };
    let key: Vec<_> = places.iter().map(value).collect();
    proof.rows += 1;
    let told = key.iter().copied().take(proof.key.len());
    match files.take(&key) {
        None => proof.missing.add(told),
        Some(candidates) if !candidates.iter().any(|candidate| is_same(batch, row, candidate)) => {
            proof.different.add(told);
            if let (true, Some(key), Some(candidate)) =
                (proof.differences.len() < KEYS_TOLD, proof.different.keys.last(), candidates.first())
            {
                proof.differences.push(difference::describe(key, batch, row, candidate));
            }
        }
        Some(_) => {}
    }
    Ok(())
}

/// Where the key's columns stand in a row; all columns without a key.
fn places(batch: &Batch, row: &Row, proof: &Proof) -> Result<Vec<Option<usize>>> {
    let table = batch.table(row);
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    if proof.key.is_empty() {
        return Ok(proof.columns.iter().map(place).collect());
    }
    let places: Vec<_> = proof.key.iter().map(place).collect();
    if places.iter().all(Option::is_some) {
        return Ok(places);
    }
    Err(Error::stop(
        Code::KeyMissing,
        format!("the rows of table {:?} have no column of its key", table.name),
    )
    .hint("its key was changed while it was compared: run it again"))
}

/// Whether each column of the table has the same value in the files; a column that was dropped since is in
/// the files alone, and one that was added since is NULL in the rows that were there.
fn is_same(batch: &Batch, row: &Row, candidate: &FoldRow) -> bool {
    difference::first(batch, row, candidate).is_none()
}
