//! Which columns a table has, as the connector wrote it down: shapes by their ids, read from
//! `list_sync.tables` when a message names one that is not known yet. All members of a process share what was
//! read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::change::Table;
use crate::format::{ShapeId, shape_of_text};
use crate::kafka::{self, Settings, Topics};
use crate::{Code, Error, Result};

/// A shape is acknowledged before the first row that names it, so one look finds it. More looks are for
/// topics that a mirror copies one after the other.
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
    /// What lies under each id. The topic holds the shapes of all sources: only what is asked for is read.
    texts: HashMap<ShapeId, Vec<Box<[u8]>>>,
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
            read.understand(id);
            if let Some(known) = read.tables.get(&id) {
                return match known {
                    Ok(table) => Ok(Arc::clone(table)),
                    Err(error) => Err(Error::stop(error.code(), error.to_string())
                        .hint(error.hint_text().unwrap_or_default())),
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
        Err(Error::stop(
            Code::ShapeUnknown,
            format!(
                "topic {tables:?} does not say which columns the table of a message of \
            topic {topic:?} has (shape {id})"
            ),
        )
        .hint(format!(
            "a mirror of {topic:?} needs {tables:?} too; if it was deleted, restart the connector: it \
                 writes there again what its tables look like now"
        )))
    }

    fn look(&self, read: &mut Read) -> Result<()> {
        let Read { next, texts, tables } = read;
        *next = kafka::Shapes::read_from(&self.settings, &self.topics, *next, |key, text| {
            let Some(id) = ShapeId::from_digits(key).filter(|id| !tables.contains_key(id)) else { return };
            let found = texts.entry(id).or_default();
            // Each start of a connector writes its shapes again.
            if !found.iter().any(|known| **known == *text) {
                found.push(text.into());
            }
        })?;
        Ok(())
    }
}

impl Read {
    fn understand(&mut self, id: ShapeId) {
        let texts = self.texts.remove(&id).unwrap_or_default();
        // The id is a hash of the text: whatever else lies in the topic is none of ours.
        let ours =
            texts.iter().find(|text| std::str::from_utf8(text).is_ok_and(|text| ShapeId::of(text) == id));
        if let Some(text) = ours {
            self.tables.insert(id, shape_of_text(text).map(Arc::new));
        }
    }
}
