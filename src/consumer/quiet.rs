//! Whether silence is peace. A client that no longer fetches says nothing of it: brokers that die while it is finding its first offset can
//! leave it so. Progress is measured, not assumed, so a member to whom nothing comes looks whether something waits, and if so joins again.

use std::time::{Duration, Instant};

use crate::kafka::{Holder, Member};
use crate::{Error, Result};

/// How long nothing may come before a look. Longer than a session and a rebalance last.
const PATIENCE: Duration = Duration::from_secs(30);

/// What waits need not be for us (a transaction's marker is an offset, too): each time that joining again brought nothing, patience doubles up to this.
const PATIENCE_MAX: Duration = Duration::from_hours(1);

/// The silence of one member, over all the times it joins.
#[derive(Debug)]
pub struct Quiet {
    since: Option<Instant>,
    patience: Duration,
}

impl Quiet {
    pub fn new() -> Self {
        Self { since: None, patience: PATIENCE }
    }

    /// A message came.
    #[inline]
    pub fn broken(&mut self) {
        (self.since, self.patience) = (None, PATIENCE);
    }

    /// Nothing came. A `Link` if nothing has come for too long although messages wait.
    pub fn go_on<H: Holder>(&mut self, member: &Member<H>) -> Result<()> {
        self.look(Instant::now(), || member.unread())
    }

    fn look(&mut self, now: Instant, unread: impl FnOnce() -> Result<u64>) -> Result<()> {
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) < self.patience {
            return Ok(());
        }
        self.since = None;
        match unread() {
            Ok(0) => Ok(()),
            Ok(count) => {
                let waited = self.patience.as_secs();
                self.patience = PATIENCE_MAX.min(self.patience * 2);
                Err(Error::link(format!("{count} messages wait in Kafka, and none came for {waited} s")))
            }
            // Brokers that are away bring nothing, and need no second complaint.
            Err(error) => {
                tracing::debug!("{error}");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_joins_again_only_if_something_waits_and_ever_less_often() {
        let (mut quiet, began) = (Quiet::new(), Instant::now());
        let at = |secs| began + Duration::from_secs(secs);
        assert!(quiet.look(at(0), || Ok(5)).is_ok(), "it has just begun");
        assert!(quiet.look(at(29), || Ok(5)).is_ok(), "too early to ask");
        assert!(quiet.look(at(30), || Ok(0)).is_ok(), "nothing waits");
        assert!(quiet.look(at(31), || Ok(5)).is_ok(), "a new silence");
        let error = quiet.look(at(61), || Ok(5)).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (crate::error::Kind::Link, "5 messages wait in Kafka, and none came for 30 s")
        );
        assert!(quiet.look(at(62), || Ok(5)).is_ok());
        assert!(quiet.look(at(121), || Ok(5)).is_ok(), "patience has doubled");
        assert!(quiet.look(at(122), || Err(Error::link("away"))).is_ok(), "who cannot be asked says nothing");
        quiet.broken();
        assert!(quiet.look(at(200), || Ok(5)).is_ok());
        assert!(quiet.look(at(230), || Ok(5)).is_err(), "a message made it the shortest again");
    }
}
