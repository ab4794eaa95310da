//! How far a snapshot is: which tables are read, up to which key, and by which views of the database. Part of
//! a [`super::Checkpoint`], so that it is saved with the place in the log, as one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Position, Transaction};

/// The key of a row: the texts of its cells, in the order of [`super::Table::key`].
pub type Key = Vec<String>;

/// A table by its schema (MySQL: database) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName(pub String, pub String);

/// Which transactions a reader of the database saw. Only the source that made it knows how to ask it, but for
/// [`View::sees`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum View {
    /// PostgreSQL, as `pg_current_snapshot` says: all below `xmax` but those of `running`.
    Xids {
        /// All below it had ended.
        xmin: u64,
        /// None from it on had.
        xmax: u64,
        /// Those in between that had not, rising.
        running: Vec<u64>,
    },
    /// MySQL and MariaDB: all that begin before this place in the log.
    Place {
        /// The place.
        end: Position,
    },
    /// MySQL without a lock: all of `executed`, none from `end` on; of the others nobody knows.
    Gtids {
        /// A set of GTIDs.
        executed: String,
        /// The end of the log when the view was taken.
        end: Position,
    },
}

/// Whether a view holds a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It does.
    Seen,
    /// It does not.
    Unseen,
    /// Only the set of GTIDs can say, or nobody.
    Unknown,
}

impl View {
    /// Whether the view holds the transaction of a change at `position`.
    pub fn sees(&self, transaction: &Transaction, position: Position) -> Sight {
        let is_seen = match self {
            Self::Xids { xmax, running, .. } => match transaction.xid.parse() {
                Ok(xid) => is_visible(*xmax, running, xid),
                Err(_) => return Sight::Unknown,
            },
            Self::Place { end } => position < *end,
            Self::Gtids { end, .. } if position >= *end => false,
            Self::Gtids { .. } => return Sight::Unknown,
        };
        if is_seen { Sight::Seen } else { Sight::Unseen }
    }

    /// PostgreSQL: whether all that `other` holds is in this view too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Xids { xmax, running, .. }, Self::Xids { xmax: before, running: then, .. }) => {
                xmax >= before && running.iter().all(|xid| xid >= before || then.binary_search(xid).is_ok())
            }
            _ => true,
        }
    }

    /// PostgreSQL: whether the view holds the transaction of this number, as the log counts: 32 bits.
    pub fn holds_xid(&self, xid: u32) -> bool {
        match self {
            Self::Xids { xmax, running, .. } => is_visible(*xmax, running, xid),
            _ => true,
        }
    }

    /// PostgreSQL: below this number every transaction had ended.
    pub fn oldest_running(&self) -> Option<u64> {
        match self {
            Self::Xids { xmin, .. } => Some(*xmin),
            _ => None,
        }
    }
}

/// The 32 bits of the log are those of the number nearest to `xmax`.
fn is_visible(xmax: u64, running: &[u64], xid: u32) -> bool {
    let full = full_xid(xmax, xid);
    full < xmax && running.binary_search(&full).is_err()
}

/// The whole number of a transaction of which the log tells 32 bits, near to `reference`.
pub fn full_xid(reference: u64, xid: u32) -> u64 {
    const TURN: u64 = 1 << 32;
    let near = reference & !(TURN - 1) | u64::from(xid);
    if near > reference + TURN / 2 {
        near.saturating_sub(TURN)
    } else if near + TURN / 2 < reference {
        near + TURN
    } else {
        near
    }
}

/// A table without a usable key that was read by a view which the stream has not overtaken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The table.
    pub table: TableName,
    /// What read it.
    pub view: View,
    /// From here on nothing in the log is in the view.
    pub horizon: Position,
}

/// The table that is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The table.
    pub table: TableName,
    /// Its rows are sent up to this key; `None`: none is.
    pub after: Option<Key>,
    /// Rows behind `after` that were sent already, by their message keys.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ahead: BTreeSet<String>,
    /// Rows of a table without a key were sent, and not all of them: they come again, behind a truncate.
    #[serde(default)]
    pub is_torn: bool,
}

/// Tables whose rows from before are sent, or part of the snapshot, or not wanted. A table that came later
/// does not stand here. Cheap to copy: every checkpoint holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known(Arc<BTreeMap<TableName, Standing>>);

/// What is known of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Its changes are passed on.
    Captured,
    /// They were, and are not now: what happened since is in no message.
    Left,
}

impl Known {
    /// What is known of this table.
    pub fn get(&self, table: &TableName) -> Option<Standing> {
        self.0.get(table).copied()
    }

    /// Notes it.
    pub fn set(&mut self, table: TableName, standing: Standing) {
        if self.get(&table) != Some(standing) {
            Arc::make_mut(&mut self.0).insert(table, standing);
        }
    }

    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &TableName> {
        self.0.keys()
    }
}

/// As a list: JSON has no other keys than texts.
impl Serialize for Known {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let pairs: Vec<(TableName, Standing)> = Vec::deserialize(from)?;
        Ok(Self(Arc::new(pairs.into_iter().collect())))
    }
}

/// How far a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Tables that were not begun, in the order in which they will be read.
    pub pending: Vec<TableName>,
    /// The table that is being read.
    pub reading: Option<Reading>,
    /// Tables that were read as a whole, and not overtaken by the stream.
    pub windows: Vec<Window>,
    /// What every view must see: what was there where the stream began.
    pub base: Option<View>,
    /// Tables that came in when the stream had begun: for those a view must also see whoever had changed them
    /// before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub late: BTreeSet<TableName>,
    /// Tables of which rows were sent in an earlier time: those are taken back first, by a truncate.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub again: BTreeSet<TableName>,
    /// PostgreSQL: transactions that the stream brought and that a view may not hold yet, as the log numbers
    /// them: every view must hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<u32>,
    /// The topics hold rows that the rest of this does not count, from this place on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_from: Option<Position>,
    /// Where tables were emptied since then: what was sent of them before is void.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
    pub emptied: BTreeMap<TableName, Position>,
    /// How many tables there are in all.
    pub tables: usize,
    /// Rows sent so far.
    pub rows: u64,
}

/// A map as a list of pairs: JSON has no other keys than texts.
mod pairs {
    use super::{BTreeMap, Deserialize, Deserializer, Position, Serializer, TableName};

    pub fn serialize<S: Serializer>(map: &BTreeMap<TableName, Position>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<TableName, Position>, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

impl Snapshot {
    /// Nothing is read yet.
    pub fn of(tables: Vec<TableName>, base: Option<View>) -> Self {
        Self { tables: tables.len(), pending: tables, base, ..Self::default() }
    }

    /// A table came in when the stream had begun. `again`: rows of it were sent in an earlier time.
    pub fn add_late(&mut self, table: TableName, again: bool) {
        self.forget(&table);
        self.tables += 1;
        self.late.insert(table.clone());
        if again {
            self.again.insert(table.clone());
        }
        self.pending.push(table);
    }

    /// The table is not part of it any more.
    pub fn forget(&mut self, table: &TableName) {
        self.pending.retain(|pending| pending != table);
        self.reading = self.reading.take().filter(|reading| reading.table != *table);
        self.windows.retain(|window| window.table != *table);
        self.late.remove(table);
        self.again.remove(table);
    }

    /// Nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.pending.is_empty() && self.reading.is_none() && self.windows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Sight, Snapshot, Standing, TableName, View, full_xid};
    use crate::change::{Position, Transaction};

    fn view(xmin: u64, xmax: u64, running: &[u64]) -> View {
        View::Xids { xmin, xmax, running: running.to_vec() }
    }

    #[test]
    fn a_view_of_numbers() {
        let view = view(10, 20, &[10, 15]);
        let sight = |xid: &str| {
            view.sees(&Transaction { xid: xid.into(), ..Transaction::default() }, Position::START)
        };
        for (xid, expected) in [
            ("9", Sight::Seen),
            ("10", Sight::Unseen),
            ("14", Sight::Seen),
            ("15", Sight::Unseen),
            ("20", Sight::Unseen),
            ("", Sight::Unknown),
        ] {
            assert_eq!(sight(xid), expected, "{xid}");
        }
    }

    /// Trap 1 of the design: a transaction that the older view held must not be missing from the newer one.
    #[test]
    fn a_newer_view_need_not_cover_an_older_one() {
        let base = view(10, 20, &[10, 15]);
        assert!(view(10, 20, &[10, 15]).covers(&base) && view(15, 30, &[15, 25]).covers(&base));
        assert!(!view(10, 19, &[10, 15]).covers(&base), "it ends before");
        assert!(!view(12, 30, &[12]).covers(&base), "12 was seen, and is not any more");
    }

    #[test]
    fn known_tables_are_saved() {
        let table = |name: &str| TableName("s".into(), name.into());
        let mut known = Known::default();
        known.set(table("a"), Standing::Captured);
        known.set(table("b"), Standing::Left);
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(text, r#"[[["s","a"],"captured"],[["s","b"],"left"]]"#);
        assert_eq!(serde_json::from_str::<Known>(&text).unwrap(), known);
    }

    #[test]
    fn emptied_tables_are_saved() {
        let table = TableName("s".into(), "t".into());
        let snapshot = Snapshot {
            tail_from: Some(Position::first_of(1, 2)),
            emptied: [(table, Position::first_of(1, 3))].into(),
            ..Snapshot::default()
        };
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot, "{text}");
    }

    #[test]
    fn numbers_turn_round() {
        assert_eq!(full_xid(0x1_0000_0010, 0xffff_fff0), 0xffff_fff0);
        assert_eq!(full_xid(0x1_ffff_fff0, 0x10), 0x2_0000_0010);
        assert_eq!(full_xid(0x1_0000_0010, 0x11), 0x1_0000_0011);
        assert_eq!(full_xid(5, 7), 7);
    }
}
