//! The state of a source as it is saved in `list_sync.positions`, and what is learnt from the topics at a
//! restart.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::in_flight::LaneEnd;
use crate::change::{Checkpoint, Position};
use crate::format::ShapeId;
use crate::kafka::{Settings, read_between, watermarks};
use crate::{Code, Error, Result};

/// Between two looks at the end of a topic.
const BETWEEN_LOOKS: Duration = Duration::from_millis(150);
/// A topic that did not grow for this long is taken for settled.
const SETTLED: Duration = Duration::from_millis(600);
/// Somebody else may write there all the time.
const SETTLED_AT_LAST: Duration = Duration::from_secs(3);

/// The header that every message carries: the source's name, a colon, and the position's digits.
pub const POSITION_HEADER: &str = "position";

/// One saved state: JSON, one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Of this layout; another one is refused.
    version: u32,
    /// Where the source reads on.
    pub checkpoint: Checkpoint,
    /// When the changes before it were committed; microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of_us: Option<i64>,
    /// The connector ended by itself: all it had sent was acknowledged before.
    #[serde(default)]
    pub is_clean: bool,
    /// For each topic and partition: end offset, and the newest change before it.
    pub topics: BTreeMap<String, Vec<(i64, Option<Position>)>>,
}

impl Saved {
    const VERSION: u32 = 1;

    /// A state of today's layout.
    pub fn new(
        checkpoint: Checkpoint,
        as_of_us: Option<i64>,
        is_clean: bool,
        topics: BTreeMap<String, Vec<LaneEnd>>,
    ) -> Self {
        let pair = |lane: LaneEnd| (lane.end_offset, lane.delivered);
        let topics =
            topics.into_iter().map(|(topic, lanes)| (topic, lanes.into_iter().map(pair).collect())).collect();
        Self { version: Self::VERSION, checkpoint, as_of_us, is_clean, topics }
    }

    /// The same state at another place.
    pub fn moved_to(self, checkpoint: Checkpoint) -> Self {
        Self { checkpoint, as_of_us: None, ..self }
    }

    /// As it is stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|cause| Error::stop(Code::Internal, "the source's state cannot be written").cause(cause))
    }

    /// Reads what [`Saved::to_bytes`] made.
    pub fn from_bytes(source: &str, bytes: &[u8]) -> Result<Self> {
        let fail = |reason: String| {
            Error::stop(
                Code::PositionDamaged,
                format!(
                    "the saved position of source {source:?} in topic \"list_sync.positions\" \
                cannot be read: {reason}"
                ),
            )
            .hint(format!(
                "if a newer list_sync wrote it, use that one; else list_sync position forget {source} \
                     removes it: the next start then begins at the end \
                     of the log, and changes since the last saved place are not sent"
            ))
        };
        let saved: Self = serde_json::from_slice(bytes).map_err(|cause| fail(cause.to_string()))?;
        if saved.version == Self::VERSION {
            Ok(saved)
        } else {
            Err(fail(format!("layout {}", saved.version)))
        }
    }
}

impl Saved {
    /// Reads what the source sent to `topic` after this state was saved: where each lane really ends. Hands
    /// out place, shape and key of each change behind the saved place; of a snapshot that was broken off
    /// before, behind the place that was saved then.
    pub fn lane_ends(
        &self,
        settings: &Settings,
        source: &str,
        topic: &str,
        partitions: u32,
        each: &mut EachChange,
    ) -> Result<Vec<LaneEnd>> {
        let marks = if self.is_clean {
            watermarks(settings, topic, partitions)?
        } else {
            settled_watermarks(settings, topic, partitions)?
        };
        let tail_from = self.checkpoint.snapshot.as_ref().and_then(|snapshot| snapshot.tail_from);
        let from = tail_from.unwrap_or(self.checkpoint.position);
        let mut each = |position: Position, shape: &[u8], key: &[u8]| {
            if position >= from {
                each(position, shape, key);
            }
        };
        scan(settings, source, topic, marks, self.saved_ends(topic), &mut each)
    }

    fn saved_ends(&self, topic: &str) -> &[(i64, Option<Position>)] {
        self.topics.get(topic).map(Vec::as_slice).unwrap_or_default()
    }

    /// Where a lane ended when this was saved.
    pub fn saved_end(&self, topic: &str, partition: usize) -> Option<LaneEnd> {
        let (end_offset, delivered) = self.saved_ends(topic).get(partition).copied()?;
        Some(LaneEnd { delivered, end_offset })
    }
}

/// Takes position, shape and key of a change.
type EachChange<'a> = dyn FnMut(Position, &[u8], &[u8]) + 'a;

/// Watermarks and saved ends of each partition.
fn scan(
    settings: &Settings,
    source: &str,
    topic: &str,
    marks: Vec<(i64, i64)>,
    saved: &[(i64, Option<Position>)],
    each: &mut EachChange,
) -> Result<Vec<LaneEnd>> {
    let mut lanes = Vec::with_capacity(marks.len());
    let mut ranges = Vec::new();
    for (partition, (first, end)) in marks.into_iter().enumerate() {
        let (mut from, mut delivered) = saved.get(partition).copied().unwrap_or((first, None));
        if from > end {
            tracing::warn!(
                topic,
                partition,
                "the topic is shorter than when the position was saved: it was deleted or truncated"
            );
            (from, delivered) = (first, None);
        }
        ranges.push((partition as u32, from.max(first), end));
        lanes.push(LaneEnd { delivered, end_offset: end });
    }
    read_between(settings, topic, &ranges, [POSITION_HEADER, ShapeId::HEADER], |message| {
        let [position, shape] = message.headers;
        let position = position.and_then(|header| own_position(source, header));
        if let (Some(position), Some(shape)) = (position, shape) {
            each(position, shape, message.key);
        }
        let lane = &mut lanes[message.partition as usize];
        lane.delivered = lane.delivered.max(position);
    })?;
    Ok(lanes)
}

/// What a connector that was killed had sent may lie in the leader's log and not yet in the other replicas':
/// readers do not see it until it does. Looks that agree for a while tell that nothing is on its way any
/// more, as far as a client can tell.
fn settled_watermarks(settings: &Settings, topic: &str, partitions: u32) -> Result<Vec<(i64, i64)>> {
    let mut seen = watermarks(settings, topic, partitions)?;
    let (began, mut changed) = (Instant::now(), Instant::now());
    while changed.elapsed() < SETTLED && began.elapsed() < SETTLED_AT_LAST {
        std::thread::sleep(BETWEEN_LOOKS);
        let now = watermarks(settings, topic, partitions)?;
        if now != seen {
            (seen, changed) = (now, Instant::now());
        }
    }
    Ok(seen)
}

/// The position in a header, if this source wrote it.
pub(super) fn own_position(source: &str, header: &[u8]) -> Option<Position> {
    Position::from_digits(header.strip_prefix(source.as_bytes())?.strip_prefix(b":")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Restart;

    #[test]
    fn a_state_survives_and_another_layout_does_not() {
        let checkpoint = Checkpoint {
            identity: [("system".into(), "7".into())].into(),
            position: Position::first_of(1, 2),
            restart: Restart::Postgres { lsn: 2, last: None },
            snapshot: None,
            known: None,
        };
        let lane = LaneEnd { delivered: Some(Position { epoch: 1, commit: 1, ordinal: 9 }), end_offset: 44 };
        let saved =
            Saved::new(checkpoint, Some(5), true, [("t".to_owned(), vec![lane, LaneEnd::default()])].into());
        let bytes = saved.to_bytes().unwrap();
        assert_eq!(Saved::from_bytes("s", &bytes).unwrap(), saved);
        let newer = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(Saved::from_bytes("s", newer.as_bytes()).unwrap_err().to_string().contains("layout 2"));
    }

    #[test]
    fn only_the_own_name_counts() {
        let position = Position::first_of(0, 7);
        let header = format!("shop:{position}");
        assert_eq!(own_position("shop", header.as_bytes()), Some(position));
        assert_eq!(own_position("sho", header.as_bytes()), None);
        assert_eq!(own_position("shop2", header.as_bytes()), None);
    }
}
