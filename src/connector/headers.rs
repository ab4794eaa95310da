//! The record headers of a message: its table's shape and its position always, its format where that is not
//! JSON, and what the source's option `headers` adds. The shape comes first: it is the same in most messages,
//! as are the bytes before and behind it, so that compression takes it for nothing.

use super::saved::POSITION_HEADER;
use crate::change::{Batch, Origin, Row};
use crate::config;
use crate::format::{Encoding, ShapeId};

/// Headers that a message can have.
const MAX: usize = 6;

/// What `snapshot` says of a row.
fn from_snapshot(origin: Origin) -> &'static [u8] {
    match origin {
        Origin::Log => b"false",
        Origin::Snapshot => b"true",
        Origin::SnapshotEnd => b"last",
    }
}

/// Name and value.
type Header<'a> = (&'a str, &'a [u8]);

/// The headers of one message. They lie on the stack and borrow their values, so that a message costs no
/// allocation.
#[derive(Debug)]
pub struct Headers<'a> {
    all: [Header<'a>; MAX],
    count: usize,
}

impl<'a> Headers<'a> {
    /// Of the message of `row`. A transaction without a GTID has no `xid`, where the message itself would say
    /// `null`.
    pub fn of(
        row: &Row,
        batch: &'a Batch,
        shape: &'a ShapeId,
        position: &'a [u8],
        encoding: Encoding,
        added: config::Headers,
    ) -> Self {
        let mut headers = Self { all: [(ShapeId::HEADER, shape.as_bytes()); MAX], count: 1 };
        headers.add(POSITION_HEADER, position);
        if let Some(format) = encoding.header() {
            headers.add(Encoding::HEADER, format);
        }
        let config::Headers { xid, snapshot, schema } = added;
        let transaction = batch.transaction(row);
        if xid && !transaction.xid.is_empty() {
            headers.add("xid", transaction.xid.as_bytes());
        }
        if snapshot {
            headers.add("snapshot", from_snapshot(transaction.origin));
        }
        if schema {
            headers.add("schema", batch.table(row).schema.as_bytes());
        }
        headers
    }

    fn add(&mut self, name: &'a str, value: &'a [u8]) {
        self.all[self.count] = (name, value);
        self.count += 1;
    }

    /// In the order in which they are sent.
    pub fn as_slice(&self) -> &[Header<'a>] {
        &self.all[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Headers;
    use crate::change::{Batch, Operation, Position, RowHead, Table, Transaction};
    use crate::config;
    use crate::format::{Encoding, ShapeId};

    #[track_caller]
    fn check(xid: &str, encoding: Encoding, added: config::Headers, expected: &str) {
        let mut batch = Batch::default();
        let table = batch.add_table(&Arc::new(Table {
            schema: "public".into(),
            name: "t".into(),
            ..Table::default()
        }));
        let transaction = batch.add_transaction(Transaction { xid: xid.into(), ..Transaction::default() });
        let head = RowHead { operation: Operation::Truncate, table, transaction, lsn: 1 };
        batch.push(head, 0, 0, &mut Position::first_of(0, 1));
        let shape = ShapeId::from_digits(b"0123456789abcdef").unwrap();
        let headers = Headers::of(&batch.rows()[0], &batch, &shape, b"here", encoding, added);
        let told = headers
            .as_slice()
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        assert_eq!(told.collect::<Vec<_>>().join(" "), format!("shape=0123456789abcdef {expected}"));
    }

    #[test]
    fn only_what_is_asked_for_is_added() {
        let none = config::Headers::default();
        let all = config::Headers { xid: true, snapshot: true, schema: true };
        check("7", Encoding::Json, none, "position=here");
        check("7", Encoding::Protobuf, none, "position=here format=protobuf");
        check("7", Encoding::Json, config::Headers { schema: true, ..none }, "position=here schema=public");
        check(
            "u:7",
            Encoding::Protobuf,
            all,
            "position=here format=protobuf xid=u:7 snapshot=false schema=public",
        );
        check("", Encoding::Json, all, "position=here snapshot=false schema=public");
    }
}
