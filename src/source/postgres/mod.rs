//! PostgreSQL 13 to 18 as a source: logical decoding by pgoutput or wal2json, over one replication
//! connection, with a second one for the catalog.
//!
//! ```text
//! socket, tls ── login ── connection ──┬── stream (Source), session ── pgoutput | wal2json ── progress, values ──► Batch
//!                                      └── catalog, checks, publication, slot, origin
//!                                          database (Database) ── values ──► Batch
//! ```
//! The position of a row is (LSN of its transaction's commit record, its number in the transaction); a
//! checkpoint is the end of a commit record, or on an idle server the end of what the server has decoded.
//! `origin` says what is saved with it to recognise the server by.

mod catalog;
mod checks;
mod chunks;
mod connection;
mod database;
mod distance;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod inspect;
mod json;
mod keys;
mod login;
mod message;
mod notice;
mod origin;
mod overlap;
mod pgoutput;
mod progress;
mod publication;
mod session;
mod slot;
mod stream;
mod tls;
mod values;
mod wal2json;

#[cfg(test)]
mod live;

use super::{Address, Snapshot, Tables};
pub use database::{PostgresDatabase, open};
pub use distance::PostgresMeasure;
pub use stream::PostgresSource;

/// The schema of patterns without a dot, for [`Tables::parse`].
pub const DEFAULT_SCHEMA: &str = "public";

/// What turns the server's log into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Plugin {
    /// Comes with PostgreSQL.
    #[default]
    Pgoutput,
    /// An extension; the same rows, more slowly.
    Wal2json,
}

impl Plugin {
    /// As the server knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgoutput => "pgoutput",
            Self::Wal2json => "wal2json",
        }
    }
}

/// What a PostgreSQL source is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The source's name, for messages.
    pub name: String,
    /// Where the server listens, and who we are there.
    pub address: Address,
    /// Which tables are captured.
    pub tables: Tables,
    /// What is done with rows that are there already.
    pub snapshot: Snapshot,
    /// What decodes the log.
    pub plugin: Plugin,
    /// The replication slot: made if missing, never dropped.
    pub slot: String,
    /// The slot is made for this connection alone: the server drops it with it, and then the stream cannot go
    /// on.
    pub temporary: bool,
    /// The publication (pgoutput only): made if missing, its list of tables kept right.
    pub publication: String,
}

impl Settings {
    /// Settings with the default plugin, slot and publication (`list_sync_NAME`).
    pub fn new(name: &str, address: Address, tables: Tables, snapshot: Snapshot) -> Self {
        let slot = default_name(name);
        Self {
            name: name.to_owned(),
            address,
            tables,
            snapshot,
            plugin: Plugin::default(),
            publication: slot.clone(),
            slot,
            temporary: false,
        }
    }
}

/// `list_sync_NAME` in the letters that slots may have, cut to the server's 63 bytes.
fn default_name(name: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9' | '_') => letter,
        _ => '_',
    };
    "list_sync_".chars().chain(name.chars().map(letter)).take(63).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_slots() {
        assert_eq!(super::default_name("Shop-1"), "list_sync_shop_1");
        assert_eq!(super::default_name(&"ü".repeat(99)).len(), 63);
    }
}
