//! Sinks write changes to files.

pub mod csv;
mod failure;
mod marks;
mod nothing;
mod room;

pub use failure::file_failure;
pub use marks::merge_marks;
pub use nothing::Nothing;
pub use room::{fixed_folder, inspect};

use std::collections::BTreeMap;

use crate::Result;
use crate::change::Batch;

/// Files (their paths as the sink was told to write them) and their lengths in bytes: what a saved position
/// vouches for.
pub type Marks = BTreeMap<String, u64>;

/// What a sink has open and has written, for the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Files {
    /// Files that are open.
    pub open: usize,
    /// Bytes written since the sink was made.
    pub bytes: u64,
}

/// What a consumer, or direct mode, asks of a kind of file.
///
/// A *channel* is what rows come by: the topic, or in direct mode the source's name with the table's. A
/// table's files belong to one channel.
///
/// **Order.** Rows of one key are written in the order they are given. **Promise.** After `flush` returned,
/// all rows written before lie on the disk, and the marks it answers (a map from channel to files) name every
/// file that is still written to, with its length. The caller saves the marks together with its position.
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
