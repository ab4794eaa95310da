//! Events of the binary log: their numbers, and what those say that carry no rows.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html>,
//! <https://mariadb.com/kb/en/replication-protocol/>

use super::cursor::{Cursor, Malformed, Parsed};
use super::gtid::Gtid;

/// Event numbers.
pub(super) mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const APPEND_BLOCK: u8 = 9;
    pub const DELETE_FILE: u8 = 11;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const MARIADB_ANNOTATE_ROWS: u8 = 160;
    pub const MARIADB_BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_GTID_LIST: u8 = 163;
    pub const MARIADB_START_ENCRYPTION: u8 = 164;
    pub const MARIADB_QUERY_COMPRESSED: u8 = 165;
    pub const MARIADB_WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const MARIADB_WRITE_ROWS_COMPRESSED: u8 = 169;
    pub const MARIADB_DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// The statement is about a temporary table of its session.
pub(super) const FLAG_OF_SESSION: u16 = 0x4;
/// A reader that does not know the event may skip it.
pub(super) const FLAG_IGNORABLE: u16 = 0x80;
/// Bytes of an event's header.
pub(super) const HEADER_BYTES: usize = 19;
/// The group of a MariaDB GTID is one statement, which no COMMIT ends.
pub(super) const MARIADB_STANDALONE: u8 = 1;
/// MySQL: statements may stand in the transaction, and then a ROLLBACK may end it. Without, only rows and a
/// commit do.
pub(super) const MYSQL_MAY_HOLD_STATEMENTS: u8 = 1;
/// The group of a MariaDB GTID is an XA transaction that is prepared, not committed.
pub(super) const MARIADB_PREPARED_XA: u8 = 64;

/// One event, without its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    pub kind: u8,
    /// Seconds since 1970.
    pub timestamp: u32,
    pub server_id: u32,
    pub flags: u16,
    /// In the log, with header and checksum.
    pub size: u32,
    /// Where the next event lies in the file, its lower 32 bits; 0 for what is not in the file.
    pub log_pos: u32,
    /// What follows the header.
    pub body: Vec<u8>,
}

impl Event {
    /// Reads a header; the body stays empty. Also answers how long it is.
    pub fn parse_header(bytes: [u8; HEADER_BYTES]) -> Parsed<(Self, usize)> {
        let mut header = Cursor::new(&bytes);
        let timestamp = header.u32()?;
        let kind = header.u8()?;
        let (server_id, size, log_pos, flags) = (header.u32()?, header.u32()?, header.u32()?, header.u16()?);
        let body_bytes = (size as usize).checked_sub(HEADER_BYTES).ok_or(Malformed)?;
        Ok((Self { kind, timestamp, server_id, flags, size, log_pos, body: Vec::new() }, body_bytes))
    }
}

/// What stands in front of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// `None` for an anonymous transaction.
    pub gtid: Option<Gtid>,
    /// Microseconds since 1970; 0 where the event does not say.
    pub committed_us: i64,
    /// The server's own flags, which differ between MySQL and MariaDB.
    pub flags: u8,
}

/// Row events of all kinds but partial JSON updates.
pub(super) fn is_rows(event_kind: u8) -> bool {
    matches!(
        event_kind,
        kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1
            | kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::MARIADB_WRITE_ROWS_COMPRESSED_V1..=kind::MARIADB_DELETE_ROWS_COMPRESSED
    )
}

/// Events that are read past.
pub(super) fn carries_no_rows(event_kind: u8) -> bool {
    matches!(
        event_kind,
        kind::STOP
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE
            | kind::BEGIN_LOAD_QUERY
            | kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::MARIADB_ANNOTATE_ROWS
            | kind::MARIADB_BINLOG_CHECKPOINT
            | kind::MARIADB_GTID_LIST
            | kind::MARIADB_START_ENCRYPTION
    )
}

/// The event in front of a transaction, of any kind.
pub(super) fn parse_opening(event: &Event) -> Parsed<Opening> {
    match event.kind {
        kind::MARIADB_GTID => parse_mariadb_gtid(event),
        kind::GTID_TAGGED => parse_tagged_gtid(&event.body),
        _ => parse_gtid(event.kind, &event.body),
    }
}

/// GTID and `ANONYMOUS_GTID`, as of MySQL 5.6 (commit times as of 8.0.1).
fn parse_gtid(kind: u8, body: &[u8]) -> Parsed<Opening> {
    let mut cursor = Cursor::new(body);
    let flags = cursor.u8()?;
    let server = cursor.array::<16>()?;
    let number = cursor.u64()?;
    let mut committed_us = 0;
    if !cursor.is_empty() && cursor.u8()? == 2 {
        cursor.take(16)?; // logical clock: last committed, sequence number
        if cursor.rest().len() >= 7 {
            const HAS_ORIGINAL: u64 = 1 << 55;
            let immediate = cursor.number(7)?;
            committed_us = if immediate & HAS_ORIGINAL == 0 { immediate } else { cursor.number(7)? };
        }
    }
    let gtid = (kind != kind::ANONYMOUS_GTID).then(|| Gtid::Mysql { server, tag: String::new(), number });
    Ok(Opening { gtid, committed_us: committed_us.cast_signed(), flags })
}

/// `GTID_TAGGED_LOG_EVENT` of MySQL 8.3: numbered fields of variable length, in the order of their numbers.
fn parse_tagged_gtid(body: &[u8]) -> Parsed<Opening> {
    let mut cursor = Cursor::new(body);
    let version = variable(&mut cursor)?;
    if version != 1 {
        return Err(Malformed);
    }
    let _size = variable(&mut cursor)?;
    let _last_needed_field = variable(&mut cursor)?;
    let (mut server, mut tag, mut number, mut committed_us, mut flags) = ([0; 16], String::new(), None, 0, 0);
    while !cursor.is_empty() {
        match variable(&mut cursor)? {
            1 => {
                for byte in &mut server {
                    *byte = u8::try_from(variable(&mut cursor)?).map_err(|_| Malformed)?;
                }
            }
            // signed: the lowest bit is the sign, and a GTID's number is positive
            2 => number = Some(variable(&mut cursor)? >> 1),
            3 => {
                let length = usize::try_from(variable(&mut cursor)?).map_err(|_| Malformed)?;
                tag = read_tag(cursor.take(length)?)?;
            }
            0 => flags = variable(&mut cursor)? as u8,
            4 | 5 => _ = variable(&mut cursor)?, // logical clock
            // at this server, then at the first one where that is another
            6 | 7 => committed_us = variable(&mut cursor)?,
            _ => break,
        }
    }
    let number = number.ok_or(Malformed)?;
    Ok(Opening {
        gtid: Some(Gtid::Mysql { server, tag, number }),
        committed_us: committed_us.cast_signed(),
        flags,
    })
}

/// Up to 32 letters, digits and underscores.
fn read_tag(bytes: &[u8]) -> Parsed<String> {
    const LETTERS_MAX: usize = 32;
    let is_tag = bytes.len() <= LETTERS_MAX
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
    if is_tag { String::from_utf8(bytes.to_vec()).map_err(|_| Malformed) } else { Err(Malformed) }
}

/// The ones at the low end of the first byte count the bytes that follow.
fn variable(cursor: &mut Cursor) -> Parsed<u64> {
    let first = cursor.u8()?;
    let more = first.trailing_ones();
    let rest = cursor.number(more as usize)?;
    Ok(if more >= 7 { rest } else { rest << (7 - more) | u64::from(first >> (more + 1)) })
}

/// MariaDB's `GTID_EVENT`.
fn parse_mariadb_gtid(event: &Event) -> Parsed<Opening> {
    let mut cursor = Cursor::new(&event.body);
    let (number, domain, flags) = (cursor.u64()?, cursor.u32()?, cursor.u8()?);
    let gtid = Gtid::Mariadb { domain, server: event.server_id, number };
    Ok(Opening { gtid: Some(gtid), committed_us: i64::from(event.timestamp) * 1_000_000, flags })
}

/// A statement in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// The session's number.
    pub thread: u32,
    /// The session's database.
    pub schema: &'a [u8],
    pub context: Context<'a>,
    /// What follows the schema: the statement; compressed in MariaDB's event 165.
    pub text: &'a [u8],
}

/// How a statement was written.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Context<'a> {
    pub sql_mode: u64,
    /// Collation of the client's character set, in which the statement is written.
    pub collation: Option<u64>,
    /// MySQL: all databases that the statement may have changed; `None` where the log does not say.
    pub schemas: Option<Vec<&'a [u8]>>,
}

pub(super) fn parse_query(body: &[u8]) -> Parsed<Query<'_>> {
    parse_statement(body, 0)
}

/// `LOAD DATA` as a statement: places of the file's name in it stand in front of the session's settings.
pub(super) fn parse_load_query(body: &[u8]) -> Parsed<Query<'_>> {
    parse_statement(body, 4 + 4 + 4 + 1)
}

fn parse_statement(body: &[u8], more_bytes: usize) -> Parsed<Query<'_>> {
    let mut cursor = Cursor::new(body);
    let thread = cursor.u32()?;
    cursor.take(4)?; // seconds it took
    let schema_bytes = usize::from(cursor.u8()?);
    let _error = cursor.u16()?;
    let status_bytes = usize::from(cursor.u16()?);
    cursor.take(more_bytes)?;
    let context = parse_context(Cursor::new(cursor.take(status_bytes)?));
    let schema = cursor.take(schema_bytes)?;
    cursor.take(1)?;
    Ok(Query { thread, schema, context, text: cursor.rest() })
}

/// Numbered fields without lengths: behind one that is not known nothing can be read.
fn parse_context(mut fields: Cursor<'_>) -> Context<'_> {
    let mut context = Context::default();
    while let Ok(field) = fields.u8() {
        if read_context(field, &mut fields, &mut context).is_err() {
            break;
        }
    }
    context
}

fn read_context<'a>(field: u8, fields: &mut Cursor<'a>, context: &mut Context<'a>) -> Parsed<()> {
    match field {
        1 => context.sql_mode = fields.u64()?,
        4 => {
            context.collation = Some(u64::from(fields.u16()?));
            fields.take(4)?; // the collations of the connection and of the server
        }
        5 | 6 => _ = fields.sized_bytes(1)?,
        11 => {
            fields.sized_bytes(1)?;
            fields.sized_bytes(1)?;
        }
        12 => context.schemas = read_schemas(fields)?,
        16 | 19 | 20 => _ = fields.take(1)?,
        7 | 8 | 18 | 130 => _ = fields.take(2)?,
        13 | 128 => _ = fields.take(3)?,
        0 | 3 | 10 => _ = fields.take(4)?,
        9 | 17 | 129 => _ = fields.take(8)?,
        _ => return Err(Malformed),
    }
    Ok(())
}

fn read_schemas<'a>(fields: &mut Cursor<'a>) -> Parsed<Option<Vec<&'a [u8]>>> {
    const TOO_MANY: u8 = 254;
    let count = fields.u8()?;
    if count == TOO_MANY {
        return Ok(None);
    }
    let mut name = || {
        let length = fields.rest().iter().position(|&byte| byte == 0).ok_or(Malformed)?;
        let name = fields.take(length)?;
        fields.take(1)?;
        Ok(name)
    };
    let names: Vec<&[u8]> = (0..count).map(|_| name()).collect::<Parsed<_>>()?;
    // An empty name stands for any.
    Ok(names.iter().all(|name| !name.is_empty()).then_some(names))
}

/// Offset in, and name of, the file that follows.
pub(super) fn parse_rotate(body: &[u8]) -> Parsed<(u64, &[u8])> {
    let mut cursor = Cursor::new(body);
    Ok((cursor.u64()?, cursor.rest()))
}

#[cfg(test)]
mod tests {
    use super::{
        Event, HEADER_BYTES, Malformed, parse_gtid, parse_load_query, parse_mariadb_gtid, parse_query,
        parse_rotate, parse_tagged_gtid, read_tag, variable,
    };
    use crate::source::mysql::cursor::Cursor;
    use proptest::prelude::*;

    #[test]
    fn a_statement_says_how_it_was_written() {
        let status =
            [&[1][..], &4_u64.to_le_bytes(), &[6, 3], b"std", &[4, 8, 0, 8, 0, 255, 0, 12, 2], b"a\0b\0"]
                .concat();
        let body =
            [&7_u32.to_le_bytes()[..], &[0; 4], &[1, 0, 0, status.len() as u8, 0], &status, b"s\0SELECT"]
                .concat();
        let query = parse_query(&body).unwrap();
        assert_eq!((query.thread, query.schema, query.text), (7, &b"s"[..], &b"SELECT"[..]));
        assert_eq!((query.context.sql_mode, query.context.collation), (4, Some(8)));
        assert_eq!(query.context.schemas, Some(vec![&b"a"[..], b"b"]));
    }

    #[test]
    fn variable_numbers() {
        for (bytes, expected) in [
            (&[0x04][..], 2),
            (&[0x01, 0x01], 64),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0], 1),
            (&[0x7f, 1, 0, 0, 0, 0, 0, 0], 1),
        ] {
            assert_eq!(variable(&mut Cursor::new(bytes)), Ok(expected), "{bytes:?}");
        }
    }

    /// It stands in messages as it came.
    #[test]
    fn letters_of_a_tag() {
        assert_eq!(read_tag(b"tag_1"), Ok("tag_1".to_owned()));
        for bad in [&b"a\"b"[..], b"A", "ä".as_bytes(), &[b'a'; 33]] {
            assert_eq!(read_tag(bad), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_a_fault(bytes: Vec<u8>, header: [u8; HEADER_BYTES]) {
            let _ = (parse_gtid(33, &bytes), parse_tagged_gtid(&bytes));
            let _ = (parse_query(&bytes), parse_load_query(&bytes));
            let _ = (parse_rotate(&bytes), Event::parse_header(header));
            let _ = parse_mariadb_gtid(&Event { body: bytes, ..Event::default() });
        }
    }
}
