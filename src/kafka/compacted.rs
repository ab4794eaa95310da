//! Topics that keep the newest message of each key: saved positions, and shapes of tables. One partition,
//! compacted.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::client::Settings;
use super::sender::{Delivery, Outgoing, Sender};
use super::tail::{read_between, watermarks};
use super::topics::Topics;
use crate::{Error, Result};

/// The topic `list_sync.positions`: the newest saved state of each source, by the source's name. Saving is
/// sending a message with [`super::Sender`] to partition 0.
pub struct Checkpoints;

impl Checkpoints {
    /// The topic's name.
    pub const TOPIC: &str = "list_sync.positions";

    /// The newest state saved under `key`; makes the topic if it is not there.
    pub fn load(settings: &Settings, topics: &Topics, key: &[u8]) -> Result<Option<Vec<u8>>> {
        topics.ensure(Self::TOPIC, true)?;
        Self::newest(settings, key)
    }

    /// The newest state saved under `key`, and nothing is made: for who only looks.
    pub fn look(settings: &Settings, topics: &Topics, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if topics.partitions(Self::TOPIC)? == 0 { Ok(None) } else { Self::newest(settings, key) }
    }

    /// Saves `value` under `key`, or with an empty one forgets what is saved; returns when all replicas hold
    /// it.
    pub fn replace(settings: &Settings, key: &[u8], value: &[u8]) -> Result<()> {
        let (tell, told) = mpsc::channel();
        let sender = Sender::new(settings, Arc::new(Outcome(tell)))?;
        let message =
            Outgoing { topic: Self::TOPIC, partition: 0, key, value, timestamp_ms: 0, headers: &[], tag: 0 };
        while !sender.send(&message)? {
            std::thread::sleep(Duration::from_millis(1));
        }
        loop {
            match told.recv_timeout(Duration::from_millis(200)) {
                Ok(outcome) => return outcome,
                Err(_) => sender.check()?,
            }
        }
    }

    fn newest(settings: &Settings, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut newest = None;
        read_from(settings, Self::TOPIC, 0, |found, value| {
            if found == key {
                newest = (!value.is_empty()).then(|| value.to_vec());
            }
        })?;
        Ok(newest)
    }
}

/// What became of the one message that was sent.
struct Outcome(mpsc::Sender<Result<()>>);

impl Delivery for Outcome {
    fn delivered(&self, _: usize, _: i64, _: usize) {
        let _ = self.0.send(Ok(()));
    }

    fn failed(&self, _: usize, error: Error) {
        let _ = self.0.send(Err(error));
    }
}

/// The topic `list_sync.tables`: the shapes of tables, by their ids. A connector writes a shape here before
/// the first row that names its id.
pub struct Shapes;

impl Shapes {
    /// The topic's name.
    pub const TOPIC: &str = "list_sync.tables";

    /// Makes the topic if it is not there.
    pub fn ensure(topics: &Topics) -> Result<()> {
        topics.ensure(Self::TOPIC, true).map(|_| ())
    }

    /// Hands out ids and texts from this offset on, and answers where it ended: the next look goes on there.
    /// A topic that was deleted and made again is read from its start; one that is not there is empty.
    pub fn read_from(
        settings: &Settings,
        topics: &Topics,
        offset: i64,
        each: impl FnMut(&[u8], &[u8]),
    ) -> Result<i64> {
        if topics.partitions(Self::TOPIC)? == 0 {
            Ok(0)
        } else {
            read_from(settings, Self::TOPIC, offset, each)
        }
    }
}

fn read_from(
    settings: &Settings,
    topic: &str,
    offset: i64,
    mut each: impl FnMut(&[u8], &[u8]),
) -> Result<i64> {
    let marks = watermarks(settings, topic, 1)?;
    let (first, end) = marks.first().copied().unwrap_or_default();
    let from = if offset > end { first } else { offset.max(first) };
    read_between(settings, topic, &[(0, from, end)], ["", ""], |message| each(message.key, message.value))?;
    Ok(end)
}
