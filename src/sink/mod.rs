//! Sinks write changes to files.

pub mod csv;
mod failure;
pub mod files;
mod kinds;
mod mark;
mod nothing;
mod room;
mod stdout;

pub use failure::file_failure;
pub use kinds::{Folded, KINDS, Kind, NAMES, To, UNBUILT};
pub use mark::{Mark, Marks};
pub use nothing::Nothing;
pub use room::{fixed_folder, inspect};
pub use stdout::Stdout;

use std::collections::BTreeMap;

use crate::Result;
use crate::change::Batch;

/// How a sink names and writes what it writes: the options that all kinds of sinks share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path without `_insert` and the ending; `{table}`, `{schema}`, `{topic}` and `{source}` (the topic's
    /// part before the first dot) stand for names.
    pub path: String,
    /// Tells this writer's files from those of other writers of the same path; behind the path.
    pub id: Option<String>,
    /// Inserts and deletes in a file each.
    pub split: bool,
    /// A last column `position`: 28 digits that compare in stream order.
    pub position: bool,
    /// Stands for a value that the database did not send; default [`csv::UNCHANGED`].
    pub unchanged: String,
    /// A file with so many bytes after a flush is the last of its generation.
    pub rotate_bytes: Option<u64>,
    /// A generation with so many rows after a flush is finished; counted again from a restart.
    pub rotate_rows: Option<u64>,
    /// A generation so many seconds after its first row is finished at the next flush; counted again from a
    /// restart.
    pub rotate_secs: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "out/{table}".to_owned(),
            id: None,
            split: true,
            position: false,
            unchanged: csv::UNCHANGED.to_owned(),
            rotate_bytes: None,
            rotate_rows: None,
            rotate_secs: None,
        }
    }
}

/// What a sink has open and has written, for the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// Files that are open.
    pub open: usize,
    /// Bytes written since the sink was made.
    pub bytes: u64,
}

/// What a consumer, or direct mode, asks of a sink.
///
/// To add a kind: a file or folder here with a type that implements this (a kind of file implements only
/// [`files::RowWriter`]), an entry in [`KINDS`], and a golden case in `tests/cases/`.
///
/// A *channel* is what rows come by: the topic, or in direct mode the source's name with the table's. A
/// table's files belong to one channel.
///
/// **Order.** Rows of one key are written in the order they are given. **Promise.** After `flush` returned,
/// all rows written before lie on the disk, and the marks it answers (by channel) say of all that it still
/// writes to how far it is good: of a file, its length. The caller saves the marks together with its
/// position, and reads nothing in them.
/// **Recovery.** `recover` gets the last saved marks before the first `prepare`; what lies behind a mark is
/// cut off, of every file that can be reached and that no living process holds. A file that no mark names is
/// not the sink's: it is never touched, and the wish to write to its name is a `Stop`. **New files.** A file
/// is made only after a saved mark names it with length 0, so that no crash leaves a file nobody answers for:
/// when `prepare` says that a batch needs new files, the caller flushes, saves the marks (which name them),
/// and then writes. **Files that were taken away.** Where somebody moved or truncated a file, a flush begins
/// the next one and `holds_back`: the caller saves these marks with the position that it saved last, and
/// flushes again before it saves another. **Errors.** `Stop` (disk full, no permission): nothing after the
/// last flush is vouched for; the caller drops the sink and recovers a new one.
pub trait Sink: Send {
    /// Takes over the files of all channels and cuts what lies behind the marks.
    fn recover(&mut self, marks: &BTreeMap<String, Marks>) -> Result<()>;

    /// Chooses the files for the rows of `batch`. True if one of them does not exist yet: flush and save
    /// before `write`. One batch a channel may be prepared and not yet written.
    fn prepare(&mut self, channel: &str, batch: &Batch) -> Result<bool>;

    /// Writes the rows of a prepared batch.
    fn write(&mut self, channel: &str, batch: &Batch) -> Result<()>;

    /// The marks that hold, of those that the partitions of one topic saved at different times.
    fn merge(&self, saved: &[Marks]) -> Marks;

    /// Brings all that was written to the disk.
    fn flush(&mut self) -> Result<BTreeMap<String, Marks>>;

    /// Whether rows that were written before the last flush wait for the next one: its marks belong to the
    /// position that was saved before.
    fn holds_back(&self) -> bool {
        false
    }

    /// What is open and was written; a sink without files has nothing to say.
    fn files(&self) -> Files {
        Files::default()
    }
}
