//! The rows of a fold in few bytes: one allocation a row.

use std::sync::Arc;

use super::read::FileRow;
use crate::change::Position;

#[derive(Debug)]
pub(super) struct Stored {
    pub chain: u32,
    pub shape: u32,
    pub position: Option<Position>,
    /// For each column a byte that tells NULL, text and unknown apart; before a text its length, behind that
    /// the text.
    pub fields: Box<[u8]>,
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// SQL NULL.
    Null,
    /// The text.
    Text(&'a [u8]),
    /// The files do not tell.
    Unknown,
}

/// A row that the files hold.
#[derive(Debug, Clone)]
pub struct FoldRow {
    columns: Arc<[String]>,
    fields: Box<[u8]>,
}

impl FoldRow {
    /// The names of its columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The values, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = Field<'_>> {
        fields(&self.fields)
    }

    /// The value of a column; `Unknown` if the row has none of that name.
    pub fn value(&self, column: &str) -> Field<'_> {
        let place = self.columns.iter().position(|name| name == column);
        place.and_then(|place| self.values().nth(place)).unwrap_or(Field::Unknown)
    }
}

/// The sets of columns that rows have, each once.
#[derive(Debug, Default)]
pub(super) struct Shapes(Vec<Arc<[String]>>);

impl Shapes {
    /// The index of a set of columns.
    pub fn index(&mut self, columns: &[String]) -> u32 {
        let known = self.0.iter().position(|shape| shape[..] == *columns);
        known.unwrap_or_else(|| {
            self.0.push(Arc::from(columns));
            self.0.len() - 1
        }) as u32
    }

    /// The row as it is handed out.
    pub fn show(&self, row: &Stored) -> FoldRow {
        FoldRow { columns: self.get(row.shape).unwrap_or_default(), fields: row.fields.clone() }
    }

    fn get(&self, index: u32) -> Option<Arc<[String]>> {
        self.0.get(index as usize).map(Arc::clone)
    }
}

const NULL: u8 = 0;
const TEXT: u8 = 1;
const UNKNOWN: u8 = 2;

fn put(field: Field, out: &mut Vec<u8>) {
    match field {
        Field::Null => out.push(NULL),
        Field::Unknown => out.push(UNKNOWN),
        Field::Text(text) => {
            out.push(TEXT);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
    }
}

fn fields(packed: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = packed;
    std::iter::from_fn(move || {
        let (&kind, tail) = rest.split_first()?;
        rest = tail;
        Some(match kind {
            NULL => Field::Null,
            TEXT => {
                let (length, tail) = rest.split_first_chunk::<4>()?;
                let (text, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                rest = tail;
                Field::Text(text)
            }
            _ => Field::Unknown,
        })
    })
}

pub(super) fn pack(row: &FileRow, width: usize, unchanged: &str) -> Box<[u8]> {
    let mut out = Vec::new();
    for place in 0..width {
        put(
            match row.value(place) {
                None => Field::Null,
                Some(_) if row.is_bare(place, unchanged.as_bytes()) => Field::Unknown,
                Some(text) => Field::Text(text),
            },
            &mut out,
        );
    }
    out.into()
}

pub(super) fn key_of<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Box<[u8]> {
    let mut out = Vec::new();
    values.for_each(|value| put(value.map_or(Field::Null, Field::Text), &mut out));
    out.into()
}

/// A key in words.
pub(super) fn spell(key: &[u8]) -> String {
    let values = fields(key).map(|field| match field {
        Field::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => "NULL".to_owned(),
    });
    values.collect::<Vec<_>>().join(",")
}

/// The fields that some rows tell together.
#[derive(Debug, Default)]
pub(super) struct Told {
    shape: Option<u32>,
    columns: Vec<String>,
}

impl Told {
    /// Whether the row tells a field that those before it do not; then its fields are told, too.
    pub fn adds(&mut self, row: &Stored, shapes: &Shapes) -> bool {
        let is_whole = !fields(&row.fields).any(|field| field == Field::Unknown);
        match self.shape {
            // By far the most: a whole row behind a whole row of the same columns.
            Some(shape) if shape == row.shape => return false,
            None if is_whole && self.columns.is_empty() => {
                self.shape = Some(row.shape);
                return true;
            }
            _ => {}
        }
        if let Some(columns) = self.shape.take().and_then(|shape| shapes.get(shape)) {
            self.columns.extend(columns.iter().cloned());
        }
        let Some(columns) = shapes.get(row.shape) else { return false };
        let told = columns.iter().zip(fields(&row.fields)).filter(|(_, field)| *field != Field::Unknown);
        let before = self.columns.len();
        let added: Vec<String> =
            told.map(|(name, _)| name).filter(|name| !self.columns.contains(name)).cloned().collect();
        self.columns.extend(added);
        self.columns.len() > before
    }
}

/// Takes what the row does not tell from the one before it; columns that its file lacks are added behind.
pub(super) fn complete(row: &mut Stored, previous: &Stored, shapes: &mut Shapes) {
    let same_shape = row.shape == previous.shape;
    if same_shape && !fields(&row.fields).any(|field| field == Field::Unknown) {
        return;
    }
    let (Some(own), Some(old)) = (shapes.get(row.shape), shapes.get(previous.shape)) else { return };
    let before = |name: &String| {
        old.iter().position(|other| other == name).and_then(|place| fields(&previous.fields).nth(place))
    };
    let mut out = Vec::new();
    for (name, field) in own.iter().zip(fields(&row.fields)) {
        put(if field == Field::Unknown { before(name).unwrap_or(field) } else { field }, &mut out);
    }
    let absent: Vec<_> = old.iter().filter(|name| !own.contains(name)).cloned().collect();
    if !absent.is_empty() {
        for name in &absent {
            put(before(name).unwrap_or(Field::Unknown), &mut out);
        }
        let wider: Vec<_> = own.iter().cloned().chain(absent).collect();
        row.shape = shapes.index(&wider);
    }
    row.fields = out.into();
}
