//! Golden bytes, read by protoc as well; JSON as the judge of what a message says; and messages that are
//! broken on purpose.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::{Decoder, Encoder};
use crate::change::{Batch, CellKind, Column, Operation, Position, RowHead, Table, Transaction};
use crate::format::json::tests::batch;
use crate::format::{Include, Options, Records, json};

fn encode(batch: &Batch, options: Options) -> Vec<Vec<u8>> {
    let mut records = Records::default();
    Encoder::new(options).encode(batch, &mut records);
    records.records.iter().map(|record| records.value(record).to_vec()).collect()
}

fn to_json(batch: &Batch, options: Options) -> Vec<(Vec<u8>, String)> {
    let mut records = Records::default();
    json::Encoder::new(options).encode(batch, 0, &mut records);
    let message =
        |record| (records.key(record).to_vec(), String::from_utf8(records.value(record).to_vec()).unwrap());
    records.records.iter().map(message).collect()
}

/// An update of a table with a key, an out-of-line value that was not sent, a NULL, and every extra that can
/// be asked for.
fn sample() -> Batch {
    let column = |name: &str, type_name: &str| Column {
        name: name.into(),
        type_name: type_name.into(),
        identity: true,
    };
    let columns =
        vec![column("id", "bigint"), column("big", "text"), column("n", "numeric"), column("ok", "boolean")];
    let table = Arc::new(Table { schema: "public".into(), name: "test".into(), columns, key: vec![0] });
    let mut batch = Batch::default();
    let transaction = Transaction {
        xid: "743".into(),
        log_file: String::new(),
        committed_us: 1_000_000,
        origin: crate::change::Origin::Log,
    };
    let (table, transaction) = (batch.add_table(&table), batch.add_transaction(transaction));
    let columns = batch.mark();
    batch.add_cell(CellKind::Literal, b"1");
    batch.add_cell(CellKind::Missing, b"");
    batch.add_cell(CellKind::Literal, b"1.50");
    batch.add_cell(CellKind::Literal, b"true");
    let identity = batch.mark();
    batch.add_cell(CellKind::Literal, b"1");
    batch.add_cell(CellKind::Text, "é".as_bytes());
    batch.add_cell(CellKind::Null, b"");
    batch.add_cell(CellKind::Missing, b"");
    let head = RowHead { operation: Operation::Update, table, transaction, lsn: 0x1_0199_cba8 };
    batch.push(head, columns, identity, &mut Position::first_of(0, 77));
    batch
}

/// What protoc prints of [`sample`] by the published description alone.
const SAMPLE_TEXT: &str = "action: UPDATE
xid: \"743\"
committed_us: 1000000
lsn: \"1/199CBA8\"
schema: \"public\"
table: \"test\"
name: \"id\"
name: \"big\"
name: \"n\"
name: \"ok\"
type: \"bigint\"
type: \"text\"
type: \"numeric\"
type: \"boolean\"
pk: 0
column_kinds: LITERAL
column_kinds: NOT_SENT
column_kinds: LITERAL
column_kinds: LITERAL
columns: \"1\"
columns: \"1.50\"
columns: \"true\"
identity_kinds: LITERAL
identity_kinds: TEXT
identity_kinds: NULL
identity: \"1\"
identity: \"\\303\\251\"
";

fn everything() -> Options {
    Options {
        include: Include { xid: true, timestamp: true, lsn: true, schema: true, types: true },
        identity_key_only: false,
    }
}

#[test]
fn protoc_reads_it_by_the_published_description() {
    let message = encode(&sample(), everything()).remove(0);
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    let mut command = Command::new("protoc");
    command
        .args(["--decode=list_sync.Change", "-I", docs, "change.proto"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut protoc = command.spawn().expect("protoc is missing: apt-get install protobuf-compiler");
    protoc.stdin.take().unwrap().write_all(&message).unwrap();
    let output = protoc.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), SAMPLE_TEXT);
}

#[test]
fn golden_bytes() {
    let message = encode(&sample(), Options { identity_key_only: true, ..Options::default() }).remove(0);
    // Action, table, names, pk; the kinds of both rows; 1, 1.50, true; the old key.
    let expected = [
        b"\x08\x02".as_slice(),
        b"\x32\x04test",
        b"\x3a\x02id\x3a\x03big\x3a\x01n\x3a\x02ok",
        b"\x4a\x01\x00",
        b"\x52\x04\x02\x00\x02\x02",
        b"\x62\x01\x02",
        b"\x5a\x011\x5a\x041.50\x5a\x04true",
        b"\x6a\x011",
    ];
    assert_eq!(message, expected.concat());
}

/// A delete that is known by its key names no column behind it.
#[test]
fn a_delete_is_short() {
    let column = |name: &str, identity| Column { name: name.into(), type_name: String::new(), identity };
    let columns = vec![column("id", true), column("a_long_name", false)];
    let table = Arc::new(Table { schema: String::new(), name: "t".into(), columns, key: vec![0] });
    let mut batch = Batch::default();
    let (table, transaction) = (batch.add_table(&table), batch.add_transaction(Transaction::default()));
    let mark = batch.mark();
    batch.add_cell(CellKind::Literal, b"7");
    batch.add_cell(CellKind::Missing, b"");
    batch.push(
        RowHead { operation: Operation::Delete, table, transaction, lsn: 0 },
        mark,
        mark,
        &mut Position::first_of(0, 1),
    );
    assert_eq!(
        encode(&batch, Options::default()),
        [b"\x08\x03\x32\x01t\x3a\x02id\x4a\x01\x00\x62\x01\x02\x6a\x017".to_vec()]
    );
}

/// What our decoder puts into JSON of each message.
fn transcoded(messages: &[Vec<u8>]) -> Vec<String> {
    let mut decoder = Decoder::default();
    let text = |message: &Vec<u8>| {
        let mut out = Vec::new();
        decoder.to_json(message, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    messages.iter().map(text).collect()
}

#[test]
fn every_extra_is_put_into_json() {
    for options in [everything(), Options { identity_key_only: true, ..everything() }, Options::default()] {
        let expected: Vec<_> = to_json(&sample(), options).into_iter().map(|(_, message)| message).collect();
        assert_eq!(transcoded(&encode(&sample(), options)), expected);
    }
}

proptest! {
    /// A message put into JSON is the JSON message, byte for byte.
    #[test]
    fn it_is_put_into_json(
        batch in batch(),
        key_only: bool,
        timestamp: bool,
        lsn: bool,
        schema: bool,
        types: bool,
    ) {
        // Without a GTID, JSON's `xid` is null and protobuf's is left out.
        let include = Include { xid: false, timestamp, lsn, schema, types };
        let options = Options { include, identity_key_only: key_only };
        let expected: Vec<_> = to_json(&batch, options).into_iter().map(|(_, message)| message).collect();
        prop_assert_eq!(transcoded(&encode(&batch, options)), expected);
    }

    /// Whatever JSON says of a change, protobuf says, under the same key; and what is read of both is the
    /// same batch.
    #[test]
    fn it_says_what_json_says(batch in batch(), key_only: bool) {
        let options = Options { identity_key_only: key_only, ..Options::default() };
        let expected = to_json(&batch, options);
        let mut records = Records::default();
        Encoder::new(options).encode(&batch, &mut records);
        let (mut ours, mut theirs) = (Batch::default(), Batch::default());
        let (mut decoder, mut json_decoder) = (Decoder::default(), json::Decoder::default());
        for (record, (key, message)) in records.records.iter().zip(&expected) {
            prop_assert_eq!(records.key(record), &key[..]);
            prop_assert!(records.value(record).len() < message.len());
            decoder.decode(records.value(record), Position::START, &mut ours).unwrap();
            json_decoder.decode(message.as_bytes(), Position::START, &mut theirs).unwrap();
        }
        prop_assert_eq!(ours.tables(), theirs.tables());
        prop_assert_eq!(to_json(&ours, Options::default()), to_json(&theirs, Options::default()));
    }

    /// A message that fits the one before it is taken apart by another way than the first of its kind, and
    /// with the same result.
    #[test]
    fn messages_like_those_before_are_read_as_if_they_were_the_first(
        batches in prop::collection::vec(batch(), 1..3),
        all: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let include = Include { xid: all, timestamp: all, lsn: all, schema: all, types: all };
        let (mut one, mut other) = (Decoder::default(), Decoder::default());
        let options = Options { include, ..Options::default() };
        for message in batches.iter().flat_map(|batch| encode(batch, options)) {
            let changed = changes.iter().map(|(place, byte)| {
                let mut changed = message.clone();
                changed[place.index(message.len())] = *byte;
                changed
            });
            for message in [message.clone(), message.clone(), message.clone()].into_iter().chain(changed) {
                let (mut learned, mut fresh) = (Batch::default(), Batch::default());
                other.forget_templates();
                let answers = [
                    one.decode(&message, Position::START, &mut learned),
                    other.decode(&message, Position::START, &mut fresh),
                ];
                let [ours, theirs] = answers.map(|answer| answer.map_err(|error| error.to_string()));
                prop_assert_eq!(ours, theirs, "{:?}", &message);
                prop_assert_eq!(format!("{learned:?}"), format!("{fresh:?}"), "{:?}", &message);
            }
        }
    }

    #[test]
    fn broken_messages_leave_the_batch(
        batch in batch(),
        cut: prop::sample::Index,
        put: prop::sample::Index,
        byte: u8,
    ) {
        let mut decoder = Decoder::default();
        for message in encode(&batch, Options::default()) {
            for changed in [message[..cut.index(message.len())].to_vec(), {
                let mut changed = message.clone();
                changed[put.index(message.len())] = byte;
                changed
            }] {
                let mut into = Batch::default();
                let read = decoder.decode(&changed, Position::START, &mut into).is_ok();
                prop_assert_eq!(into.rows().len(), usize::from(read));
                prop_assert!(read || into.mark() == 0, "cells of a message that was refused");
                let mut text = Vec::new();
                let put = decoder.to_json(&changed, &mut text).is_ok();
                prop_assert!(put || text.is_empty(), "a part of a message that was refused");
                // Not a `Value`: 1e1000 is JSON, but no `f64`.
                prop_assert!(
                    !put || serde_json::from_slice::<IgnoredAny>(&text).is_ok(),
                    "{:?}",
                    String::from_utf8_lossy(&text)
                );
            }
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>) {
        let _ = Decoder::default().decode(&bytes, Position::START, &mut Batch::default());
        let _ = Decoder::default().to_json(&bytes, &mut Vec::new());
    }
}

#[test]
fn what_is_wrong_is_said() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "it has no action"),
        (b"\x08\x09", "its action is unknown"),
        (b"\x08", "it ends within a number"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "a number has more than 64 bits"),
        (b"\x08\x04", "it names no table"),
        (b"\x08\x04\x32\x05t", "it ends within a field"),
        (b"\x08\x04\x32\x01\xff", "a text is not UTF-8"),
        (b"\x08\x01\x32\x01t\x52\x01\x02\x5a\x011", "it has more values than names"),
        (b"\x08\x01\x32\x01t\x3a\x01a\x52\x01\x02\x5a\x01,", "a literal is no number, true or false"),
        (b"\x08\x01\x32\x01t\x3a\x01a\x52\x01\x02", "it has fewer texts than its kinds say"),
        (b"\x08\x01\x32\x01t\x3a\x01a\x52\x01\x01\x5a\x011", "it has more texts than its kinds say"),
        (b"\x08\x01\x32\x01t\x3a\x01a\x52\x01\x09", "the kind of a value is unknown"),
        (b"\x08\x01\x32\x01t\x3a\x01a\x4a\x01\x07", "its key is in no column"),
        (b"\x08\x01\x32\x01t\x3a\x01a\x3a\x01a\x52\x02\x03\x03\x5a\x011\x5a\x012", "a column is named twice"),
        (b"\x08\x01\x30\x01", "a field is not of its type"),
        (b"\x00\x01", "a field has the number 0"),
        (b"{\"action\":\"I\"}", "a field has no wire type of today"),
    ];
    for (message, reason) in cases {
        let error = Decoder::default().decode(message, Position::START, &mut Batch::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("a message is no row change in protobuf: {reason}"),
            "{message:?}"
        );
    }
    // What a later version adds is passed over.
    let mut batch = Batch::default();
    let message = b"\x08\x01\x32\x01t\x3a\x01a\x52\x01\x02\x5a\x011\xa2\x06\x02xx\xad\x06\x00\x00\x00\x00";
    Decoder::default().decode(message, Position::START, &mut batch).unwrap();
    assert_eq!(batch.text(&batch.columns(&batch.rows()[0])[0]), b"1");
}
