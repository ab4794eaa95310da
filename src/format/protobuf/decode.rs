//! Messages to rows of a batch. Input is not trusted: whatever it is, the answer is a row or a reason.

use std::sync::Arc;

use super::wire::{BYTES, Reader, VARINT, change, kind, unzigzag};
use crate::change::{Batch, CellKind, Operation, Position, Table};
use crate::format::json::{is_literal, write_message};
use crate::format::parts::{BYTES_MAX, Extras, Field, List, NO_TABLE, Parts, Reason, Span};
use crate::format::rows::Rows;
use crate::format::template::{Slot, Templates, Value};
use crate::{Code, Error};

/// Reads messages. Keeps what it learned of tables from call to call.
#[derive(Debug, Default)]
pub struct Decoder {
    rows: Rows,
    parts: Parts,
    extras: Extras,
    names: Vec<Span>,
    types: Vec<Span>,
    key: Vec<u64>,
    columns: Values,
    identity: Values,
    /// Values of what rows do not need, with where they begin and end.
    skipped: Vec<(CellKind, (usize, usize))>,
    templates: Templates,
}

/// What a message says of one row: kinds, and the texts of those that have one.
#[derive(Debug, Default)]
struct Values {
    kinds: Vec<u64>,
    texts: Vec<Span>,
    /// Where the length of each text begins.
    starts: Vec<usize>,
}

impl Decoder {
    /// Adds the row of a message to `batch`, at `position`.
    ///
    /// Fields may come in any order, and unknown ones do not matter. A message that is no `Change` or lacks
    /// what its action needs is a `Stop` and leaves the batch's rows as they were.
    pub fn decode(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> crate::Result<()> {
        self.add(message, position, batch).map_err(refused)
    }

    fn add(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> Result<(), Reason> {
        let action =
            message.first_chunk::<2>().filter(|start| u32::from(start[0]) == change::ACTION << 3 | VARINT);
        if let Some(template) =
            action.and_then(|start| self.templates.get(operation_of(start[1].into()).ok()?))
            && message.len() <= BYTES_MAX
            && template.known.origin == self.rows.origin()
            && template
                .fit(message, &mut self.parts, |field, slot, at| value_at(message, field.kind, slot, at))
            && self.rows.add_known(template.known, message, &self.parts, position, batch)
        {
            return Ok(());
        }
        let operation = self.parse(message)?;
        let Self { rows, parts, columns, identity, skipped, templates, .. } = self;
        let known = rows.add(operation, message, parts, position, batch)?;
        templates.learn(message, parts, known, || {
            let skipped =
                skipped.iter().map(|(kind, whole)| Value { slot: Slot::Skipped(*kind), whole: *whole });
            values(&parts.columns, columns, Slot::Column)
                .chain(values(&parts.identity, identity, Slot::Identity))
                .chain(skipped)
                .collect()
        });
        Ok(())
    }

    /// The messages that follow are of this table, which their shape names.
    pub fn of_table(&mut self, table: &Arc<Table>) {
        self.rows.of_table(table);
    }

    /// The messages that follow are of this topic and name no shape: their tables are guessed from their
    /// names.
    pub fn of_topic(&mut self, topic: &str) {
        self.rows.of_topic(topic);
    }

    /// What it learned of the bytes of messages.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn forget_templates(&mut self) {
        self.templates = Templates::default();
    }

    /// Appends what JSON would have written of the same row, byte for byte, with the extras that the message
    /// holds. (JSON's `"xid":null` of a change without a GTID is left out, as the message leaves it out.) A
    /// message that is no `Change` is a `Stop`; then nothing is appended.
    pub fn to_json(&mut self, message: &[u8], out: &mut Vec<u8>) -> crate::Result<()> {
        let operation = self.parse(message).map_err(refused)?;
        let table = self.parts.table.ok_or_else(|| refused(NO_TABLE))?;
        write_message(operation, message, table, &self.parts, &self.extras, out);
        Ok(())
    }

    /// Takes the message apart; answers its action.
    fn parse(&mut self, message: &[u8]) -> Result<Operation, Reason> {
        if message.len() > BYTES_MAX {
            return Err("it is longer than 2 GiB");
        }
        self.parts.clear();
        self.extras = Extras::default();
        self.names.clear();
        self.types.clear();
        self.key.clear();
        self.skipped.clear();
        for values in [&mut self.columns, &mut self.identity] {
            values.kinds.clear();
            values.texts.clear();
            values.starts.clear();
        }
        let mut action = 0;
        let mut reader = Reader::new(message);
        while !reader.is_empty() {
            let (field, wire_type) = reader.tag()?;
            let start = reader.place().0;
            match (field, wire_type) {
                (change::ACTION, VARINT) => action = reader.varint()?,
                (change::SCHEMA, BYTES) => self.parts.schema = Some(text(reader.part()?)?),
                (change::TABLE, BYTES) => self.parts.table = Some(text(reader.part()?)?),
                (change::NAME, BYTES) => self.names.push(text(reader.part()?)?),
                (change::TYPE, BYTES) => self.types.push(text(reader.part()?)?),
                (change::PK, _) => numbers(&mut reader, wire_type, &mut self.key)?,
                (change::COLUMN_KINDS, _) => numbers(&mut reader, wire_type, &mut self.columns.kinds)?,
                (change::COLUMNS, BYTES) => self.columns.add(start, text(reader.part()?)?),
                (change::IDENTITY_KINDS, _) => numbers(&mut reader, wire_type, &mut self.identity.kinds)?,
                (change::IDENTITY, BYTES) => self.identity.add(start, text(reader.part()?)?),
                (change::XID, BYTES) => self.extras.xid = Some(text(reader.part()?)?),
                (change::COMMITTED_US, VARINT) => self.extras.committed_us = Some(unzigzag(reader.varint()?)),
                (change::LSN, BYTES) => self.extras.lsn = Some(text(reader.part()?)?),
                (change::ACTION..=change::IDENTITY, _) => return Err("a field is not of its type"),
                _ => reader.skip(wire_type)?,
            }
            match field {
                change::XID | change::LSN => self.skipped.push((CellKind::Text, (start, reader.place().0))),
                change::COMMITTED_US => self.skipped.push((CellKind::Literal, (start, reader.place().0))),
                _ => {}
            }
        }
        let operation = operation_of(action)?;
        self.extras.types = !self.types.is_empty();
        self.name_columns(operation, message)?;
        Ok(operation)
    }

    /// Gives values and key their names; what was not sent goes.
    fn name_columns(&mut self, operation: Operation, message: &[u8]) -> Result<(), Reason> {
        let Self { parts, names, types, key, columns, identity, .. } = self;
        if !types.is_empty() && types.len() != names.len() {
            return Err("it has not as many types as names");
        }
        let name_of = |place: usize| {
            names.get(place).map(|name| (*name, types.get(place).copied().unwrap_or_default()))
        };
        let (new, old) = match operation {
            Operation::Insert => (true, false),
            Operation::Update => (true, true),
            Operation::Delete => (false, true),
            Operation::Truncate => (false, false),
        };
        for (list, values, given) in
            [(&mut parts.columns, columns, new), (&mut parts.identity, identity, old)]
        {
            list.given = given;
            fill(list, values, message, name_of)?;
        }
        for place in key {
            let (name, type_name) =
                usize::try_from(*place).ok().and_then(name_of).ok_or("its key is in no column")?;
            parts.pk.fields.push(Field { name, type_name, kind: CellKind::Missing, value: Span::default() });
        }
        Ok(())
    }
}

impl Values {
    #[inline]
    fn add(&mut self, start: usize, text: Span) {
        self.texts.push(text);
        self.starts.push(start);
    }
}

fn operation_of(action: u64) -> Result<Operation, Reason> {
    match action {
        1 => Ok(Operation::Insert),
        2 => Ok(Operation::Update),
        3 => Ok(Operation::Delete),
        4 => Ok(Operation::Truncate),
        0 => Err("it has no action"),
        _ => Err("its action is unknown"),
    }
}

/// The texts that may be others in another message of the same table. A kind is part of what must be equal.
fn values(list: &List, values: &Values, slot: fn(usize) -> Slot) -> impl Iterator<Item = Value> {
    let have_text = list
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| matches!(field.kind, CellKind::Literal | CellKind::Text));
    let starts = have_text.zip(&values.starts);
    starts.map(move |((place, field), start)| Value {
        slot: slot(place),
        whole: (*start, field.value.end as usize),
    })
}

/// The value at a place, if it is one of this kind.
#[inline]
fn value_at(message: &[u8], kind: CellKind, slot: Slot, at: usize) -> Option<(CellKind, Span, usize)> {
    let mut reader = Reader::at(message, at);
    if slot == Slot::Skipped(CellKind::Literal) {
        reader.varint().ok()?;
        return Some((kind, Span::default(), reader.place().0));
    }
    let value = text(reader.part().ok()?).ok()?;
    if kind == CellKind::Literal && !is_literal(value.raw(message)) {
        return None;
    }
    Some((kind, value, reader.place().0))
}

fn refused(reason: Reason) -> Error {
    Error::stop(Code::MessageUnreadable, format!("a message is no row change in protobuf: {reason}"))
        .hint("check that what writes the header format=protobuf also writes docs/change.proto")
}

/// Makes fields of kinds and texts, without those that were not sent.
fn fill(
    list: &mut List,
    values: &Values,
    message: &[u8],
    name_of: impl Fn(usize) -> Option<(Span, Span)>,
) -> Result<(), Reason> {
    let mut texts = values.texts.iter().copied();
    for (place, number) in values.kinds.iter().enumerate() {
        let (name, type_name) = name_of(place).ok_or("it has more values than names")?;
        let (kind, has_text) = match u8::try_from(*number) {
            Ok(kind::NOT_SENT) => continue,
            Ok(kind::NULL) => (CellKind::Null, false),
            Ok(kind::LITERAL) => (CellKind::Literal, true),
            Ok(kind::TEXT) => (CellKind::Text, true),
            _ => return Err("the kind of a value is unknown"),
        };
        let value = if has_text {
            texts.next().ok_or("it has fewer texts than its kinds say")?
        } else {
            Span::default()
        };
        if kind == CellKind::Literal && !is_literal(value.raw(message)) {
            return Err("a literal is no number, true or false");
        }
        list.fields.push(Field { name, type_name, kind, value });
    }
    if texts.next().is_some() { Err("it has more texts than its kinds say") } else { Ok(()) }
}

/// A list of numbers, packed or one by one.
fn numbers(reader: &mut Reader<'_>, wire_type: u32, into: &mut Vec<u64>) -> Result<(), Reason> {
    match wire_type {
        VARINT => into.push(reader.varint()?),
        BYTES => {
            let mut part = reader.part()?;
            while !part.is_empty() {
                into.push(part.varint()?);
            }
        }
        _ => return Err("a field is not of its type"),
    }
    Ok(())
}

#[inline]
fn text(part: Reader<'_>) -> Result<Span, Reason> {
    if std::str::from_utf8(part.rest()).is_err() {
        return Err("a text is not UTF-8");
    }
    let (start, end) = part.place();
    Ok(Span { start: start as u32, end: end as u32, escaped: false })
}
