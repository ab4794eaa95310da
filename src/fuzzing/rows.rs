//! What holds for every row that any bytes were read as: each carrier brings it over as it is.

use crate::change::{Batch, Cell, CellKind, Position, Row};
use crate::format::{Decoder, Encoder, Encoding, Include, Options, Records, shape_of_text, shape_text};
use std::sync::Arc;

const BARE: Options = Options {
    include: Include { xid: false, timestamp: false, lsn: false, schema: false, types: false },
    identity_key_only: false,
};
const ALL: Options = Options {
    include: Include { xid: true, timestamp: true, lsn: true, schema: true, types: true },
    identity_key_only: false,
};

/// The rows are what a source may hand out, and come out of messages and files as they went in.
pub(super) fn are_carried(batch: &Batch) {
    for row in batch.rows() {
        for cell in batch.columns(row).iter().chain(batch.identity(row)) {
            is_right(batch, cell);
        }
    }
    if batch.rows().is_empty() {
        return;
    }
    crate::sink::csv::fuzz::rows_come_back(batch);
    for table in batch.tables() {
        let read = shape_text(table, BARE).and_then(|text| shape_of_text(text.as_bytes()));
        assert_eq!(read.as_ref().ok(), Some(&**table), "a shape is read as it was written");
    }
    let options = if batch.rows().len().is_multiple_of(2) { BARE } else { ALL };
    let [json, protobuf] =
        [Encoding::Json, Encoding::Protobuf].map(|encoding| over(encoding, options, batch));
    same_text(batch, &json, &protobuf);
}

fn is_right(batch: &Batch, cell: &Cell) {
    let text = batch.text(cell);
    match cell.kind {
        CellKind::Missing | CellKind::Null => {}
        CellKind::Text => assert!(std::str::from_utf8(text).is_ok(), "a text is UTF-8: {text:?}"),
        CellKind::Literal => {
            let is_literal = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
                && !text.iter().any(|byte| b"\"[{ \n\r\tn".contains(byte));
            assert!(is_literal, "a literal is a number, true or false: {:?}", String::from_utf8_lossy(text));
        }
    }
}

/// Messages of all rows, which are read again.
fn over(encoding: Encoding, options: Options, batch: &Batch) -> Records {
    let (mut records, mut decoder) = (Records::default(), Decoder::default());
    Encoder::new(encoding, options).encode(batch, &mut records);
    assert_eq!(records.records.len(), batch.rows().len());
    for (record, row) in records.records.iter().zip(batch.rows()) {
        let (message, mut read) = (records.value(record), Batch::default());
        decoder.of_table(encoding, batch.table(row));
        let outcome = decoder.decode(encoding, message, row.position, &mut read);
        assert!(outcome.is_ok(), "{outcome:?}: {}", String::from_utf8_lossy(message));
        same(batch, row, &read, &read.rows()[0]);
    }
    records
}

/// What JSON would have been is made of a Protobuf message, byte for byte.
fn same_text(batch: &Batch, json: &Records, protobuf: &Records) {
    let (mut decoder, mut space) = (Decoder::default(), Vec::new());
    for ((json_record, protobuf_record), row) in json.records.iter().zip(&protobuf.records).zip(batch.rows())
    {
        assert_eq!(json.key(json_record), protobuf.key(protobuf_record));
        if batch.transaction(row).xid.is_empty() {
            continue; // JSON says "xid":null
        }
        let text = decoder.text(Encoding::Protobuf, protobuf.value(protobuf_record), &mut space);
        assert_eq!(
            text.ok().map(String::from_utf8_lossy),
            Some(String::from_utf8_lossy(json.value(json_record)))
        );
    }
}

/// Both say the same.
pub(super) fn same(one: &Batch, row: &Row, other: &Batch, other_row: &Row) {
    assert_eq!((row.operation, row.position), (other_row.operation, other_row.position));
    assert_eq!(cells(one, one.columns(row)), cells(other, other.columns(other_row)));
    assert_eq!(cells(one, one.identity(row)), cells(other, other.identity(other_row)));
}

fn cells<'a>(batch: &'a Batch, cells: &[Cell]) -> Vec<(CellKind, &'a [u8])> {
    let text = |cell: &Cell| {
        if matches!(cell.kind, CellKind::Text | CellKind::Literal) { batch.text(cell) } else { b"" }
    };
    cells.iter().map(|cell| (cell.kind, text(cell))).collect()
}

/// Decodes messages of one origin one after the other, with all that earlier ones taught, and checks that
/// this changes nothing.
pub(super) fn decode<'a>(encoding: Encoding, shape: Option<&[u8]>, messages: impl Iterator<Item = &'a [u8]>) {
    let table = match shape.map(shape_of_text) {
        Some(Err(_)) => return,
        Some(Ok(table)) => Some(Arc::new(table)),
        None => None,
    };
    let (mut decoder, mut fresh, mut batch) = (Decoder::default(), Decoder::default(), Batch::default());
    for decoder in [&mut decoder, &mut fresh] {
        match &table {
            Some(table) => decoder.of_table(encoding, table),
            None => decoder.of_topic(encoding, "t"),
        }
    }
    for (message, number) in messages.zip(0..) {
        let position = Position::first_of(0, number);
        fresh.forget_templates();
        let (rows, mut single) = (batch.rows().len(), Batch::default());
        let is_read = decoder.decode(encoding, message, position, &mut batch).is_ok();
        assert_eq!(
            fresh.decode(encoding, message, position, &mut single).is_ok(),
            is_read,
            "what was learned changes nothing"
        );
        assert_eq!(batch.rows().len() - rows, single.rows().len());
        if let (Some(row), Some(other)) = (batch.rows().get(rows), single.rows().first()) {
            same(&batch, row, &single, other);
            assert_eq!(batch.table(row), single.table(other));
        }
        if encoding == Encoding::Json && is_read {
            assert!(
                serde_json::from_slice::<serde::de::IgnoredAny>(message).is_ok(),
                "what is accepted is JSON"
            );
        }
        if encoding == Encoding::Protobuf && is_read {
            let mut space = Vec::new();
            let text = decoder.text(encoding, message, &mut space);
            assert!(
                text.is_ok_and(|text| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()),
                "its text is JSON"
            );
        }
    }
    are_carried(&batch);
}
