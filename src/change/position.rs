//! Positions: where a change stands in its source's stream, and where a source starts reading again.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Known, Snapshot};
use crate::hex;

/// The place of one change in the stream of its source. Positions of one source compare in stream order, and
/// so do the 28 hexadecimal digits that [`fmt::Display`] prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Counts the servers that the stream came from: one more after each fail-over to a server with a log of
    /// its own.
    pub epoch: u16,
    /// PostgreSQL: the LSN of the commit record. MySQL and MariaDB: number of the binlog file in the upper 32
    /// bits, start of the transaction in the lower.
    pub commit: u64,
    /// Counts the changes of the captured tables within the transaction, from 0.
    pub ordinal: u32,
}

impl Position {
    /// Before every change.
    pub const START: Self = Self { epoch: 0, commit: 0, ordinal: 0 };
    /// Rows of a snapshot count from here on in a place between two transactions; the changes of a
    /// transaction count from 0 and stay below.
    pub const SNAPSHOT: u32 = 1 << 31;
    /// Digits of the printed form.
    pub const DIGITS: usize = 28;

    /// The place of the first change of the transaction that commits at `commit`.
    pub const fn first_of(epoch: u16, commit: u64) -> Self {
        Self { epoch, commit, ordinal: 0 }
    }

    /// Whether a row of a snapshot stands here.
    pub const fn is_of_snapshot(&self) -> bool {
        self.ordinal >= Self::SNAPSHOT
    }

    /// The printed form: 4 digits of epoch, 16 of commit, 8 of ordinal.
    #[inline]
    pub fn digits(&self) -> [u8; Self::DIGITS] {
        let mut out = [0; Self::DIGITS];
        let mut put =
            |from: usize, number: u32| out[from..from + 8].copy_from_slice(&hex::eight_digits(number));
        // The last four digits of the first part are those that the second begins with.
        put(0, u32::from(self.epoch) << 16 | (self.commit >> 48) as u32);
        put(4, (self.commit >> 32) as u32);
        put(12, self.commit as u32);
        put(20, self.ordinal);
        out
    }

    /// Reads the printed form; anything else is `None`.
    #[inline]
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; Self::DIGITS] = digits.try_into().ok()?;
        let part = |from: usize| hex::number(digits[from..from + 8].try_into().ok()?);
        let (head, high, low, ordinal) = (part(0)?, part(4)?, part(12)?, part(20)?);
        Some(Self { epoch: (head >> 16) as u16, commit: u64::from(high) << 32 | u64::from(low), ordinal })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.digits()))
    }
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_digits(text.as_bytes())
            .ok_or_else(|| serde::de::Error::custom("a position has 28 hexadecimal digits"))
    }
}

/// What a source needs to read on after the last finished transaction. Only the source that made it looks
/// inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Restart {
    /// PostgreSQL: the end LSN of the last finished transaction, or of the last keep-alive after it.
    Postgres {
        /// Bytes from the start of the log.
        lsn: u64,
        /// The last transaction before it, to recognise the log by; `None` if none was read, or an older
        /// list_sync saved the place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<Landmark>,
    },
    /// MySQL and MariaDB: the end of the last finished transaction.
    Binlog {
        /// GTID set (MySQL) or GTID list (MariaDB) of all that is finished; `None` on a server without GTIDs.
        gtid: Option<String>,
        /// Name of the binlog file.
        file: String,
        /// Byte in the file.
        offset: u64,
        /// When the file was begun, seconds since 1970: another one of the same name has another time. `None`
        /// if that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        begun: Option<u32>,
    },
}

/// A transaction of PostgreSQL's log as another log does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landmark {
    /// Where its commit record stands.
    pub commit: u64,
    /// Its number.
    pub xid: u32,
    /// When it was committed, microseconds since 1970.
    pub at_us: i64,
}

/// As the server's own tools print a place.
impl fmt::Display for Restart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { lsn, .. } => write!(formatter, "{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF),
            Self::Binlog { file, offset, .. } => write!(formatter, "{file}:{offset}"),
        }
    }
}

/// What tells one server (and slot) from another: name of the mark -> value, as the source's documentation
/// names them.
pub type Identity = BTreeMap<String, String>;

/// All that a source hands over to be saved, and gets back at the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The server that `restart` belongs to.
    pub identity: Identity,
    /// Every change before this one is finished.
    pub position: Position,
    /// Where the source reads on.
    pub restart: Restart,
    /// How far the tables are read that held rows when the source began; `None`: all of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Box<Snapshot>>,
    /// The tables that need not be read any more, or are part of `snapshot`; `None` in states of versions
    /// that did not know: then all that are there need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

impl Checkpoint {
    /// The same while a snapshot goes on. Its rows stand right before [`Checkpoint::position`] of the stream,
    /// so that this one moves in front of them; no transaction is so short that one would begin in between.
    #[must_use]
    pub fn during(mut self, snapshot: Snapshot) -> Self {
        self.position = Position::first_of(self.position.epoch, self.position.commit.saturating_sub(2));
        self.snapshot = Some(Box::new(snapshot));
        self
    }

    /// The file of the log, where it has files.
    pub fn log_file(&self) -> &str {
        match &self.restart {
            Restart::Postgres { .. } => "",
            Restart::Binlog { file, .. } => file,
        }
    }

    /// The same place with what another checkpoint of this source says of its tables.
    #[must_use]
    pub fn with_tables_of(mut self, other: &Self) -> Self {
        self.known.clone_from(&other.known);
        match &other.snapshot {
            None => self.of_stream(),
            Some(snapshot) if self.snapshot.is_none() => self.during(Snapshot::clone(snapshot)),
            Some(_) => Self { snapshot: other.snapshot.clone(), ..self },
        }
    }

    /// What a checkpoint says to the stream: without the snapshot, at the stream's own place.
    #[must_use]
    pub fn of_stream(&self) -> Self {
        let Position { epoch, commit, .. } = self.position;
        let mut raw = self.clone();
        if raw.snapshot.take().is_some() {
            let ahead = if self.position.is_of_snapshot() { 1 } else { 2 };
            raw.position = Position::first_of(epoch, commit + ahead);
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::Position;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printed_positions_compare_in_stream_order(a: (u16, u64, u32), b: (u16, u64, u32)) {
            let [a, b] = [a, b].map(|(epoch, commit, ordinal)| Position { epoch, commit, ordinal });
            prop_assert_eq!(a.cmp(&b), a.digits().cmp(&b.digits()));
            prop_assert_eq!(
                a.digits().to_vec(),
                format!("{:04x}{:016x}{:08x}", a.epoch, a.commit, a.ordinal).into_bytes()
            );
            prop_assert_eq!(Position::from_digits(&a.digits()), Some(a));
        }

        #[test]
        fn a_changed_digit_is_another_position_or_none(
            position: (u16, u64, u32),
            place in 0..Position::DIGITS,
            byte: u8,
        ) {
            let (epoch, commit, ordinal) = position;
            let mut digits = Position { epoch, commit, ordinal }.digits();
            digits[place] = byte;
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            prop_assert_eq!(
                Position::from_digits(&digits).map(|read| read.digits()),
                is_digit.then_some(digits)
            );
        }

        #[test]
        fn other_bytes_are_no_position(bytes: Vec<u8>) {
            if let Some(position) = Position::from_digits(&bytes) {
                prop_assert_eq!(&position.digits()[..], &bytes[..]);
            }
        }
    }
}
