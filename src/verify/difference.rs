//! In which column a row of the table and one of the files differ, in words.

use crate::change::{Batch, Cell, CellKind, Row};
use crate::sink::csv::{Field, FoldRow};

/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// The first column of the table whose value is another one in the files.
pub fn first<'a>(batch: &'a Batch, row: &Row, candidate: &FoldRow) -> Option<(&'a str, &'a Cell)> {
    let is_different = |name: &String, cell: &Cell| {
        let expected = if cell.kind == CellKind::Null { Field::Null } else { Field::Text(batch.text(cell)) };
        let was_added = cell.kind == CellKind::Null && !candidate.columns().contains(name);
        !was_added && candidate.value(name) != expected
    };
    let pairs = batch.table(row).columns.iter().zip(batch.columns(row));
    pairs
        .map(|(column, cell)| (&column.name, cell))
        .find(|(name, cell)| is_different(name, cell))
        .map(|(name, cell)| (name.as_str(), cell))
}

/// Key, column and both values.
pub fn describe(key: &str, batch: &Batch, row: &Row, candidate: &FoldRow) -> String {
    let Some((column, cell)) = first(batch, row, candidate) else {
        return format!("key {key}: several rows of the files may be meant");
    };
    let table = if cell.kind == CellKind::Null { "NULL".to_owned() } else { shown(batch.text(cell)) };
    let files = match candidate.value(column) {
        Field::Null => "NULL".to_owned(),
        Field::Text(text) => shown(text),
        Field::Unknown if candidate.columns().iter().any(|name| name == column) => {
            "not known: the database did not send it, and no row before holds it".to_owned()
        }
        Field::Unknown => {
            "not there: the column was added with a default, or renamed, after the row was written".to_owned()
        }
    };
    format!("key {key}: column {column:?} is {table} in the table, and in the files {files}")
}

fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let more = if text.chars().count() > SHOWN { "…" } else { "" };
    format!("{:?}{more}", text.chars().take(SHOWN).collect::<String>())
}
