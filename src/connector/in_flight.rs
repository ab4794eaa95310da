//! What was sent and is not yet acknowledged, and the one rule of it: a position moves only over a finished
//! prefix (invariant 1).
//!
//! Acknowledgements come in any order between partitions and in order within one. Each partition is a *lane*:
//! a queue of the positions that wait. Everything before the smallest waiting position is finished.
//!
//! ```text
//! lane 0   3  6  9            waiting: 3 6 9      a checkpoint at 4 is not finished (3 waits);
//! lane 1   1✓ 4✓ 7            waiting: 7          once 3 is acknowledged, it is, and so is one at 5;
//! lane 2   2✓ 5  8            waiting: 5 8        one at 6 waits for 5.
//! ```

use std::collections::VecDeque;

use crate::change::{Checkpoint, Position};

/// One partition's share.
#[derive(Debug, Clone, Default)]
struct Lane {
    waiting: VecDeque<Position>,
    delivered: Option<Position>,
    end_offset: i64,
}

/// What a saved state says of a partition: all of the source's changes up to `delivered` lie before
/// `end_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneEnd {
    /// The newest change in the partition; `None`: none yet.
    pub delivered: Option<Position>,
    /// One past its offset, or past what was there before.
    pub end_offset: i64,
}

/// The lanes of one source, and the checkpoints that wait for them. Bounded by the producer's queue: a row
/// that waits here waits there.
#[derive(Debug, Default)]
pub struct InFlight {
    lanes: Vec<Lane>,
    checkpoints: VecDeque<Checkpoint>,
    finished: Option<Checkpoint>,
    sent_since_checkpoint: bool,
}

impl InFlight {
    /// A new lane that begins at `end`; answers its number.
    pub fn add_lane(&mut self, end: LaneEnd) -> usize {
        self.lanes.push(Lane {
            waiting: VecDeque::new(),
            delivered: end.delivered,
            end_offset: end.end_offset,
        });
        self.lanes.len() - 1
    }

    /// A change is about to be sent.
    ///
    /// # Panics
    /// If it is not behind everything that was sent by this lane.
    pub fn sending(&mut self, lane: usize, position: Position) {
        let lane = &mut self.lanes[lane];
        let last = lane.waiting.back().copied().or(lane.delivered);
        assert!(last < Some(position), "a lane's positions must rise");
        lane.waiting.push_back(position);
        self.sent_since_checkpoint = true;
    }

    /// The oldest waiting change of the lane is safe, at this offset.
    ///
    /// # Panics
    /// If nothing waits: an acknowledgement nobody asked for.
    pub fn delivered(&mut self, lane: usize, offset: i64) {
        let lane = &mut self.lanes[lane];
        assert!(!lane.waiting.is_empty(), "an acknowledgement without a change that waits");
        lane.delivered = lane.waiting.pop_front();
        lane.end_offset = lane.end_offset.max(offset + 1);
    }

    /// Every change before this checkpoint has been given to `sending`. One that lies before an earlier one
    /// comes from a log that is read again, and says nothing new; one with no change since the last replaces
    /// it, so that an idle log adds nothing.
    pub fn reached(&mut self, checkpoint: Checkpoint) {
        let last = self.checkpoints.back().or(self.finished.as_ref());
        if last.is_some_and(|last| last.position >= checkpoint.position) {
            return;
        }
        if !self.sent_since_checkpoint {
            self.checkpoints.pop_back();
        }
        self.sent_since_checkpoint = false;
        self.checkpoints.push_back(checkpoint);
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting.is_empty())
    }

    /// The newest checkpoint before which everything is acknowledged.
    pub fn finished(&mut self) -> Option<&Checkpoint> {
        let waiting = self.lanes.iter().filter_map(|lane| lane.waiting.front()).min().copied();
        while self
            .checkpoints
            .front()
            .is_some_and(|next| waiting.is_none_or(|waiting| next.position <= waiting))
        {
            self.finished = self.checkpoints.pop_front();
        }
        self.finished.as_ref()
    }

    /// Where the lane stands, for a saved state and for skipping what is already there.
    pub fn end(&self, lane: usize) -> LaneEnd {
        let lane = &self.lanes[lane];
        LaneEnd { delivered: lane.delivered, end_offset: lane.end_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::{InFlight, LaneEnd};
    use crate::change::{Checkpoint, Identity, Position, Restart};
    use proptest::prelude::*;
    use std::collections::{BTreeSet, VecDeque};

    fn at(commit: u64) -> Checkpoint {
        Checkpoint {
            identity: Identity::default(),
            position: Position::first_of(0, commit),
            restart: Restart::Postgres { lsn: commit, last: None },
            snapshot: None,
            known: None,
        }
    }

    proptest! {
        /// Whatever order the acknowledgements come in: the finished checkpoint is the newest with nothing
        /// unacknowledged before it.
        #[test]
        fn only_a_finished_prefix_counts(
            sends in prop::collection::vec((0_usize..4, any::<bool>()), 1..200),
            acks in prop::collection::vec(0_usize..4, 0..400),
        ) {
            let mut in_flight = InFlight::default();
            for _ in 0..4 {
                in_flight.add_lane(LaneEnd::default());
            }
            let mut open: Vec<VecDeque<u64>> = vec![VecDeque::default(); 4];
            let mut checkpoints = BTreeSet::new();
            let mut acks = acks.into_iter();
            for (number, (lane, ends_here)) in sends.into_iter().enumerate() {
                let commit = number as u64 + 1;
                in_flight.sending(lane, Position::first_of(0, commit));
                open[lane].push_back(commit);
                if ends_here {
                    in_flight.reached(at(commit + 1));
                    checkpoints.insert(commit + 1);
                }
                for lane in acks.by_ref().take(2) {
                    if open[lane].pop_front().is_some() {
                        in_flight.delivered(lane, number as i64);
                    }
                }
                let first_open =
                    open.iter().filter_map(|lane| lane.front()).min().copied().unwrap_or(u64::MAX);
                let expected = checkpoints.range(..=first_open).next_back().copied();
                prop_assert_eq!(in_flight.finished().map(|found| found.position.commit), expected);
            }
        }
    }

    /// After a reconnect the log is read again from an older place: the saved position must not go back with
    /// it.
    #[test]
    fn a_log_that_is_read_again_says_nothing_new() {
        let mut in_flight = InFlight::default();
        in_flight.reached(at(200));
        assert_eq!(in_flight.finished(), Some(&at(200)));
        in_flight.reached(at(110));
        assert_eq!(in_flight.finished(), Some(&at(200)));
        in_flight.reached(at(210));
        assert_eq!(in_flight.finished(), Some(&at(210)));
    }

    #[test]
    #[should_panic(expected = "must rise")]
    fn a_repeat_is_refused() {
        let mut in_flight = InFlight::default();
        let lane = in_flight.add_lane(LaneEnd { delivered: Some(Position::first_of(0, 5)), end_offset: 1 });
        in_flight.sending(lane, Position::first_of(0, 5));
    }
}
