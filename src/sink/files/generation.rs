//! The files of one table: generations, each a pair of files (or one file of both sides) with one set of
//! columns.
//!
//! A row goes to the newest generation that starts at or before its position. Rows of one key come in the
//! order of their positions, so they never step back to an older generation, while a partition that lags
//! behind a change of columns goes on in the generation of its time instead of starting another. If that
//! generation has other columns, the next one starts with this row.
//!
//! A truncate starts a generation with a `T` row. What comes later from before its position is emptied by it:
//! it may go to an older generation, never to a newer one; if none fits it is left out. The connector sends a
//! truncate to each partition: only the first one counts.

use std::time::Instant;

use super::Settings;
use super::file::Appended;
use super::path::{Side, file_name};
use crate::change::{Operation, Position, Table};

/// Generations of one table that are written to at once: the newest, and older ones for partitions that lag.
const GENERATIONS_MAX: usize = 4;

/// A file with its columns.
#[derive(Debug)]
pub(super) struct Slot {
    pub columns: Vec<String>,
    pub file: Appended,
    /// Whether marks that were handed out name it.
    pub marked: bool,
}

impl Slot {
    fn new(path: String, columns: Vec<String>) -> Self {
        Self { columns, file: Appended::new(path), marked: false }
    }
}

/// Files with one number.
#[derive(Debug)]
pub(super) struct Generation {
    pub number: u32,
    /// Rows before this position go to older generations.
    pub start: Position,
    /// New rows; with `split = false` all rows.
    pub insert: Option<Slot>,
    /// Old rows; unused with `split = false`.
    pub delete: Option<Slot>,
    /// A limit was reached: the next row starts the next generation.
    pub full: bool,
    /// Rows written since it was started or taken over.
    pub rows: u64,
    pub started: Option<Instant>,
}

impl Generation {
    pub fn new(number: u32, start: Position) -> Self {
        Self { number, start, insert: None, delete: None, full: false, rows: 0, started: None }
    }

    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.insert.iter().chain(&self.delete)
    }

    pub fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.insert.iter_mut().chain(&mut self.delete)
    }

    /// Whether the rows of this table and operation have a place here.
    pub fn fits(&self, table: &Table, operation: Operation, split: bool) -> bool {
        let (new, old) = sides(operation);
        let delete = if split { &self.delete } else { &self.insert };
        let fits_new = |slot: &Slot| slot.columns.iter().eq(table.columns.iter().map(|column| &column.name));
        let fits_old = |slot: &Slot| {
            table
                .columns
                .iter()
                .all(|column| !names_old(table, column.identity) || slot.columns.contains(&column.name))
        };
        (!new || self.insert.as_ref().is_none_or(fits_new)) && (!old || delete.as_ref().is_none_or(fits_old))
    }

    /// Rotation limits, after a flush.
    pub fn check_limits(&mut self, settings: &Settings) {
        let bytes = self.slots().map(|slot| slot.file.length()).max().unwrap_or(0);
        let age = self.started.map_or(0, |started| started.elapsed().as_secs());
        let reached = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        self.full |= bytes > 0
            && (reached(settings.rotate_bytes, bytes)
                || reached(settings.rotate_rows, self.rows)
                || reached(settings.rotate_secs, age));
    }
}

/// Whether a column is named by old rows: those of the replica identity, or all if none is known.
pub(super) fn names_old(table: &Table, identity: bool) -> bool {
    identity || !table.columns.iter().any(|column| column.identity)
}

/// Whether an operation writes a new row, an old row.
pub(super) fn sides(operation: Operation) -> (bool, bool) {
    match operation {
        Operation::Insert => (true, false),
        Operation::Update => (true, true),
        Operation::Delete => (false, true),
        Operation::Truncate => (false, false),
    }
}

/// The files of one table of one channel.
#[derive(Debug)]
pub(super) struct Chain<T> {
    pub channel: String,
    /// `PATH[_ID]`.
    pub stem: String,
    pub table: String,
    /// Empty as long as no row told it.
    pub schema: String,
    pub rows: T,
    /// By number.
    pub generations: Vec<Generation>,
    /// The newest truncate that stands in a file.
    pub truncated: Option<Position>,
}

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Index of a generation that is there.
    Old(usize),
    /// A generation to be started, for rows from this position on.
    Next(Position),
    /// It is emptied by a truncate that stands in the files already.
    Nowhere,
}

impl<T> Chain<T> {
    /// Chooses a place for a row that is no truncate, and for which positions beside its own the choice is
    /// the same.
    pub fn choose(
        &self,
        table: &Table,
        operation: Operation,
        position: Position,
        split: bool,
    ) -> (Place, std::ops::Range<Position>) {
        let alone = position..position;
        if let Some(index) = self.generations.iter().rposition(|generation| generation.start <= position) {
            let (generation, newer) = (&self.generations[index], &self.generations[index + 1..]);
            if generation.fits(table, operation, split) {
                if generation.full && newer.is_empty() {
                    // The next one takes over all positions of the full one.
                    return (Place::Next(generation.start), alone);
                }
                let end = newer.iter().map(|generation| generation.start).min().unwrap_or(LAST);
                return (Place::Old(index), generation.start..end);
            }
        }
        if self.truncated.is_some_and(|truncated| position < truncated) {
            (Place::Nowhere, alone)
        } else {
            (Place::Next(position), alone)
        }
    }

    /// Takes out the generations that no row can go to any more, because a newer one starts no later, and
    /// those that lie too far back.
    pub fn take_finished(&mut self) -> Vec<Generation> {
        let mut newer = LAST;
        let mut kept = Vec::new();
        let mut finished = Vec::new();
        for generation in self.generations.drain(..).rev() {
            if generation.start < newer && kept.len() < GENERATIONS_MAX {
                newer = generation.start;
                kept.push(generation);
            } else {
                finished.push(generation);
            }
        }
        kept.reverse();
        self.generations = kept;
        finished
    }

    /// Makes sure that the generation has files for this operation; those that are new wait for a mark. `old`
    /// are the columns that the row's old row has values for: an empty field for another one would say NULL
    /// of a value that is merely not known.
    pub fn plan(
        &mut self,
        index: usize,
        table: &Table,
        operation: Operation,
        (split, ending): (bool, &str),
        old: Vec<String>,
    ) {
        let last = |side: fn(&Generation) -> &Option<Slot>| {
            self.generations.iter().rev().find_map(|known| side(known).as_ref())
        };
        let own: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        let (insert, delete) = if operation == Operation::Truncate {
            // A truncate names no columns; the files before it did.
            let insert = last(|known| &known.insert).map_or(own, |slot| slot.columns.clone());
            let delete =
                last(|known| &known.delete).map_or_else(|| insert.clone(), |slot| slot.columns.clone());
            (Some(insert), Some(delete))
        } else {
            let (new, has_old) = sides(operation);
            ((new || !split).then_some(own), has_old.then_some(old))
        };
        let Self { generations, stem, .. } = self;
        let Some(generation) = generations.get_mut(index) else { return };
        let number = generation.number;
        let side = if split { Side::Insert } else { Side::Both };
        if let Some(columns) = insert {
            generation
                .insert
                .get_or_insert_with(|| Slot::new(file_name(stem, side, number, ending), columns));
        }
        if let (true, Some(columns)) = (split, delete) {
            generation
                .delete
                .get_or_insert_with(|| Slot::new(file_name(stem, Side::Delete, number, ending), columns));
        }
    }
}

/// Behind every position that a source hands out.
const LAST: Position = Position { epoch: u16::MAX, commit: u64::MAX, ordinal: u32::MAX };
