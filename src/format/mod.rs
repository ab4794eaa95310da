//! Formats turn changes into bytes and back. They know no Kafka and no database.

mod encoding;
pub mod json;
pub mod key;
mod parts;
pub mod protobuf;
mod rows;
mod shape;
mod table;
mod template;

pub use encoding::{Decoder, Encoder, Encoding};
pub use key::{KeyRule, key_of_message};
pub use table::{ShapeId, shape_of_text, shape_text};

/// Which of wal2json's own keys are added, each in wal2json's own place and format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own, on or off")]
pub struct Include {
    /// `xid`: a number; from MySQL and MariaDB the GTID as a string (`null` without).
    pub xid: bool,
    /// `timestamp`: the commit time, as PostgreSQL prints it in UTC.
    pub timestamp: bool,
    /// `lsn`: where the change stands in the log; from MySQL and MariaDB `file:pos`.
    pub lsn: bool,
    /// `schema`, before `table`.
    pub schema: bool,
    /// `type` in each column, after `name`.
    pub types: bool,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Options {
    /// Keys beyond the fixed ones.
    pub include: Include,
    /// Cuts `identity` to the primary key, on tables that have one.
    pub identity_key_only: bool,
}

/// Messages made of a batch, in one arena.
#[derive(Debug, Default)]
pub struct Records {
    /// Keys and values one behind the other.
    pub bytes: Vec<u8>,
    /// In stream order.
    pub records: Vec<Record>,
}

/// One message: where its key and value lie in [`Records::bytes`], and which row it was made of.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Index into the batch's rows.
    pub row: u32,
    /// The key is `bytes[start..key_end]`.
    pub start: u32,
    /// The value is `bytes[key_end..end]`.
    pub key_end: u32,
    /// End of the value.
    pub end: u32,
}

impl Records {
    /// Messages of a full batch need less; a larger row's memory is given back.
    const BYTES_KEPT: usize = 32 * crate::change::Batch::BYTES_FULL;

    /// Empties it and keeps the memory, but not that of a huge row.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(Self::BYTES_KEPT);
        self.records.clear();
    }

    /// The key of a message: what decides its partition.
    pub fn key(&self, record: &Record) -> &[u8] {
        &self.bytes[record.start as usize..record.key_end as usize]
    }

    /// The message itself.
    pub fn value(&self, record: &Record) -> &[u8] {
        &self.bytes[record.key_end as usize..record.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_huge_row_is_given_back() {
        let mut records = Records { bytes: vec![0; 2 * Records::BYTES_KEPT], records: Vec::new() };
        records.clear();
        assert!(records.bytes.capacity() <= Records::BYTES_KEPT);
    }
}
