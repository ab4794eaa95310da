//! A row change as JSON: wal2json format-version 2 without types and transactions and with `pk`
//! (`contract.md` section 3).
//!
//! The bytes are those that wal2json 2.6 prints on PostgreSQL 15, found by running it: `pk` is `[]` for a
//! table without a primary key, names the key in the table's column order whatever the key's own order is,
//! and is left out of a truncate.

mod decode;
mod encode;
mod message;
mod parse;
mod text;

pub use super::{Include, Options};
pub use decode::Decoder;
pub use encode::Encoder;
pub(super) use encode::write_lsn;
pub(super) use message::write_message;
pub(super) use parse::is_literal;
pub(super) use text::write_value;

#[cfg(test)]
pub(super) mod tests;
