//! Batches to JSON messages: constant bytes of a table are made once, a row copies them and its values.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::text::write_value;
use crate::calendar::{Date, date_of};
use crate::change::{Batch, Cell, CellKind, Operation, Row, Table, Transaction};
use crate::format::key::KeyRule;
use crate::format::{Include, Options, Record, Records};
use crate::json_string::write_string;

/// Writes messages. Keeps what it learned of tables from call to call.
///
/// ```
/// use std::sync::Arc;
/// use list_sync::change::{Batch, Column, CellKind, Operation, Position, RowHead, Table, Transaction};
/// use list_sync::format::{Records, json};
///
/// let id = Column { name: "id".into(), type_name: "bigint".into(), identity: true };
/// let (schema, name) = ("public".into(), "test".into());
/// let table = Arc::new(Table { schema, name, columns: vec![id], key: vec![0] });
/// let mut batch = Batch::default();
/// let (table, transaction) = (batch.add_table(&table), batch.add_transaction(Transaction::default()));
/// let columns = batch.mark();
/// batch.add_cell(CellKind::Literal, b"1");
/// let identity = batch.mark();
/// let head = RowHead { operation: Operation::Insert, table, transaction, lsn: 76 };
/// batch.push(head, columns, identity, &mut Position::first_of(0, 77));
///
/// let mut records = Records::default();
/// json::Encoder::new(json::Options::default()).encode(&batch, 0, &mut records);
/// assert_eq!(records.key(&records.records[0]), b"1");
/// let expected = br#"{"action":"I","table":"test","columns":[{"name":"id","value":1}],"pk":[{"name":"id"}]}"#;
/// assert_eq!(records.value(&records.records[0]), expected);
/// ```
#[derive(Debug)]
pub struct Encoder {
    options: Options,
    /// By the address of the table, which stays taken while the shape holds it.
    shapes: HashMap<usize, Arc<Shape>>,
    /// The shapes of the batch at hand, by table index.
    of_batch: Vec<Arc<Shape>>,
    /// `xid` and `timestamp` of the transaction at hand, and its index.
    transaction: String,
    transaction_index: Option<u32>,
    lsn: Vec<u8>,
}

/// Shapes kept before all are forgotten and made anew; bounds what tables that come and go can hold.
const SHAPES_MAX: usize = 20_000;

/// The constant bytes of one table.
#[derive(Debug)]
struct Shape {
    table: Arc<Table>,
    key: KeyRule,
    /// `,"schema":"public","table":"test"`, the schema only if included.
    name: Vec<u8>,
    /// For each column `},{"name":"id","value":`; the first one that is printed goes without the first two
    /// bytes.
    columns: Vec<Vec<u8>>,
    /// Which columns `identity` may name.
    identity: Vec<bool>,
    /// `,"pk":[{"name":"id"}]}`.
    end: Vec<u8>,
}

impl Shape {
    fn of(table: &Arc<Table>, options: Options) -> Self {
        let string = |text: &str| {
            let mut out = Vec::new();
            write_string(text.as_bytes(), &mut out);
            out
        };
        let mut name = Vec::new();
        if options.include.schema {
            name.extend_from_slice(b",\"schema\":");
            name.extend(string(&table.schema));
        }
        name.extend_from_slice(b",\"table\":");
        name.extend(string(&table.name));
        let named = |place: usize| {
            let mut piece = b"{\"name\":".to_vec();
            if let Some(column) = table.columns.get(place) {
                piece.extend(string(&column.name));
                if options.include.types {
                    piece.extend_from_slice(b",\"type\":");
                    piece.extend(string(&column.type_name));
                }
            }
            piece
        };
        let columns = (0..table.columns.len())
            .map(|place| [b"},", &named(place)[..], b",\"value\":"].concat())
            .collect();
        let mut key = table.key.clone();
        key.sort_unstable();
        let pk: Vec<_> = key.iter().map(|&place| [&named(place)[..], b"}"].concat()).collect();
        let end = [b",\"pk\":[", &pk.join(&b',')[..], b"]}"].concat();
        let whole = !options.identity_key_only || table.key.is_empty();
        let identity = (0..table.columns.len()).map(|place| whole || table.key.contains(&place)).collect();
        Self { table: Arc::clone(table), key: KeyRule::of(table), name, columns, identity, end }
    }

    /// Writes `[{"name":…,"value":…},…]` of the cells that were sent and are wanted.
    fn write_cells(&self, batch: &Batch, cells: &[Cell], wanted: impl Fn(usize) -> bool, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut skip = 2;
        for (place, (cell, piece)) in cells.iter().zip(&self.columns).enumerate() {
            if cell.kind != CellKind::Missing && wanted(place) {
                out.extend_from_slice(piece.get(skip..).unwrap_or_default());
                write_value(batch, cell, out);
                skip = 0;
            }
        }
        out.extend_from_slice(if skip == 0 { b"}]" } else { b"]" });
    }
}

impl Encoder {
    /// An encoder that knows no table yet.
    pub fn new(options: Options) -> Self {
        let (shapes, of_batch) = (HashMap::new(), Vec::new());
        Self {
            options,
            shapes,
            of_batch,
            transaction: String::new(),
            transaction_index: None,
            lsn: Vec::new(),
        }
    }

    /// Appends one message for each row of `batch` from index `from` on.
    pub fn encode(&mut self, batch: &Batch, from: usize, records: &mut Records) {
        self.learn(batch);
        let shapes = std::mem::take(&mut self.of_batch);
        let rows = batch.rows().get(from..).unwrap_or_default();
        for (row, index) in rows.iter().zip(from as u32..) {
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
        self.transaction_index = None;
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
        out.extend_from_slice(opening(row.operation));
        let Include { xid, timestamp, lsn, .. } = self.options.include;
        if xid || timestamp || lsn {
            self.write_log_place(batch, row, out);
        }
        out.extend_from_slice(&shape.name);
        if row.operation == Operation::Truncate {
            out.push(b'}');
            return;
        }
        if row.operation != Operation::Delete {
            out.extend_from_slice(b",\"columns\":");
            shape.write_cells(batch, batch.columns(row), |_| true, out);
        }
        if row.operation != Operation::Insert {
            out.extend_from_slice(b",\"identity\":");
            shape.write_cells(
                batch,
                batch.identity(row),
                |place| shape.identity.get(place) == Some(&true),
                out,
            );
        }
        out.extend_from_slice(&shape.end);
    }

    /// `,"xid":…,"timestamp":…,"lsn":…`, the first two kept for the rows of one transaction.
    fn write_log_place(&mut self, batch: &Batch, row: &Row, out: &mut Vec<u8>) {
        let transaction = batch.transaction(row);
        if self.transaction_index != Some(row.transaction) {
            self.transaction_index = Some(row.transaction);
            self.transaction.clear();
            describe(transaction, self.options.include, &mut self.transaction);
        }
        out.extend_from_slice(self.transaction.as_bytes());
        if self.options.include.lsn {
            out.extend_from_slice(b",\"lsn\":");
            self.lsn.clear();
            write_lsn(transaction, row, &mut self.lsn);
            write_string(&self.lsn, out);
        }
    }
}

/// What a message begins with.
pub(super) fn opening(operation: Operation) -> &'static [u8] {
    match operation {
        Operation::Insert => b"{\"action\":\"I\"",
        Operation::Update => b"{\"action\":\"U\"",
        Operation::Delete => b"{\"action\":\"D\"",
        Operation::Truncate => b"{\"action\":\"T\"",
    }
}

/// Appends where the change stands in the log: PostgreSQL `1/199CBA8`, MySQL and MariaDB `file:pos`.
pub(in crate::format) fn write_lsn(transaction: &Transaction, row: &Row, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = if transaction.log_file.is_empty() {
        write!(out, "{:X}/{:X}", row.lsn >> 32, row.lsn & 0xffff_ffff)
    } else {
        write!(out, "{}:{}", transaction.log_file, row.lsn)
    };
}

/// Appends `,"xid":…` and `,"timestamp":…` as included.
fn describe(transaction: &Transaction, include: Include, out: &mut String) {
    if include.xid {
        write_xid(&transaction.xid, out);
    }
    if include.timestamp {
        write_timestamp(transaction.committed_us, out);
    }
}

/// Appends `,"xid":…`: a number from PostgreSQL, a GTID as a string, `null` without one.
pub(super) fn write_xid(xid: &str, out: &mut String) {
    // Writing to a String cannot fail. Nothing in a GTID needs an escape.
    let _ = match (xid.is_empty(), xid.bytes().all(|byte| byte.is_ascii_digit())) {
        (true, _) => write!(out, ",\"xid\":null"),
        (false, true) => write!(out, ",\"xid\":{xid}"),
        (false, false) => write!(out, ",\"xid\":\"{xid}\""),
    };
}

/// Appends `,"timestamp":"…+00"`.
pub(super) fn write_timestamp(committed_us: i64, out: &mut String) {
    out.push_str(",\"timestamp\":\"");
    write_time(committed_us, out);
    out.push_str("+00\"");
}

/// `2026-11-23 22:39:45.036865`, the fraction without trailing zeros.
fn write_time(microseconds: i64, out: &mut String) {
    let (days, rest) = (microseconds.div_euclid(86_400_000_000), microseconds.rem_euclid(86_400_000_000));
    // A day of any 64-bit count of microseconds fits.
    let Date { year, month, day } = date_of(days as i32);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

#[cfg(test)]
mod tests {
    use super::write_time;

    #[test]
    fn times_are_printed_as_postgresql_prints_them() {
        for (microseconds, expected) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59.999999"),
            (951_782_400_500_000, "2000-02-29 00:00:00.5"),
            (1_795_473_585_036_865, "2026-11-23 22:39:45.036865"),
            (4_107_542_399_000_010, "2100-02-28 23:59:59.00001"),
        ] {
            let mut out = String::new();
            write_time(microseconds, &mut out);
            assert_eq!(out, expected);
        }
    }
}
