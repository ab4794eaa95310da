//! Malformed messages, and messages as the server sends them.

use std::sync::Arc;

use proptest::prelude::*;

use super::rows::{Entry, timestamp_us};
use super::{Decoder, Describe, Text};
use crate::Result;
use crate::change::{Batch, Column, Table};
use crate::source::Tables;
use crate::source::postgres::keys::Keys;
use crate::source::postgres::progress::Progress;

struct Known;

impl Describe for Known {
    fn entry(&mut self, _: &Tables, name: &[u8]) -> Result<Option<Entry>> {
        if name != b"public\0test" && name != b"public\0part" {
            return Ok(None);
        }
        let column = |name: &str, identity| Column { name: name.into(), type_name: String::new(), identity };
        let table = Table {
            schema: "public".into(),
            name: "test".into(),
            columns: vec![column("id", true), column("v", false)],
            key: vec![0],
        };
        let keys = Keys {
            primary: vec!["id".into()],
            index: vec!["id".into()],
            computed: vec!["g".into()],
            identity: b'd',
            ..Keys::default()
        };
        Ok(Some(Entry {
            table: Arc::new(table),
            type_oids: vec![23, 25],
            primary: vec![0],
            keys,
            partition: name == b"public\0part",
        }))
    }

    fn may_have_been_of(
        &mut self,
        _: &Tables,
        name: &[u8],
        columns: &[String],
        _: bool,
    ) -> Result<Option<String>> {
        Ok((name == b"public\0was_part" && columns == ["id"]).then(|| "public.test".to_owned()))
    }

    fn convert(&mut self, bytes: &[u8], encoding: &str) -> Result<String> {
        assert_eq!(encoding, "LATIN1");
        Ok(bytes.iter().copied().map(char::from).collect())
    }

    fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>> {
        Ok(types.iter().map(|(type_oid, _)| type_oid.to_string()).collect())
    }
}

const MESSAGES: [&str; 8] = [
    r#"{"action":"B","xid":7,"timestamp":"2000-01-01 00:00:00.000005+00","lsn":"0/64","nextlsn":"0/78"}"#,
    r#"{"action":"I","xid":7,"lsn":"0/5A","schema":"public","table":"test","columns":[{"name":"id","typeoid":23,"value":1},{"name":"v","typeoid":25,"value":"a\n"},{"name":"g","typeoid":23,"value":2}],"pk":[{"name":"id","typeoid":23}]}"#,
    r#"{"action":"U","xid":7,"lsn":"0/5A","schema":"public","table":"test","columns":[{"name":"id","typeoid":23,"value":1}],"identity":[{"name":"id","typeoid":23,"value":1}],"pk":[{"name":"id","typeoid":23}]}"#,
    r#"{"action":"D","xid":7,"lsn":"0/5A","schema":"public","table":"test","identity":[{"name":"id","typeoid":23,"value":1}],"pk":[{"name":"id","typeoid":23}]}"#,
    r#"{"action":"T","xid":7,"lsn":"0/5A","schema":"public","table":"test"}"#,
    r#"{"action":"I","xid":7,"lsn":"0/5A","schema":"public","table":"other","columns":[],"pk":[]}"#,
    r#"{"action":"I","xid":7,"lsn":"0/5A","schema":"public","table":"test","columns":[{"name":"id","typeoid":23,"value":3},{"name":"old","typeoid":25,"value":null}],"pk":[{"name":"id","typeoid":23}]}"#,
    r#"{"action":"C","xid":7,"timestamp":"2000-01-01 00:00:00.000005+00","lsn":"0/64","nextlsn":"0/78"}"#,
];

fn decoder() -> Decoder {
    Decoder::new(Tables::parse(&["test".to_owned()], "public").unwrap(), "UTF8")
}

#[test]
fn a_transaction_of_every_change() {
    let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
    for message in MESSAGES {
        decoder.take(message.as_bytes(), &mut batch, &mut progress, &mut Known).unwrap();
    }
    let cells = |cells: &[crate::change::Cell]| {
        let cells =
            cells.iter().map(|cell| format!("{:?}:{}", cell.kind, String::from_utf8_lossy(batch.text(cell))));
        cells.collect::<Vec<_>>().join(" ")
    };
    let printed: Vec<_> = batch
        .rows()
        .iter()
        .map(|row| {
            format!(
                "{:?} {} | {} | {}",
                row.operation,
                row.position.ordinal,
                cells(batch.columns(row)),
                cells(batch.identity(row))
            )
        })
        .collect();
    let expected = [
        "Insert 0 | Literal:1 Text:a\n | ",
        "Update 1 | Literal:1 Missing: | Literal:1 Missing:",
        "Delete 2 |  | Literal:1 Missing:",
        "Truncate 3 |  | ",
        "Insert 4 | Literal:3 Null: | ",
    ];
    assert_eq!(printed, expected);
    assert_eq!(batch.table(&batch.rows()[4]).columns[1].name, "old");
    assert_eq!(
        (progress.finished().commit, batch.rows()[0].position.commit, batch.rows()[0].lsn),
        (0x78, 0x64, 0x5A)
    );
    assert_eq!(
        (batch.transactions()[0].xid.as_str(), batch.transactions()[0].committed_us),
        ("7", 946_684_800_000_005)
    );
}

#[test]
fn timestamps() {
    let us = |text: &str| timestamp_us(text.as_bytes(), &Text { place: 0..text.len(), escaped: false });
    assert_eq!(us("1970-01-01 00:00:00+00"), Ok(0));
    assert_eq!(us("2024-02-29 23:59:59.5+00"), Ok(1_709_251_199_500_000));
    for bad in ["", "2024-02-29", "2024-13-01 00:00:00+00", "2024-01-01 00:00:00+01", "x-1-1 0:0:0+00"] {
        assert!(us(bad).is_err(), "{bad}");
    }
}

/// The first message that fails, and what is said.
fn failure(messages: &[&str]) -> String {
    let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
    let taken = messages
        .iter()
        .map(|message| decoder.take(message.as_bytes(), &mut batch, &mut progress, &mut Known));
    taken.collect::<Result<Vec<_>>>().expect_err("must fail").to_string()
}

#[test]
fn a_partition_that_is_truncated_alone_stops_the_source() {
    let of_part = r#"{"action":"T","xid":7,"lsn":"0/5A","schema":"public","table":"part"}"#;
    let elsewhere = r#"{"action":"T","xid":7,"lsn":"0/5B","schema":"public","table":"part"}"#;
    assert!(
        failure(&[MESSAGES[0], of_part])
            .contains("partition \"public.part\" of table \"public.test\" was truncated alone")
    );
    assert!(failure(&[MESSAGES[0], MESSAGES[4], of_part, elsewhere]).contains("truncated alone"));
    let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
    for message in [MESSAGES[0], MESSAGES[4], of_part] {
        decoder.take(message.as_bytes(), &mut batch, &mut progress, &mut Known).unwrap();
    }
    assert_eq!(batch.rows().len(), 1);
}

#[test]
fn a_partition_that_is_gone_is_not_passed_over() {
    let delete = MESSAGES[3].replace("\"test\"", "\"was_part\"");
    assert!(failure(&[MESSAGES[0], &delete]).contains("table \"public.was_part\" is gone"));
}

#[test]
fn a_key_that_is_printed_as_null_stops_the_source() {
    let insert = MESSAGES[1]
        .replace(r#""name":"id","typeoid":23,"value":1"#, r#""name":"id","typeoid":23,"value":null"#);
    let delete = MESSAGES[3]
        .replace(r#""name":"id","typeoid":23,"value":1"#, r#""name":"id","typeoid":23,"value":null"#);
    assert!(failure(&[MESSAGES[0], &insert]).contains("prints as null"));
    assert!(failure(&[MESSAGES[0], &delete]).contains("prints as null"));
}

#[test]
fn a_key_that_names_a_column_twice_is_refused() {
    let twice = |message: &str, other: &str| {
        let key = r#""pk":[{"name":"id","typeoid":23}"#;
        message.replace(key, &format!(r#"{key},{{"name":"{other}","typeoid":23}}"#))
    };
    for message in [MESSAGES[1], MESSAGES[2], MESSAGES[3]] {
        assert!(
            failure(&[MESSAGES[0], &twice(message, "id")]).contains(super::super::message::UNREADABLE),
            "{message}"
        );
    }
    // After a row whose key has two columns, so that the number fits.
    let wider = twice(MESSAGES[1], "g");
    assert!(
        failure(&[MESSAGES[0], &wider, &twice(MESSAGES[1], "id")])
            .contains(super::super::message::UNREADABLE)
    );
}

/// `C3 A9` is `é` in UTF-8, and two letters in LATIN1.
#[test]
fn bytes_of_another_encoding_are_converted() {
    let tables = Tables::parse(&["test".to_owned()], "public").unwrap();
    let (mut decoder, mut batch, mut progress) =
        (Decoder::new(tables, "LATIN1"), Batch::default(), Progress::new(0, 0));
    let insert = MESSAGES[1].replace("a\\n", "é");
    for message in [MESSAGES[0], &insert] {
        decoder.take(message.as_bytes(), &mut batch, &mut progress, &mut Known).unwrap();
    }
    let cell = batch.columns(&batch.rows()[0])[1];
    assert_eq!(batch.text(&cell), "Ã©".as_bytes());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        messages in prop::collection::vec((0_usize..9, any::<Vec<u8>>(), any::<usize>(), any::<u8>()), 0..20),
    ) {
        let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
        for (which, bytes, place, byte) in messages {
            let mut message = MESSAGES.get(which).map_or(bytes, |message| message.as_bytes().to_vec());
            if place % 3 == 0 && !message.is_empty() {
                let place = place % message.len();
                message[place] = byte;
            }
            if place % 3 == 1 {
                message.truncate(place % (message.len() + 1));
            }
            let _ = decoder.take(&message, &mut batch, &mut progress, &mut Known);
        }
    }
}
