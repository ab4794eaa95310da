//! The sink in real folders: what it writes, what it leaves after a crash, and what its files fold to.

mod crash;
mod files;
mod folds;
mod live;
mod taken;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{CsvSink, Settings};
use crate::Result;
use crate::change::{Batch, CellKind, Column, Operation, Position, RowHead, Table, Transaction};
use crate::sink::{Marks, Sink};

/// A folder that goes when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("list_sync-csv-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Settings with a path in this folder.
    pub fn settings(&self, path: &str) -> Settings {
        Settings { path: self.0.join(path).to_str().unwrap().to_owned(), ..Settings::default() }
    }

    /// All files with their contents, by name.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, String::from_utf8(std::fs::read(path).unwrap()).unwrap());
                }
            }
        }
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A value in short: `-` is missing, `~` NULL, a number itself, else text.
pub fn cell(batch: &mut Batch, text: &str) {
    match text {
        "-" => batch.add_cell(CellKind::Missing, b""),
        "~" => batch.add_cell(CellKind::Null, b""),
        _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            batch.add_cell(CellKind::Literal, text.as_bytes());
        }
        _ => batch.add_cell(CellKind::Text, text.as_bytes()),
    }
}

/// A table of these columns, the key first; with `*` behind it a column belongs to the replica identity.
pub fn table(name: &str, columns: &[&str]) -> Arc<Table> {
    let column = |name: &&str| Column {
        name: name.trim_end_matches('*').to_owned(),
        type_name: String::new(),
        identity: name.ends_with('*'),
    };
    Arc::new(Table {
        schema: "public".into(),
        name: name.into(),
        columns: columns.iter().map(column).collect(),
        key: vec![0],
    })
}

/// One row: operation, new row, old row.
pub fn add(
    batch: &mut Batch,
    table: &Arc<Table>,
    commit: u64,
    operation: Operation,
    new: &[&str],
    old: &[&str],
) {
    let index = batch.add_table(table);
    let transaction =
        if batch.transactions().is_empty() { batch.add_transaction(Transaction::default()) } else { 0 };
    let columns = batch.mark();
    for text in new {
        cell(batch, text);
    }
    let identity = batch.mark();
    for text in old {
        cell(batch, text);
    }
    batch.push_one(
        RowHead { operation, table: index, transaction, lsn: 0 },
        columns,
        identity,
        Position::first_of(0, commit),
    );
}

/// Rows in a batch: `(operation, new, old)`, at rising positions from `commit`.
pub fn batch(table: &Arc<Table>, commit: u64, rows: &[(char, &[&str], &[&str])]) -> Batch {
    let mut batch = Batch::default();
    for ((letter, new, old), commit) in rows.iter().zip(commit..) {
        let operation = match letter {
            'I' => Operation::Insert,
            'U' => Operation::Update,
            'D' => Operation::Delete,
            _ => Operation::Truncate,
        };
        add(&mut batch, table, commit, operation, new, old);
    }
    batch
}

/// What a caller saves.
pub type Saved = BTreeMap<String, Marks>;

/// Does what a caller does with a batch; `saved` is its state.
pub fn feed(sink: &mut CsvSink, saved: &mut Saved, batch: &Batch) -> Result<()> {
    feed_channel(sink, saved, "shop.public.test", batch)
}

pub fn feed_channel(sink: &mut CsvSink, saved: &mut Saved, channel: &str, batch: &Batch) -> Result<()> {
    if sink.prepare(channel, batch)? {
        save(sink, saved)?;
    }
    sink.write(channel, batch)
}

/// Flushes and saves; answers how many flushes it took.
pub fn save(sink: &mut CsvSink, saved: &mut Saved) -> Result<usize> {
    for flushes in 1.. {
        *saved = sink.flush()?;
        if !sink.holds_back() {
            return Ok(flushes);
        }
    }
    unreachable!()
}

/// A recovered sink.
pub fn start(settings: &Settings, saved: &Saved) -> Result<CsvSink> {
    let mut sink = CsvSink::new(settings.clone())?;
    sink.recover(saved)?;
    Ok(sink)
}

/// Feeds all batches and flushes.
pub fn write_all(settings: &Settings, batches: &[Batch]) -> Saved {
    let mut saved = Saved::new();
    let mut sink = start(settings, &saved).unwrap();
    for batch in batches {
        feed(&mut sink, &mut saved, batch).unwrap();
    }
    sink.flush().unwrap()
}

/// Length of a file.
pub fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
