//! The one place that says how a value that PostgreSQL printed is carried: for pgoutput, wal2json and scans
//! alike.
//!
//! The server prints (session settings are in `login.rs`); here only the kind is chosen, and bytes lose their
//! `\x`. A domain is text whatever it is made of, as wal2json has it.

use crate::change::{Batch, CellKind};

/// How the values of a column are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Digits as they stand; NaN and infinities become NULL, which is what JSON has for them.
    Number,
    /// The same in a key, where NaN and infinities are texts: rows that differ must not have one key.
    KeyNumber,
    /// `t` and `f` become `true` and `false`.
    Boolean,
    /// Hexadecimal digits without the `\x` in front.
    Bytes,
    /// As the server prints it.
    Text,
}

/// A value that cannot be what its type says: not UTF-8, or no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

impl Encoding {
    /// The encoding of a type, by its fixed object id (`pg_type.dat`).
    pub fn of(type_oid: u32) -> Self {
        match type_oid {
            // int8, int2, int4, oid, float4, float8, numeric
            20 | 21 | 23 | 26 | 700 | 701 | 1700 => Self::Number,
            16 => Self::Boolean,
            17 => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// The same where the column is part of the key.
    pub fn of_key(self) -> Self {
        if self == Self::Number { Self::KeyNumber } else { self }
    }

    /// Adds a value, which is not NULL, in its printed form.
    pub fn add(self, batch: &mut Batch, printed: &[u8]) -> Result<(), Unreadable> {
        let (kind, text) = match self {
            Self::Number => number(printed)?,
            Self::KeyNumber => match number(printed)? {
                (CellKind::Null, _) => (CellKind::Text, printed),
                number => number,
            },
            Self::Boolean if printed == b"t" => (CellKind::Literal, &b"true"[..]),
            Self::Boolean if printed == b"f" => (CellKind::Literal, &b"false"[..]),
            Self::Boolean => return Err(Unreadable),
            Self::Bytes => (
                CellKind::Text,
                printed.strip_prefix(b"\\x").filter(|digits| digits.is_ascii()).ok_or(Unreadable)?,
            ),
            Self::Text => (CellKind::Text, printed),
        };
        // A database in SQL_ASCII sends whatever was put in.
        if self == Self::Text && std::str::from_utf8(text).is_err() {
            return Err(Unreadable);
        }
        batch.add_cell(kind, text);
        Ok(())
    }
}

fn number(printed: &[u8]) -> Result<(CellKind, &[u8]), Unreadable> {
    if is_number(printed) {
        return Ok((CellKind::Literal, printed));
    }
    match printed {
        b"NaN" | b"Infinity" | b"-Infinity" => Ok((CellKind::Null, b"")),
        _ => Err(Unreadable),
    }
}

/// A number as PostgreSQL and JSON write it.
pub(super) fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(unsigned);
    if whole == 0 || whole > 1 && unsigned.starts_with(b"0") {
        return false;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Unreadable};
    use crate::change::{Batch, CellKind, Operation, Position, RowHead, Table, Transaction};
    use proptest::prelude::*;

    fn carried(type_oid: u32, printed: &[u8]) -> Result<(CellKind, Vec<u8>), Unreadable> {
        carried_by(Encoding::of(type_oid), printed)
    }

    fn carried_by(encoding: Encoding, printed: &[u8]) -> Result<(CellKind, Vec<u8>), Unreadable> {
        let mut batch = Batch::default();
        let column = crate::change::Column { name: "v".into(), type_name: String::new(), identity: false };
        let table =
            batch.add_table(&std::sync::Arc::new(Table { columns: vec![column], ..Table::default() }));
        let transaction = batch.add_transaction(Transaction::default());
        encoding.add(&mut batch, printed)?;
        let head = RowHead { operation: Operation::Insert, table, transaction, lsn: 0 };
        batch.push(head, 0, 1, &mut Position::default());
        let cell = batch.columns(&batch.rows()[0])[0];
        Ok((cell.kind, batch.text(&cell).to_vec()))
    }

    #[test]
    fn numbers_in_keys() {
        for (printed, kind) in
            [("NaN", CellKind::Text), ("-Infinity", CellKind::Text), ("1.5", CellKind::Literal)]
        {
            assert_eq!(
                carried_by(Encoding::of(701).of_key(), printed.as_bytes()),
                Ok((kind, printed.as_bytes().to_vec()))
            );
        }
        assert_eq!(Encoding::of(25).of_key(), Encoding::Text);
    }

    #[test]
    fn kinds_and_texts() {
        for (type_oid, printed, kind, text) in [
            (23, "-7", CellKind::Literal, "-7"),
            (1700, "1.500", CellKind::Literal, "1.500"),
            (1700, "NaN", CellKind::Null, ""),
            (701, "-Infinity", CellKind::Null, ""),
            (701, "1e+20", CellKind::Literal, "1e+20"),
            (26, "4294967295", CellKind::Literal, "4294967295"),
            (16, "t", CellKind::Literal, "true"),
            (16, "f", CellKind::Literal, "false"),
            (17, "\\x00ff", CellKind::Text, "00ff"),
            (25, "NaN", CellKind::Text, "NaN"),
            (790, "$1.50", CellKind::Text, "$1.50"),
            (1114, "2020-01-01 00:00:00.5", CellKind::Text, "2020-01-01 00:00:00.5"),
        ] {
            assert_eq!(
                carried(type_oid, printed.as_bytes()),
                Ok((kind, text.as_bytes().to_vec())),
                "{type_oid} {printed}"
            );
        }
        for (type_oid, printed) in [
            (16, &b"x"[..]),
            (17, b"00"),
            (17, b"\\x\xff"),
            (23, b""),
            (23, b"-"),
            (25, b"\xff"),
            (1700, b"inf"),
            (23, b"1\"2"),
            (1700, b"01"),
            (1700, b"1."),
            (701, b"1e"),
            (701, b"1e+"),
        ] {
            assert_eq!(carried(type_oid, printed), Err(Unreadable), "{type_oid} {printed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_carried_or_refused(
            type_oid in prop::sample::select(vec![16_u32, 17, 23, 25, 1700]),
            printed: Vec<u8>,
        ) {
            let _ = carried(type_oid, &printed);
        }
    }
}
