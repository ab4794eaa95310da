//! CSV files: rolling, one row a change, exactly once whatever crashes.
//!
//! What stands in them (the fold of `fold.rs` reads it so):
//! - `PATH[_ID]_insert.csv` and `PATH[_ID]_delete.csv`, or one `PATH[_ID].csv`; the next generations end in
//!   `.0002.csv`, `.0003.csv`, …
//! - The header is `action,table,<columns>`, with `position` at the end if asked for. `I` is a new row, `D`
//!   an old one; an update is both.
//! - `T@<position>,<table>` with empty fields is a truncate: the first row of its generation, in both files;
//!   it empties all generations before. The position is in it so that the truncate that another partition
//!   brings later, even after a restart, is known to be the same.
//! - A value that the database did not send and the old row does not hold is written as the placeholder
//!   `unchanged`.
//!
//! Bytes go to a buffer a file, from there to the file, and with a flush to the disk. Marks say how long the
//! files were then; recovery cuts what lies behind. So after any crash the files are what they would be
//! without it.

mod file;
mod fold;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod generation;
mod lost;
mod packed;
mod path;
mod plan;
mod read;
mod recover;
mod renew;
mod row;
#[cfg(test)]
mod tests;
mod write;

pub use fold::Fold;
pub use packed::{Field, FoldRow};
pub use path::{Part, Side, list, stem};
pub use read::{Action, FileRow, Reader};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use crate::Result;
use crate::change::Batch;
use crate::sink::{Files, Marks, Sink};
use generation::Chain;
use path::Template;

/// What stands for a value that is not known, unless told otherwise.
pub const UNCHANGED: &str = "__list_sync_unchanged__";

/// How files are named and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path without `_insert.csv`; `{table}`, `{schema}`, `{topic}` and `{source}` (the topic's part before
    /// the first dot) stand for names.
    pub path: String,
    /// Told from other writers of the same path by this; behind the path.
    pub id: Option<String>,
    /// Inserts and deletes in a file each.
    pub split: bool,
    /// A last column `position`: 28 digits that compare in stream order.
    pub position: bool,
    /// Stands for a value that the database did not send; default [`UNCHANGED`].
    pub unchanged: String,
    /// A file with so many bytes after a flush is the last of its generation.
    pub rotate_bytes: Option<u64>,
    /// A generation with so many rows after a flush is finished; counted from a restart anew.
    pub rotate_rows: Option<u64>,
    /// A generation so many seconds after its first row is finished at the next flush; counted from a restart
    /// anew.
    pub rotate_secs: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "out/{table}".to_owned(),
            id: None,
            split: true,
            position: false,
            unchanged: UNCHANGED.to_owned(),
            rotate_bytes: None,
            rotate_rows: None,
            rotate_secs: None,
        }
    }
}

/// The sink.
///
/// ```
/// use std::collections::BTreeMap;
/// use list_sync::sink::{Sink, csv::{CsvSink, Settings}};
///
/// let mut sink = CsvSink::new(Settings { path: "out/{table}".into(), ..Settings::default() })?;
/// sink.recover(&BTreeMap::new())?;
/// // for each batch:
/// //     if sink.prepare(channel, &batch)? { save(sink.flush()?) };
/// //     sink.write(channel, &batch)?;
/// // from time to time: save(sink.flush()?)
/// # Ok::<(), list_sync::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvSink {
    settings: Settings,
    template: Template,
    chains: Vec<Chain>,
    /// Channel, stem and table -> index into `chains`.
    by_name: HashMap<(String, String, String), usize>,
    /// Stem -> the highest generation in use.
    numbers: HashMap<String, u32>,
    /// The plan that is being made or carried out.
    plan: plan::Plan,
    /// Batches that were prepared and are not written yet, by channel.
    prepared: HashMap<String, plan::Plan>,
    /// Generations whose files were taken away; they go when their rows are in the next ones.
    replaced: Vec<(usize, generation::Generation)>,
    /// Files that were written before and are not there any more, by channel: they keep their number from
    /// being used again.
    gone: BTreeMap<String, Marks>,
    /// Folders whose entries changed since the last flush.
    folders: BTreeSet<PathBuf>,
    /// Bytes in all buffers.
    buffered: usize,
    /// Files that are open.
    open: usize,
    /// Bytes of rows and headers since the sink was made.
    bytes: u64,
    /// Counts the calls that use files, for closing the one that was not used for longest.
    clock: u64,
}

impl CsvSink {
    /// A sink that has not recovered yet.
    pub fn new(settings: Settings) -> Result<Self> {
        let template = Template::parse(&settings.path, settings.id.as_deref())?;
        Ok(Self {
            settings,
            template,
            chains: Vec::new(),
            by_name: HashMap::new(),
            numbers: HashMap::new(),
            plan: plan::Plan::default(),
            prepared: HashMap::new(),
            replaced: Vec::new(),
            gone: BTreeMap::new(),
            folders: BTreeSet::new(),
            buffered: 0,
            open: 0,
            bytes: 0,
            clock: 0,
        })
    }

    fn marks(&mut self) -> BTreeMap<String, Marks> {
        let mut marks = self.marks_of_the_gone();
        for chain in &mut self.chains {
            let files = marks.entry(chain.channel.clone()).or_default();
            for slot in chain.generations.iter_mut().flat_map(generation::Generation::slots_mut) {
                slot.marked = true;
                files.insert(slot.file.path.clone(), slot.file.mark());
            }
        }
        marks
    }

    /// Finished generations are closed: their marks are handed out no more.
    fn retire(&mut self) {
        for chain in &mut self.chains {
            for generation in chain.take_finished() {
                for slot in generation.slots().filter(|slot| slot.file.length() > 0) {
                    tracing::info!(file = slot.file.path, bytes = slot.file.length(), "file finished");
                }
                self.open -= generation.slots().filter(|slot| slot.file.open_since().is_some()).count();
            }
            if let Some(newest) = chain.generations.last_mut() {
                newest.check_limits(&self.settings);
            }
        }
    }
}

impl Sink for CsvSink {
    fn recover(&mut self, marks: &BTreeMap<String, Marks>) -> Result<()> {
        recover::recover(self, marks)
    }

    fn prepare(&mut self, channel: &str, batch: &Batch) -> Result<bool> {
        let needs_marks = self.plan_batch(channel, batch)?;
        self.prepared.insert(channel.to_owned(), std::mem::take(&mut self.plan));
        Ok(needs_marks)
    }

    fn write(&mut self, channel: &str, batch: &Batch) -> Result<()> {
        self.plan = self.prepared.remove(channel).unwrap_or_default();
        self.write_batch(batch)
    }

    fn flush(&mut self) -> Result<BTreeMap<String, Marks>> {
        self.sync_all()?;
        self.drop_replaced();
        if self.replace_lost()? {
            return Ok(self.marks_before());
        }
        // A prepared batch names generations by their index, so they stay until it is written.
        if self.prepared.values().all(plan::Plan::is_empty) {
            self.retire();
        }
        Ok(self.marks())
    }

    fn holds_back(&self) -> bool {
        !self.replaced.is_empty()
    }

    fn files(&self) -> Files {
        Files { open: self.open, bytes: self.bytes }
    }
}
