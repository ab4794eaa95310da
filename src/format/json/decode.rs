//! JSON messages to rows of a batch: those of list_sync with any `include`, and those of plain wal2json
//! format-version 2.

use std::sync::Arc;

use super::parse::{Cursor, Skipped, check, parse};
use crate::change::{Batch, CellKind, Operation, Position, Table};
use crate::format::parts::{List, Parts, Reason, Span};
use crate::format::rows::Rows;
use crate::format::template::{Slot, Templates, Value};
use crate::{Code, Error};

/// Reads messages. Keeps what it learned of tables from call to call.
///
/// ```
/// use list_sync::change::{Batch, Position};
/// use list_sync::format::json::Decoder;
///
/// let mut batch = Batch::default();
/// let message = br#"{"action":"D","table":"test","identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#;
/// Decoder::default().decode(message, Position::START, &mut batch)?;
/// assert_eq!(batch.text(&batch.identity(&batch.rows()[0])[0]), b"1");
/// # Ok::<(), list_sync::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    rows: Rows,
    parts: Parts,
    skipped: Skipped,
    templates: Templates,
}

impl Decoder {
    /// Adds the row of a message to `batch`, at `position`. Messages of wal2json that carry no row (`B`, `C`,
    /// `M`) add nothing.
    ///
    /// White space, the order of keys and unknown keys do not matter. A message that is not valid JSON or
    /// lacks what its action needs is a `Stop` and leaves the batch's rows as they were.
    pub fn decode(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> crate::Result<()> {
        self.add(message, position, batch).map_err(|reason| {
            Error::stop(Code::MessageUnreadable, format!("a message is no row change in JSON: {reason}"))
                .hint(
                    "check that the topic holds only messages of list_sync or wal2json (format-version \
                    2), and that `format` names their format",
                )
        })
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

    /// What it learned of the text of messages.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn forget_templates(&mut self) {
        self.templates = Templates::default();
    }

    fn add(&mut self, message: &[u8], position: Position, batch: &mut Batch) -> Result<(), Reason> {
        let Self { rows, parts, skipped, templates } = self;
        check(message)?;
        let action = message.strip_prefix(b"{\"action\":\"").and_then(<[u8]>::first_chunk::<1>);
        if let Some(template) = action.and_then(|action| templates.get(operation_of(action).ok()??))
            && template.known.origin == rows.origin()
            && template.fit(message, parts, |_, _, at| value_at(message, at))
            && rows.add_known(template.known, message, parts, position, batch)
        {
            return Ok(());
        }
        let action = parse(parts, skipped, message)?;
        let Some(operation) = operation_of(action.raw(message))? else { return Ok(()) };
        let known = rows.add(operation, message, parts, position, batch)?;
        templates.learn(message, parts, known, || values(parts, skipped));
        Ok(())
    }
}

#[inline]
fn value_at(message: &[u8], at: usize) -> Option<(CellKind, Span, usize)> {
    let mut cursor = Cursor::new(message, at);
    let (kind, value) = cursor.scalar().ok()?;
    Some((kind, value, cursor.at()))
}

/// The values that may be others in another message of the same table.
fn values(parts: &Parts, skipped: &Skipped) -> Vec<Value> {
    let list = |list: &List, slot: fn(usize) -> Slot| {
        let values = list.fields.iter().enumerate();
        values
            .map(|(place, field)| Value { slot: slot(place), whole: whole(field.kind, field.value) })
            .collect::<Vec<_>>()
    };
    let skipped =
        skipped.iter().map(|(kind, value)| Value { slot: Slot::Skipped(*kind), whole: whole(*kind, *value) });
    list(&parts.columns, Slot::Column)
        .into_iter()
        .chain(list(&parts.identity, Slot::Identity))
        .chain(skipped)
        .collect()
}

/// Where a scalar begins and ends, quotes and all.
fn whole(kind: CellKind, value: Span) -> (usize, usize) {
    let (start, end) = (value.start as usize, value.end as usize);
    match kind {
        CellKind::Text => (start.saturating_sub(1), end + 1),
        CellKind::Null | CellKind::Missing => (start, start + b"null".len()),
        CellKind::Literal => (start, end),
    }
}

/// `None` for what carries no row.
fn operation_of(action: &[u8]) -> Result<Option<Operation>, Reason> {
    match action {
        b"I" => Ok(Some(Operation::Insert)),
        b"U" => Ok(Some(Operation::Update)),
        b"D" => Ok(Some(Operation::Delete)),
        b"T" => Ok(Some(Operation::Truncate)),
        b"B" | b"C" | b"M" => Ok(None),
        b"" => Err("it has no action"),
        _ => Err("its action is unknown"),
    }
}
