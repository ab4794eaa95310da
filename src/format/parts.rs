//! What a message of any format consists of, without a copy: which of its bytes are names and which are
//! values.

use crate::change::CellKind;
use crate::json_string::unescape;

/// Where a text (in JSON: the inside of a string) or another value lies in a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
    /// JSON: whether there is an escape in it.
    pub escaped: bool,
}

impl Span {
    /// As it stands in the message.
    #[inline]
    pub fn raw(self, message: &[u8]) -> &[u8] {
        message.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// What it stands for. `None` for a malformed escape.
    pub fn text(self, message: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        self.write(message, &mut out)?;
        String::from_utf8(out).ok()
    }

    /// Appends what it stands for. `None` for a malformed escape.
    #[inline]
    pub fn write(self, message: &[u8], out: &mut Vec<u8>) -> Option<()> {
        if self.escaped {
            return unescape(self.raw(message), out);
        }
        out.extend_from_slice(self.raw(message));
        Some(())
    }
}

/// An entry of `columns`, `identity` or `pk`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Name of the column.
    pub name: Span,
    /// Its type, if the message says it.
    pub type_name: Span,
    /// `Missing` if there is no value (`pk`).
    pub kind: CellKind,
    /// The value.
    pub value: Span,
}

impl Default for Field {
    fn default() -> Self {
        Self {
            name: Span::default(),
            type_name: Span::default(),
            kind: CellKind::Missing,
            value: Span::default(),
        }
    }
}

/// A list of columns: whether it is there, and its entries.
#[derive(Debug, Default)]
pub(super) struct List {
    pub given: bool,
    pub fields: Vec<Field>,
}

/// What a message holds; the lists keep their memory from message to message.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Given if the message names it.
    pub schema: Option<Span>,
    pub table: Option<Span>,
    pub columns: List,
    pub identity: List,
    pub pk: List,
}

/// What a message says only if it was asked for.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub xid: Option<Span>,
    /// Commit time, microseconds since 1970-01-01 UTC.
    pub committed_us: Option<i64>,
    pub lsn: Option<Span>,
    /// Whether fields have types.
    pub types: bool,
}

/// Why a message is refused, in a few words that quote none of it.
pub(super) type Reason = &'static str;

/// What every row change has, of whatever format.
pub(super) const NO_TABLE: Reason = "it names no table";

/// The longest message that is taken apart: places in it are counted in 32 bits.
pub(super) const BYTES_MAX: usize = 1 << 31;

impl Parts {
    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        (self.schema, self.table) = (None, None);
        for list in [&mut self.columns, &mut self.identity, &mut self.pk] {
            list.given = false;
            list.fields.clear();
        }
    }
}
