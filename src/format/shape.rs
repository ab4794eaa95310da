//! Which table a message's column names mean; tables are made once and shared by all rows with these names.
//!
//! A message that names its table's shape (header `shape`) belongs to that table, and its names only say
//! which values it carries. A message of somebody else names no shape: its table is guessed from the names,
//! among the messages of its topic alone.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::parts::{List, Parts, Reason, Span};
use crate::change::{Column, Operation, Table};

/// What says which table a message is of.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A message without a shape: its names are all there is. Messages of another topic (by its number here)
    /// are of other tables.
    Topic(u32),
    /// Its shape says it.
    Table(Arc<Table>),
}

impl Default for Origin {
    fn default() -> Self {
        Self::Topic(0)
    }
}

impl Origin {
    /// Tells origins apart, as long as those that are compared live.
    pub fn id(&self) -> OriginId {
        match self {
            Self::Topic(number) => OriginId::Topic(*number),
            Self::Table(table) => OriginId::Table(Arc::as_ptr(table).addr()),
        }
    }
}

/// See [`Origin::id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum OriginId {
    Topic(u32),
    Table(usize),
}

/// A table, and where its cells lie in a message.
#[derive(Debug)]
pub(super) struct Shape {
    pub table: Arc<Table>,
    /// For each column of the table its place in the message's `columns`.
    pub columns: Vec<Option<usize>>,
    /// For each column of the table its place in the message's `identity`.
    pub identity: Vec<Option<usize>>,
    /// The names in the order of a message, escaped as they came, by which the next message is recognised.
    names: Vec<u8>,
    /// For a guessed table: its family, and [`Family::version`] when it was made.
    guess: Option<(usize, u32)>,
}

/// A shape that was found, and the operation and origin that it was found for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub operation: Operation,
    pub origin: OriginId,
    place: usize,
    /// [`Shapes::generation`] at that time.
    generation: u32,
}

/// What is known of a table by its topic and name, where no message names a shape.
///
/// An update leaves an unchanged out-of-line value out of `columns`, so its names alone look like another
/// table. An insert never does: its columns are all there are, and an update with some of them belongs to the
/// same table, the others not sent.
#[derive(Debug, Default)]
struct Family {
    full: Vec<Column>,
    /// Names by which `full` was last told.
    names: Vec<u8>,
    /// Counts the changes of `full`.
    version: u32,
}

/// Shapes kept before all are forgotten and made anew; bounds what messages of ever new tables can hold.
const SHAPES_MAX: usize = 20_000;
/// The same for the bytes of their names.
const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Columns that a table has at most. No database of ours has more, and the time that a table takes grows with
/// their square.
pub(super) const COLUMNS_MAX: usize = 4096;

/// All shapes seen so far.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: Vec<Shape>,
    /// Bytes of names in `known`.
    names_bytes: usize,
    by_hash: HashMap<u64, Vec<usize>>,
    families: Vec<Family>,
    by_name: HashMap<(u32, Vec<u8>), usize>,
    /// The shape of the last message of each operation.
    last: [usize; 4],
    /// Counts how often all were forgotten.
    generation: u32,
    /// The names of the message at hand.
    names: Vec<u8>,
}

impl Shapes {
    /// The shape of a message.
    pub fn of(
        &mut self,
        origin: &Origin,
        operation: Operation,
        message: &[u8],
        parts: &Parts,
    ) -> Result<Known, Reason> {
        let mut names = std::mem::take(&mut self.names);
        write_names(origin.id(), operation, message, parts, &mut names);
        let found = self.find(operation, &names);
        let found = if let Some(found) = found {
            Ok(found)
        } else {
            self.make(origin, operation, message, parts, &names)
        };
        self.names = names;
        let found = found?;
        self.last[operation as usize] = found;
        Ok(Known { operation, origin: origin.id(), place: found, generation: self.generation })
    }

    /// A shape that was found before. `None` if the table has changed since, or it was forgotten.
    pub fn get(&self, known: Known) -> Option<&Shape> {
        let shape = self.known.get(known.place).filter(|_| known.generation == self.generation)?;
        let Some((family, version)) = shape.guess else { return Some(shape) };
        let family = self.families.get(family)?;
        let holds = match known.operation {
            Operation::Insert => family.names == shape.names,
            Operation::Update => version == family.version,
            Operation::Delete | Operation::Truncate => true,
        };
        holds.then_some(shape)
    }

    fn find(&mut self, operation: Operation, names: &[u8]) -> Option<usize> {
        let Self { known, by_hash, families, last, .. } = self;
        let fits = |place: usize| known.get(place).is_some_and(|shape| shape.names == names);
        let last = last[operation as usize];
        let found = if fits(last) {
            last
        } else {
            by_hash.get(&hash(names))?.iter().copied().find(|&place| fits(place))?
        };
        let shape = known.get(found)?;
        let Some((family, version)) = shape.guess else { return Some(found) };
        let family = families.get_mut(family)?;
        match operation {
            Operation::Insert if family.names != names => {
                family.full.clone_from(&shape.table.columns);
                family.names = names.to_vec();
                family.version += 1;
            }
            Operation::Update if version != family.version => return None,
            _ => {}
        }
        Some(found)
    }

    fn make(
        &mut self,
        origin: &Origin,
        operation: Operation,
        message: &[u8],
        parts: &Parts,
        names: &[u8],
    ) -> Result<usize, Reason> {
        if [&parts.columns, &parts.identity, &parts.pk].iter().any(|list| list.fields.len() > COLUMNS_MAX) {
            return Err("it names more columns than a table has");
        }
        self.names_bytes += names.len();
        if self.known.len() >= SHAPES_MAX || self.names_bytes > NAMES_BYTES_MAX {
            *self = Self { generation: self.generation + 1, ..Self::default() };
        }
        let (table, guess) = match origin {
            Origin::Table(table) => (Arc::clone(table), None),
            Origin::Topic(topic) => {
                let (table, family, version) = self.guess(*topic, operation, message, parts, names)?;
                (table, Some((family, version)))
            }
        };
        let (columns, identity) =
            (places(&table, message, &parts.columns), places(&table, message, &parts.identity));
        if guess.is_none() && !(has_all(&columns, &parts.columns) && has_all(&identity, &parts.identity)) {
            return Err("it has a column that its table's shape does not have");
        }
        let shape = Shape { columns, identity, names: names.to_vec(), guess, table };
        let same = self.by_hash.entry(hash(names)).or_default();
        // One that lost its validity when the table changed is replaced.
        if let Some(&old) =
            same.iter().find(|&&place| self.known.get(place).is_some_and(|old| old.names == names))
        {
            self.known[old] = shape;
            return Ok(old);
        }
        same.push(self.known.len());
        self.known.push(shape);
        Ok(self.known.len() - 1)
    }

    /// The table that the names of a message mean, its family, and the family's version.
    fn guess(
        &mut self,
        topic: u32,
        operation: Operation,
        message: &[u8],
        parts: &Parts,
        names: &[u8],
    ) -> Result<(Arc<Table>, usize, u32), Reason> {
        let family = self.family(topic, message, parts);
        let kin = self.families.get_mut(family).ok_or("its table is unknown")?;
        let table = Arc::new(make_table(operation, message, parts, &kin.full)?);
        if operation == Operation::Insert {
            kin.full.clone_from(&table.columns);
            kin.names = names.to_vec();
            kin.version += 1;
        }
        Ok((table, family, kin.version))
    }

    fn family(&mut self, topic: u32, message: &[u8], parts: &Parts) -> usize {
        // No database has a NUL in a name.
        let name =
            [parts.schema.unwrap_or_default().raw(message), parts.table.unwrap_or_default().raw(message)]
                .join(&0);
        *self.by_name.entry((topic, name)).or_insert_with(|| {
            self.families.push(Family::default());
            self.families.len() - 1
        })
    }
}

fn hash(names: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

/// Everything but the values, each part behind its length.
fn write_names(origin: OriginId, operation: Operation, message: &[u8], parts: &Parts, out: &mut Vec<u8>) {
    out.clear();
    out.push(operation as u8);
    let (kind, number) = match origin {
        OriginId::Topic(number) => (0, number as usize),
        OriginId::Table(address) => (1, address),
    };
    out.push(kind);
    out.extend_from_slice(&number.to_le_bytes());
    write_name(parts.schema.unwrap_or_default(), message, out);
    write_name(parts.table.unwrap_or_default(), message, out);
    for list in [&parts.columns, &parts.identity, &parts.pk] {
        out.extend_from_slice(&(list.fields.len() as u32).to_le_bytes());
        for field in &list.fields {
            write_name(field.name, message, out);
            write_name(field.type_name, message, out);
        }
    }
}

fn write_name(name: Span, message: &[u8], out: &mut Vec<u8>) {
    let raw = name.raw(message);
    out.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    out.extend_from_slice(raw);
}

fn make_table(operation: Operation, message: &[u8], parts: &Parts, full: &[Column]) -> Result<Table, Reason> {
    let text = |span: Span| span.text(message).ok_or("a name is malformed");
    let lists = [&parts.columns, &parts.identity, &parts.pk].map(|list| {
        let columns = list.fields.iter().map(|field| {
            Ok(Column { name: text(field.name)?, type_name: text(field.type_name)?, identity: false })
        });
        columns.collect::<Result<Vec<_>, Reason>>()
    });
    let [columns, identity, pk] = lists;
    let (mut columns, identity, pk) = (columns?, identity?, pk?);
    for list in [&columns, &identity, &pk] {
        let mut names: Vec<_> = list.iter().map(|column| &column.name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a column is named twice");
        }
    }
    // An update whose old row is whole tells all columns itself.
    let whole = columns.iter().all(|column| identity.iter().any(|other| other.name == column.name));
    if operation == Operation::Delete {
        columns.clone_from(&identity);
    }
    merge(&mut columns, &pk);
    merge(&mut columns, &identity);
    if operation == Operation::Update && !whole && is_part(&columns, full) {
        columns = full.to_vec();
    }
    let place = |name: &str| columns.iter().position(|column| column.name == name);
    let key = pk.iter().filter_map(|column| place(&column.name)).collect();
    // An insert does not tell its replica identity; the key is what it usually is.
    let named = if operation == Operation::Insert { &pk } else { &identity };
    let flags: Vec<_> =
        columns.iter().map(|column| named.iter().any(|other| other.name == column.name)).collect();
    columns.iter_mut().zip(flags).for_each(|(column, flag)| column.identity = flag);
    Ok(Table {
        schema: text(parts.schema.unwrap_or_default())?,
        name: text(parts.table.unwrap_or_default())?,
        columns,
        key,
    })
}

/// Adds the columns that are only in `others`, each behind the one that it follows there.
fn merge(columns: &mut Vec<Column>, others: &[Column]) {
    let mut at = 0;
    for other in others {
        if let Some(place) = columns.iter().position(|column| column.name == other.name) {
            at = place + 1;
        } else {
            columns.insert(at, other.clone());
            at += 1;
        }
    }
}

/// Whether all columns are in `full`, in the same order.
fn is_part(columns: &[Column], full: &[Column]) -> bool {
    let mut rest = full.iter();
    columns.iter().all(|column| rest.any(|other| other.name == column.name))
}

/// For each column of the table its place in a list of the message.
fn places(table: &Table, message: &[u8], list: &List) -> Vec<Option<usize>> {
    let names: Vec<_> = list.fields.iter().map(|field| field.name.text(message)).collect();
    table
        .columns
        .iter()
        .map(|column| names.iter().position(|name| name.as_deref() == Some(&column.name)))
        .collect()
}

/// Whether each entry of a list has a place of its own in the table: none is strange to it, and none is named
/// twice.
fn has_all(places: &[Option<usize>], list: &List) -> bool {
    places.iter().flatten().count() == list.fields.len()
}
