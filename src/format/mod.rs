//! Formats turn changes into bytes and back. They know no Kafka and no database.

pub mod json;
pub mod key;

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
    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
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
