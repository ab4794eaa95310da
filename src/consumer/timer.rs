//! When a member does again what it must wait for: a commit, or a look whether it has caught up.
//!
//! While messages come, waiting costs: of the time, at most a tenth goes by in waiting, so a far broker is
//! asked less often. But not ever less often: an answer that took long for once, since the brokers were busy
//! or away, puts the next question off by seconds, not minutes. And while nothing comes, waiting costs
//! nothing.

use std::time::{Duration, Instant};

/// How much longer than it waited a member works, while messages come.
const WORK_FOR_WAIT: u32 = 9;

/// More than nine times the round trip to the farthest broker there is; what takes longer is no distance.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// One thing that is done again and again.
#[derive(Debug)]
pub struct Timer {
    interval: Duration,
    /// When it was done last.
    done: Instant,
    /// While messages come: how long after it the next is due.
    pause: Duration,
}

impl Timer {
    /// Due after `interval`.
    pub fn every(interval: Duration) -> Self {
        Self { interval, done: Instant::now(), pause: interval }
    }

    /// Whether it is to be done at `now`.
    pub fn is_due(&self, now: Instant, messages_come: bool) -> bool {
        now.duration_since(self.done) >= if messages_come { self.pause } else { self.interval }
    }

    /// It was begun at `began`, and is done at `now`.
    pub fn done(&mut self, began: Instant, now: Instant) {
        self.done = now;
        self.pause = self.interval.max((now.duration_since(began) * WORK_FOR_WAIT).min(PAUSE_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after an answer that took so long it is due: while messages come, and while none do.
    fn due_after(took_ms: u64, interval: Duration) -> [u128; 2] {
        let mut turn = Timer::every(interval);
        let (began, took) = (Instant::now(), Duration::from_millis(took_ms));
        turn.done(began, began + took);
        [true, false].map(|come| {
            (0_u64..100_000)
                .map(Duration::from_millis)
                .find(|after| turn.is_due(began + took + *after, come))
                .unwrap()
                .as_millis()
        })
    }

    #[test]
    fn far_brokers_are_asked_less_often_while_messages_come() {
        let second = Duration::from_secs(1);
        assert_eq!(due_after(5, second), [1000, 1000], "near: as configured");
        assert_eq!(due_after(400, second), [3600, 1000], "far: a tenth of the time is waiting");
        assert_eq!(due_after(15_000, second), [5000, 1000], "busy: not for minutes");
        assert_eq!(due_after(400, 60 * second), [60_000, 60_000], "what is configured is the least");
    }
}
