//! Sources read the row changes of a database from its log.

mod address;
mod chunks;
mod keep_alive;
mod kinds;
mod literal;
pub mod mysql;
pub mod postgres;
#[cfg(test)]
mod relay;
mod socket;
mod tables;

pub use address::{Address, Dialect};
pub use chunks::{Begun, ChunkSize, Chunks, NOT_VISIBLE_YET, Passed, Piece, Task};
pub use keep_alive::{KEEP_ALIVE, kept_alive};
pub use kinds::{KINDS, Kind, Settings, measure, open};
pub use literal::write_literal;
pub use tables::Tables;

use std::time::Duration;

use crate::Result;
use crate::change::{Batch, Checkpoint, Position, Restart, TableName};
use crate::finding::Finding;

/// What a connector asks of a database.
///
/// **Order.** `read` hands out changes in commit order, positions strictly rising, each captured change
/// exactly once between two starts. **Repeats.** `start` goes back to the checkpoint it is given; what lies
/// after it comes again with the same positions. **Promise.** A row that was handed out is never asked for
/// again by the source itself: a log is released (`confirm`) only up to a checkpoint that the caller has
/// saved. **Errors.** [`crate::error::ErrorKind::Link`]: call `start` again with the last saved checkpoint.
/// `Stop`: nothing was skipped; a person has to act. An event that the source does not understand is a
/// `Stop`, never a gap. **Callers.** One thread; `keep_alive` at least every [`KEEP_ALIVE`] while it does not
/// call `read`.
///
/// To add one: [`Kind`] says in which steps. Decode rows with the value rules of `docs/contract.md`, section
/// 3, hand out a checkpoint at each transaction end, and pass the golden cases under `tests/cases`.
pub trait Source: Send {
    /// Connects, makes what is missing on the server (publication, slot), checks that this is the server of
    /// `saved`, and begins to stream after it.
    ///
    /// Without `saved` the stream begins now; the answer must then be saved before anything else is done.
    /// Returns where the stream begins.
    fn start(&mut self, saved: Option<&Checkpoint>) -> Result<Checkpoint>;

    /// The end of the server's log at this moment, as the position of a transaction that would come next.
    fn head(&mut self) -> Result<Position>;

    /// Adds changes to `batch` until it is full, or the log has no more for now and something was added, or
    /// `wait` is over. Sets `batch.read_to` and `batch.checkpoint` when they moved.
    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()>;

    /// Tells the server that the client lives, without taking rows.
    fn keep_alive(&mut self) -> Result<()>;

    /// All before this checkpoint is finished and saved: the server may release its log.
    fn confirm(&mut self, saved: &Checkpoint) -> Result<()>;

    /// What reads the rows that the tables hold, beside the stream. Connects when it is asked.
    fn chunks(&self) -> Box<dyn Chunks>;

    /// Somebody waits until the stream is at this place: a server that says only when it is asked how far it
    /// is, is asked.
    fn hasten(&mut self, _place: Position) {}

    /// The captured tables that were there at the last start.
    fn tables(&self) -> Vec<TableName>;

    /// Tables that came in since the last question, when the stream had begun already: what happened to them
    /// before is in no log.
    fn take_new_tables(&mut self) -> Vec<TableName> {
        Vec::new()
    }

    /// Rows of a snapshot come behind `floor`, and those of `sent` are not sent again: what a topic holds
    /// already of a snapshot that was broken off. `None`: what was not saved is taken back by whoever calls.
    fn go_on_behind(&mut self, _floor: Position, _sent: Option<Vec<Sent>>) {}

    /// Tries each thing that a first `start` needs, on connections of its own, and changes nothing.
    fn inspect(&self) -> Inspection;
}

/// A change that was sent behind the last saved place of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The table.
    pub table: TableName,
    /// The key of its message.
    pub key: String,
    /// Where it stands.
    pub position: Position,
}

/// What an inspection of a server found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// One a rule, in the order in which they were tried.
    pub findings: Vec<Finding>,
    /// Schema and name of the tables that would be captured.
    pub tables: Vec<(String, String)>,
}

/// What is done with the rows that are there before the stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Snapshot {
    /// They are read first.
    Initial,
    /// The stream alone.
    Never,
    /// They are read, and nothing else is.
    Only,
}

/// What a check says of a source that reads no rows first.
const WITHOUT_SNAPSHOT: &str = "snapshot = \"never\": rows that are there already are not read";

/// What a check says of a snapshot, by the server's estimates.
fn snapshot_fact(tables: usize, rows: u64, bytes: u64) -> String {
    let tables = if tables == 1 { "1 table".to_owned() } else { format!("{tables} tables") };
    let mb = bytes.div_ceil(1 << 20);
    format!("{tables} with about {rows} rows ({mb} MB) will be read first, while the stream goes on")
}

/// Plain SQL on a database, for what is not the stream: loading the test table, proving files, later
/// snapshots.
pub trait Database: Send {
    /// Runs one statement; answers the number of rows that it changed.
    fn execute(&mut self, statement: &str) -> Result<u64>;

    /// Runs one query whose answer is small; `None` is NULL.
    fn query(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>>;

    /// Hands out all rows of a table, as inserts in batches, in one consistent view, every value by the
    /// encoder of the stream.
    fn scan(&mut self, schema: &str, table: &str, each: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()>;

    /// Schema and name of the tables that the patterns name now, sorted.
    fn tables(&mut self, wanted: &Tables) -> Result<Vec<(String, String)>>;
}

/// How far a place in a log is from its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distance {
    /// Bytes of log from the place to the end; MySQL and MariaDB: over all files between.
    pub bytes: u64,
    /// PostgreSQL: bytes of log that the server keeps for the slot.
    pub retained_bytes: Option<u64>,
    /// PostgreSQL: whether somebody reads the slot now; `None` also where there is no slot.
    pub is_read: Option<bool>,
    /// The place, as the server's own tools print it.
    pub place: String,
    /// The end of the log, in the same form.
    pub end: String,
}

/// Asks a server where its log ends, on a connection of its own that nothing else waits for.
pub trait Measure: Send {
    /// How far `place`, of a checkpoint of this server, lies behind the end. After an error the next question
    /// connects anew.
    fn behind(&mut self, place: &Restart) -> Result<Distance>;
}
