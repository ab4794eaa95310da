//! What fuzzing calls of this source: the binary log's bytes to batches, without a server.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::super::{Address, Dialect, Tables};
use super::captured::Captured;
use super::catalog::Catalog;
use super::charsets::Charsets;
use super::cursor::Cursor;
use super::event::{Event, HEADER_BYTES};
use super::gtid::GtidSet;
use super::input::Input;
use super::packet::{self, Done, Greeting, Prepared, ServerError};
use super::password::Plugin;
use super::place::Reached;
use super::reader::Reader;
use super::rsa::PublicKey;
use super::statement::Statement;
use super::table_map::MappedColumn;
use super::values::Encoding;
use super::values::charset::{Charset, ManyBytes, OneByte};
use super::{scan, shape, stream};
use crate::change::{Batch, Column, Operation, Position, RowHead, Table, Transaction};
use crate::secret::Secret;

/// The switches in front of the events of a log.
const OF_MARIADB: u8 = 1;
/// The last four bytes of each event are its checksum.
const WITH_CHECKSUMS: u8 = 2;
const WITH_GTIDS: u8 = 4;

/// A byte of switches, then events as a file of the log holds them, without its first four bytes. `each` is
/// handed every batch.
pub(crate) fn binlog(bytes: &[u8], each: &mut dyn FnMut(&Batch)) {
    let Some((switches, mut rest)) = bytes.split_first() else { return };
    let dialect = if switches & OF_MARIADB == 0 { Dialect::Mysql } else { Dialect::Mariadb };
    let (catalog, tables) = without_server(dialect);
    let captured = Captured::new("fuzz", tables, catalog, vec!["exampledb".to_owned()], false);
    let file = "binlog.000001".to_owned();
    let reached = Reached { position: Position::START, file, file_begun: 0, offset: 4, moved: false };
    let gtids = if dialect == Dialect::Mysql { GtidSet::parse_mysql("") } else { GtidSet::parse_mariadb("") };
    let mut reader = Reader::new(captured, reached, gtids.filter(|_| switches & WITH_GTIDS != 0));
    while let Some(event) = next_event(&mut rest, switches & WITH_CHECKSUMS != 0) {
        // As the source does it: after an error nothing is asked of the reader any more.
        if take(&mut reader, event, each).is_err() {
            break;
        }
    }
}

fn next_event(rest: &mut &[u8], with_checksum: bool) -> Option<Event> {
    let (mut event, body_bytes) = Event::parse_header(*rest.first_chunk::<HEADER_BYTES>()?).ok()?;
    let (whole, behind) = rest.split_at_checked(HEADER_BYTES + body_bytes)?;
    *rest = behind;
    let body = whole.get(HEADER_BYTES..)?;
    let (body, checksum) = if with_checksum {
        body.split_last_chunk::<4>().map(|(body, sum)| (body, Some(*sum)))?
    } else {
        (body, None)
    };
    event.body = body.to_vec();
    stream::verified(event, checksum).ok()
}

fn take(reader: &mut Reader, event: Event, each: &mut dyn FnMut(&Batch)) -> crate::Result<()> {
    let mut batch = Batch::default();
    reader.begin_batch();
    let mut took = reader.take(event, &mut batch).map(|()| true);
    loop {
        each(&batch);
        if !took? {
            return Ok(());
        }
        batch.clear();
        reader.begin_batch();
        took = reader.resume(&mut batch);
    }
}

/// What comes from the socket: framed, and each packet read as all that it may be. Where the count of packets
/// goes on after words of the client, or begins with another command, is tried out.
pub(crate) fn wire(bytes: &[u8]) {
    let (mut input, mut log, mut columns) = (Input::new(1 << 30), stream::Log::default(), Vec::new());
    for piece in bytes.chunks(7) {
        let room = input.room();
        assert!(room.len() >= piece.len(), "there is always room for something");
        room[..piece.len()].copy_from_slice(piece);
        input.filled(piece.len());
        loop {
            let expected = input.number;
            let mut numbers = [expected, expected.wrapping_add(1), 1].into_iter();
            let next = numbers.find_map(|number| {
                input.number = number;
                input.next().ok()
            });
            match next {
                None => return,
                Some(None) => break,
                Some(Some(packet)) => read_packet(input.body(packet), &mut columns, &mut log),
            }
        }
    }
}

fn read_packet(packet: &[u8], columns: &mut Vec<packet::Column>, log: &mut stream::Log) {
    let _ = (Greeting::parse(packet), ServerError::parse(packet), Prepared::parse(packet));
    let _ = (Done::parse(packet), Done::parse_end(packet), log.event(packet));
    if let Ok((name, data)) = packet::parse_switch(packet)
        && let Ok(Some(plugin)) = Plugin::named(&name, data)
    {
        assert!(plugin.proof(b"secret").len() <= 64, "a proof's length is one byte");
    }
    if let Ok(key) = PublicKey::from_pem(packet.get(1..).unwrap_or_default()) {
        let _ = key.encrypt(b"secret\0");
    }
    let _ = packet::parse_row(packet, columns.len());
    if let Ok(mut row) = scan::Row::open(columns, packet) {
        let mut text = Vec::new();
        let _ = columns.iter().try_for_each(|column| row.write(column, &mut text).map(|_| ()));
    }
    match packet::Column::parse(packet) {
        Ok(column) if columns.len() < 100 => columns.push(column),
        _ => columns.truncate(if packet.len() < 9 { 0 } else { 100 }),
    }
}

/// A column as a `TABLE_MAP` describes it (six bytes: switches, type, two of metadata, collation, number of
/// labels), then its values.
pub(crate) fn binlog_values(bytes: &[u8], each: &mut dyn FnMut(&Batch)) {
    let Some((&[switches, kind, low, high, collation, labels], values)) = bytes.split_first_chunk::<6>()
    else {
        return;
    };
    let dialect = if switches & OF_MARIADB == 0 { Dialect::Mysql } else { Dialect::Mariadb };
    let (mut catalog, _) = without_server(dialect);
    let column = MappedColumn {
        kind,
        meta: u16::from_le_bytes([low, high]),
        name: "v".to_owned(),
        unsigned: switches & 2 != 0,
        collation: (switches & 4 == 0).then_some(u64::from(collation)),
        labels: (0..labels).map(|label| vec![b'a' + label % 26; usize::from(label % 4)]).collect(),
    };
    // Types that only the catalog tells.
    let encoding = match kind {
        200 => Ok((Encoding::Uuid, "uuid".to_owned())),
        201 => Ok((Encoding::Inet { bytes: 4 }, "inet4".to_owned())),
        202 => Ok((Encoding::Inet { bytes: 16 }, "inet6".to_owned())),
        _ => shape::encoding(&column, &mut catalog),
    };
    let Ok((encoding, type_name)) = encoding else { return };
    let columns = vec![Column { name: column.name, type_name, identity: true }];
    let mut batch = Batch::default();
    let table = batch.add_table(&Arc::new(Table {
        schema: "s".to_owned(),
        name: "t".to_owned(),
        columns,
        key: vec![0],
    }));
    let transaction = batch.add_transaction(Transaction::default());
    let head = RowHead { operation: Operation::Insert, table, transaction, lsn: 0 };
    let (mut cursor, mut position) = (Cursor::new(values), Position::START);
    while !cursor.is_empty() && !batch.is_full() {
        let (before, start) = (cursor.rest().len(), batch.mark());
        if batch.add_cell_with(|out| encoding.decode(&mut cursor, out)).is_err()
            || cursor.rest().len() == before
        {
            break;
        }
        batch.push(head, start, batch.mark(), &mut position);
    }
    each(&batch);
}

/// Two bytes of `sql_mode`, then the text of a statement.
pub(crate) fn statement(bytes: &[u8]) {
    let Some((&[high, low], text)) = bytes.split_first_chunk::<2>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    Statement::parse(text, u64::from(high) << 16 | u64::from(low));
}

/// GTID sets are printed as they are read.
pub(crate) fn gtid_sets(text: &str) {
    for parse in [GtidSet::parse_mysql, GtidSet::parse_mariadb] {
        if let Some(set) = parse(text) {
            assert_eq!(parse(&set.to_string()), Some(set), "{text:?}");
        }
    }
}

/// Nobody listens at the address: whatever is asked of the catalog is a broken link.
fn without_server(dialect: Dialect) -> (Catalog, Tables) {
    static KNOWN: OnceLock<(Charsets, Tables)> = OnceLock::new();
    let parse = || Tables::parse(&["*.*".to_owned(), "!*.left_out".to_owned()], "exampledb");
    let (charsets, tables) =
        KNOWN.get_or_init(|| (charsets(), parse().unwrap_or_else(|error| unreachable!("{error}")))).clone();
    let address = Address {
        dialect,
        host: "/dev/null/none".to_owned(),
        port: 0,
        user: "nobody".to_owned(),
        password: Secret::new(String::new()),
        database: "exampledb".to_owned(),
        options: BTreeMap::new(),
    };
    (Catalog::without_server(address, charsets), tables)
}

/// The numbers of some collations, and sets in small for those that a server would be asked of.
fn charsets() -> Charsets {
    let latin1: [char; 256] = std::array::from_fn(|byte| char::from(byte as u8));
    let mut many = ManyBytes {
        singles: ['\0'; 256],
        pairs: vec!['\0'; ManyBytes::PAIRS],
        longer: [(0x0090_8130, 'x')].into(),
        counts_on: true,
    };
    many.singles[0xa1] = 'ｱ';
    many.pairs[ManyBytes::place(0xb0, 0xa1)] = '啊';
    let names = [
        (8, "latin1", 1),
        (11, "ascii", 1),
        (28, "gbk", 2),
        (33, "utf8mb3", 3),
        (35, "ucs2", 2),
        (45, "utf8mb4", 4),
        (46, "utf8mb4", 4),
        (54, "utf16", 4),
        (56, "utf16le", 4),
        (60, "utf32", 4),
        (63, "binary", 1),
        (83, "utf8mb3", 3),
        (255, "utf8mb4", 4),
    ];
    let converters = [
        ("latin1", Charset::Table(Arc::new(OneByte { characters: latin1, low_is_ascii: true }))),
        ("gbk", Charset::Many(Arc::new(many))),
    ];
    Charsets::without_server(&names, converters)
}
