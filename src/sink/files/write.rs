//! Rows into buffers, buffers into files, files onto the disk; how many bytes and files that takes at once.

use super::file::{BUFFER_BYTES, sync_folders};
use super::generation::{Generation, Slot};
use super::plan::NOWHERE;
use super::{FilesSink, RowWriter, TableRows};
use crate::change::{Batch, Operation, Row};
use crate::{Code, Error, Result};

/// All buffers are written out when they hold more bytes than this.
const BUFFERED_MAX: usize = 32 * 1024 * 1024;

/// Files that are open at once; below the 256 that some systems allow a process.
const OPEN_MAX: usize = 128;

/// Files that are closed together when there are too many, so that the search for the oldest is rare.
const CLOSED_AT_ONCE: usize = 32;

impl<W: RowWriter> FilesSink<W> {
    /// Writes the rows of the batch that was prepared.
    pub(super) fn write_batch(&mut self, batch: &Batch) -> Result<()> {
        if self.plan.routes.len() != batch.rows().len() {
            return Err(Error::stop(Code::Internal, "a batch was to be written that was not prepared")
                .hint("report this: it is a fault of list_sync"));
        }
        let before = self.buffered_by_plan();
        let split = self.settings.split;
        for (row, &route) in batch.rows().iter().zip(&self.plan.routes) {
            if route == NOWHERE {
                continue;
            }
            let target = &self.plan.targets[route as usize];
            let chain = &mut self.chains[target.chain];
            let generation = &mut chain.generations[target.generation];
            write_row(&self.writer, &chain.rows, generation, (batch, row), &target.places, split)?;
        }
        let grown = self.buffered_by_plan().saturating_sub(before);
        self.buffered += grown;
        self.bytes += grown as u64;
        self.spill_large()?;
        self.plan.clear();
        Ok(())
    }

    /// Writes all buffers out to their files: another process sees the rows, a power cut may still take them.
    pub fn write_out(&mut self) -> Result<()> {
        self.clock += 1;
        self.spill_all()
    }

    fn buffered_by_plan(&self) -> usize {
        let generations =
            self.plan.touched.iter().map(|&(chain, generation)| &self.chains[chain].generations[generation]);
        generations.flat_map(Generation::slots).map(|slot| slot.file.buffered()).sum()
    }

    /// Writes out the large buffers of this batch's files, or all if together they hold too much.
    fn spill_large(&mut self) -> Result<()> {
        self.clock += 1;
        if self.buffered > BUFFERED_MAX {
            return self.spill_all();
        }
        for index in 0..self.plan.touched.len() {
            let (chain, generation) = self.plan.touched[index];
            self.spill(chain, generation, BUFFER_BYTES)?;
        }
        Ok(())
    }

    fn spill_all(&mut self) -> Result<()> {
        for chain in 0..self.chains.len() {
            for generation in 0..self.chains[chain].generations.len() {
                self.spill(chain, generation, 0)?;
            }
        }
        Ok(())
    }

    /// Writes out what a generation has in buffers of at least so many bytes, or all if `bytes` is 0.
    fn spill(&mut self, chain: usize, generation: usize, bytes: usize) -> Result<()> {
        if self.open + 2 > OPEN_MAX {
            self.close_oldest()?;
        }
        for slot in self.chains[chain].generations[generation]
            .slots_mut()
            .filter(|slot| slot.file.has_unwritten() && slot.file.buffered() >= bytes)
        {
            let (buffered, was_open) = (slot.file.buffered(), slot.file.open_since().is_some());
            slot.file.spill(self.clock, &mut self.folders)?;
            self.buffered = self.buffered.saturating_sub(buffered - slot.file.buffered());
            self.open += usize::from(!was_open && slot.file.open_since().is_some());
        }
        Ok(())
    }

    /// Closes the files that were not used for longest.
    pub(super) fn close_oldest(&mut self) -> Result<()> {
        let mut open: Vec<_> = self
            .chains
            .iter_mut()
            .flat_map(|chain| &mut chain.generations)
            .flat_map(Generation::slots_mut)
            .filter_map(|slot| slot.file.open_since().map(|used| (used, slot)))
            .collect();
        open.sort_by_key(|(used, _)| *used);
        for (_, slot) in open.into_iter().take(CLOSED_AT_ONCE) {
            self.open -= usize::from(slot.file.close()?);
        }
        Ok(())
    }

    /// Brings all that was written to the disk, and then the entries of folders where files were made.
    pub(super) fn sync_all(&mut self) -> Result<()> {
        self.clock += 1;
        self.spill_all()?;
        for slot in
            self.chains.iter_mut().flat_map(|chain| &mut chain.generations).flat_map(Generation::slots_mut)
        {
            slot.file.sync()?;
        }
        sync_folders(&mut self.folders)
    }
}

#[inline]
fn write_row<W: RowWriter>(
    writer: &W,
    rows: &W::Rows,
    generation: &mut Generation,
    (batch, row): (&Batch, &Row),
    places: &[Option<u32>],
    split: bool,
) -> Result<()> {
    generation.rows += 1;
    generation.started.get_or_insert_with(std::time::Instant::now);
    match row.operation {
        Operation::Insert => rows.write_insert(batch, row, buffer(&mut generation.insert, writer)?),
        Operation::Update | Operation::Delete => {
            let old = if split { &mut generation.delete } else { &mut generation.insert };
            rows.write_delete(batch, row, places, buffer(old, writer)?);
            if row.operation == Operation::Update {
                rows.write_insert(batch, row, buffer(&mut generation.insert, writer)?);
            }
        }
        Operation::Truncate => {
            for slot in generation.slots_mut() {
                let width = slot.columns.len();
                rows.write_truncate(row, width, slot_buffer(slot, writer)?);
            }
        }
    }
    Ok(())
}

fn buffer<'a, W: RowWriter>(slot: &'a mut Option<Slot>, writer: &W) -> Result<&'a mut Vec<u8>> {
    match slot {
        Some(slot) => slot_buffer(slot, writer),
        None => Err(unmarked()),
    }
}

/// The buffer of a file, with the header if it is its first row.
#[inline]
fn slot_buffer<'a, W: RowWriter>(slot: &'a mut Slot, writer: &W) -> Result<&'a mut Vec<u8>> {
    if !slot.marked {
        return Err(unmarked());
    }
    let Slot { columns, file, .. } = slot;
    if file.length() == 0 {
        writer.write_header(columns, file.buffer());
    }
    Ok(file.buffer())
}

fn unmarked() -> Error {
    Error::stop(Code::Internal, "a row was to be written to a file that no mark names")
        .hint("report this: it is a fault of list_sync")
}
