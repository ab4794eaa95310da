//! Decodes pgoutput's messages (protocol page "Logical Replication Message Formats") straight into a batch.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Tables;
use super::catalog::{Catalog, places};
use super::failure::quote_identifier;
use super::keys::Keys;
use super::message::{Fields, Malformed};
use super::progress::{EPOCH_2000_US, Progress};
use super::values::Encoding;
use crate::change::{Batch, CellKind, Column, Operation, Table};
use crate::{Code, Error, Result};

/// Remembers the tables that the server described.
#[derive(Debug)]
pub(super) struct Decoder {
    wanted: Tables,
    relations: HashMap<u32, Relation>,
    /// Tables whose key was changed after the rows that are read: their last Relation message, and what the
    /// catalog said.
    in_doubt: HashMap<u32, (Vec<u8>, Keys)>,
}

/// A table as the last Relation message described it.
#[derive(Debug)]
struct Relation {
    table: Arc<Table>,
    /// One a column on the wire; `None` where `table` leaves the column out.
    encodings: Vec<Option<Encoding>>,
    /// The patterns name it.
    wanted: bool,
    /// The old row comes without a column that the server computes, so nobody can tell which row it was.
    half_identity: bool,
}

/// What a Relation message does not say of a table.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// What identifies its rows, as the catalog has it now.
    pub keys: Keys,
    /// The names of the types that were asked for.
    pub type_names: Vec<String>,
}

/// Who knows what a Relation message does not say.
pub(super) trait Describe {
    /// Describes the table with this object id, and these types.
    fn describe(&mut self, table_oid: u32, types: &[(u32, i32)]) -> Result<Description>;
}

impl Describe for Catalog {
    fn describe(&mut self, table_oid: u32, types: &[(u32, i32)]) -> Result<Description> {
        Ok(Description { keys: self.keys(&table_oid.to_string())?, type_names: self.type_names(types)? })
    }
}

impl Decoder {
    pub fn new(wanted: Tables) -> Self {
        Self { wanted, relations: HashMap::new(), in_doubt: HashMap::new() }
    }

    /// The highest protocol version that the server speaks (13: 1, 14: 2, 15: 3, 16 and newer: 4).
    pub fn protocol_version(server_version: u32) -> u32 {
        server_version.saturating_sub(12).clamp(1, 4)
    }

    /// Takes one message; `lsn` is where the change stands in the log.
    pub fn take(
        &mut self,
        message: &[u8],
        lsn: u64,
        batch: &mut Batch,
        progress: &mut Progress,
        catalog: &mut dyn Describe,
    ) -> Result<()> {
        let mut fields = Fields(message);
        match fields.u8()? {
            b'I' | b'U' | b'D' | b'T' if progress.is_repeated() => Ok(()),
            b'I' => self.change(Operation::Insert, fields, lsn, batch, progress),
            b'U' => self.change(Operation::Update, fields, lsn, batch, progress),
            b'D' => self.change(Operation::Delete, fields, lsn, batch, progress),
            b'B' => {
                let (commit_lsn, committed) = (fields.u64()?, fields.i64()?);
                let xid = fields.u32()?;
                progress.begin(commit_lsn, committed.saturating_add(EPOCH_2000_US), xid)?;
                let settled: Vec<u32> = self
                    .in_doubt
                    .iter()
                    .filter(|(_, (_, keys))| !keys.is_newer_than(xid))
                    .map(|(oid, _)| *oid)
                    .collect();
                for (message, _) in
                    settled.iter().filter_map(|oid| self.in_doubt.remove(oid)).collect::<Vec<_>>()
                {
                    self.relation(&message, progress, catalog)?;
                }
                Ok(())
            }
            b'C' => {
                let (_flags, _commit_lsn) = (fields.u8()?, fields.u64()?);
                Ok(progress.commit(fields.u64()?)?)
            }
            b'R' => self.relation(fields.0, progress, catalog),
            b'T' => self.truncate(fields, lsn, batch, progress),
            // Type and Origin: names of types are asked of the catalog, origins are not told apart.
            b'Y' | b'O' => Ok(()),
            other => Err(Error::stop(
                Code::LogEventUnknown,
                format!("pgoutput sent a message {:?} that was not asked for", char::from(other)),
            )
            .hint("this version of PostgreSQL may be newer than list_sync knows")),
        }
    }

    fn relation(&mut self, message: &[u8], progress: &Progress, catalog: &mut dyn Describe) -> Result<()> {
        let mut fields = Fields(message);
        let oid = fields.u32()?;
        let schema = match fields.text()? {
            "" => "pg_catalog",
            schema => schema,
        };
        let name = fields.text()?;
        let (replica_identity, count) = (fields.u8()?, fields.u16()?);
        let (mut columns, mut types) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let identity = fields.u8()? & 1 != 0;
            columns.push(Column { name: fields.text()?.to_owned(), type_name: String::new(), identity });
            types.push((fields.u32()?, fields.i32()?));
        }
        let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Malformed.into());
        }
        let mut encodings: Vec<_> = types.iter().map(|&(type_oid, _)| Some(Encoding::of(type_oid))).collect();
        let wanted = self.wanted.contains(schema, name);
        let (mut key, mut half_identity) = (Vec::new(), false);
        self.in_doubt.remove(&oid);
        if wanted {
            let known = catalog.describe(oid, &types)?;
            for ((column, encoding), type_name) in
                columns.iter_mut().zip(&mut encodings).zip(known.type_names)
            {
                column.type_name = type_name;
                *encoding = encoding.filter(|_| !known.keys.leaves_out(&column.name));
            }
            columns.retain(|column| !known.keys.leaves_out(&column.name));
            half_identity = is_half(&known.keys, &columns, replica_identity);
            let in_doubt = matches!(replica_identity, b'f' | b'n')
                && progress.xid().is_some_and(|xid| known.keys.is_newer_than(xid));
            if in_doubt {
                self.in_doubt.insert(oid, (message.to_vec(), known.keys));
            } else if !half_identity {
                key = key_of(&known.keys, &columns, replica_identity);
            }
            let carried = encodings.iter_mut().flatten().enumerate();
            carried
                .filter(|(place, _)| key.contains(place))
                .for_each(|(_, encoding)| *encoding = encoding.of_key());
        }
        let in_doubt = self.in_doubt.contains_key(&oid);
        let mut table = Arc::new(Table { schema: schema.to_owned(), name: name.to_owned(), columns, key });
        // The server describes a table again for many reasons; only another shape is another table.
        if let Some(known) = self.relations.get(&oid).filter(|known| known.table == table) {
            table = Arc::clone(&known.table);
        } else if in_doubt {
            let table = table.qualified_name();
            tracing::warn!(
                table,
                "rows from before the primary key was changed have no key: what it was then is not in the log"
            );
        }
        self.relations.insert(oid, Relation { table, encodings, wanted, half_identity });
        Ok(())
    }

    fn change(
        &self,
        operation: Operation,
        mut fields: Fields,
        lsn: u64,
        batch: &mut Batch,
        progress: &mut Progress,
    ) -> Result<()> {
        let relation = self.relations.get(&fields.u32()?).ok_or(Malformed)?;
        if !relation.wanted {
            return Ok(());
        }
        if relation.half_identity && operation != Operation::Insert {
            return Err(relation.says_half());
        }
        let head = progress.head(batch, operation, &relation.table, lsn)?;
        let mut part = fields.u8()?;
        // The old row comes first on the wire and last in the batch.
        let old = match (operation, part) {
            (Operation::Insert | Operation::Update, b'N') => None,
            (Operation::Update, b'K' | b'O') => {
                let old = (part, fields);
                skip_row(&mut fields)?;
                part = fields.u8()?;
                Some(old)
            }
            (Operation::Delete, b'K' | b'O') => Some((part, fields)),
            _ => return Err(Malformed.into()),
        };
        let columns = batch.mark();
        if operation != Operation::Delete {
            if part != b'N' {
                return Err(Malformed.into());
            }
            relation.row(fields, false, batch)?;
        }
        let identity = batch.mark();
        match old {
            Some((part, fields)) => relation.row(fields, part == b'K', batch)?,
            None if operation == Operation::Update => relation.identity_of_new_row(columns, batch),
            None => {}
        }
        Ok(progress.push(batch, head, columns, identity)?)
    }

    fn truncate(
        &self,
        mut fields: Fields,
        lsn: u64,
        batch: &mut Batch,
        progress: &mut Progress,
    ) -> Result<()> {
        let (count, _options) = (fields.u32()?, fields.u8()?);
        for _ in 0..count {
            let relation = self.relations.get(&fields.u32()?).ok_or(Malformed)?;
            if relation.wanted {
                let head = progress.head(batch, Operation::Truncate, &relation.table, lsn)?;
                progress.push(batch, head, batch.mark(), batch.mark())?;
            }
        }
        Ok(())
    }
}

/// Places of the key's columns. With an index as the replica identity the log itself marks them, as they were
/// then: each event carries them. Where the whole row is the identity, or nothing, the catalog names the
/// primary key.
fn key_of(keys: &Keys, columns: &[Column], replica_identity: u8) -> Vec<usize> {
    match replica_identity {
        b'd' | b'i' => (0..columns.len()).filter(|&place| columns[place].identity).collect(),
        _ => places(&keys.primary, columns),
    }
}

/// The replica identity has a column that is not sent.
fn is_half(keys: &Keys, columns: &[Column], replica_identity: u8) -> bool {
    let is_missing =
        |name: &String| keys.computed.contains(name) && !columns.iter().any(|column| column.name == *name);
    replica_identity == keys.identity
        && matches!(replica_identity, b'd' | b'i')
        && keys.index.iter().any(is_missing)
}

fn skip_row(fields: &mut Fields) -> Result<(), Malformed> {
    for _ in 0..fields.u16()? {
        match fields.u8()? {
            b'n' | b'u' => {}
            b't' => {
                let length = fields.u32()?;
                fields.bytes(length as usize)?;
            }
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

impl Relation {
    /// Adds the cells of a row (protocol: `TupleData`). Of a key row only the replica identity is there; the
    /// rest are fillers.
    fn row(&self, mut fields: Fields, key_only: bool, batch: &mut Batch) -> Result<()> {
        if usize::from(fields.u16()?) != self.encodings.len() {
            return Err(Malformed.into());
        }
        let mut columns = self.table.columns.iter();
        for encoding in &self.encodings {
            let column = if encoding.is_some() { columns.next() } else { None };
            let kind = fields.u8()?;
            let printed = match kind {
                b'n' | b'u' => b"",
                b't' => {
                    let length = fields.u32()?;
                    fields.bytes(length as usize)?
                }
                _ => return Err(Malformed.into()),
            };
            let (Some(encoding), Some(column)) = (encoding, column) else { continue };
            match kind {
                b't' => encoding.add(batch, printed).map_err(|_| self.unreadable(column))?,
                b'n' if column.identity || !key_only => batch.add_cell(CellKind::Null, b""),
                _ => batch.add_cell(CellKind::Missing, b""),
            }
        }
        Ok(())
    }

    /// No old row came, so its replica identity is the new one's.
    fn identity_of_new_row(&self, columns: u32, batch: &mut Batch) {
        for (place, column) in (columns..).zip(&self.table.columns) {
            if column.identity {
                batch.repeat_cell(place);
            } else {
                batch.add_cell(CellKind::Missing, b"");
            }
        }
    }

    fn unreadable(&self, column: &Column) -> Error {
        let table = self.table.qualified_name();
        Error::stop(
            Code::ValueUnreadable,
            format!(
                "column {:?} of table {table:?} holds a value that is not UTF-8, or not of its type",
                column.name
            ),
        )
        .hint(super::failure::no_character_set(&table))
    }

    fn says_half(&self) -> Error {
        let table = self.table.qualified_name();
        Error::stop(
            Code::KeyMissing,
            format!(
                "table {table:?} has a generated column in its replica identity, which PostgreSQL before 18 \
             does not send: which row was changed is not known"
            ),
        )
        .hint(format!(
            "ALTER TABLE {}.{} REPLICA IDENTITY FULL, so that the next changes are sent; leave it out of \
             `tables` (\"!{table}\") until the source has \
             read past this place, then put it back; {}",
            quote_identifier(&self.table.schema),
            quote_identifier(&self.table.name),
            super::failure::FILL_AGAIN
        ))
    }
}

#[cfg(test)]
mod tests;
