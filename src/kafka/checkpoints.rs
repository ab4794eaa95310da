//! The topic `list_sync.positions`: the newest saved state of each source, by the source's name. Compacted, one partition.

use super::client::Settings;
use super::tail::{read_between, watermarks};
use super::topics::Topics;
use crate::Result;

/// Where states are saved. Saving itself is sending a message with [`super::Sender`] to partition 0.
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

    fn newest(settings: &Settings, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let ends = watermarks(settings, Self::TOPIC, 1)?;
        let ranges: Vec<_> = ends.iter().map(|(first, end)| (0, *first, *end)).collect();
        let mut newest = None;
        read_between(settings, Self::TOPIC, &ranges, "", |message| {
            if message.key == key {
                newest = (!message.value.is_empty()).then(|| message.value.to_vec());
            }
        })?;
        Ok(newest)
    }
}
