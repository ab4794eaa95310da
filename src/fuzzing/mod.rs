//! One function for each target in `fuzz/`: bytes from outside go through the code that reads them, and what
//! must hold afterwards is checked. Not part of the library's API: built with the feature `fuzzing`, and for
//! `tests`, which replay the seeds.
//!
//! What must hold: nothing panics and nothing goes on for ever; no more memory is held than the input can
//! account for; what was read is written as it was read; and each row is one that messages and files carry as
//! it is.

mod memory;
mod rows;
#[cfg(test)]
mod tests;

pub use memory::Counting;

use crate::format::Encoding;
use crate::{connector, consumer, direct, format, source};

/// What one input may hold: buffers of fixed size, and so much for each of its bytes.
fn bounded(bytes: &[u8], per_byte: usize, work: impl FnOnce()) {
    const FIXED: usize = 24 << 20;
    memory::bounded(FIXED + per_byte * bytes.len(), work);
}

/// A field of a few bytes becomes an entry in several lists.
const PER_BYTE: usize = 1000;
/// A block of zstd says in 4 bytes what 128 KB are, and hex doubles them.
const PER_BYTE_COMPRESSED: usize = 80_000;

/// Messages of pgoutput.
pub fn pgoutput(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || source::postgres::fuzz::pgoutput(bytes, &mut rows::are_carried));
}

/// Messages of wal2json.
pub fn wal2json(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || source::postgres::fuzz::wal2json(bytes, &mut rows::are_carried));
}

/// What comes from PostgreSQL's socket.
pub fn postgres_wire(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || source::postgres::fuzz::wire(bytes));
}

/// What comes from the socket of MySQL or MariaDB.
pub fn mysql_wire(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || source::mysql::fuzz::wire(bytes));
}

/// Events of a binary log.
pub fn binlog(bytes: &[u8]) {
    bounded(bytes, PER_BYTE_COMPRESSED, || source::mysql::fuzz::binlog(bytes, &mut rows::are_carried));
}

/// Values of one column of a binary log.
pub fn binlog_values(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || source::mysql::fuzz::binlog_values(bytes, &mut rows::are_carried));
}

/// A statement of a binary log.
pub fn statement(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || source::mysql::fuzz::statement(bytes));
}

/// Messages in JSON, a line each. `{"v":` in front of the first line makes it the text of their table's
/// shape.
pub fn json(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let shape = if bytes.starts_with(b"{\"v\":") { lines.next() } else { None };
        rows::decode(Encoding::Json, shape, lines);
    });
}

/// The text of their table's shape, which may be empty, and messages in Protobuf, each behind its length in
/// two bytes.
pub fn protobuf(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || {
        let mut rest = bytes;
        let mut parts = std::iter::from_fn(|| {
            let (length, behind) = rest.split_first_chunk::<2>()?;
            let (part, behind) = behind.split_at(behind.len().min(u16::from_be_bytes(*length).into()));
            rest = behind;
            Some(part)
        });
        let shape = parts.next().filter(|text| !text.is_empty());
        rows::decode(Encoding::Protobuf, shape, parts);
    });
}

/// The text of a commit, a list in `.list_sync/`, or a header.
pub fn commit_text(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || {
        consumer::fuzz::long_text(bytes);
        consumer::fuzz::position_header(bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            consumer::fuzz::commit_text(text);
        }
    });
}

/// What is saved of a source, in a topic or a file; the text of a shape.
pub fn saved(bytes: &[u8]) {
    bounded(bytes, PER_BYTE, || {
        connector::fuzz::saved(bytes);
        if let Ok(table) = format::shape_of_text(bytes) {
            let again = format::shape_text(&table, format::Options::default())
                .and_then(|text| format::shape_of_text(text.as_bytes()));
            assert_eq!(again.ok(), Some(table));
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            direct::fuzz::state(text);
            source::mysql::fuzz::gtid_sets(text);
            source::postgres::fuzz::texts(text);
        }
    });
}
