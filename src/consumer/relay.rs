//! Messages for a program instead of files: handed over as they lie in the topics, in batches.
//!
//! The writer keeps its promises: repeats are left out by their position, and offsets are committed only for
//! what the receiver is done with.

use super::partition::PartitionState;
use crate::change::Position;
use crate::{Error, Result};

/// A program's side of a consumer.
///
/// **Order.** Messages of a partition come in its order, each once between two starts. **Promise.** What is
/// counted as done is committed within the commit interval; what is not comes again at the next start.
/// **Stop.** An answer below the number of messages ends the consumer: the first ones are committed, the rest
/// is not. **Errors.** Nothing that was not committed before counts. `Link`: the member joins its group
/// again. `Stop`: the consumer ends. **Callers.** One thread.
pub trait Receiver: Send {
    /// Takes messages and answers how many of them, from the first on, are done with.
    fn receive(&mut self, messages: &Messages) -> Result<usize>;

    /// The most messages of one call.
    fn messages_max(&self) -> usize {
        Messages::COUNT_MAX
    }
}

/// Where a message came from.
#[derive(Debug, Clone, Copy)]
struct Place {
    end: u32,
    lane: u32,
    /// Index into the sources.
    source: u32,
    offset: i64,
    position: Position,
}

/// Messages one behind the other in one arena.
#[derive(Debug, Default, Clone)]
pub struct Messages {
    bytes: Vec<u8>,
    places: Vec<Place>,
    sources: Vec<String>,
}

impl Messages {
    /// More messages are not gathered before they are handed over.
    pub const COUNT_MAX: usize = 1024;
    /// More bytes are not gathered before they are handed over.
    pub const BYTES_MAX: usize = 256 * 1024;

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The messages' bytes; those of a tombstone are empty.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.places.iter().map(|place| place.end));
        self.places.iter().zip(starts).map(|(place, start)| &self.bytes[start as usize..place.end as usize])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(4 * Self::BYTES_MAX);
        self.places.clear();
        self.sources.clear();
    }
}

/// What a writer has in place of a batch of rows and a sink.
pub(super) struct Relay {
    receiver: Box<dyn Receiver>,
    messages: Messages,
    count_max: usize,
    /// The receiver wants no more, or the next message cannot be given to it.
    pub ended: bool,
    /// The message behind those that were gathered is no text.
    pub unreadable: Option<Error>,
}

impl Relay {
    pub fn new(receiver: Box<dyn Receiver>) -> Self {
        let count_max = receiver.messages_max().clamp(1, Messages::COUNT_MAX);
        Self { receiver, messages: Messages::default(), count_max, ended: false, unreadable: None }
    }

    /// Adds a message of the lane of this index; true if no more fit.
    pub fn add(&mut self, value: &[u8], lane: usize, offset: i64, source: &str, position: Position) -> bool {
        if self.ended || self.unreadable.is_some() {
            return self.unreadable.is_some();
        }
        let Messages { bytes, places, sources } = &mut self.messages;
        bytes.extend_from_slice(value);
        let known = sources.iter().rposition(|known| known == source);
        let source = known.unwrap_or_else(|| {
            sources.push(source.to_owned());
            sources.len() - 1
        });
        places.push(Place {
            end: bytes.len() as u32,
            lane: lane as u32,
            source: source as u32,
            offset,
            position,
        });
        places.len() >= self.count_max || bytes.len() >= Messages::BYTES_MAX
    }

    /// Ends the consumer for `error`, behind the messages gathered so far: they are handed over and
    /// committed. True, since no more fit.
    pub fn end_before(&mut self, error: Error) -> bool {
        if !self.ended && self.unreadable.is_none() {
            self.unreadable = Some(error);
        }
        true
    }

    /// Hands over what was gathered, notes in the lanes what is done with, and tells its number by topic.
    pub fn hand_over(
        &mut self,
        lanes: &mut [PartitionState],
        tell: &mut dyn FnMut(&str, usize),
    ) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let (count, done) = match self.messages.len() {
            0 => (0, 0),
            count => (count, self.receiver.receive(&self.messages)?.min(count)),
        };
        if done < count {
            self.unreadable = None;
        }
        if done == count && self.unreadable.is_none() {
            lanes.iter_mut().for_each(PartitionState::wrote);
        } else {
            self.ended = true;
            for place in &self.messages.places[..done] {
                lanes[place.lane as usize].wrote_to(
                    place.offset,
                    &self.messages.sources[place.source as usize],
                    place.position,
                );
            }
        }
        for run in self.messages.places[..done].chunk_by(|one, next| one.lane == next.lane) {
            tell(&lanes[run[0].lane as usize].topic, run.len());
        }
        self.messages.clear();
        Ok(())
    }

    pub fn clear(&mut self) {
        self.messages.clear();
        if !self.ended {
            self.unreadable = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::long_texts::LongTexts;
    use crate::kafka::OffsetCommit;
    use std::sync::{Arc, Mutex};

    struct First(usize, Arc<Mutex<Vec<Vec<u8>>>>);

    impl Receiver for First {
        fn receive(&mut self, messages: &Messages) -> Result<usize> {
            self.1.lock().unwrap().extend(messages.iter().map(<[u8]>::to_vec));
            Ok(self.0)
        }
    }

    fn lane(partition: u32) -> PartitionState {
        PartitionState::new(
            &OffsetCommit { topic: "t".to_owned(), partition, offset: Some(5), text: String::new() },
            &LongTexts::new("t", "g"),
        )
        .unwrap()
    }

    fn filled(relay: &mut Relay, lanes: &mut [PartitionState]) {
        for (place, offset, value) in [(0, 5, "a"), (1, 5, ""), (0, 6, "bc")] {
            lanes[place].took(offset);
            let position = Position::first_of(0, offset as u64);
            lanes[place].repeats(b"s", position);
            relay.add(value.as_bytes(), place, offset, "s", position);
        }
    }

    fn handed(relay: &mut Relay, lanes: &mut [PartitionState]) -> usize {
        let mut own_figures = 0;
        relay.hand_over(lanes, &mut |_, messages| own_figures += messages).unwrap();
        own_figures
    }

    fn committed(lanes: &[PartitionState]) -> Vec<(Option<i64>, String)> {
        lanes
            .iter()
            .map(|lane| lane.entry(None, &mut LongTexts::new("t", "g")).unwrap().unwrap())
            .map(|entry| (entry.offset, entry.text))
            .collect()
    }

    #[test]
    fn all_done_moves_every_lane() {
        let own_figures = Arc::default();
        let (mut relay, mut lanes) =
            (Relay::new(Box::new(First(3, Arc::clone(&own_figures)))), [lane(0), lane(1)]);
        filled(&mut relay, &mut lanes);
        assert_eq!(handed(&mut relay, &mut lanes), 3);
        assert_eq!(*own_figures.lock().unwrap(), [b"a".to_vec(), b"".to_vec(), b"bc".to_vec()]);
        let offsets: Vec<_> = committed(&lanes).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!((offsets, relay.ended), (vec![Some(7), Some(6)], false));
    }

    #[test]
    fn of_a_broken_batch_only_the_first_ones_count() {
        let (mut relay, mut lanes) = (Relay::new(Box::new(First(1, Arc::default()))), [lane(0), lane(1)]);
        filled(&mut relay, &mut lanes);
        assert_eq!(handed(&mut relay, &mut lanes), 1);
        let found = committed(&lanes);
        assert_eq!((found[0].0, found[1].0, relay.ended), (Some(6), Some(5), true));
        assert!(found[0].1.contains(&Position::first_of(0, 5).to_string()), "{}", found[0].1);
        // What comes after it is not handed over, and moves nothing.
        filled(&mut relay, &mut lanes);
        assert_eq!((handed(&mut relay, &mut lanes), committed(&lanes)), (0, found));
    }

    #[test]
    fn before_one_that_is_unreadable_the_others_are_handed_over() {
        let (mut relay, mut lanes) = (Relay::new(Box::new(First(3, Arc::default()))), [lane(0), lane(1)]);
        filled(&mut relay, &mut lanes);
        lanes[1].took(6);
        assert!(relay.end_before(Error::stop(crate::Code::Internal, "of the test")), "no more fit");
        assert!(relay.add(b"d", 1, 7, "s", Position::first_of(0, 7)));
        assert_eq!(handed(&mut relay, &mut lanes), 3);
        let offsets: Vec<_> = committed(&lanes).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!((offsets, relay.ended), (vec![Some(7), Some(6)], true), "the unreadable one comes again");
        // Its own answer comes first.
        let (mut relay, mut lanes) = (Relay::new(Box::new(First(2, Arc::default()))), [lane(0), lane(1)]);
        filled(&mut relay, &mut lanes);
        relay.end_before(Error::stop(crate::Code::Internal, "of the test"));
        assert_eq!(
            (handed(&mut relay, &mut lanes), relay.ended, relay.unreadable.is_none()),
            (2, true, true)
        );
    }
}
