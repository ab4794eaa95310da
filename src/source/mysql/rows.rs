//! Row events: WRITE, UPDATE and DELETE, versions 1 and 2, plain and compressed, decoded into a batch.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html>

use std::sync::Arc;

use super::compressed::inflate;
use super::cursor::{Cursor, Malformed, Parsed};
use super::event::{Event, kind};
use super::hidden::Hidden;
use super::shape::Shape;
use super::values::Fault;
use crate::change::{Batch, CellKind, Operation, Position, RowHead};
use crate::{Code, Error, Result};

/// The form of a row event, by its number.
#[derive(Debug, Clone, Copy)]
struct Form {
    operation: Operation,
    has_extra: bool,
    compressed: bool,
}

impl Form {
    fn of(event_kind: u8) -> Option<Self> {
        let (first, has_extra, compressed) = match event_kind {
            kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1 => (kind::WRITE_ROWS_V1, false, false),
            kind::WRITE_ROWS..=kind::DELETE_ROWS => (kind::WRITE_ROWS, true, false),
            kind::MARIADB_WRITE_ROWS_COMPRESSED_V1..kind::MARIADB_WRITE_ROWS_COMPRESSED => {
                (kind::MARIADB_WRITE_ROWS_COMPRESSED_V1, false, true)
            }
            kind::MARIADB_WRITE_ROWS_COMPRESSED..=kind::MARIADB_DELETE_ROWS_COMPRESSED => {
                (kind::MARIADB_WRITE_ROWS_COMPRESSED, true, true)
            }
            _ => return None,
        };
        let operation =
            [Operation::Insert, Operation::Update, Operation::Delete][usize::from(event_kind - first)];
        Some(Self { operation, has_extra, compressed })
    }
}

/// A row event that is being decoded: a batch may be full in its middle.
pub(super) struct Rows {
    operation: Operation,
    shape: Arc<Shape>,
    lsn: u64,
    body: Vec<u8>,
    at: usize,
}

impl Rows {
    /// Reads what stands in front of the rows. `lsn`: where the event lies in its file.
    pub fn open(event: Event, shape: Arc<Shape>, lsn: u64) -> Result<Self> {
        let width = shape.encodings.len();
        let fault = || {
            Error::stop(
                Code::LogDamaged,
                format!("a row event of table {:?} cannot be read", shape.table.qualified_name()),
            )
        };
        let form = Form::of(event.kind).ok_or_else(fault)?;
        let head = read_head(&event.body, form).map_err(|_| fault())?;
        if head.width != width || width == 0 {
            return Err(fault().context("its columns do not match the table"));
        }
        if !head.is_full {
            return Err(Error::stop(
                Code::RowsNotLogged,
                format!(
                    "the binary log holds only some columns of rows of table {:?}",
                    shape.table.qualified_name()
                ),
            )
            .hint(format!(
                "leave the table out with \"!{}\", and the source goes on with the others. To prevent \
                     it: SET PERSIST binlog_row_image = FULL \
                     (MariaDB: SET GLOBAL), and in sessions that set it",
                shape.table.qualified_name()
            )));
        }
        let (body, at) = if form.compressed {
            (inflate(&event.body[head.length..]).map_err(|_| fault())?, 0)
        } else {
            (event.body, head.length)
        };
        Ok(Self { operation: form.operation, shape, lsn, body, at })
    }

    /// Adds rows to the batch until it is full or the event is done; true when it is done.
    pub fn decode(&mut self, batch: &mut Batch, transaction: u32, position: &mut Position) -> Result<bool> {
        let table = batch.add_table(&self.shape.table);
        let head = RowHead { operation: self.operation, table, transaction, lsn: self.lsn };
        let mut cursor = Cursor::new(&self.body[self.at..]);
        while !cursor.is_empty() {
            if batch.is_full() {
                self.at = self.body.len() - cursor.rest().len();
                return Ok(false);
            }
            if let Some(hidden) = &self.shape.hidden {
                decode_hidden(&self.shape, hidden, head, &mut cursor, batch, position)?;
                continue;
            }
            let start = batch.mark();
            read_row(&self.shape, &mut cursor, batch)?;
            match self.operation {
                Operation::Insert => batch.push(head, start, batch.mark(), position),
                Operation::Delete => batch.push(head, start, start, position),
                _ => {
                    let middle = batch.mark();
                    read_row(&self.shape, &mut cursor, batch)?;
                    let new_cells = batch.mark() - middle;
                    batch.swap_cells(start, middle);
                    batch.push(head, start, start + new_cells, position);
                }
            }
        }
        Ok(true)
    }
}

struct Head {
    width: usize,
    /// Every column is in every image.
    is_full: bool,
    /// Bytes in front of the rows.
    length: usize,
}

fn read_head(body: &[u8], form: Form) -> Parsed<Head> {
    let mut cursor = Cursor::new(body);
    cursor.take(6 + 2)?; // table, flags
    if form.has_extra {
        let extra = usize::from(cursor.u16()?);
        cursor.take(extra.checked_sub(2).ok_or(Malformed)?)?;
    }
    let width = usize::try_from(cursor.packed()?).map_err(|_| Malformed)?;
    let images = if form.operation == Operation::Update { 2 } else { 1 };
    let mut is_full = true;
    for _ in 0..images {
        let present = cursor.take(width.div_ceil(8))?;
        is_full &= (0..width).all(|place| present[place / 8] >> (place % 8) & 1 == 1);
    }
    Ok(Head { width, is_full, length: body.len() - cursor.rest().len() })
}

/// One image: which values are NULL, then the others.
fn read_row(shape: &Shape, cursor: &mut Cursor, batch: &mut Batch) -> Result<()> {
    let nulls =
        cursor.take(shape.encodings.len().div_ceil(8)).map_err(|_| explain(shape, 0, Fault::Malformed))?;
    for (place, encoding) in shape.encodings.iter().enumerate() {
        if nulls[place / 8] >> (place % 8) & 1 == 1 {
            batch.add_cell(CellKind::Null, b"");
        } else {
            batch
                .add_cell_with(|out| encoding.decode(cursor, out))
                .map_err(|fault| explain(shape, place, fault))?;
        }
    }
    Ok(())
}

/// One change of a table with columns or rows that are not the user's: a row that became an earlier one is
/// deleted.
fn decode_hidden(
    shape: &Shape,
    hidden: &Hidden,
    head: RowHead,
    cursor: &mut Cursor,
    batch: &mut Batch,
    position: &mut Position,
) -> Result<()> {
    let first = batch.mark();
    let was_present = read_visible(shape, hidden, cursor, batch)?;
    let second = batch.mark();
    if head.operation != Operation::Update {
        if was_present {
            let identity = if head.operation == Operation::Insert { second } else { first };
            batch.push(head, first, identity, position);
        }
        return Ok(());
    }
    let is_present = read_visible(shape, hidden, cursor, batch)?;
    let end = batch.mark();
    match (was_present, is_present) {
        (true, true) => {
            batch.swap_cells(first, second);
            batch.push(head, first, first + (end - second), position);
        }
        (true, false) => {
            (first..second).for_each(|place| batch.repeat_cell(place));
            batch.push(RowHead { operation: Operation::Delete, ..head }, end, end, position);
        }
        (false, true) => batch.push(RowHead { operation: Operation::Insert, ..head }, second, end, position),
        (false, false) => {}
    }
    Ok(())
}

/// One image without its hidden columns; whether it is of a present row.
fn read_visible(shape: &Shape, hidden: &Hidden, cursor: &mut Cursor, batch: &mut Batch) -> Result<bool> {
    let nulls =
        cursor.take(shape.encodings.len().div_ceil(8)).map_err(|_| explain(shape, 0, Fault::Malformed))?;
    let (mut is_present, mut unseen) = (true, Vec::new());
    for (place, encoding) in shape.encodings.iter().enumerate() {
        let is_null = nulls[place / 8] >> (place % 8) & 1 == 1;
        let before = cursor.rest();
        if hidden.left_out[place] {
            if !is_null {
                encoding.decode(cursor, &mut unseen).map_err(|fault| explain(shape, place, fault))?;
            }
        } else if is_null {
            batch.add_cell(CellKind::Null, b"");
        } else {
            batch
                .add_cell_with(|out| encoding.decode(cursor, out))
                .map_err(|fault| explain(shape, place, fault))?;
        }
        if hidden.row_end == Some(place) {
            is_present = Hidden::is_present(&before[..before.len() - cursor.rest().len()]);
        }
    }
    Ok(is_present)
}

#[cold]
fn explain(shape: &Shape, place: usize, fault: Fault) -> Error {
    let column = shape.table.columns.get(place);
    let (name, type_name) =
        column.map_or(("", ""), |column| (column.name.as_str(), column.type_name.as_str()));
    let what = match fault {
        Fault::Malformed => "cannot be read",
        Fault::Characters => "is not valid in its character set",
    };
    Error::stop(
        Code::ValueUnreadable,
        format!(
            "a value of column {name:?} ({type_name}) of table {:?} {what}",
            shape.table.qualified_name()
        ),
    )
    .hint(format!(
        "leave the table out with \"!{}\", and the source goes on with the others",
        shape.table.qualified_name()
    ))
}

#[cfg(test)]
mod tests {
    use super::{Rows, Shape};
    use crate::change::{Batch, Column, Position, Table, Transaction};
    use crate::source::mysql::event::Event;
    use crate::source::mysql::values::Encoding;
    use crate::source::mysql::values::charset::Charset;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn shape(encodings: Vec<Encoding>) -> Arc<Shape> {
        let columns = encodings
            .iter()
            .map(|_| Column { name: "c".into(), type_name: String::new(), identity: true })
            .collect();
        Arc::new(Shape {
            table: Arc::new(Table { schema: "s".into(), name: "t".into(), columns, key: vec![0] }),
            encodings,
            hidden: None,
        })
    }

    fn every_encoding() -> Vec<Encoding> {
        let labels: Arc<[Option<String>]> = vec![Some("a".to_owned()), None].into();
        vec![
            Encoding::Integer { bytes: 3, signed: true },
            Encoding::Float,
            Encoding::Double,
            Encoding::Decimal { precision: 255, scale: 30 },
            Encoding::Year,
            Encoding::Date,
            Encoding::Time { decimals: 6 },
            Encoding::Datetime { decimals: 3 },
            Encoding::Timestamp { decimals: 6 },
            Encoding::Bit { width: 63 },
            Encoding::Text { length_bytes: 1, charset: Charset::Utf16 },
            Encoding::Bytes { length_bytes: 1, pad_to: 3 },
            Encoding::Enum { bytes: 1, labels: Arc::clone(&labels) },
            Encoding::Set { bytes: 1, labels },
            Encoding::Json { length_bytes: 1 },
            Encoding::Geometry { length_bytes: 1 },
            Encoding::Vector { length_bytes: 1 },
            Encoding::Uuid,
            Encoding::Inet { bytes: 16 },
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_a_stop(kind in 0_u8..=255, one in 0_usize..19, body: Vec<u8>) {
            for encodings in [every_encoding(), vec![every_encoding().swap_remove(one)]] {
                let width = encodings.len() as u8;
                let full = [0xff, 0xff, 0xff];
                let extra = if matches!(kind, 30..=32) { &[2, 0][..] } else { &[] };
                let head = [&[0; 8][..], extra, &[width], &full[..usize::from(width.div_ceil(8))]].concat();
                for body in [[&head[..], &body].concat(), body.clone()] {
                    let event = Event { kind, body, ..Event::default() };
                    if let Ok(mut rows) = Rows::open(event, shape(encodings.clone()), 4) {
                        let mut batch = Batch::default();
                        let transaction = batch.add_transaction(Transaction::default());
                        let _ = rows.decode(&mut batch, transaction, &mut Position::START.clone());
                    }
                }
            }
        }
    }
}
