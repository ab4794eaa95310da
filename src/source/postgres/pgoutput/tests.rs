//! Malformed messages, and messages as the server sends them.

use proptest::prelude::*;

use super::{Decoder, Describe, Description};
use crate::Result;
use crate::change::{Batch, Operation};
use crate::source::Tables;
use crate::source::postgres::keys::Keys;
use crate::source::postgres::progress::Progress;

struct Known;

impl Describe for Known {
    fn describe(&mut self, _: u32, types: &[(u32, i32)]) -> Result<Description> {
        let type_names = types.iter().map(|(type_oid, _)| type_oid.to_string()).collect();
        let keys = Keys { primary: vec!["id".to_owned()], computed: vec!["g".to_owned()], ..Keys::default() };
        Ok(Description { keys, type_names })
    }
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn relation() -> Vec<u8> {
    let mut message = [&b"R"[..], &[0, 0, 0, 9], &text("public"), &text("test"), b"d", &[0, 2]].concat();
    for (flags, name, type_oid) in [(1_u8, "id", 23_u32), (0, "v", 25)] {
        message
            .extend([&[flags][..], &text(name), &type_oid.to_be_bytes(), &(-1_i32).to_be_bytes()].concat());
    }
    message
}

fn row(values: &[Option<&str>]) -> Vec<u8> {
    let mut row = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        match value {
            Some("<unchanged>") => row.push(b'u'),
            Some(value) => {
                row.extend([b"t", &(value.len() as u32).to_be_bytes()[..], value.as_bytes()].concat());
            }
            None => row.push(b'n'),
        }
    }
    row
}

fn begin(commit_lsn: u64) -> Vec<u8> {
    [&b"B"[..], &commit_lsn.to_be_bytes(), &5_i64.to_be_bytes(), &7_u32.to_be_bytes()].concat()
}

fn commit(end_lsn: u64) -> Vec<u8> {
    [&b"C"[..], &[0], &1_u64.to_be_bytes(), &end_lsn.to_be_bytes(), &5_i64.to_be_bytes()].concat()
}

fn decoder() -> Decoder {
    Decoder::new(Tables::parse(&["test".to_owned()], "public").unwrap())
}

fn printed(batch: &Batch) -> Vec<String> {
    let cells = |cells: &[crate::change::Cell]| {
        let cells =
            cells.iter().map(|cell| format!("{:?}:{}", cell.kind, String::from_utf8_lossy(batch.text(cell))));
        cells.collect::<Vec<_>>().join(" ")
    };
    let rows = batch.rows().iter();
    rows.map(|row| {
        format!(
            "{:?} {} | {} | {}",
            row.operation,
            row.position.ordinal,
            cells(batch.columns(row)),
            cells(batch.identity(row))
        )
    })
    .collect()
}

#[test]
fn a_transaction_of_every_change() {
    let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
    let change = |tag: &[u8], rest: &[Vec<u8>]| [tag, &[0, 0, 0, 9], &rest.concat()].concat();
    let new = |values: &[Option<&str>]| [b"N".to_vec(), row(values)].concat();
    let key = |values: &[Option<&str>]| [b"K".to_vec(), row(values)].concat();
    for message in [
        begin(100),
        relation(),
        change(b"I", &[new(&[Some("1"), Some("a")])]),
        change(b"U", &[new(&[Some("1"), Some("<unchanged>")])]),
        change(b"U", &[key(&[Some("1"), None]), new(&[Some("2"), None])]),
        change(b"D", &[key(&[Some("2"), None])]),
        [&b"T"[..], &1_u32.to_be_bytes(), &[0], &9_u32.to_be_bytes()].concat(),
        commit(120),
    ] {
        decoder.take(&message, 90, &mut batch, &mut progress, &mut Known).unwrap();
    }
    let expected = [
        "Insert 0 | Literal:1 Text:a | ",
        "Update 1 | Literal:1 Missing: | Literal:1 Missing:",
        "Delete 2 |  | Literal:1 Missing:",
        "Insert 3 | Literal:2 Null: | ",
        "Delete 4 |  | Literal:2 Missing:",
        "Truncate 5 |  | ",
    ];
    assert_eq!(printed(&batch), expected);
    assert_eq!(progress.finished().commit, 120);
    assert_eq!(
        (batch.rows()[0].operation, batch.rows()[0].position.commit, batch.rows()[0].lsn),
        (Operation::Insert, 100, 90)
    );
    let transaction = &batch.transactions()[0];
    assert_eq!((transaction.xid.as_str(), transaction.committed_us), ("7", 946_684_800_000_005));
}

#[test]
fn what_was_not_asked_for_stops_the_source() {
    for message in [&b"S"[..], b"M", b"P", b"A", b"x", b""] {
        let answer = decoder().take(message, 0, &mut Batch::default(), &mut Progress::new(0, 0), &mut Known);
        assert_eq!(answer.unwrap_err().kind(), crate::error::ErrorKind::Stop);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        messages in prop::collection::vec((0_usize..9, any::<Vec<u8>>(), any::<usize>(), any::<u8>()), 0..20),
    ) {
        let (mut decoder, mut batch, mut progress) = (decoder(), Batch::default(), Progress::new(0, 0));
        let insert = [&b"I"[..], &[0, 0, 0, 9], b"N", &row(&[Some("1"), Some("a")])].concat();
        let (old, new) = (row(&[Some("1"), None]), row(&[Some("2"), Some("b")]));
        let update = [&b"U"[..], &[0, 0, 0, 9], b"K", &old, b"N", &new].concat();
        let delete = [&b"D"[..], &[0, 0, 0, 9], b"K", &row(&[Some("1"), None])].concat();
        let whole = [begin(1), relation(), insert, update, delete, commit(2), relation(), begin(3)];
        for (which, bytes, place, byte) in messages {
            let mut message = whole.get(which).cloned().unwrap_or(bytes);
            if place % 3 == 0 && !message.is_empty() {
                let place = place % message.len();
                message[place] = byte;
            }
            let _ = decoder.take(&message, 0, &mut batch, &mut progress, &mut Known);
            if place % 5 == 0 {
                batch.clear();
                progress.enter_batch();
            }
        }
    }
}
