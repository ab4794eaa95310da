//! What the files of one table say that the table holds now: inserts minus deletes.
//!
//! ```no_run
//! use std::path::Path;
//! use list_sync::sink::csv::{Field, Fold, UNCHANGED};
//!
//! let mut fold = Fold::read_table(Path::new("out/test"), "test", &["id".to_owned()], UNCHANGED)?;
//! for problem in fold.problems() {
//!     println!("{problem}");
//! }
//! // for each row of the table:
//! if let Some(candidates) = fold.take(&[Some(b"7")]) {
//!     let same = candidates.iter().any(|row| row.value("domain") == Field::Text(b"a.it"));
//! }
//! println!("{} rows are in the files only", fold.remaining().count());
//! # Ok::<(), list_sync::Error>(())
//! ```
//!
//! The rules:
//! - A *chain* is the files of one writer id, in the order of their generations. Where a generation begins
//!   with a truncate, all that the chain held before is gone. Files with a `position` column tell more:
//!   nothing from before the newest truncate of any chain counts. (Without positions, a truncate says nothing
//!   about the other chains: if a partition went from one writer to another round a truncate, only positions
//!   tell.)
//! - Per key, inserts minus deletes over all files is 0 or 1, anything else is a problem. A key column that
//!   is NULL or not in a file is one too.
//! - If it is 1, the row is the last insert of the key. With positions that is the greatest one. Without,
//!   each chain has a last insert, and which of them is the newest is not to be told: all are candidates, and
//!   the table's row must be one of them.
//! - A field that holds the placeholder, or has no column in its file, has the value of the key's insert
//!   before: with positions that of any chain, without them the one of the same chain.
//! - A table without a key: the whole row is the key, and it may be there more than once. Of a row that was
//!   written before a column was added or dropped, only the columns that the table has now count, and one
//!   that it lacks is NULL.

use std::collections::HashMap;
use std::path::Path;

use super::packed::{FoldRow, Shapes, Stored, Told, complete, key_of, pack, spell};
use super::read::{Action, FileRow, Reader};
use crate::Result;
use crate::change::Position;
use crate::sink::csv::list;
use crate::sink::files::Part;

/// Problems that are described; the others are counted.
const PROBLEMS_MAX: usize = 20;

/// The rows that the files fold to.
#[derive(Debug, Default)]
pub struct Fold {
    entries: HashMap<Box<[u8]>, Entry>,
    shapes: Shapes,
    problems: Vec<String>,
    problem_count: u64,
    without_key: bool,
    files: usize,
}

#[derive(Debug, Default)]
struct Entry {
    /// Inserts minus deletes.
    count: i64,
    /// Without positions the last insert of each chain. With them the newest insert first, and behind it
    /// older ones as long as they tell a field that none before them tells.
    rows: Vec<Stored>,
}

impl Fold {
    /// Reads all files of the stem `PATH`, of all ids and generations; for a path that several tables share
    /// see [`Fold::read_table`].
    ///
    /// `key`: names of the key columns, empty for a table without; `unchanged`: the placeholder the files
    /// were written with.
    pub fn read(stem: &Path, key: &[String], unchanged: &str) -> Result<Self> {
        Self::build(stem, None, key, key.is_empty(), unchanged)
    }

    /// As [`Fold::read`], but only the rows of the table of this name (without schema).
    pub fn read_table(stem: &Path, table: &str, key: &[String], unchanged: &str) -> Result<Self> {
        Self::build(stem, Some(table), key, key.is_empty(), unchanged)
    }

    /// As [`Fold::read_table`] for a table without a key that has these columns now: `take` gets the values
    /// of all of them.
    pub fn read_without_key(stem: &Path, table: &str, columns: &[String], unchanged: &str) -> Result<Self> {
        Self::build(stem, Some(table), columns, true, unchanged)
    }

    /// How many files were found.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Rows that were not taken yet.
    pub fn len(&self) -> usize {
        self.entries.values().map(|entry| usize::try_from(entry.count).unwrap_or(0)).sum()
    }

    /// Whether no row is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is wrong with the files themselves, the first ones in words; keys are named, other values not.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let more = self.problem_count - self.problems.len() as u64;
        let rest = (more > 0).then(|| format!("{more} more of these"));
        self.problems.iter().cloned().chain(rest)
    }

    /// Takes the row with this key out (values in the order of the key's columns; for a table without a key
    /// all columns'). More than one candidate: the row is one of them.
    pub fn take(&mut self, key: &[Option<&[u8]>]) -> Option<Vec<FoldRow>> {
        let key = key_of(key.iter().copied());
        let entry = self.entries.get_mut(&key[..])?;
        if entry.count < 1 {
            return None;
        }
        entry.count -= 1;
        let rows = entry.rows.iter().map(|row| self.shapes.show(row)).collect();
        if entry.count == 0 {
            self.entries.remove(&key[..]);
        }
        Some(rows)
    }

    /// The rows that were not taken: the candidates of each.
    pub fn remaining(&self) -> impl Iterator<Item = Vec<FoldRow>> {
        let left = self.entries.values().filter(|entry| entry.count > 0);
        left.map(|entry| entry.rows.iter().map(|row| self.shapes.show(row)).collect())
    }

    fn build(stem: &Path, table: Option<&str>, key: &[String], whole: bool, unchanged: &str) -> Result<Self> {
        let parts = list(stem)?;
        let firsts = first_truncates(&parts, table)?;
        let newest = firsts.iter().flatten().max().copied();
        let mut fold = Self { without_key: whole, files: parts.len(), ..Self::default() };
        let mut chains: Vec<&str> = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            if chains.last() != Some(&part.id.as_str()) {
                chains.push(&part.id);
            }
            let truncated_later = |(later, first): (&Part, &Option<Position>)| {
                later.id == part.id && later.number > part.number && first.is_some()
            };
            if parts.iter().zip(&firsts).skip(place).any(truncated_later) {
                continue;
            }
            let input = Input {
                table,
                key,
                whole,
                unchanged,
                chain: chains.len() as u32 - 1,
                newest_truncate: newest,
            };
            fold.read_file(&part.path, &input)?;
        }
        fold.settle();
        Ok(fold)
    }

    fn read_file(&mut self, path: &Path, input: &Input) -> Result<()> {
        let Some(mut reader) = Reader::open(path)? else { return Ok(()) };
        let names = reader.columns().to_vec();
        let mut shape = None;
        while let Some(row) = reader.next_row()? {
            if input.table.is_some_and(|table| table.as_bytes() != row.table) {
                continue;
            }
            if shape.is_none() {
                shape = Some(self.file_shape(&names, &row, input));
            }
            let Some(shape) = &shape else { continue };
            let position =
                shape.positioned.then(|| row.value(shape.width).and_then(Position::from_digits)).flatten();
            if matches!(row.action, Action::Truncate(_))
                || position.is_some_and(|position| Some(position) < input.newest_truncate)
            {
                continue;
            }
            if let Some(lacking) = shape.lacking(input) {
                self.problem(|| lacks_key(path, lacking));
                return Ok(());
            }
            let Some(key) = shape.key(&row) else {
                self.problem(|| format!("a row of file \"{}\" has no value in a key column", path.display()));
                continue;
            };
            self.count(&row, key, shape, position, input);
        }
        Ok(())
    }

    fn file_shape(&mut self, names: &[String], row: &FileRow, input: &Input) -> FileShape {
        let last = names.len().wrapping_sub(1);
        let positioned = names.last().is_some_and(|name| name == "position")
            && row.value(last).and_then(Position::from_digits).is_some();
        let width = names.len() - usize::from(positioned);
        let columns = &names[..width];
        let place = |name: &String| columns.iter().position(|column| column == name);
        let key = if input.key.is_empty() {
            (0..width).map(Some).collect()
        } else {
            input.key.iter().map(place).collect()
        };
        FileShape { shape: self.shapes.index(columns), width, positioned, key, whole: input.whole }
    }

    fn count(
        &mut self,
        row: &FileRow,
        key: Box<[u8]>,
        shape: &FileShape,
        position: Option<Position>,
        input: &Input,
    ) {
        let Self { entries, shapes, .. } = self;
        let entry = entries.entry(key).or_default();
        if row.action == Action::Delete {
            entry.count -= 1;
            return;
        }
        entry.count += 1;
        let mut stored = Stored {
            chain: input.chain,
            shape: shape.shape,
            position,
            fields: pack(row, shape.width, input.unchanged),
        };
        if position.is_some() {
            entry.place(stored, shapes);
            return;
        }
        let is_before = |previous: &&mut Stored| previous.chain == input.chain && previous.position.is_none();
        let Some(previous) = entry.rows.iter_mut().find(is_before) else {
            entry.rows.push(stored);
            return;
        };
        complete(&mut stored, previous, shapes);
        *previous = stored;
    }

    /// Looks at the counts and keeps the rows that are there.
    fn settle(&mut self) {
        let without_key = self.without_key;
        let wrong: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.count < 0 || entry.count > 1 && !without_key)
            .collect();
        let words: Vec<_> = wrong
            .iter()
            .take(PROBLEMS_MAX)
            .map(|(key, entry)| format!("{} times inserted but not deleted: key {}", entry.count, spell(key)))
            .collect();
        self.problem_count += wrong.len() as u64;
        self.problems.extend(words);
        self.problems.truncate(PROBLEMS_MAX);
        self.entries.retain(|_, entry| entry.count > 0);
        for entry in self.entries.values_mut() {
            entry.join(&mut self.shapes);
            entry.rows.shrink_to_fit();
        }
    }

    fn problem(&mut self, words: impl FnOnce() -> String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(words());
        }
    }
}

impl Entry {
    /// Puts an insert that has a position among the others. Those that nobody needs any more go: each field
    /// is told by a newer one.
    fn place(&mut self, row: Stored, shapes: &Shapes) {
        let place =
            self.rows.iter().position(|other| other.position < row.position).unwrap_or(self.rows.len());
        self.rows.insert(place, row);
        let positioned = self.rows.iter().take_while(|row| row.position.is_some()).count();
        let mut told = Told::default();
        let mut place = 0;
        self.rows.retain(|row| {
            place += 1;
            place > positioned || told.adds(row, shapes)
        });
    }

    /// Makes one row of those with positions.
    fn join(&mut self, shapes: &mut Shapes) {
        let positioned = self.rows.iter().take_while(|row| row.position.is_some()).count();
        let mut older = self.rows.drain(..positioned);
        let Some(mut newest) = older.next() else { return };
        older.for_each(|row| complete(&mut newest, &row, shapes));
        self.rows.insert(0, newest);
    }
}

/// What holds for all rows of one file that are read.
struct Input<'a> {
    table: Option<&'a str>,
    key: &'a [String],
    /// There is no key: `key` are all columns, or none if those of each file count.
    whole: bool,
    unchanged: &'a str,
    chain: u32,
    newest_truncate: Option<Position>,
}

struct FileShape {
    shape: u32,
    /// Columns without `position`.
    width: usize,
    positioned: bool,
    key: Vec<Option<usize>>,
    /// The whole row is the key.
    whole: bool,
}

impl FileShape {
    /// The first column of the key that the file does not have.
    fn lacking<'a>(&self, input: &Input<'a>) -> Option<&'a str> {
        let lacks = input.key.iter().zip(&self.key).find(|(_, place)| place.is_none() && !self.whole);
        lacks.map(|(name, _)| name.as_str())
    }

    /// The key of a row; `None` if it has none.
    fn key(&self, row: &FileRow) -> Option<Box<[u8]>> {
        let complete =
            |place: &Option<usize>| self.whole || place.is_some_and(|place| row.value(place).is_some());
        if !self.key.iter().all(complete) {
            return None;
        }
        Some(key_of(self.key.iter().map(|place| place.and_then(|place| row.value(place)))))
    }
}

fn lacks_key(path: &Path, column: &str) -> String {
    format!(
        "file \"{}\" has no column {column:?}, which is in the table's key now: the key was changed, or its \
         column renamed, after the file was \
         begun, and its rows cannot be compared",
        path.display()
    )
}

/// The truncate that each file begins with.
fn first_truncates(parts: &[Part], table: Option<&str>) -> Result<Vec<Option<Position>>> {
    let first = |part: &Part| {
        let Some(mut reader) = Reader::open(&part.path)? else { return Ok(None) };
        let Some(row) = reader.next_row()? else { return Ok(None) };
        Ok(match row.action {
            Action::Truncate(position) if table.is_none_or(|table| table.as_bytes() == row.table) => {
                Some(position)
            }
            _ => None,
        })
    };
    parts.iter().map(first).collect()
}
