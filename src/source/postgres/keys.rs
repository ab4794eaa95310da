//! What identifies the rows of a table. One decision, made here once for a table, from what every event of it
//! carries: the columns of the index that `REPLICA IDENTITY USING INDEX` names, else the primary key.

use super::catalog::{Catalog, cells};
use crate::Result;

/// The catalog's word on a table's keys, as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// The columns of the primary key, in its order.
    pub primary: Vec<String>,
    /// The columns of the index that is the replica identity, in its order; none with `FULL` or `NOTHING`.
    pub index: Vec<String>,
    /// `d`, `f`, `i` or `n` (`pg_class.relreplident`); zero for a table that is gone.
    pub identity: u8,
    /// Columns that the server computes.
    pub computed: Vec<String>,
    /// The transaction that made or changed the primary key.
    pub made_by: u64,
    /// The next transaction that will begin.
    pub next: u64,
}

impl Keys {
    /// The columns that are the key.
    pub fn names(&self) -> &[String] {
        if self.identity == b'i' { &self.index } else { &self.primary }
    }

    /// Part of what an update or delete names the old row by.
    pub fn identifies(&self, column: &str) -> bool {
        self.identity == b'f' || self.index.iter().any(|name| name == column)
    }

    /// A column that is not carried: the server computes it, and no key needs it. Before version 18, pgoutput
    /// does not send them at all.
    pub fn leaves_out(&self, column: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| name == column);
        is_in(&self.computed) && !is_in(&self.primary) && !is_in(&self.index)
    }

    /// The primary key is newer than the transaction: what it was then, nobody knows.
    pub fn is_newer_than(&self, xid: u32) -> bool {
        let ahead = xid.wrapping_sub(self.next as u32) as i32;
        self.made_by > self.next.saturating_add_signed(i64::from(ahead))
    }
}

/// The number with its epoch of a transaction that is over: the newest one before `next` that ends in these
/// 32 bits, however long ago.
fn full(xid: u32, next: u64) -> u64 {
    let number = next & !0xFFFF_FFFF | u64::from(xid);
    if number >= next { number.saturating_sub(1 << 32) } else { number }
}

impl Catalog {
    /// The keys of the table with this object id.
    pub fn keys(&mut self, table_oid: &str) -> Result<Keys> {
        let columns = |which: &str| {
            format!(
                "(SELECT string_agg(a.attname, chr(31) ORDER BY k.place) FROM pg_catalog.pg_index i CROSS \
                 JOIN unnest(i.indkey) WITH ORDINALITY \
                 k(number, place) JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = \
                 k.number WHERE i.indrelid = c.oid AND \
                 k.place <= i.indnkeyatts AND {which})"
            )
        };
        let rows = self.ask(&format!(
            "SELECT c.relreplident, {}, {}, (SELECT string_agg(attname, chr(31)) FROM \
             pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > \
             0 AND NOT attisdropped AND attgenerated <> ''), (SELECT k.xmin FROM pg_catalog.pg_constraint k \
             WHERE k.conrelid = c.oid AND k.contype \
             = 'p'), pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) FROM pg_catalog.pg_class \
             c WHERE c.oid = {table_oid}",
            columns("i.indisprimary"),
            columns(
                "CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE \
                false END"
            ),
        ))?;
        let Some(row) = rows.into_iter().next() else { return Ok(Keys::default()) };
        let [identity, primary, index, computed, made_by, next] = cells(row);
        let names =
            |list: String| list.split('\u{1f}').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let next = next.parse().unwrap_or(0);
        Ok(Keys {
            primary: names(primary),
            index: names(index),
            identity: identity.as_bytes().first().copied().unwrap_or(0),
            computed: names(computed),
            made_by: made_by.parse().map_or(0, |xid| full(xid, next)),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, full};

    #[test]
    fn transactions_compare_across_epochs() {
        assert_eq!(full(5, 9), 5);
        assert_eq!(full(0xFFFF_FFFF, (7 << 32) + 3), (6 << 32) + 0xFFFF_FFFF);
        assert_eq!(full(2, (7 << 32) + 3), (7 << 32) + 2);
        let keys = Keys { made_by: (7 << 32) + 1, next: (7 << 32) + 9, ..Keys::default() };
        assert!(keys.is_newer_than(0xFFFF_FFF0) && keys.is_newer_than(0));
        assert!(!keys.is_newer_than(1) && !keys.is_newer_than(8) && !keys.is_newer_than(12));
    }

    #[test]
    fn the_key_is_what_every_event_carries() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut keys = Keys {
            primary: names(&["id", "g"]),
            index: names(&["u"]),
            computed: names(&["g", "h"]),
            ..Keys::default()
        };
        for (identity, key) in
            [(b'd', &["id", "g"][..]), (b'f', &["id", "g"]), (b'n', &["id", "g"]), (b'i', &["u"])]
        {
            keys.identity = identity;
            assert_eq!(keys.names(), names(key));
        }
        assert!(keys.leaves_out("h") && !keys.leaves_out("g") && !keys.leaves_out("id"));
    }
}
