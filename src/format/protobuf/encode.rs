//! Batches to messages: the bytes of a table's name, columns and key are made once, a row copies them and
//! adds its values.

use std::collections::HashMap;
use std::sync::Arc;

use super::wire::{BYTES, VARINT, change, kind, write_bytes, write_tag, write_varint, zigzag};
use crate::change::{Batch, Cell, CellKind, Operation, Row, Table};
use crate::format::json::write_lsn;
use crate::format::key::KeyRule;
use crate::format::{Include, Options, Record, Records};

/// Shapes kept before all are forgotten and made anew; bounds what tables that come and go can hold.
const SHAPES_MAX: usize = 20_000;

/// Writes messages. Keeps what it learned of tables from call to call.
#[derive(Debug)]
pub struct Encoder {
    options: Options,
    /// By the address of the table, which stays taken while the shape holds it.
    shapes: HashMap<usize, Arc<Shape>>,
    /// The shapes of the batch at hand, by table index.
    of_batch: Vec<Arc<Shape>>,
    lsn: Vec<u8>,
}

/// The constant bytes of one table.
#[derive(Debug)]
struct Shape {
    table: Arc<Table>,
    key: KeyRule,
    /// Fields `schema` (if included) and `table`.
    name: Vec<u8>,
    /// Fields `name` of all columns, and where each ends.
    names: Vec<u8>,
    name_ends: Vec<usize>,
    /// The same for `type`; empty unless included.
    types: Vec<u8>,
    type_ends: Vec<usize>,
    /// Field `pk`.
    pk: Vec<u8>,
    /// Columns that are named at least, since the key's places are counted in them.
    named_min: usize,
    /// Which columns `identity` may hold.
    identity: Vec<bool>,
}

impl Shape {
    fn of(table: &Arc<Table>, options: Options) -> Self {
        let mut name = Vec::new();
        if options.include.schema {
            write_bytes(change::SCHEMA, table.schema.as_bytes(), &mut name);
        }
        write_bytes(change::TABLE, table.name.as_bytes(), &mut name);
        let (mut names, mut name_ends, mut types, mut type_ends) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for column in &table.columns {
            write_bytes(change::NAME, column.name.as_bytes(), &mut names);
            name_ends.push(names.len());
            if options.include.types {
                write_bytes(change::TYPE, column.type_name.as_bytes(), &mut types);
                type_ends.push(types.len());
            }
        }
        let mut key = table.key.clone();
        key.sort_unstable();
        let (mut places, mut pk) = (Vec::new(), Vec::new());
        for &place in &key {
            write_varint(place as u64, &mut places);
        }
        if !places.is_empty() {
            write_bytes(change::PK, &places, &mut pk);
        }
        let whole = !options.identity_key_only || table.key.is_empty();
        let identity = (0..table.columns.len()).map(|place| whole || table.key.contains(&place)).collect();
        let named_min = key.last().map_or(0, |place| place + 1);
        Self {
            table: Arc::clone(table),
            key: KeyRule::of(table),
            name,
            names,
            name_ends,
            types,
            type_ends,
            pk,
            named_min,
            identity,
        }
    }

    /// Whether `identity` holds this cell of the old row.
    fn names_old(&self, place: usize, cell: &Cell) -> bool {
        cell.kind != CellKind::Missing && self.identity.get(place) == Some(&true)
    }

    /// Appends `name`, `type` and `pk`, for the first `count` columns.
    fn write_names(&self, count: usize, out: &mut Vec<u8>) {
        let cut = |ends: &[usize]| count.checked_sub(1).and_then(|last| ends.get(last).copied()).unwrap_or(0);
        out.extend_from_slice(self.names.get(..cut(&self.name_ends)).unwrap_or_default());
        out.extend_from_slice(self.types.get(..cut(&self.type_ends)).unwrap_or_default());
        out.extend_from_slice(&self.pk);
    }
}

impl Encoder {
    /// An encoder that knows no table yet.
    pub fn new(options: Options) -> Self {
        Self { options, shapes: HashMap::new(), of_batch: Vec::new(), lsn: Vec::new() }
    }

    /// Appends one message for each row of `batch`.
    pub fn encode(&mut self, batch: &Batch, records: &mut Records) {
        self.learn(batch);
        let shapes = std::mem::take(&mut self.of_batch);
        for (row, index) in batch.rows().iter().zip(0..) {
            let shape = &shapes[row.table as usize];
            let start = records.bytes.len() as u32;
            shape.key.write(batch, row, &mut records.bytes);
            let key_end = records.bytes.len() as u32;
            self.write_row(batch, row, shape, &mut records.bytes);
            records.records.push(Record { row: index, start, key_end, end: records.bytes.len() as u32 });
        }
        self.of_batch = shapes;
        self.of_batch.clear();
    }

    fn learn(&mut self, batch: &Batch) {
        if self.shapes.len() > SHAPES_MAX {
            self.shapes.clear();
        }
        self.of_batch.clear();
        for table in batch.tables() {
            let shape = self
                .shapes
                .entry(Arc::as_ptr(table).addr())
                .or_insert_with(|| Arc::new(Shape::of(table, self.options)));
            debug_assert!(
                Arc::ptr_eq(&shape.table, table),
                "a shape holds its table, so the address cannot be another's"
            );
            self.of_batch.push(Arc::clone(shape));
        }
    }

    fn write_row(&mut self, batch: &Batch, row: &Row, shape: &Shape, out: &mut Vec<u8>) {
        let action = match row.operation {
            Operation::Insert => 1,
            Operation::Update => 2,
            Operation::Delete => 3,
            Operation::Truncate => 4,
        };
        write_tag(change::ACTION, VARINT, out);
        out.push(action);
        let Include { xid, timestamp, lsn, .. } = self.options.include;
        if xid || timestamp || lsn {
            self.write_log_place(batch, row, out);
        }
        out.extend_from_slice(&shape.name);
        if row.operation == Operation::Truncate {
            return;
        }
        let (columns, identity) = (batch.columns(row), batch.identity(row));
        let old = identity
            .iter()
            .enumerate()
            .rev()
            .find(|(place, cell)| shape.names_old(*place, cell))
            .map_or(0, |(place, _)| place + 1);
        let new =
            columns.iter().rposition(|cell| cell.kind != CellKind::Missing).map_or(0, |place| place + 1);
        shape.write_names(new.max(old).max(shape.named_min), out);
        // Kinds are alike from row to row: behind the names they are one long repeat to a compressor.
        write_kinds(change::COLUMN_KINDS, columns.iter().take(new).map(kind_of), new, out);
        let old_kind = |(place, cell): (usize, &Cell)| {
            if shape.names_old(place, cell) { kind_of(cell) } else { kind::NOT_SENT }
        };
        write_kinds(change::IDENTITY_KINDS, identity.iter().enumerate().take(old).map(old_kind), old, out);
        for cell in columns.iter().filter(|cell| has_text(cell)) {
            write_bytes(change::COLUMNS, batch.text(cell), out);
        }
        for (_, cell) in identity
            .iter()
            .enumerate()
            .filter(|(place, cell)| has_text(cell) && shape.names_old(*place, cell))
        {
            write_bytes(change::IDENTITY, batch.text(cell), out);
        }
    }

    fn write_log_place(&mut self, batch: &Batch, row: &Row, out: &mut Vec<u8>) {
        let (transaction, Include { xid, timestamp, lsn, .. }) =
            (batch.transaction(row), self.options.include);
        if xid && !transaction.xid.is_empty() {
            write_bytes(change::XID, transaction.xid.as_bytes(), out);
        }
        if timestamp {
            write_tag(change::COMMITTED_US, VARINT, out);
            write_varint(zigzag(transaction.committed_us), out);
        }
        if lsn {
            self.lsn.clear();
            write_lsn(transaction, row, &mut self.lsn);
            write_bytes(change::LSN, &self.lsn, out);
        }
    }
}

#[inline]
fn has_text(cell: &Cell) -> bool {
    matches!(cell.kind, CellKind::Literal | CellKind::Text)
}

#[inline]
fn kind_of(cell: &Cell) -> u8 {
    match cell.kind {
        CellKind::Missing => kind::NOT_SENT,
        CellKind::Null => kind::NULL,
        CellKind::Literal => kind::LITERAL,
        CellKind::Text => kind::TEXT,
    }
}

/// Appends a packed list of kinds, each of which is one byte.
#[inline]
fn write_kinds(field: u32, kinds: impl Iterator<Item = u8>, count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        write_tag(field, BYTES, out);
        write_varint(count as u64, out);
        out.extend(kinds);
    }
}
