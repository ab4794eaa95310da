//! Files that were taken away while they were written: the next generation goes on with what no marks name
//! yet.
//!
//! A new file must be named by saved marks before it is made. So this takes two flushes: the first names the
//! next files, beside the lengths that were saved last; the second writes what waits. In between nothing
//! counts that was not saved before.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::{Appended, foreign};
use super::generation::{Generation, Slot};
use super::path::{Side, file_name, parse_file_name};
use super::{FilesSink, RowWriter};
use crate::Result;
use crate::sink::Marks;

impl<W: RowWriter> FilesSink<W> {
    /// Begins the next generation for each one with a file that is lost, and for those behind it, so that
    /// their order stays; true if there is one.
    pub(super) fn replace_lost(&mut self) -> Result<bool> {
        for chain in 0..self.chains.len() {
            let is_lost = |generation: &Generation| generation.slots().any(|slot| slot.file.is_lost());
            let Some(first) = self.chains[chain].generations.iter().position(is_lost) else { continue };
            for index in first..self.chains[chain].generations.len() {
                self.replace(chain, index)?;
            }
        }
        Ok(self.holds_back_rows())
    }

    /// Whether a file is lost or replaced: rows wait for the next flush.
    pub fn holds_back_rows(&self) -> bool {
        let files = || self.chains.iter().flat_map(|chain| &chain.generations).flat_map(Generation::slots);
        !self.replaced.is_empty() || files().any(|slot| slot.file.is_lost())
    }

    fn replace(&mut self, place: usize, index: usize) -> Result<()> {
        let split = self.settings.split;
        let chain = &mut self.chains[place];
        let number = self.numbers.entry(chain.stem.clone()).or_insert(0);
        *number += 1;
        let start = chain.generations[index].start;
        let mut old = std::mem::replace(&mut chain.generations[index], Generation::new(*number, start));
        let (stem, next) = (&chain.stem, &mut chain.generations[index]);
        let mut succeed = |old: &mut Option<Slot>, side: Side| -> Result<Option<Slot>> {
            let Some(old) = old else { return Ok(None) };
            let path = file_name(stem, side, *number, W::ENDING);
            if Path::new(&path).symlink_metadata().is_ok() {
                return Err(foreign(&path));
            }
            let mut file = Appended::new(path);
            let (before, was_open) = (old.file.buffered(), old.file.open_since().is_some());
            file.succeed(&mut old.file, |out| self.writer.write_header(&old.columns, out))?;
            self.buffered = (self.buffered + file.buffered()).saturating_sub(before - old.file.buffered());
            self.open -= usize::from(was_open && old.file.open_since().is_none());
            Ok(Some(Slot { columns: old.columns.clone(), file, marked: false }))
        };
        next.insert = succeed(&mut old.insert, if split { Side::Insert } else { Side::Both })?;
        next.delete = succeed(&mut old.delete, Side::Delete)?;
        self.replaced.push((place, old));
        Ok(())
    }

    /// What was saved last, and the names of the files that are to be made.
    pub(super) fn marks_before(&mut self) -> BTreeMap<String, Marks> {
        let mut marks = self.marks_of_the_gone();
        for (place, generation) in &self.replaced {
            let files = marks.entry(self.chains[*place].channel.clone()).or_default();
            files.extend(
                generation
                    .slots()
                    .filter(|slot| slot.marked)
                    .map(|slot| (slot.file.path.clone(), slot.file.marked().into())),
            );
        }
        for chain in &mut self.chains {
            let files = marks.entry(chain.channel.clone()).or_default();
            for slot in chain.generations.iter_mut().flat_map(Generation::slots_mut) {
                slot.marked = true;
                files.insert(slot.file.path.clone(), slot.file.marked().into());
            }
        }
        marks
    }

    /// The rows of replaced files are in the next ones now.
    pub(super) fn drop_replaced(&mut self) {
        for (_, generation) in self.replaced.drain(..) {
            self.open -= generation.slots().filter(|slot| slot.file.open_since().is_some()).count();
        }
    }

    /// The files that are gone, as long as none with a higher number holds rows.
    pub(super) fn marks_of_the_gone(&mut self) -> BTreeMap<String, Marks> {
        let mut highest: BTreeMap<&str, u32> = BTreeMap::new();
        for chain in &self.chains {
            let with_rows =
                chain.generations.iter().filter(|known| known.slots().any(|slot| slot.file.marked() > 0));
            let number = with_rows.map(|generation| generation.number).max().unwrap_or(0);
            let known = highest.entry(chain.stem.as_str()).or_insert(0);
            *known = number.max(*known);
        }
        let is_needed = |path: &String| {
            parse_file_name(path, W::ENDING)
                .is_some_and(|(stem, _, number)| highest.get(stem).is_none_or(|known| *known < number))
        };
        for files in self.gone.values_mut() {
            files.retain(|path, _| is_needed(path));
        }
        self.gone.clone()
    }
}
