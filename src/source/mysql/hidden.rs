//! Columns that MariaDB keeps for itself: those of system versioning, and the hashes of long unique keys. A
//! versioned table keeps each earlier row beside the present one, and logs it as one more insert; only
//! present rows are rows of the table.

use super::catalog::Catalog;
use super::cursor::Cursor;
use super::table_map::{MappedColumn, TableMap, TableName, column_type as t};
use crate::Result;

/// The columns of a sequence, which is a table in the log.
const SEQUENCE: [&str; 8] = [
    "next_not_cached_value",
    "minimum_value",
    "maximum_value",
    "start_value",
    "increment",
    "cache_size",
    "cycle_option",
    "cycle_count",
];

/// What of a table's rows is not the user's.
#[derive(Debug)]
pub(super) struct Hidden {
    /// For each column of the log, whether it is left out.
    pub left_out: Vec<bool>,
    /// Says until when a row was the present one.
    pub row_end: Option<usize>,
}

impl Hidden {
    /// `None` for a table that has nothing of the kind.
    pub fn find(name: &TableName, map: &TableMap, catalog: &mut Catalog) -> Result<Option<Self>> {
        let mut hidden = Self {
            left_out: map.columns.iter().map(|column| column.name.starts_with("DB_ROW_HASH_")).collect(),
            row_end: None,
        };
        if map.columns.iter().filter(|column| is_moment(column)).count() >= 2 {
            let known = catalog.columns(name.schema, name.name)?;
            let ends = known.iter().find(|column| column.generation == "ROW END");
            hidden.row_end =
                ends.and_then(|end| map.columns.iter().position(|column| column.name == end.name));
            let is_pair = |pair: &[MappedColumn]| {
                pair.iter().all(is_moment)
                    && pair.iter().map(|column| column.name.as_str()).eq(["row_start", "row_end"])
            };
            // The hash of a long unique key may follow.
            if let Some(start) = map.columns.windows(2).position(is_pair)
                && !known.iter().any(|column| column.name == "row_end")
            {
                hidden.row_end = Some(start + 1);
                hidden.left_out[start..start + 2].fill(true);
            }
        }
        Ok(Some(hidden).filter(|hidden| hidden.row_end.is_some() || hidden.left_out.contains(&true)))
    }

    /// Whether the end of a row, as the log holds it, is still to come: the highest moment that the type has.
    pub fn is_present(end: &[u8]) -> bool {
        const MICROSECONDS: u64 = 999_999;
        let mut end = Cursor::new(end);
        let parts = end.number_big_endian(4).and_then(|seconds| Ok((seconds, end.number_big_endian(3)?)));
        matches!(parts, Ok((0x7fff_ffff | 0xffff_ffff, MICROSECONDS)))
    }
}

/// TIMESTAMP(6), which both columns of versioning are.
fn is_moment(column: &MappedColumn) -> bool {
    column.kind == t::TIMESTAMP2 && column.meta == 6
}

/// Whether this is a sequence.
pub(super) fn is_sequence(map: &TableMap) -> bool {
    map.columns.iter().map(|column| column.name.as_str()).eq(SEQUENCE)
}
