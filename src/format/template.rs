//! The bytes around the values of the last message, by which the next one of the same table is taken apart
//! faster: the same bytes, other values.
//!
//! Whatever does not fit is parsed as a whole, so this knows no format: equal bytes around values of which
//! each is read by the format's own rule mean an equal action, and equal names in an equal order.

use super::parts::{Field, Parts, Span};
use super::shape::Known;
use crate::change::{CellKind, Operation};

/// What a value of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Of the field at this place in `columns`.
    Column(usize),
    /// Of the field at this place in `identity`.
    Identity(usize),
    /// Of what is not needed here. Protobuf: `Literal` is a number on the wire.
    Skipped(CellKind),
}

/// A value of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub slot: Slot,
    /// Where it begins and ends with all that changes with it: quotes, a length.
    pub whole: (usize, usize),
}

/// One message without its values.
#[derive(Debug)]
pub(super) struct Template {
    /// The pieces between values, one behind the other.
    bytes: Vec<u8>,
    /// A value, and where the piece before it ends in `bytes`. Behind the last one comes the rest.
    slots: Vec<(Slot, usize)>,
    columns: Vec<Field>,
    identity: Vec<Field>,
    /// What the rows made of it.
    pub known: Known,
}

impl Template {
    /// Of a message that was parsed into these parts and holds these values, in any order.
    fn of(message: &[u8], parts: &Parts, mut values: Vec<Value>, known: Known) -> Option<Self> {
        values.sort_unstable_by_key(|value| value.whole.0);
        let (mut bytes, mut slots, mut at) = (Vec::new(), Vec::with_capacity(values.len()), 0);
        for Value { slot, whole: (start, end) } in values {
            bytes.extend_from_slice(message.get(at..start)?);
            slots.push((slot, bytes.len()));
            at = end;
        }
        bytes.extend_from_slice(message.get(at..)?);
        Some(Self {
            bytes,
            slots,
            columns: parts.columns.fields.clone(),
            identity: parts.identity.fields.clone(),
            known,
        })
    }

    /// Takes a message apart if it fits; then `parts` holds its values, and places of names that are not to
    /// be looked at. `read` reads the value at a place: its kind, its span, and where it ends, or `None` if
    /// it is malformed.
    #[inline]
    pub fn fit(
        &self,
        message: &[u8],
        parts: &mut Parts,
        mut read: impl FnMut(&Field, Slot, usize) -> Option<(CellKind, Span, usize)>,
    ) -> bool {
        for (list, fields) in [(&mut parts.columns, &self.columns), (&mut parts.identity, &self.identity)] {
            list.fields.clear();
            list.fields.extend_from_slice(fields);
        }
        let (mut at, mut from) = (0, 0);
        let mut unneeded = Field::default();
        for &(slot, end) in &self.slots {
            let (Some(piece), Some(rest)) = (self.bytes.get(from..end), message.get(at..)) else {
                return false;
            };
            if !rest.starts_with(piece) {
                return false;
            }
            let field = match slot {
                Slot::Column(place) => parts.columns.fields.get_mut(place),
                Slot::Identity(place) => parts.identity.fields.get_mut(place),
                Slot::Skipped(_) => Some(&mut unneeded),
            };
            let Some(field) = field else { return false };
            let Some((kind, value, next)) = read(field, slot, at + piece.len()) else { return false };
            (field.kind, field.value) = (kind, value);
            (at, from) = (next, end);
        }
        message.get(at..) == self.bytes.get(from..)
    }
}

/// The templates of one reader, one for each operation.
#[derive(Debug, Default)]
pub(super) struct Templates([Learned; 4]);

/// From the last messages of an operation that did not fit.
#[derive(Debug, Default)]
struct Learned {
    last: Option<Known>,
    template: Option<Template>,
}

impl Templates {
    /// The one that a message of this operation may fit.
    #[inline]
    pub fn get(&self, operation: Operation) -> Option<&Template> {
        self.0[operation as usize].template.as_ref()
    }

    /// Learns of a message that was parsed as a whole.
    pub fn learn(
        &mut self,
        message: &[u8],
        parts: &Parts,
        known: Known,
        values: impl FnOnce() -> Vec<Value>,
    ) {
        let learned = &mut self.0[known.operation as usize];
        // Not of tables that take turns: then it would be made for each message, and fit none.
        if learned.last == Some(known) {
            learned.template = Template::of(message, parts, values(), known);
        }
        learned.last = Some(known);
    }
}
