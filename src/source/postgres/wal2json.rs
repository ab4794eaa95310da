//! Decodes wal2json's messages (its README, "format version 2") into the same rows that pgoutput's give.
//!
//! wal2json prints the columns that a row has. A table's other columns (unchanged out-of-line values), the
//! order of its key and the names of its types come from the catalog; a row that does not fit what the
//! catalog says now was written before a change of the table, and is then taken by what it says itself.

mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Tables;
use super::catalog::Catalog;
use super::failure;
use super::json::{Scalar, Text};
use super::message::Malformed;
use super::progress::Progress;
use crate::change::{Batch, CellKind, Operation, Table};
use crate::json_string::unescape;
use crate::{Code, Error, Result, hex};
pub(super) use rows::Entry;
use rows::{Change, Item};

/// Remembers the tables that rows came from.
#[derive(Debug)]
pub(super) struct Decoder {
    wanted: Tables,
    /// By schema and name, with a zero byte between.
    entries: HashMap<Vec<u8>, Option<Entry>>,
    change: Change,
    scratch: Vec<u8>,
    /// Where the log was truncated for the last time, and which root of partitions.
    truncated: Option<(u64, Arc<Table>)>,
    /// The server's encoding, if it is not UTF-8: wal2json does not convert.
    encoding: Option<String>,
}

/// The options of `START_REPLICATION`. Types are asked for by number: wal2json prints the names of some
/// without escaping them. All tables are asked for, and chosen from here: a list could only name the tables
/// of now, and rows come under the names of then.
pub(super) fn options() -> Vec<(&'static str, String)> {
    let on = || "true".to_owned();
    vec![
        ("format-version", "2".to_owned()),
        ("include-transaction", on()),
        ("include-pk", on()),
        ("include-lsn", on()),
        ("include-timestamp", on()),
        ("include-xids", on()),
        ("include-types", "false".to_owned()),
        ("include-type-oids", on()),
    ]
}

impl Decoder {
    /// A decoder for a database in `encoding`.
    pub fn new(wanted: Tables, encoding: &str) -> Self {
        let encoding = (!["UTF8", "SQL_ASCII"].contains(&encoding)).then(|| encoding.to_owned());
        let (entries, change) = (HashMap::new(), Change::default());
        Self { wanted, entries, change, scratch: Vec::new(), truncated: None, encoding }
    }

    /// Partitions came or went: which table a row belongs to is asked again.
    pub fn forget(&mut self) {
        self.entries.clear();
    }

    /// Takes one message.
    pub fn take(
        &mut self,
        message: &[u8],
        batch: &mut Batch,
        progress: &mut Progress,
        catalog: &mut dyn Describe,
    ) -> Result<()> {
        if let Some(encoding) = self.encoding.as_ref().filter(|_| !message.is_ascii()) {
            let converted = catalog.convert(message, encoding)?;
            return self.take_utf8(converted.as_bytes(), batch, progress, catalog);
        }
        self.take_utf8(message, batch, progress, catalog)
    }

    fn take_utf8(
        &mut self,
        message: &[u8],
        batch: &mut Batch,
        progress: &mut Progress,
        catalog: &mut dyn Describe,
    ) -> Result<()> {
        if std::str::from_utf8(message).is_err() {
            return if progress.is_repeated() { Ok(()) } else { self.not_utf8(message, catalog) };
        }
        self.change.parse(message)?;
        if progress.is_repeated() && self.change.action != b'C' {
            return Ok(());
        }
        match self.change.action {
            b'B' => progress.begin(
                rows::lsn(message, &self.change.lsn)?,
                rows::timestamp_us(message, &self.change.timestamp)?,
                self.change.xid,
            ),
            b'C' => Ok(progress.commit(rows::lsn(message, &self.change.next_lsn)?)?),
            b'I' => self.row(Operation::Insert, message, batch, progress, catalog),
            b'U' => self.row(Operation::Update, message, batch, progress, catalog),
            b'D' => self.row(Operation::Delete, message, batch, progress, catalog),
            b'T' => self.row(Operation::Truncate, message, batch, progress, catalog),
            // Logical decoding messages of other programs.
            b'M' => Ok(()),
            other => Err(Error::stop(
                Code::LogEventUnknown,
                format!("wal2json sent an unknown action {:?}", char::from(other)),
            )
            .hint(
                "this version of wal2json may be newer than list_sync knows: plugin = \"pgoutput\" \
                    needs none",
            )),
        }
    }

    fn row(
        &mut self,
        operation: Operation,
        message: &[u8],
        batch: &mut Batch,
        progress: &mut Progress,
        catalog: &mut dyn Describe,
    ) -> Result<()> {
        let Self { wanted, entries, change, scratch, truncated, .. } = self;
        scratch.clear();
        append(message, &change.schema, scratch)?;
        scratch.push(0);
        append(message, &change.table, scratch)?;
        if !entries.contains_key(scratch.as_slice()) {
            let entry = catalog.entry(wanted, scratch)?;
            if entry.is_none() && operation != Operation::Truncate {
                let columns = change.names(message)?;
                if let Some(root) =
                    catalog.may_have_been_of(wanted, scratch, &columns, operation == Operation::Insert)?
                {
                    return Err(partition_is_gone(scratch, &root));
                }
            }
            entries.insert(scratch.clone(), entry);
        }
        let Some(Some(entry)) = entries.get_mut(scratch.as_slice()) else { return Ok(()) };
        let lsn = rows::lsn(message, &change.lsn)?;
        if operation == Operation::Truncate {
            // A partition's follows its root's; alone it removes rows that no message names.
            if entry.partition {
                let is_of_root =
                    truncated.as_ref().is_some_and(|(place, root)| *place == lsn && *root == entry.table);
                return if is_of_root { Ok(()) } else { Err(truncated_alone(scratch, &entry.table)) };
            }
            *truncated = Some((lsn, Arc::clone(&entry.table)));
            let head = progress.head(batch, operation, &entry.table, lsn)?;
            return Ok(progress.push(batch, head, batch.mark(), batch.mark())?);
        }
        if !change.fits(message, entry) {
            if let Some(fresh) = catalog.entry(wanted, scratch)? {
                *entry = fresh;
            }
            if !change.fits(message, entry) {
                let types = change.items().map(|item| (item.type_oid, -1)).collect::<Vec<_>>();
                let type_names = catalog.type_names(&types)?;
                *entry = change.entry(message, entry, &type_names)?;
                if !change.fits(message, entry) {
                    return Err(Malformed.into());
                }
            }
        }
        if change.key_is_null(entry) {
            return Err(key_is_null(&entry.table));
        }
        let head = progress.head(batch, operation, &entry.table, lsn)?;
        let columns = batch.mark();
        if operation != Operation::Delete {
            cells(message, &change.columns, &change.column_places, batch)?;
        }
        let identity = batch.mark();
        if operation != Operation::Insert {
            cells(message, &change.identity, &change.identity_places, batch)?;
        }
        Ok(progress.push(batch, head, columns, identity)?)
    }

    /// Bytes in no known character set stop the source, if the table is captured.
    fn not_utf8(&mut self, message: &[u8], catalog: &mut dyn Describe) -> Result<()> {
        let text = String::from_utf8_lossy(message);
        self.change.parse(text.as_bytes())?;
        if !b"IUDT".contains(&self.change.action) {
            return Ok(());
        }
        let mut name = Vec::new();
        append(text.as_bytes(), &self.change.schema, &mut name)?;
        name.push(0);
        append(text.as_bytes(), &self.change.table, &mut name)?;
        if catalog.entry(&self.wanted, &name)?.is_none() {
            return Ok(());
        }
        let table = String::from_utf8_lossy(&name).replace('\0', ".");
        Err(Error::stop(
            Code::ValueUnreadable,
            format!("wal2json sent a row of table {table:?} that is not UTF-8"),
        )
        .hint(failure::no_character_set(&table)))
    }
}

fn truncated_alone(partition: &[u8], root: &Table) -> Error {
    let (partition, root) = (String::from_utf8_lossy(partition).replace('\0', "."), root.qualified_name());
    Error::stop(
        Code::RowsNotLogged,
        format!(
            "partition {partition:?} of table {root:?} was truncated alone: which rows went is \
        in no message"
        ),
    )
    .hint(format!(
        "leave the table out of `tables` (\"!{root}\") until the source has read past this place, then put \
         it back; {}",
        failure::FILL_AGAIN
    ))
}

fn partition_is_gone(table: &[u8], root: &str) -> Error {
    let table = String::from_utf8_lossy(table).replace('\0', ".");
    Error::stop(
        Code::RowsNotLogged,
        format!(
            "table {table:?} is gone, and a row of it is read that could be one of {root:?}: \
        whether it was a partition of it is not known"
        ),
    )
    .hint(format!(
        "to leave the rows of {table:?} out, add \"!{table}\" to `tables`; plugin = \"pgoutput\" (under \
             another source name) would have known; {}",
        failure::FILL_AGAIN
    ))
}

fn key_is_null(table: &Table) -> Error {
    let table = table.qualified_name();
    Error::stop(
        Code::KeyMissing,
        format!(
            "the key of a row of table {table:?} is NaN or an infinity, which wal2json prints as null: rows \
         could not be distinguished"
        ),
    )
    .hint(format!(
        "use plugin = \"pgoutput\" (under another source name), or leave the table out of \
        `tables` (\"!{table}\")"
    ))
}

/// What wal2json does not say of a table.
pub(super) trait Describe {
    /// The table that rows of this name (schema, zero byte, name) belong to, as the catalog has it; `None` if
    /// it is not wanted.
    fn entry(&mut self, wanted: &Tables, name: &[u8]) -> Result<Option<Entry>>;

    /// For a table that is gone and not named by a pattern: the captured root that a row with these columns
    /// could be of. An inserted row has them all.
    fn may_have_been_of(
        &mut self,
        wanted: &Tables,
        name: &[u8],
        columns: &[String],
        all: bool,
    ) -> Result<Option<String>>;

    /// Names of types.
    fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>>;

    /// Bytes of this encoding as the server itself reads them.
    fn convert(&mut self, bytes: &[u8], encoding: &str) -> Result<String>;
}

impl Describe for Catalog {
    fn entry(&mut self, wanted: &Tables, name: &[u8]) -> Result<Option<Entry>> {
        let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
        let (schema, name) = name.split_once('\0').ok_or(Malformed)?;
        let Some((root_schema, root)) = self.published_as(wanted, schema, name)? else { return Ok(None) };
        let partition = (root_schema.as_str(), root.as_str()) != (schema, name);
        // A table that is gone is taken by what its rows say.
        let gone = || Entry {
            table: Arc::new(Table { schema: schema.to_owned(), name: name.to_owned(), ..Table::default() }),
            ..Entry::default()
        };
        Ok(Some(self.shape(&root_schema, &root)?.map_or_else(gone, |shape| Entry::of(shape, partition))))
    }

    fn may_have_been_of(
        &mut self,
        wanted: &Tables,
        name: &[u8],
        columns: &[String],
        all: bool,
    ) -> Result<Option<String>> {
        let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
        let (schema, name) = name.split_once('\0').ok_or(Malformed)?;
        if wanted.leaves_out(schema, name) || self.line(schema, name)?.is_some() {
            return Ok(None);
        }
        for root in self.captured(wanted)?.iter().filter(|table| table.partitioned) {
            let Some(shape) = self.shape(&root.schema, &root.name)? else { continue };
            let computed = shape.keys.computed.iter().filter(|name| shape.keys.leaves_out(name));
            let names: Vec<&String> =
                shape.table.columns.iter().map(|column| &column.name).chain(computed).collect();
            if columns.iter().all(|column| names.contains(&column)) && (!all || columns.len() == names.len())
            {
                return Ok(Some(format!("{}.{}", root.schema, root.name)));
            }
        }
        Ok(None)
    }

    fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>> {
        Self::type_names(self, types)
    }

    fn convert(&mut self, bytes: &[u8], encoding: &str) -> Result<String> {
        let query = format!(
            "SELECT pg_catalog.convert_from('\\x{}'::bytea, {})",
            hex::text(bytes),
            failure::quote_literal(encoding)
        );
        Ok(self.ask_one(&query)?.ok_or(Malformed)?)
    }
}

fn append(message: &[u8], text: &Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let raw = &message[text.place.clone()];
    if text.escaped {
        return unescape(raw, out).ok_or(Malformed);
    }
    out.extend_from_slice(raw);
    Ok(())
}

/// Adds one cell a column; `places` says which item it is.
fn cells(
    message: &[u8],
    items: &[Item],
    places: &[Option<usize>],
    batch: &mut Batch,
) -> Result<(), Malformed> {
    for place in places {
        match place.and_then(|place| items.get(place)).map(|item| &item.value) {
            None => batch.add_cell(CellKind::Missing, b""),
            Some(Scalar::Null) => batch.add_cell(CellKind::Null, b""),
            Some(Scalar::Literal(place)) => batch.add_cell(CellKind::Literal, &message[place.clone()]),
            Some(Scalar::Text(text)) if text.escaped => {
                let raw = &message[text.place.clone()];
                batch.add_cell_with(|out| unescape(raw, out).map(|()| CellKind::Text).ok_or(Malformed))?;
            }
            Some(Scalar::Text(text)) => batch.add_cell(CellKind::Text, &message[text.place.clone()]),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
