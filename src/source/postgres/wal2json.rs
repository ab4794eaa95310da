//! Decodes wal2json's messages (its README, "format version 2") into the same rows that pgoutput's give.
//!
//! wal2json prints the columns that a row has. A table's other columns (unchanged out-of-line values), the order of its key and the names of its
//! types come from the catalog; a row that does not fit what the catalog says now was written before a change of the table, and is then
//! taken by what it says itself.

mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Tables;
use super::catalog::{Captured, Catalog};
use super::json::{Scalar, Text, unescape};
use super::message::Malformed;
use super::progress::Progress;
use crate::change::{Batch, Kind, Operation, Table};
use crate::{Error, Result};
use rows::{Change, Entry, Item};

/// Remembers the tables that rows came from.
#[derive(Debug)]
pub(super) struct Decoder {
    wanted: Tables,
    /// By schema and name, with a zero byte between.
    entries: HashMap<Vec<u8>, Option<Entry>>,
    change: Change,
    scratch: Vec<u8>,
}

/// The options of `START_REPLICATION`. Types are asked for by number: wal2json prints the names of some without escaping them.
pub(super) fn options(captured: &[Captured]) -> Vec<(&'static str, String)> {
    let on = || "true".to_owned();
    let mut options = vec![
        ("format-version", "2".to_owned()),
        ("include-transaction", on()),
        ("include-pk", on()),
        ("include-lsn", on()),
        ("include-timestamp", on()),
        ("include-xids", on()),
        ("include-types", "false".to_owned()),
        ("include-type-oids", on()),
    ];
    // wal2json names partitions, not their root, and new ones come while streaming: then all is sent, and chosen from here.
    if !captured.iter().any(|table| table.partitioned) {
        let names = captured.iter().map(|table| format!("{}.{}", escape(&table.schema), escape(&table.name)));
        options.push(("add-tables", names.collect::<Vec<_>>().join(",")));
    }
    options
}

/// A name as wal2json's lists want it: everything special gets a backslash.
fn escape(name: &str) -> String {
    let special = |letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_';
    name.chars().flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter])).collect()
}

impl Decoder {
    pub fn new(wanted: Tables) -> Self {
        Self { wanted, entries: HashMap::new(), change: Change::default(), scratch: Vec::new() }
    }

    /// Takes one message.
    pub fn take(&mut self, message: &[u8], batch: &mut Batch, progress: &mut Progress, catalog: &mut dyn Describe) -> Result<()> {
        std::str::from_utf8(message).map_err(|_| {
            Error::stop("wal2json sent a row that is not UTF-8")
                .hint("a database in SQL_ASCII holds bytes in no known character set: mend the row")
        })?;
        self.change.parse(message)?;
        match self.change.action {
            b'B' => {
                progress.begin(rows::lsn(message, &self.change.lsn)?, rows::timestamp_us(message, &self.change.timestamp)?, self.change.xid)
            }
            b'C' => Ok(progress.commit(rows::lsn(message, &self.change.next_lsn)?)?),
            b'I' => self.row(Operation::Insert, message, batch, progress, catalog),
            b'U' => self.row(Operation::Update, message, batch, progress, catalog),
            b'D' => self.row(Operation::Delete, message, batch, progress, catalog),
            b'T' => self.row(Operation::Truncate, message, batch, progress, catalog),
            // Logical decoding messages of other programs.
            b'M' => Ok(()),
            other => Err(Error::stop(format!("wal2json sent an unknown action {:?}", char::from(other)))
                .hint("this version of wal2json may be newer than list_sync knows: plugin = \"pgoutput\" needs none")),
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
        let Self { wanted, entries, change, scratch } = self;
        scratch.clear();
        append(message, &change.schema, scratch)?;
        scratch.push(0);
        append(message, &change.table, scratch)?;
        if !entries.contains_key(scratch.as_slice()) {
            let entry = catalog.entry(wanted, scratch)?;
            entries.insert(scratch.clone(), entry);
        }
        let Some(Some(entry)) = entries.get_mut(scratch.as_slice()) else { return Ok(()) };
        let lsn = rows::lsn(message, &change.lsn)?;
        if operation == Operation::Truncate {
            // pgoutput names the root only.
            if !entry.partition {
                let head = progress.head(batch, operation, &entry.table, lsn)?;
                progress.push(batch, head, batch.mark(), batch.mark())?;
            }
            return Ok(());
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
}

/// What wal2json does not say of a table.
pub(super) trait Describe {
    /// The table that rows of this name (schema, zero byte, name) belong to, as the catalog has it; `None` if it is not wanted.
    fn entry(&mut self, wanted: &Tables, name: &[u8]) -> Result<Option<Entry>>;

    /// Names of types.
    fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>>;
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
        Ok(Some(self.shape(&root_schema, &root)?.map_or_else(gone, |shape| Entry {
            table: shape.table,
            type_oids: shape.type_oids,
            generated: shape.generated,
            partition,
        })))
    }

    fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>> {
        Self::type_names(self, types)
    }
}

fn append(message: &[u8], text: &Text, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let raw = &message[text.place.clone()];
    if text.escaped {
        return unescape(raw, out);
    }
    out.extend_from_slice(raw);
    Ok(())
}

/// Adds one cell a column; `places` says which item it is.
fn cells(message: &[u8], items: &[Item], places: &[Option<usize>], batch: &mut Batch) -> Result<(), Malformed> {
    for place in places {
        match place.and_then(|place| items.get(place)).map(|item| &item.value) {
            None => batch.add_cell(Kind::Missing, b""),
            Some(Scalar::Null) => batch.add_cell(Kind::Null, b""),
            Some(Scalar::Literal(place)) => batch.add_cell(Kind::Literal, &message[place.clone()]),
            Some(Scalar::Text(text)) if text.escaped => {
                batch.add_cell_with(|out| unescape(&message[text.place.clone()], out).map(|()| Kind::Text))?;
            }
            Some(Scalar::Text(text)) => batch.add_cell(Kind::Text, &message[text.place.clone()]),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
