//! CSV files: rolling, one row a change, exactly once whatever crashes.
//!
//! What stands in them (the fold of `fold.rs` reads it so):
//! - `PATH[_ID]_insert.csv` and `PATH[_ID]_delete.csv`, or one `PATH[_ID].csv`; the next generations end in
//!   `.0002.csv`, `.0003.csv`, …
//! - The header is `action,table,<columns>`, with `position` at the end if asked for. `I` is a new row, `D`
//!   an old one; an update is both.
//! - `T@<position>,<table>` with empty fields is a truncate: the first row of its generation, in both files;
//!   it empties all generations before. The position is in it so that the truncate that another partition
//!   brings later, even after a restart, is known to be the same.
//! - A value that the database did not send and the old row does not hold is written as the placeholder
//!   `unchanged`.
//!
//! Bytes go to a buffer a file, from there to the file, and with a flush to the disk. Marks say how long the
//! files were then; recovery cuts what lies behind. So after any crash the files are what they would be
//! without it.

mod fold;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod packed;
mod read;
mod row;
#[cfg(test)]
mod tests;

pub use crate::sink::Settings;
pub use crate::sink::files::{Part, Side, stem};
pub use fold::Fold;
pub use packed::{Field, FoldRow};
pub use read::{Action, FileRow, Reader};

use std::path::Path;

use crate::Result;
use crate::sink::files::{self, Described, FilesSink, RowWriter};
use crate::sink::kinds::Folded;
use row::{RowStyle, write_field, write_header};

/// What names of files end in.
pub const ENDING: &str = ".csv";

/// What stands for a value that is not known, unless told otherwise.
pub const UNCHANGED: &str = "__list_sync_unchanged__";

/// The sink.
///
/// ```
/// use std::collections::BTreeMap;
/// use list_sync::sink::{Sink, csv::{CsvSink, Settings}};
///
/// let mut sink = CsvSink::new(Settings { path: "out/{table}".into(), ..Settings::default() })?;
/// sink.recover(&BTreeMap::new())?;
/// // for each batch:
/// //     if sink.prepare(channel, &batch)? { save(sink.flush()?) };
/// //     sink.write(channel, &batch)?;
/// // from time to time: save(sink.flush()?)
/// # Ok::<(), list_sync::Error>(())
/// ```
pub type CsvSink = FilesSink<CsvRows>;

/// What all rows have in common, whichever table they are of.
#[derive(Debug)]
pub struct CsvRows {
    position: bool,
    unchanged: Vec<u8>,
}

impl CsvSink {
    /// A sink that has not recovered yet.
    pub fn new(settings: Settings) -> Result<Self> {
        let Settings { path, id, split, position, unchanged, rotate_bytes, rotate_rows, rotate_secs } =
            settings;
        let files = files::Settings { path, id, split, rotate_bytes, rotate_rows, rotate_secs };
        Self::with_writer(files, CsvRows { position, unchanged: unchanged.into_bytes() })
    }
}

impl RowWriter for CsvRows {
    const ENDING: &'static str = ENDING;
    type Rows = RowStyle;

    fn rows_of(&self, table: &str) -> RowStyle {
        let mut field = Vec::new();
        write_field(table.as_bytes(), &mut field);
        RowStyle { table: field, unchanged: self.unchanged.clone(), position: self.position }
    }

    fn write_header(&self, columns: &[String], out: &mut Vec<u8>) {
        write_header(columns, self.position, out);
    }

    fn describe(&self, path: &Path, length: u64) -> Result<Option<Described>> {
        let Some(mut reader) = Reader::open_part(path, length)? else { return Ok(None) };
        let mut columns = reader.columns().to_vec();
        let is_same_layout = !self.position || columns.pop().as_deref() == Some("position");
        let Some(row) = reader.next_row()? else { return Ok(None) };
        let truncated = if let Action::Truncate(position) = row.action { Some(position) } else { None };
        let table = String::from_utf8_lossy(row.table).into_owned();
        Ok(Some(Described { table, columns, truncated, is_same_layout }))
    }
}

/// The CSV files of `PATH`, of all ids and generations: by id, then generation, inserts before deletes. A
/// folder that is not there has none.
pub fn list(stem: &Path) -> Result<Vec<Part>> {
    files::list(stem, ENDING)
}

/// What the files of one table fold to.
pub(super) fn fold(wanted: &Folded<'_>) -> Result<Fold> {
    let Folded { stem, table, columns, has_key, unchanged } = *wanted;
    if has_key {
        Fold::read_table(stem, table, columns, unchanged)
    } else {
        Fold::read_without_key(stem, table, columns, unchanged)
    }
}
