//! What the topics hold behind the last saved place while a snapshot goes on. Rows of a chunk that is read
//! again stand at other places than before, so that positions do not tell which of them are there: their keys
//! do.

use std::collections::BTreeMap;

use super::in_flight::LaneEnd;
use crate::Result;
use crate::change::{Position, Snapshot, TableName};
use crate::format::shape_of_text;
use crate::kafka::{Settings, Shapes, Topics};
use crate::source::Sent;

/// The keys that were found at the start, and from where the next start would have to look.
#[derive(Debug, Default)]
pub struct Tail {
    /// Keys and their last places by the ids of shapes.
    keys: BTreeMap<Vec<u8>, BTreeMap<String, Position>>,
    /// Where lanes ended at some place that is saved by now: all that is behind the saved place lies behind
    /// these ends. (Where they end when a place is saved is too late: what was sent behind the place may be
    /// there already.)
    pub base: Vec<LaneEnd>,
    /// The same at a place that is not saved yet.
    next: Option<(Position, Vec<LaneEnd>)>,
}

impl Tail {
    /// A change behind the saved place.
    pub fn add(&mut self, position: Position, shape: &[u8], key: &[u8]) {
        if !self.keys.contains_key(shape) {
            self.keys.insert(shape.to_vec(), BTreeMap::new());
        }
        let Some(keys) = self.keys.get_mut(shape) else { return };
        let last = keys.entry(String::from_utf8_lossy(key).into_owned()).or_insert(position);
        *last = position.max(*last);
    }

    /// The keys of tables that are not read to their ends. The topic of shapes says whose they are.
    pub fn keys_of(
        &mut self,
        snapshot: &Snapshot,
        settings: &Settings,
        topics: &Topics,
    ) -> Result<Vec<Sent>> {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut tables = BTreeMap::new();
        Shapes::read_from(settings, topics, 0, |id, text| {
            if keys.contains_key(id)
                && let Ok(table) = shape_of_text(text)
            {
                tables.insert(id.to_vec(), TableName(table.schema, table.name));
            }
        })?;
        let is_open = |table: &TableName| {
            snapshot.pending.contains(table)
                || snapshot.reading.as_ref().is_some_and(|reading| reading.table == *table)
        };
        let mut sent = Vec::new();
        for (shape, keys) in keys {
            let Some(table) = tables.get(&shape).filter(|table| is_open(table)) else { continue };
            sent.extend(keys.into_iter().map(|(key, position)| Sent { table: table.clone(), key, position }));
        }
        Ok(sent)
    }

    /// All rows that were sent stand before this place.
    pub fn reached(&mut self, position: Position, ends: impl FnOnce() -> Vec<LaneEnd>) {
        self.next.get_or_insert_with(|| (position, ends()));
    }

    /// This place is about to be saved. `is_held`: the keys that were found are still needed.
    pub fn save(&mut self, position: Position, is_held: bool) {
        if is_held {
            return;
        }
        if let Some((reached, mut ends)) = self.next.take() {
            if reached <= position {
                // Lanes that came since begin where they were found.
                ends.extend(self.base.iter().skip(ends.len()));
                self.base = ends;
            } else {
                self.next = Some((reached, ends));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;
    use crate::change::Position;
    use crate::connector::in_flight::LaneEnd;

    fn end(end_offset: i64) -> LaneEnd {
        LaneEnd { delivered: None, end_offset }
    }

    /// What is sent behind a place may be acknowledged before the place is saved: the next start looks from
    /// where lanes ended when the place was reached.
    #[test]
    fn a_start_looks_from_the_place_that_was_saved() {
        let at = |commit| Position::first_of(0, commit);
        let mut tail = Tail { base: vec![end(5)], ..Tail::default() };
        tail.reached(at(10), || vec![end(7)]);
        tail.reached(at(20), || vec![end(9)]);
        tail.save(at(9), false);
        assert_eq!(tail.base, [end(5)], "10 is not saved");
        tail.save(at(20), true);
        assert_eq!(tail.base, [end(5)], "what was found is needed");
        tail.base.push(end(1));
        tail.save(at(20), false);
        assert_eq!(tail.base, [end(7), end(1)]);
    }
}
