//! Malformed messages, and messages as the server sends them.

use std::sync::Arc;

use proptest::prelude::*;

use super::rows::{Entry, timestamp_us};
use super::{Decoder, Describe, Text, escape};
use crate::Result;
use crate::change::{Batch, Column, Table};
use crate::source::Tables;
use crate::source::postgres::progress::Progress;

struct Known;

impl Describe for Known {
    fn entry(&mut self, _: &Tables, name: &[u8]) -> Result<Option<Entry>> {
        if name != b"public\0test" {
            return Ok(None);
        }
        let column = |name: &str, identity| Column { name: name.into(), type_name: String::new(), identity };
        let table =
            Table { schema: "public".into(), name: "test".into(), columns: vec![column("id", true), column("v", false)], key: vec![0] };
        Ok(Some(Entry { table: Arc::new(table), type_oids: vec![23, 25], generated: vec!["g".into()], partition: false }))
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
    Decoder::new(Tables::parse(&["test".to_owned()], "public").unwrap())
}

#[test]
fn a_transaction_of_every_change() {
    let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
    for message in MESSAGES {
        decoder.take(message.as_bytes(), &mut batch, &mut progress, &mut Known).unwrap();
    }
    let cells = |cells: &[crate::change::Cell]| {
        let cells = cells.iter().map(|cell| format!("{:?}:{}", cell.kind, String::from_utf8_lossy(batch.text(cell))));
        cells.collect::<Vec<_>>().join(" ")
    };
    let printed: Vec<_> = batch
        .rows()
        .iter()
        .map(|row| format!("{:?} {} | {} | {}", row.operation, row.position.ordinal, cells(batch.columns(row)), cells(batch.identity(row))))
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
    assert_eq!((progress.finished().commit, batch.rows()[0].position.commit, batch.rows()[0].lsn), (0x78, 0x64, 0x5A));
    assert_eq!((batch.transactions()[0].xid.as_str(), batch.transactions()[0].committed_us), ("7", 946_684_800_000_005));
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

#[test]
fn names_in_lists() {
    assert_eq!(escape("pgx_a"), "pgx_a");
    assert_eq!(escape("a.b, c*\\é"), "a\\.b\\,\\ c\\*\\\\é");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(messages in prop::collection::vec((0_usize..9, any::<Vec<u8>>(), any::<usize>(), any::<u8>()), 0..20)) {
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
