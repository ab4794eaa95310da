//! Reading the rows that tables hold, piece by piece, beside the stream: the second reader of a source.

use std::sync::Arc;

use crate::Result;
use crate::change::{Batch, Cell, Key, Position, Restart, Row, Sight, Table, TableName, Transaction, View};

/// A chunk that is kept back until the stream has passed its view is not larger (bytes in memory).
const KEPT_BYTES_MAX: usize = if cfg!(test) { 8_000 } else { 16 << 20 };

/// What the rows of a chunk take.
#[derive(Debug)]
pub struct ChunkSize {
    is_kept: bool,
    bytes: usize,
    rows: u64,
}

impl ChunkSize {
    /// Of no rows. Only a chunk that `is_kept` can be full.
    pub fn new(is_kept: bool) -> Self {
        Self { is_kept, bytes: 0, rows: 0 }
    }

    /// Counts a row of so many bytes in so many columns; `true`: it is one too many.
    pub fn is_full_with(&mut self, bytes: usize, columns: usize) -> bool {
        self.bytes += bytes + size_of::<Row>() + columns * size_of::<Cell>();
        self.rows += 1;
        self.is_kept && self.rows > 1 && self.bytes > KEPT_BYTES_MAX
    }
}

/// One chunk to read.
#[derive(Debug, Clone)]
pub struct Task {
    /// The table.
    pub table: TableName,
    /// Rows behind this key; `None`: from the first on.
    pub after: Option<Key>,
    /// About how many rows; a table without a usable key is read whole.
    pub rows: u64,
    /// What the view must hold.
    pub passed: Passed,
    /// The table came in when the stream had begun: what others had changed in it before must be in the view.
    pub is_late: bool,
}

/// What the stream has handed out, or left to chunks, before a chunk: a view that misses any of it would lose
/// it. A transaction can stand in the log before others see it (trap 1 of the design), so a place in the log
/// says nothing here; the view itself is asked.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Where the stream is.
    pub position: Position,
    /// The same as the source needs it.
    pub restart: Restart,
    /// PostgreSQL: transactions that came, as the log numbers them, without those that every view sees.
    pub xids: Vec<u32>,
    /// PostgreSQL: what was there where the stream began.
    pub base: Option<View>,
}

/// Why a view is waited for: trap 1 of the design.
pub const NOT_VISIBLE_YET: &str = "a transaction stands in the log that others do not see yet (it may \
    wait for a synchronous replica)";

/// What a chunk is handed out as: `Waiting` any number of times, `Begun`, `Rows`, `Ended`; or `Gone`.
#[derive(Debug)]
pub enum Piece {
    /// The view does not hold all that it must yet, for this reason; another one is taken.
    Waiting(&'static str),
    /// The view is taken.
    Begun(Begun),
    /// Rows, as inserts in the order of the key, with positions from [`Position::START`] on.
    Rows(Box<Batch>),
    /// All rows came. `true`: there may be more behind them. A chunk with a key and a horizon behind
    /// [`Passed::position`] ends early at [`ChunkSize`].
    Ended(bool),
    /// There is no such table.
    Gone,
}

/// How a chunk begins.
#[derive(Debug)]
pub struct Begun {
    /// What it sees.
    pub view: View,
    /// From here on nothing in the log is in the view.
    pub horizon: Position,
    /// The table as it is now.
    pub table: Arc<Table>,
    /// Whether rows come in the order of a key that the log tells too, so that the table can be read in
    /// several chunks; else it is one.
    pub keyed: bool,
}

/// Reads chunks, on connections of its own. A failed call leaves nothing open; the next one connects.
pub trait Chunks: Send {
    /// Reads one chunk in one view of the database, without a lock that others notice. Ends early, with the
    /// error of `each`, when nobody wants it any more.
    fn read(&mut self, task: &Task, each: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()>;

    /// For each of `keys` of a table, whether it lies at `bound` or before it. The database compares: only it
    /// knows its collations.
    fn reaches(&mut self, table: &TableName, bound: &Key, keys: &[Key]) -> Result<Vec<bool>>;

    /// As [`View::sees`], and what that does not know.
    fn sees(&self, view: &View, transaction: &Transaction, position: Position) -> Sight {
        view.sees(transaction, position)
    }
}
