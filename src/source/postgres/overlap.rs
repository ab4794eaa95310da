//! What was read before and comes again at a start: proof that the log is still the one that was read.
//!
//! ```text
//!   confirmed to the server      last transaction read   saved place
//!  ─────────┬────────────────────────────●───────────────────┬─────────►  log
//!           └── sent again: compared, and left out ──────────┘
//! ```
//! A server that was set back to an older copy of its folder, and has written past the saved place since, has
//! other transactions there. Its slot is of the copy's time, so it was confirmed less than the place that was
//! saved, and the stream begins there: every transaction that comes before the saved place must have been
//! read, and the last one that was read must come, with its number and its time. If a server of before was
//! confirmed all that was read, nothing comes again, and nothing can be missing: its copy would be younger
//! than the saved place. Until all of it is compared nothing is confirmed, or the next start would have
//! nothing to compare.

use super::origin::restored;
use super::slot::print_lsn;
use crate::Result;
use crate::change::Landmark;

/// The part of the log between what was confirmed to the server and what was saved.
#[derive(Debug)]
pub(super) struct Overlap {
    /// What was confirmed: the stream begins here.
    pub from: u64,
    /// The saved place.
    pub to: u64,
    /// The last transaction that was read.
    last: Landmark,
    has_come: bool,
}

impl Overlap {
    /// `None` if nothing comes again, or nobody knows what was read.
    pub fn new(confirmed: u64, saved: u64, last: Option<Landmark>) -> Option<Self> {
        let last = last.filter(|_| confirmed < saved)?;
        // The server sends transactions whose commit record does not lie before what was confirmed.
        Some(Self { from: confirmed, to: saved, last, has_come: last.commit < confirmed })
    }

    /// Takes a transaction that begins before the saved place.
    pub fn take(&mut self, found: Landmark) -> Result<()> {
        if found == self.last {
            self.has_come = true;
        } else if found.commit >= self.last.commit {
            return Err(restored(&format!(
                "transaction {} at {} was not there when the log was read up to {}",
                found.xid,
                print_lsn(found.commit),
                print_lsn(self.to)
            )));
        }
        Ok(())
    }

    /// The stream has come to the saved place.
    pub fn end(&self) -> Result<()> {
        if self.has_come {
            return Ok(());
        }
        Err(restored(&format!(
            "transaction {} at {}, which was read, is not in its log",
            self.last.xid,
            print_lsn(self.last.commit)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(commit: u64, xid: u32) -> Landmark {
        Landmark { commit, xid, at_us: 7 }
    }

    /// Whether a log with these transactions is the one that was read from 100 to 200, with `last` at 150.
    #[track_caller]
    fn check(confirmed: u64, log: &[Landmark], expected: Result<(), &str>) {
        let mut overlap = Overlap::new(confirmed, 200, Some(at(150, 5))).unwrap();
        let answer = log.iter().try_for_each(|found| overlap.take(*found)).and_then(|()| overlap.end());
        match (answer, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
            (answer, expected) => panic!("{log:?}: {answer:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_log_is_compared() {
        check(100, &[at(110, 3), at(150, 5)], Ok(()));
        check(150, &[at(150, 5)], Ok(()));
        check(160, &[], Ok(()));
        check(100, &[], Err("is not in its log"));
        check(100, &[at(110, 3), at(140, 5)], Err("is not in its log"));
        check(100, &[at(150, 6)], Err("was not there"));
        check(100, &[Landmark { at_us: 8, ..at(150, 5) }], Err("was not there"));
        check(100, &[at(150, 5), at(170, 6)], Err("was not there"));
        check(160, &[at(170, 6)], Err("was not there"));
    }

    #[test]
    fn nothing_comes_again() {
        assert!(Overlap::new(200, 200, Some(at(150, 5))).is_none());
        assert!(Overlap::new(100, 200, None).is_none());
    }
}
