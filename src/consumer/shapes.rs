//! Which columns a table has, as the connector wrote it down: shapes by their ids, read from `list_sync.tables` when a message names one that is not
//! known yet. All members of a process share what was read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::change::Table;
use crate::format::{ShapeId, shape_of_text};
use crate::kafka::{self, Settings, Topics};
use crate::{Error, Result};

/// A shape is acknowledged before the first row that names it, so one look finds it. More looks are for topics that a mirror copies one after the other.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What is known of `list_sync.tables`.
pub struct Shapes {
    settings: Settings,
    topics: Arc<Topics>,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    /// The next look begins at this offset.
    next: i64,
    /// Why a text cannot be read matters only to who needs it.
    tables: HashMap<ShapeId, Result<Arc<Table>>>,
}

impl Shapes {
    /// Nothing is read before the first question.
    pub fn new(settings: &Settings, topics: &Arc<Topics>) -> Self {
        Self { settings: settings.clone(), topics: Arc::clone(topics), read: Mutex::default() }
    }

    /// The table of a shape that a message of `topic` names.
    pub fn table(&self, id: ShapeId, topic: &str) -> Result<Arc<Table>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for look in 0..=LOOKS {
            if let Some(known) = read.tables.get(&id) {
                return match known {
                    Ok(table) => Ok(Arc::clone(table)),
                    Err(error) => Err(Error::stop(error.to_string()).hint(error.hint_text().unwrap_or_default())),
                };
            }
            if look > 1 {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            if look < LOOKS {
                self.look(&mut read)?;
            }
        }
        let tables = kafka::Shapes::TOPIC;
        Err(Error::stop(format!("topic {tables:?} does not say which columns the table of a message of topic {topic:?} has (shape {id})")).hint(
            format!(
                "a mirror of {topic:?} needs {tables:?} too; if it was deleted, restart the connector: it writes there again what its tables look like now"
            ),
        ))
    }

    fn look(&self, read: &mut Read) -> Result<()> {
        let Read { next, tables } = read;
        *next = kafka::Shapes::read_from(&self.settings, &self.topics, *next, |key, text| {
            // The id is a hash of the text: whatever else lies in the topic is none of ours.
            let Ok(readable) = std::str::from_utf8(text) else { return };
            if let Some(id) = ShapeId::from_digits(key).filter(|id| *id == ShapeId::of(readable)) {
                tables.insert(id, shape_of_text(text).map(Arc::new));
            }
        })?;
        Ok(())
    }
}
