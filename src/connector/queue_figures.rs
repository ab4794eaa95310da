//! What the figures say of the messages in queue: how many bytes wait, how long an acknowledgement takes,
//! and how old the last finished change is. Nothing here decides anything: positions are `in_flight`'s.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::change::Position;

/// Times of checkpoints that are not finished; the newest two are joined when there are more.
const TIMES_MAX: usize = 1024;

/// Messages in queue, as the figures see them.
#[derive(Debug, Default)]
pub struct QueueFigures {
    /// Bytes of keys and values that wait.
    pub bytes: usize,
    /// Messages that wait.
    pub messages: usize,
    acknowledged: u64,
    /// By lane: a message whose acknowledgement is waited for.
    timed: Vec<Option<(Position, Instant)>>,
    measured: Vec<Duration>,
    /// For checkpoints that are not finished, in order: when the changes before them were committed.
    times: VecDeque<(Position, i64)>,
}

impl QueueFigures {
    /// A message was handed to the producer.
    pub fn sending(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.messages += 1;
    }

    /// Measures how long the lane's message at this position takes, unless the lane measures one already.
    pub fn time(&mut self, lane: usize, position: Position, delivered: Option<Position>) {
        if self.timed.len() <= lane {
            self.timed.resize(lane + 1, None);
        }
        if delivered < Some(position) {
            self.timed[lane].get_or_insert_with(|| (position, Instant::now()));
        }
    }

    /// The lane is acknowledged up to `delivered`.
    pub fn delivered(&mut self, lane: usize, delivered: Option<Position>, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.messages = self.messages.saturating_sub(1);
        self.acknowledged += 1;
        let Some(timed) = self.timed.get_mut(lane) else { return };
        if let Some((_, since)) = timed.take_if(|(position, _)| Some(*position) <= delivered) {
            self.measured.push(since.elapsed());
        }
    }

    /// What was measured since the last call.
    pub fn take_measured(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.measured)
    }

    /// Messages acknowledged since the last call.
    pub fn take_acknowledged(&mut self) -> u64 {
        std::mem::take(&mut self.acknowledged)
    }

    /// The changes before this checkpoint were committed by then (microseconds since 1970).
    pub fn reached(&mut self, position: Position, as_of_us: i64) {
        if self.times.back().is_some_and(|(known, _)| *known >= position) {
            return;
        }
        if self.times.len() == TIMES_MAX {
            self.times.pop_back();
        }
        self.times.push_back((position, as_of_us));
    }

    /// The time of a finished checkpoint; `None` if it was asked for before.
    pub fn finished(&mut self, position: Position) -> Option<i64> {
        let mut found = None;
        while self.times.front().is_some_and(|(known, _)| *known <= position) {
            found = self.times.pop_front().map(|(_, time)| time);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{QueueFigures, TIMES_MAX};
    use crate::change::Position;

    fn at(commit: u64) -> Position {
        Position::first_of(0, commit)
    }

    #[test]
    fn one_message_a_lane_is_timed() {
        let mut queue = QueueFigures::default();
        for commit in [1, 2, 3] {
            queue.sending(10);
            queue.time(1, at(commit), None);
        }
        assert_eq!((queue.bytes, queue.messages), (30, 3));
        queue.delivered(0, Some(at(9)), 10);
        assert_eq!(queue.take_measured().len(), 0);
        queue.delivered(1, Some(at(1)), 10);
        queue.delivered(1, Some(at(2)), 10);
        assert_eq!((queue.take_measured().len(), queue.bytes, queue.messages), (1, 0, 0));
        queue.time(1, at(2), Some(at(2)));
        queue.delivered(1, Some(at(2)), 0);
        assert_eq!(queue.take_measured().len(), 0, "what is acknowledged already is not timed");
    }

    #[test]
    fn the_time_of_the_newest_finished_checkpoint_counts() {
        let mut queue = QueueFigures::default();
        for commit in [5, 7, 6, 9] {
            queue.reached(at(commit), commit as i64 * 10);
        }
        assert_eq!(
            (queue.finished(at(4)), queue.finished(at(8)), queue.finished(at(8)), queue.finished(at(9))),
            (None, Some(70), None, Some(90))
        );
        for commit in 10..20_000 {
            queue.reached(at(commit), 0);
        }
        assert!(queue.times.len() <= TIMES_MAX);
    }
}
