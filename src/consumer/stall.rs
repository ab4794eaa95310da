//! Whether silence is peace. A client that no longer fetches says nothing of it: brokers that die while it is
//! finding its first offset can leave it so. Progress is measured, not assumed, so a member to whom nothing
//! comes looks whether something waits, and if so joins again.

use std::time::{Duration, Instant};

use crate::kafka::{Holder, Member};
use crate::{Code, Error, Result};

/// How long nothing may come before a look, and after a look that found something. Longer than a session and
/// a rebalance last.
const PATIENCE: Duration = Duration::from_secs(30);

/// What waits need not be for us (a transaction's marker is an offset, too): each time that joining again
/// brought nothing, patience doubles up to this.
const PATIENCE_MAX: Duration = Duration::from_hours(1);

/// The silence of one member, over all the times it joins.
#[derive(Debug)]
pub struct StallCheck {
    since: Option<Instant>,
    /// At the last look something waited, or nobody said that nothing does. One look is not enough: a link
    /// that has just healed needs its time.
    waiting: bool,
    patience: Duration,
}

impl StallCheck {
    pub fn new() -> Self {
        Self { since: None, waiting: false, patience: PATIENCE }
    }

    /// A message came.
    #[inline]
    pub fn broken(&mut self) {
        (self.since, self.waiting, self.patience) = (None, false, PATIENCE);
    }

    /// Nothing came. A `Link` if nothing has come for too long although messages wait, or may wait.
    pub fn go_on<H: Holder>(&mut self, member: &Member<H>) -> Result<()> {
        self.look(Instant::now(), || member.unread())
    }

    fn look(&mut self, now: Instant, unread: impl FnOnce() -> Result<u64>) -> Result<()> {
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) < self.patience {
            return Ok(());
        }
        self.since = None;
        // A client that is stuck may be unable to ask, too: no answer is no peace.
        let unread = unread().inspect_err(|error| tracing::debug!("{error}"));
        let is_peace = matches!(unread, Ok(0));
        if is_peace || !self.waiting {
            self.waiting = !is_peace;
            return Ok(());
        }
        let waited = 2 * self.patience.as_secs();
        (self.waiting, self.patience) = (false, PATIENCE_MAX.min(self.patience * 2));
        Err(match unread {
            Ok(unread) => Error::link(
                Code::ConsumerStalled,
                format!("{unread} messages wait in Kafka, and none came for {waited} s"),
            ),
            Err(cause) => Error::link(
                Code::ConsumerStalled,
                format!("nothing came for {waited} s, and whether messages wait cannot be asked: {cause}"),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn it_joins_again_only_if_something_waits_and_ever_less_often() {
        let (mut quiet, began) = (StallCheck::new(), Instant::now());
        // After each wait: whether all is well, given what waits in Kafka.
        let mut now = began;
        let mut after = |quiet: &mut StallCheck, secs, unread: Result<u64>| {
            now += Duration::from_secs(secs);
            quiet.look(now, || unread)
        };
        after(&mut quiet, 0, Ok(5)).unwrap();
        after(&mut quiet, 29, Ok(5)).unwrap();
        after(&mut quiet, 1, Ok(5)).unwrap();
        after(&mut quiet, 1, Ok(5)).unwrap();
        let error = after(&mut quiet, 30, Ok(5)).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Link, "5 messages wait in Kafka, and none came for 60 s")
        );
        // Twice as patient: the looks are 60 s apart.
        after(&mut quiet, 1, Ok(5)).unwrap();
        after(&mut quiet, 60, Ok(5)).unwrap();
        after(&mut quiet, 1, Ok(5)).unwrap();
        after(&mut quiet, 59, Ok(5)).unwrap();
        quiet.broken();
        // A message came, and all begins anew.
        after(&mut quiet, 1, Ok(5)).unwrap();
        after(&mut quiet, 30, Ok(0)).unwrap();
        after(&mut quiet, 1, Ok(5)).unwrap();
        after(&mut quiet, 30, Ok(5)).unwrap();
        after(&mut quiet, 1, Ok(5)).unwrap();
        after(&mut quiet, 30, Ok(5)).unwrap_err();
        // A client that cannot even ask is as good as one that hears nothing.
        quiet.broken();
        after(&mut quiet, 1, Ok(0)).unwrap();
        after(&mut quiet, 30, Err(Error::link(Code::Internal, "timed out"))).unwrap();
        after(&mut quiet, 1, Ok(0)).unwrap();
        let error = after(&mut quiet, 30, Err(Error::link(Code::Internal, "timed out"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing came for 60 s, and whether messages wait cannot be asked: timed out"
        );
    }
}
