//! Which changes of the stream are passed on while tables are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::Run;
use crate::Result;
use crate::change::{Batch, Key, Operation, Row, Sight, Table, TableName, Window};
use crate::format::{KeyRule, key_of_message};

/// Keys in one question to the database: each is a column of its answer.
const KEYS_ASKED: usize = 500;

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
    /// An update goes out as an insert.
    Insert,
}

/// The message key of a row, as a text.
pub fn message_key(batch: &Batch, row: &Row) -> String {
    let mut key = Vec::new();
    KeyRule::of(batch.table(row)).write(batch, row, &mut key);
    String::from_utf8_lossy(&key).into_owned()
}

/// What the filter knows of the tables of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not in the snapshot, or read and overtaken.
    Free,
    /// Not begun.
    Pending,
    /// Being read.
    Reading,
    /// Read, by views that the stream has not passed.
    Read,
}

/// Answers of the database, for the keys of one batch.
type Answers = BTreeMap<(TableName, Key, Key), bool>;

impl Run {
    /// Leaves in the batch what is passed on.
    pub fn filter(&mut self, batch: &mut Batch) -> Result<()> {
        for transaction in batch.transactions() {
            if let Ok(xid) = transaction.xid.parse() {
                self.xids.insert(xid);
            }
        }
        let mut states = self.states_of(batch);
        if states.iter().all(|state| *state == State::Free) && self.repeated_to.is_none() {
            return Ok(());
        }
        let answers = self.ask(batch, &states)?;
        let mut fates = Vec::with_capacity(batch.rows().len());
        for index in 0..batch.rows().len() {
            let state = states[batch.rows()[index].table as usize];
            fates.push(self.fate(batch, index, state, &answers));
            if batch.rows()[index].operation == Operation::Truncate {
                // The table may have to be read again, and what follows belongs to that.
                states = self.states_of(batch);
            }
        }
        for (index, fate) in fates.iter_mut().enumerate() {
            if *fate == Fate::Insert && !batch.make_insert(index) {
                self.give_up_chunk(batch, index);
                *fate = Fate::Drop;
            }
        }
        batch.retain(|index| fates[index] != Fate::Drop);
        Ok(())
    }

    fn states_of(&self, batch: &Batch) -> Vec<State> {
        let name = |table: &Arc<Table>| TableName(table.schema.clone(), table.name.clone());
        batch.tables().iter().map(|table| self.state_of(&name(table))).collect()
    }

    fn state_of(&self, table: &TableName) -> State {
        let progress = &self.progress;
        if progress.reading.as_ref().is_some_and(|reading| reading.table == *table) {
            State::Reading
        } else if progress.pending.contains(table) {
            State::Pending
        } else if progress.windows.iter().any(|window| window.table == *table) {
            State::Read
        } else {
            State::Free
        }
    }

    /// Asks the database where keys lie, once for a batch, a table and a bound.
    fn ask(&mut self, batch: &Batch, states: &[State]) -> Result<Answers> {
        let mut wanted: BTreeMap<(TableName, Key), Vec<Key>> = BTreeMap::new();
        for row in batch.rows() {
            let state = states[row.table as usize];
            if state != State::Reading {
                continue;
            }
            let Some(key) = batch.key_texts(row) else { continue };
            let table = batch.table(row);
            let name = TableName(table.schema.clone(), table.name.clone());
            for bound in self.bounds(&name) {
                let keys = wanted.entry((name.clone(), bound)).or_default();
                if !keys.contains(&key) {
                    keys.push(key.clone());
                }
            }
        }
        let mut answers = Answers::new();
        for ((table, bound), keys) in wanted {
            for keys in keys.chunks(KEYS_ASKED) {
                let reached = self.judge.reaches(&table, &bound, keys)?;
                for (key, is_before) in keys.iter().zip(reached) {
                    answers.insert((table.clone(), bound.clone(), key.clone()), is_before);
                }
            }
        }
        Ok(answers)
    }

    /// The bounds that keys of a table are compared with.
    fn bounds(&self, table: &TableName) -> Vec<Key> {
        let reading = self.progress.reading.as_ref().filter(|reading| reading.table == *table);
        let chunk = self.chunk.as_ref().filter(|chunk| chunk.table == *table);
        let after = reading.and_then(|reading| reading.after.clone());
        after.into_iter().chain(chunk.and_then(|chunk| chunk.last_key.clone())).collect()
    }

    fn fate(&mut self, batch: &Batch, index: usize, state: State, answers: &Answers) -> Fate {
        let row = &batch.rows()[index];
        if self.repeated_to.is_some_and(|to| row.position <= to) {
            return Fate::Drop;
        }
        if state == State::Free {
            return Fate::Keep;
        }
        let table = batch.table(row);
        let name = TableName(table.schema.clone(), table.name.clone());
        if row.operation == Operation::Truncate {
            return self.fate_of_truncate(batch, row, state, &name);
        }
        let text = message_key(batch, row);
        if !table.key.is_empty() && self.is_ahead(&name, &text) {
            return Fate::Keep;
        }
        if state == State::Pending {
            return Fate::Drop;
        }
        let key = batch.key_texts(row);
        let reaches = |bound: &Option<Key>| match (bound, &key) {
            (Some(bound), Some(key)) => {
                answers.get(&(name.clone(), bound.clone(), key.clone())).copied().unwrap_or(true)
            }
            _ => false,
        };
        if state == State::Reading {
            let after = self.progress.reading.as_ref().and_then(|reading| reading.after.clone());
            return if reaches(&after) {
                Fate::Keep
            } else {
                self.fate_in_chunk(batch, row, &name, text, &reaches)
            };
        }
        let holds = |window: &Window| {
            window.table == name
                && self.judge.sees(&window.view, batch.transaction(row), row.position) == Sight::Seen
        };
        if self.progress.windows.iter().any(holds) { Fate::Drop } else { Fate::Keep }
    }

    fn is_ahead(&self, table: &TableName, key: &str) -> bool {
        let reading = self.progress.reading.as_ref().filter(|reading| reading.table == *table);
        self.sent.get(table).is_some_and(|sent| sent.contains(key))
            || reading.is_some_and(|reading| reading.ahead.contains(key))
    }

    /// A change of a row that is not handed out: it is in the chunk that is kept back, or behind it.
    fn fate_in_chunk(
        &mut self,
        batch: &Batch,
        row: &Row,
        table: &TableName,
        key: String,
        reaches: &dyn Fn(&Option<Key>) -> bool,
    ) -> Fate {
        let Some(chunk) = self.chunk.as_ref().filter(|chunk| chunk.table == *table) else {
            return Fate::Drop;
        };
        let (Some(begun), Some(has_more)) = (&chunk.begun, chunk.ended) else { return Fate::Drop };
        if has_more && !reaches(&chunk.last_key) {
            return Fate::Drop;
        }
        if self.judge.sees(&begun.view, batch.transaction(row), row.position) == Sight::Seen {
            return Fate::Drop;
        }
        if let Some(reading) = &mut self.progress.reading {
            reading.ahead.insert(key);
        }
        match row.operation {
            Operation::Delete => Fate::Drop,
            Operation::Update => Fate::Insert,
            _ => Fate::Keep,
        }
    }

    /// A truncate empties what was handed out, and the table is read from its beginning again: what a view
    /// held of it, and what that view knows of what came after, nobody has to ask.
    fn fate_of_truncate(&mut self, batch: &Batch, row: &Row, state: State, table: &TableName) -> Fate {
        let sent = self.empty(table, row.position);
        match state {
            // What was not handed out need not be emptied.
            State::Pending if !sent => return Fate::Drop,
            State::Pending => {}
            State::Reading => {
                if self.chunk.as_ref().is_some_and(|chunk| chunk.table == *table) {
                    self.chunk = None;
                }
                if let Some(reading) = &mut self.progress.reading {
                    reading.after = None;
                    reading.ahead.clear();
                }
            }
            State::Free => return Fate::Keep,
            State::Read => {
                let sees = |window: &Window| {
                    window.table == *table
                        && self.judge.sees(&window.view, batch.transaction(row), row.position)
                            != Sight::Unseen
                };
                if !self.progress.windows.iter().any(sees) {
                    return Fate::Keep;
                }
                self.progress.windows.retain(|window| window.table != *table);
                self.progress.pending.insert(0, table.clone());
            }
        }
        tracing::info!(source = self.name, table = table.1, "truncated meanwhile: the table is read again");
        Fate::Keep
    }

    /// Keys up to which the table is read now need not be known one by one any more. The database is asked in
    /// the order in which they were sent, which is about that of the table.
    pub(super) fn forget_keys_read(&mut self, table: &TableName) {
        let Some(reading) = &mut self.progress.reading else { return };
        let Some(after) = &reading.after else { return };
        let width = after.len();
        let mut reached = |keys: &[String]| {
            let texts: Option<Vec<Key>> = keys.iter().map(|key| key_of_message(key, width)).collect();
            // Unknown for now: they are kept, and asked for after the next chunk.
            texts.and_then(|texts| self.judge.reaches(table, after, &texts).ok()).unwrap_or_default()
        };
        let ahead: Vec<String> = reading.ahead.iter().cloned().collect();
        for keys in ahead.chunks(KEYS_ASKED) {
            for (key, _) in keys.iter().zip(reached(keys)).filter(|(_, is_reached)| *is_reached) {
                reading.ahead.remove(key);
            }
        }
        let Some(sent) = self.sent.get_mut(table) else { return };
        for keys in sent.by_place().chunks(KEYS_ASKED) {
            let reached = reached(keys);
            if !reached.contains(&true) {
                break;
            }
            for (key, _) in keys.iter().zip(reached).filter(|(_, is_reached)| *is_reached) {
                sent.remove(key);
            }
        }
    }

    /// A change in doubt does not hold its whole row: the chunk is read again by a view that holds it.
    fn give_up_chunk(&mut self, batch: &Batch, index: usize) {
        let key = message_key(batch, &batch.rows()[index]);
        if let Some(reading) = &mut self.progress.reading {
            reading.ahead.remove(&key);
        }
        self.chunk = None;
    }
}
