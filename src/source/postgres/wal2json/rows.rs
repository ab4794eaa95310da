//! One wal2json message taken apart, and how its items line up with a table's columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::catalog::{Shape, places};
use super::super::json::{Scalar, Scanner, Text};
use super::super::keys::Keys;
use super::super::message::Malformed;
use crate::calendar::{Date, days_of};
use crate::change::{Column, Table};
use crate::json_string::unescape;

/// A table that rows came from.
#[derive(Debug, Default)]
pub(in super::super) struct Entry {
    pub table: Arc<Table>,
    pub type_oids: Vec<u32>,
    /// Places of the primary key's columns, which each row names; the table's key may be another one.
    pub primary: Vec<usize>,
    /// What identifies its rows, as the catalog has it; for a table that is gone, nothing.
    pub keys: Keys,
    /// Rows name a partition of `table`.
    pub partition: bool,
}

impl Entry {
    /// A table of the catalog.
    pub fn of(shape: Shape, partition: bool) -> Self {
        let primary = places(&shape.keys.primary, &shape.table.columns);
        Self { table: shape.table, type_oids: shape.type_oids, primary, keys: shape.keys, partition }
    }
}

/// One element of `columns`, `identity` or `pk`.
#[derive(Debug)]
pub(super) struct Item {
    pub name: Text,
    pub type_oid: u32,
    pub value: Scalar,
}

/// One message; the memory is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub action: u8,
    pub xid: u32,
    pub lsn: Text,
    pub next_lsn: Text,
    pub timestamp: Text,
    pub schema: Text,
    pub table: Text,
    pub columns: Vec<Item>,
    pub identity: Vec<Item>,
    key: Vec<Item>,
    /// For each column of the table, the place in `columns`.
    pub column_places: Vec<Option<usize>>,
    /// For each column of the table, the place in `identity`.
    pub identity_places: Vec<Option<usize>>,
}

impl Change {
    pub fn parse(&mut self, message: &[u8]) -> Result<(), Malformed> {
        (self.action, self.xid) = (0, 0);
        for text in
            [&mut self.lsn, &mut self.next_lsn, &mut self.timestamp, &mut self.schema, &mut self.table]
        {
            *text = Text::default();
        }
        for items in [&mut self.columns, &mut self.identity, &mut self.key] {
            items.clear();
        }
        let mut scanner = Scanner::new(message);
        scanner.object(|scanner, key| {
            match key {
                b"action" => {
                    self.action = message[scanner.string()?.place].first().copied().ok_or(Malformed)?;
                }
                b"xid" => self.xid = number(message, &scanner.scalar()?)?,
                b"lsn" => self.lsn = scanner.string()?,
                b"nextlsn" => self.next_lsn = scanner.string()?,
                b"timestamp" => self.timestamp = optional_text(scanner.scalar()?)?,
                b"schema" => self.schema = scanner.string()?,
                b"table" => self.table = scanner.string()?,
                b"columns" => parse_items(scanner, message, &mut self.columns)?,
                b"identity" => parse_items(scanner, message, &mut self.identity)?,
                b"pk" => parse_items(scanner, message, &mut self.key)?,
                _ => {
                    scanner.scalar()?;
                }
            }
            Ok(())
        })?;
        scanner.end()
    }

    /// All items that name a column.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.columns.iter().chain(&self.identity)
    }

    /// The columns that the row names: of a new row those of `columns`, else of `identity`.
    pub fn names(&self, message: &[u8]) -> Result<Vec<String>, Malformed> {
        let items = if self.columns.is_empty() { &self.identity } else { &self.columns };
        items.iter().map(|item| text_of(message, &item.name)).collect()
    }

    /// Whether this row was written by a table of this shape; says which item is which column.
    pub fn fits(&mut self, message: &[u8], entry: &Entry) -> bool {
        let Self { action, columns, identity, key, column_places, identity_places, .. } = self;
        let (table, width) = (&entry.table, entry.table.columns.len());
        let named = |item: &Item, name: &str| is_named(message, item, name);
        let Some(found) = line_up(message, columns, entry, column_places) else { return false };
        if *action == b'I' && found != width {
            return false;
        }
        let Some(found) = line_up(message, identity, entry, identity_places) else { return false };
        let is_in_key = |&place: &usize| {
            table.columns.get(place).is_some_and(|column| key.iter().any(|item| named(item, &column.name)))
        };
        let key_fits = key.len() == entry.primary.len() && entry.primary.iter().all(is_in_key);
        if !key_fits || *action == b'I' || entry.partition {
            return key_fits;
        }
        let identities = table.columns.iter().zip(identity_places.iter());
        found == table.columns.iter().filter(|column| column.identity).count()
            && identities.into_iter().all(|(column, place)| place.is_none() || column.identity)
    }

    /// A key column without a value, in a row that fits.
    pub fn key_is_null(&self, entry: &Entry) -> bool {
        let is_null = |items: &[Item], places: &[Option<usize>], place: usize| {
            places
                .get(place)
                .and_then(|place| items.get((*place)?))
                .is_some_and(|item| item.value == Scalar::Null)
        };
        entry.table.key.iter().any(|&place| {
            is_null(&self.columns, &self.column_places, place)
                || is_null(&self.identity, &self.identity_places, place)
        })
    }

    /// The shape that this row speaks of, with what else was known of the table.
    pub fn entry(&self, message: &[u8], known: &Entry, type_names: &[String]) -> Result<Entry, Malformed> {
        let name_of = |item: &Item| text_of(message, &item.name);
        let identity = self.identity.iter().map(name_of).collect::<Result<Vec<_>, _>>()?;
        let key_names = self.key.iter().map(name_of).collect::<Result<Vec<_>, _>>()?;
        if key_names.iter().collect::<BTreeSet<_>>().len() < key_names.len() {
            return Err(Malformed);
        }
        let (mut columns, mut type_oids) = (Vec::<Column>::new(), Vec::new());
        for (item, type_name) in self.items().zip(type_names) {
            let name = name_of(item)?;
            if columns.iter().any(|column| column.name == name)
                || known.keys.leaves_out(&name) && !key_names.contains(&name)
            {
                continue;
            }
            let was_identity =
                known.table.columns.iter().any(|column| column.name == name && column.identity);
            let identity = if self.action == b'I' {
                was_identity || key_names.contains(&name)
            } else {
                identity.contains(&name)
            };
            columns.push(Column { name, type_name: type_name.clone(), identity });
            type_oids.push(item.type_oid);
        }
        let primary = places(&key_names, &columns);
        let by_index = known.keys.identity == b'i'
            || self.action != b'I' && !key_names.iter().all(|name| identity.contains(name));
        let key = match self.action {
            _ if !by_index => primary.clone(),
            b'I' => places(&known.keys.index, &columns),
            _ => places(&identity, &columns),
        };
        let table = Arc::new(Table {
            schema: known.table.schema.clone(),
            name: known.table.name.clone(),
            columns,
            key,
        });
        Ok(Entry { table, type_oids, primary, keys: known.keys.clone(), partition: known.partition })
    }
}

/// Finds each item's column. The number of columns found; `None` if an item has no column of its name and
/// type.
fn line_up(message: &[u8], items: &[Item], entry: &Entry, places: &mut Vec<Option<usize>>) -> Option<usize> {
    let columns = &entry.table.columns;
    places.clear();
    places.resize(columns.len(), None);
    let (mut next, mut found) = (0, 0);
    for (number, item) in items.iter().enumerate() {
        // In the table's order as a rule; a partition may have its own.
        let mut order = (next..columns.len()).chain(0..next);
        let place = order.find(|&place| is_named(message, item, &columns[place].name));
        let Some(place) = place else {
            if entry.keys.computed.iter().any(|name| is_named(message, item, name)) {
                continue;
            }
            return None;
        };
        if entry.type_oids.get(place) != Some(&item.type_oid) || places[place].is_some() {
            return None;
        }
        places[place] = Some(number);
        (next, found) = (place + 1, found + 1);
    }
    Some(found)
}

fn is_named(message: &[u8], item: &Item, name: &str) -> bool {
    if item.name.escaped {
        return text_of(message, &item.name).is_ok_and(|text| text == name);
    }
    message[item.name.place.clone()] == *name.as_bytes()
}

fn text_of(message: &[u8], text: &Text) -> Result<String, Malformed> {
    let mut out = Vec::new();
    unescape(&message[text.place.clone()], &mut out).ok_or(Malformed)?;
    String::from_utf8(out).map_err(|_| Malformed)
}

/// More than any table has columns; the time that a row takes may grow with their square.
const ITEMS_MAX: usize = 4096;

fn parse_items(scanner: &mut Scanner, message: &[u8], items: &mut Vec<Item>) -> Result<(), Malformed> {
    scanner.array(|scanner| {
        let mut item = Item { name: Text::default(), type_oid: 0, value: Scalar::Null };
        scanner.object(|scanner, key| {
            match key {
                b"name" => item.name = scanner.string()?,
                b"typeoid" => item.type_oid = number(message, &scanner.scalar()?)?,
                b"value" => item.value = scanner.scalar()?,
                _ => {
                    scanner.scalar()?;
                }
            }
            Ok(())
        })?;
        if items.len() == ITEMS_MAX {
            return Err(Malformed);
        }
        items.push(item);
        Ok(())
    })
}

/// Object ids are printed signed.
fn number(message: &[u8], value: &Scalar) -> Result<u32, Malformed> {
    match value {
        Scalar::Literal(place) => {
            let digits = std::str::from_utf8(&message[place.clone()]).map_err(|_| Malformed)?;
            digits.parse::<i64>().map(|number| number as u32).map_err(|_| Malformed)
        }
        Scalar::Null => Ok(0),
        Scalar::Text(_) => Err(Malformed),
    }
}

fn optional_text(value: Scalar) -> Result<Text, Malformed> {
    match value {
        Scalar::Text(text) => Ok(text),
        Scalar::Null => Ok(Text::default()),
        Scalar::Literal(_) => Err(Malformed),
    }
}

/// `16/B374D848` as a number.
pub(super) fn lsn(message: &[u8], text: &Text) -> Result<u64, Malformed> {
    std::str::from_utf8(&message[text.place.clone()])
        .ok()
        .and_then(super::super::slot::parse_lsn)
        .ok_or(Malformed)
}

/// PostgreSQL's timestamps end with it.
const YEAR_MAX: i64 = 294_276;

/// `2026-11-23 22:41:17.123456+00` in microseconds since 1970.
pub(super) fn timestamp_us(message: &[u8], text: &Text) -> Result<i64, Malformed> {
    let text = std::str::from_utf8(&message[text.place.clone()]).map_err(|_| Malformed)?;
    let (date, time) = text.split_once(' ').ok_or(Malformed)?;
    let time = time.strip_suffix("+00").ok_or(Malformed)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let numbers = |text: &str, separator: char| {
        let numbers: Option<Vec<i64>> = text
            .split(separator)
            .map(|part| part.parse().ok().filter(|number| (0..1_000_000).contains(number)))
            .collect();
        numbers.and_then(|numbers| <[i64; 3]>::try_from(numbers).ok()).ok_or(Malformed)
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    if !(1..=12).contains(&month) || year > YEAR_MAX || fraction.len() > 6 {
        return Err(Malformed);
    }
    let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| Malformed)?;
    let days = i64::from(days_of(Date { year: year as i32, month: month as u32, day: day as u32 }));
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
}
