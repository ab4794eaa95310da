//! Whether the group gives every partition to somebody.
//!
//! The member that shares partitions out asks one broker which there are. A broker that did not know a new
//! topic yet leaves its partitions with nobody, and nothing tells the group later: it stands at "no lag"
//! while messages wait. So members compare what the group holds with what is there, and join again if
//! something is left out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::{Code, Error, Result};

/// Between two looks of a member that was given nothing, and of one that was given something.
const LOOK_EMPTY: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_secs(30);

/// Looks are put off by this factor each time that joining again changed nothing, up to this many times.
const PATIENCE_MAX: u32 = 64;

/// Topic and partition.
type Places = BTreeSet<(String, u32)>;

/// What the looks of one member found, over all the times it joins.
#[derive(Debug)]
pub struct Unassigned {
    looked: Option<Instant>,
    /// What nobody held at the last look.
    unheld: Places,
    patience: u32,
}

impl Unassigned {
    pub fn new() -> Self {
        Self { looked: None, unheld: Places::new(), patience: 1 }
    }

    /// Whether it is time to look.
    pub fn is_due(&mut self, now: Instant, holds_some: bool) -> bool {
        // Something that was missed is looked at again soon.
        let interval = if holds_some && self.unheld.is_empty() { LOOK } else { LOOK_EMPTY };
        now.duration_since(*self.looked.get_or_insert(now)) >= interval * self.patience
    }

    /// What a look found; `None`: the group is being shared out, or nobody said. A `Link` if the same
    /// partition was left out twice.
    pub fn looked(&mut self, now: Instant, unheld: Option<Places>) -> Result<()> {
        self.looked = Some(now);
        let Some(unheld) = unheld else { return Ok(()) };
        if unheld.is_empty() {
            (self.unheld, self.patience) = (unheld, 1);
            return Ok(());
        }
        let again = unheld.intersection(&self.unheld).next().cloned();
        self.unheld = unheld;
        let Some((topic, partition)) = again else { return Ok(()) };
        let count = self.unheld.len();
        self.unheld.clear();
        self.patience = PATIENCE_MAX.min(self.patience * 2);
        Err(Error::link(
            Code::PartitionUnassigned,
            format!(
                "no member of the group was given partition {partition} of topic {topic:?} ({count} in all)"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(partitions: &[u32]) -> Places {
        partitions.iter().map(|partition| ("t".to_owned(), *partition)).collect()
    }

    #[test]
    fn what_is_left_out_twice_is_joined_for_again_and_ever_less_often() {
        let (mut held, mut now) = (Unassigned::new(), Instant::now());
        assert!(!held.is_due(now, false));
        now += LOOK_EMPTY;
        assert!(held.is_due(now, false) && !held.is_due(now, true));
        held.looked(now, Some(places(&[0, 1]))).unwrap();
        now += LOOK_EMPTY;
        assert!(held.is_due(now, true), "something was missed");
        held.looked(now, Some(places(&[2]))).unwrap();
        held.looked(now, None).unwrap();
        let error = held.looked(now, Some(places(&[2, 3]))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no member of the group was given partition 2 of topic \"t\" (2 in all)"
        );
        now += LOOK_EMPTY;
        assert!(!held.is_due(now, false));
        now += LOOK_EMPTY;
        assert!(held.is_due(now, false));
        held.looked(now, Some(places(&[]))).unwrap();
        now += LOOK_EMPTY;
        assert!(held.is_due(now, false), "all is well again");
    }
}
