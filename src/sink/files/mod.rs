//! Files of any kind: rolling, exactly once whatever crashes. A kind says how its rows look ([`RowWriter`]).
//!
//! - `PATH[_ID]_insert.ENDING` and `PATH[_ID]_delete.ENDING`, or one `PATH[_ID].ENDING`; the next generations
//!   end in `.0002.ENDING`, `.0003.ENDING`, …
//! - A truncate is the first row of its generation, in both files; it empties all generations before.
//!
//! Bytes go to a buffer a file, from there to the file, and with a flush to the disk. Marks say how long the
//! files were then; recovery cuts what lies behind. So after any crash the files are what they would be
//! without it.

mod file;
mod generation;
mod lost;
mod marks;
mod path;
mod plan;
mod recover;
mod renew;
mod write;

pub use path::{Part, Side, list, stem};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::change::{Batch, Position, Row};
use crate::sink::{Files, Marks, Sink};
use generation::Chain;
use path::Template;

/// How files are named and when the next one begins; the same for all kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path without `_insert` and the ending; `{table}`, `{schema}`, `{topic}` and `{source}` (the topic's
    /// part before the first dot) stand for names.
    pub path: String,
    /// Tells this writer's files from those of other writers of the same path; behind the path.
    pub id: Option<String>,
    /// Inserts and deletes in a file each.
    pub split: bool,
    /// A file with so many bytes after a flush is the last of its generation.
    pub rotate_bytes: Option<u64>,
    /// A generation with so many rows after a flush is finished; counted again from a restart.
    pub rotate_rows: Option<u64>,
    /// A generation so many seconds after its first row is finished at the next flush; counted again from a
    /// restart.
    pub rotate_secs: Option<u64>,
}

/// A kind of file: how its rows look, and how a file of it is read again after a restart.
///
/// To add a kind: a folder beside `csv/` with a type that implements this, an entry in
/// [`crate::sink::KINDS`], and a golden case in `tests/cases/`.
pub trait RowWriter: Debug + Send + 'static {
    /// What names of files end in, with the dot.
    const ENDING: &'static str;
    /// What is the same in all rows of a table.
    type Rows: TableRows;

    /// For the rows of the table of this name.
    fn rows_of(&self, table: &str) -> Self::Rows;

    /// What a file begins with.
    fn write_header(&self, columns: &[String], out: &mut Vec<u8>);

    /// What the first `length` bytes of a file say about it; `None` if there is no row in it.
    fn describe(&self, path: &Path, length: u64) -> Result<Option<Described>>;
}

/// Writes the rows of one table. None of these can fail.
pub trait TableRows: Debug + Send {
    /// The new row of an insert or update.
    fn write_insert(&self, batch: &Batch, row: &Row, out: &mut Vec<u8>);

    /// The old row of an update or delete. `places`: for each column of the file its place in the table.
    fn write_delete(&self, batch: &Batch, row: &Row, places: &[Option<u32>], out: &mut Vec<u8>);

    /// A truncate, in a file of `width` columns.
    fn write_truncate(&self, row: &Row, width: usize, out: &mut Vec<u8>);
}

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The table of its rows.
    pub table: String,
    /// Its columns, in their order.
    pub columns: Vec<String>,
    /// Where the truncate is that it begins with.
    pub truncated: Option<Position>,
    /// Whether more rows may follow: it was written with the settings of today.
    pub is_same_layout: bool,
}

/// A sink of files of one kind.
#[derive(Debug)]
pub struct FilesSink<W: RowWriter> {
    settings: Settings,
    writer: W,
    template: Template,
    chains: Vec<Chain<W::Rows>>,
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

impl<W: RowWriter> FilesSink<W> {
    /// A sink that has not recovered yet, of files that `writer` fills.
    pub fn with_writer(settings: Settings, writer: W) -> Result<Self> {
        let template = Template::parse(&settings.path, settings.id.as_deref())?;
        Ok(Self {
            settings,
            writer,
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
                files.insert(slot.file.path.clone(), slot.file.mark().into());
            }
        }
        marks
    }

    /// The files that are open, counted one by one.
    #[cfg(test)]
    pub(in crate::sink) fn count_open(&self) -> usize {
        let files = self.chains.iter().flat_map(|chain| &chain.generations);
        let slots = files.flat_map(generation::Generation::slots);
        slots.filter(|slot| slot.file.open_since().is_some()).count()
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

impl<W: RowWriter> Sink for FilesSink<W> {
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

    fn merge(&self, saved: &[Marks]) -> Marks {
        marks::merge_marks(saved)
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
