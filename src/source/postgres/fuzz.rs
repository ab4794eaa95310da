//! What fuzzing calls of this source: the server's bytes to batches, without a server.

use std::sync::{Arc, OnceLock};

use super::super::Tables;
use super::failure::ServerError;
use super::json::{Scalar, Scanner};
use super::keys::Keys;
use super::message::{Fields, Input};
use super::pgoutput::Description;
use super::progress::Progress;
use super::slot::{parse_lsn, print_lsn};
use super::wal2json::Entry;
use super::{origin, pgoutput, wal2json};
use crate::Result;
use crate::change::{Batch, Column, Table};

/// A catalog that says something else of each table.
struct Catalog;

impl pgoutput::Describe for Catalog {
    fn describe(&mut self, table_oid: u32, types: &[(u32, i32)]) -> Result<Description> {
        let type_names = types.iter().map(|(type_oid, _)| type_oid.to_string()).collect();
        let [identity, ..] = [[b'd'], [b'f'], [b'i'], [b'n']][table_oid as usize % 4];
        let computed = if table_oid & 4 == 0 { vec!["g".to_owned()] } else { vec!["id".to_owned()] };
        let made_by = if table_oid & 8 == 0 { 0 } else { 1000 };
        let (primary, index) = (vec!["id".to_owned()], vec!["id".to_owned(), "category".to_owned()]);
        Ok(Description { keys: Keys { primary, index, identity, computed, made_by, next: 2000 }, type_names })
    }
}

impl wal2json::Describe for Catalog {
    fn entry(&mut self, wanted: &Tables, name: &[u8]) -> Result<Option<Entry>> {
        let name = String::from_utf8_lossy(name);
        let (schema, name) = name.split_once('\0').unwrap_or_default();
        if !wanted.contains(schema, name) {
            return Ok(None);
        }
        let column =
            |name: &str, identity| Column { name: name.to_owned(), type_name: String::new(), identity };
        let columns = vec![column("id", true), column("v", false)];
        let table = Table { schema: schema.to_owned(), name: "root".to_owned(), columns, key: vec![0] };
        let keys = Keys {
            primary: vec!["id".to_owned()],
            index: vec!["id".to_owned()],
            computed: vec!["g".to_owned()],
            identity: if name.contains('i') { b'i' } else { b'd' },
            ..Keys::default()
        };
        Ok(Some(Entry {
            table: Arc::new(table),
            type_oids: vec![23, 25],
            primary: vec![0],
            keys,
            partition: name.contains("part"),
        }))
    }

    fn may_have_been_of(
        &mut self,
        _: &Tables,
        _: &[u8],
        columns: &[String],
        _: bool,
    ) -> Result<Option<String>> {
        Ok((columns == ["id"]).then(|| "public.root".to_owned()))
    }

    fn type_names(&mut self, types: &[(u32, i32)]) -> Result<Vec<String>> {
        Ok(types.iter().map(|(type_oid, _)| type_oid.to_string()).collect())
    }

    fn convert(&mut self, bytes: &[u8], _: &str) -> Result<String> {
        Ok(bytes.iter().copied().map(char::from).collect())
    }
}

fn tables() -> Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let parse = || Tables::parse(&["*.*".to_owned(), "!*.left_out".to_owned()], "public");
    TABLES.get_or_init(|| parse().unwrap_or_else(|error| unreachable!("{error}"))).clone()
}

/// Messages of the plugin, each behind its length in two bytes. The last may be longer than what is there.
pub(crate) fn pgoutput(bytes: &[u8], each: &mut dyn FnMut(&Batch)) {
    let (mut decoder, mut progress, mut batch) =
        (pgoutput::Decoder::new(tables()), Progress::new(0, 0), Batch::default());
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (message, behind) = behind.split_at(behind.len().min(u16::from_be_bytes(*length).into()));
        rest = behind;
        if decoder.take(message, 5, &mut batch, &mut progress, &mut Catalog).is_err() {
            break;
        }
        hand_over(&mut batch, &mut progress, each);
    }
    each(&batch);
}

/// Messages of wal2json, a line each.
pub(crate) fn wal2json(bytes: &[u8], each: &mut dyn FnMut(&Batch)) {
    for encoding in ["UTF8", "LATIN1"] {
        let (mut decoder, mut progress, mut batch) =
            (wal2json::Decoder::new(tables(), encoding), Progress::new(0, 0), Batch::default());
        for message in bytes.split(|byte| *byte == b'\n') {
            if decoder.take(message, &mut batch, &mut progress, &mut Catalog).is_err() {
                break;
            }
            hand_over(&mut batch, &mut progress, each);
        }
        each(&batch);
    }
}

fn hand_over(batch: &mut Batch, progress: &mut Progress, each: &mut dyn FnMut(&Batch)) {
    if batch.is_full() {
        each(batch);
        batch.clear();
        progress.enter_batch();
    }
}

/// What comes from the socket: framed, and what is not rows read as errors, notices and fields.
pub(crate) fn wire(bytes: &[u8]) {
    let mut input = Input::new();
    for piece in bytes.chunks(7) {
        let room = input.room();
        assert!(room.len() >= piece.len(), "there is always room for something");
        room[..piece.len()].copy_from_slice(piece);
        input.filled(piece.len());
        loop {
            let (tag, body) = match input.next() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => return,
            };
            let mut fields = Fields(input.body(body));
            match tag {
                b'E' | b'N' => _ = ServerError::parse(fields.0),
                _ => while fields.value().is_ok_and(|value| value.is_some()) {},
            }
        }
    }
}

/// LSNs are printed as they are read; histories of timelines and scalars of JSON are read or not.
pub(crate) fn texts(text: &str) {
    if let Some(lsn) = parse_lsn(text) {
        assert_eq!(parse_lsn(&print_lsn(lsn)), Some(lsn), "{text:?}");
    }
    let _ = origin::same_history(text, "1", 5);
    if let Ok(Scalar::Text(found)) = Scanner::new(text.as_bytes()).scalar() {
        let _ = crate::json_string::unescape(&text.as_bytes()[found.place], &mut Vec::new());
    }
}
