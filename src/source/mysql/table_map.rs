//! `TABLE_MAP` events: a table's name, columns and key as they were when the rows after it were written.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Table__map__event.html>

use std::collections::BTreeMap;

use super::cursor::{Cursor, Malformed, Parsed};

/// Column types by their number.
pub(super) mod column_type {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const NULL: u8 = 6;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const MARIADB_BLOB_COMPRESSED: u8 = 140;
    pub const MARIADB_VARCHAR_COMPRESSED: u8 = 141;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}
use column_type as t;

/// A column as the event describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MappedColumn {
    /// Of `column_type`; ENUM and SET are told from STRING.
    pub kind: u8,
    /// What the type needs: lengths, digits, decimals. ENUM, SET: bytes of the number. STRING: bytes of the
    /// longest value. BIT: bits.
    pub meta: u16,
    /// Empty without `binlog_row_metadata=FULL`.
    pub name: String,
    pub unsigned: bool,
    /// Number of the collation, for character types; 63 is binary.
    pub collation: Option<u64>,
    /// Labels in the column's own character set.
    pub labels: Vec<Vec<u8>>,
}

/// A `TABLE_MAP` event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TableMap {
    pub columns: Vec<MappedColumn>,
    /// In the table's order: MySQL logs the order of the key's definition, MariaDB that of the table.
    pub key: Vec<usize>,
    /// Whether the event names its columns.
    pub has_names: bool,
}

/// Name of the table, without reading its columns.
pub(super) struct TableName<'a> {
    pub schema: &'a str,
    pub name: &'a str,
    rest: Cursor<'a>,
}

impl<'a> TableName<'a> {
    pub fn parse(body: &'a [u8]) -> Parsed<Self> {
        let mut cursor = Cursor::new(body);
        cursor.take(6 + 2)?; // number, flags
        let mut name = || {
            let name = cursor.sized_bytes(1)?;
            cursor.take(1)?;
            std::str::from_utf8(name).map_err(|_| Malformed)
        };
        Ok(Self { schema: name()?, name: name()?, rest: cursor })
    }

    /// Reads the columns. Which types count among those with a character set differs: MariaDB's
    /// geometry does, and MySQL's vectors do.
    pub fn columns(&self, mariadb: bool) -> Parsed<TableMap> {
        let mut cursor = self.rest;
        let count = usize::try_from(cursor.packed()?).map_err(|_| Malformed)?;
        let kinds = cursor.take(count)?;
        let mut metadata = Cursor::new(cursor.packed_bytes()?);
        let columns = kinds.iter().map(|&kind| read_column(kind, &mut metadata)).collect::<Parsed<_>>()?;
        cursor.take(count.div_ceil(8))?; // which columns may be NULL
        let mut map = TableMap { columns, ..TableMap::default() };
        let is_text =
            if mariadb { MappedColumn::is_text_or_geometry } else { MappedColumn::is_text_or_vector };
        while !cursor.is_empty() {
            let field = cursor.u8()?;
            map.read_field(field, Cursor::new(cursor.packed_bytes()?), is_text)?;
        }
        Ok(map)
    }
}

fn read_column(kind: u8, metadata: &mut Cursor) -> Parsed<MappedColumn> {
    let (kind, meta) = match kind {
        t::TINY
        | t::SHORT
        | t::LONG
        | t::LONGLONG
        | t::INT24
        | t::NULL
        | t::YEAR
        | t::TIMESTAMP
        | t::DATE
        | t::TIME
        | t::DATETIME
        | 14 => (kind, 0),
        t::FLOAT
        | t::DOUBLE
        | t::TIMESTAMP2
        | t::DATETIME2
        | t::TIME2
        | t::JSON
        | t::VECTOR
        | t::GEOMETRY
        | t::TINY_BLOB..=t::BLOB
        | t::MARIADB_BLOB_COMPRESSED => (kind, metadata.number(1)? as u16),
        t::VARCHAR | t::MARIADB_VARCHAR_COMPRESSED => (kind, metadata.u16()?),
        t::BIT => {
            let [bits, bytes] = metadata.array()?;
            (kind, u16::from(bytes) * 8 + u16::from(bits))
        }
        t::NEWDECIMAL => {
            let [precision, scale] = metadata.array()?;
            (kind, u16::from(precision) << 8 | u16::from(scale))
        }
        t::ENUM | t::SET | t::STRING | t::VAR_STRING => {
            let [real, length] = metadata.array()?;
            if real == t::ENUM || real == t::SET {
                (real, u16::from(length))
            } else {
                // Lengths above 255 keep two bits, turned over, in the type's own byte.
                (real | 0x30, u16::from(length) | u16::from((real & 0x30) ^ 0x30) << 4)
            }
        }
        _ => return Err(Malformed),
    };
    Ok(MappedColumn { kind, meta, ..MappedColumn::default() })
}

impl MappedColumn {
    fn is_number(&self) -> bool {
        matches!(
            self.kind,
            t::TINY
                | t::SHORT
                | t::LONG
                | t::LONGLONG
                | t::INT24
                | t::FLOAT
                | t::DOUBLE
                | t::NEWDECIMAL
                | t::YEAR
        )
    }

    fn is_text(&self) -> bool {
        matches!(
            self.kind,
            t::VARCHAR | t::VAR_STRING | t::STRING | t::TINY_BLOB
                ..=t::BLOB | t::MARIADB_BLOB_COMPRESSED | t::MARIADB_VARCHAR_COMPRESSED
        )
    }

    fn is_text_or_geometry(&self) -> bool {
        self.is_text() || self.kind == t::GEOMETRY
    }

    fn is_text_or_vector(&self) -> bool {
        self.is_text() || self.kind == t::VECTOR
    }

    fn is_label(&self) -> bool {
        matches!(self.kind, t::ENUM | t::SET)
    }
}

impl TableMap {
    /// One field of the optional metadata; unknown ones are skipped, as the protocol demands.
    fn read_field(&mut self, field: u8, value: Cursor, is_text: fn(&MappedColumn) -> bool) -> Parsed<()> {
        match field {
            1 => self.read_signs(value)?,
            2 => self.read_default_collation(value, is_text)?,
            3 => self.read_collations(value, is_text)?,
            4 => self.read_names(value)?,
            5 => self.read_labels(value, t::SET)?,
            6 => self.read_labels(value, t::ENUM)?,
            8 => self.read_key(value, false)?,
            9 => self.read_key(value, true)?,
            10 => self.read_default_collation(value, MappedColumn::is_label)?,
            11 => self.read_collations(value, MappedColumn::is_label)?,
            _ => {}
        }
        Ok(())
    }

    /// One bit a number column, highest first.
    fn read_signs(&mut self, value: Cursor) -> Parsed<()> {
        let bits = value.rest();
        for (place, column) in self.columns.iter_mut().filter(|column| column.is_number()).enumerate() {
            column.unsigned = bits.get(place / 8).ok_or(Malformed)? << (place % 8) & 0x80 != 0;
        }
        Ok(())
    }

    /// One collation, then those that differ: count of the text column, collation.
    fn read_default_collation(&mut self, mut value: Cursor, chosen: fn(&MappedColumn) -> bool) -> Parsed<()> {
        let default = value.packed()?;
        let mut others = BTreeMap::new();
        while !value.is_empty() {
            others.insert(value.packed()?, value.packed()?);
        }
        for (place, column) in (0..).zip(self.columns.iter_mut().filter(|column| chosen(column))) {
            column.collation = Some(others.get(&place).copied().unwrap_or(default));
        }
        Ok(())
    }

    fn read_collations(&mut self, mut value: Cursor, chosen: fn(&MappedColumn) -> bool) -> Parsed<()> {
        for column in self.columns.iter_mut().filter(|column| chosen(column)) {
            column.collation = Some(value.packed()?);
        }
        // Bytes left over: the server counts other columns among these than we do, and every collation may be
        // another column's.
        if value.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn read_names(&mut self, mut value: Cursor) -> Parsed<()> {
        for column in &mut self.columns {
            std::str::from_utf8(value.packed_bytes()?).map_err(|_| Malformed)?.clone_into(&mut column.name);
        }
        let mut names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Malformed);
        }
        self.has_names = true;
        Ok(())
    }

    fn read_labels(&mut self, mut value: Cursor, kind: u8) -> Parsed<()> {
        for column in self.columns.iter_mut().filter(|column| column.kind == kind) {
            let count = value.packed()?;
            for _ in 0..count {
                column.labels.push(value.packed_bytes()?.to_vec());
            }
        }
        Ok(())
    }

    fn read_key(&mut self, mut value: Cursor, with_prefixes: bool) -> Parsed<()> {
        while !value.is_empty() {
            let place = usize::try_from(value.packed()?).map_err(|_| Malformed)?;
            if place >= self.columns.len() {
                return Err(Malformed);
            }
            self.key.push(place);
            if with_prefixes {
                value.packed()?;
            }
        }
        self.key.sort_unstable();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::TableName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_a_fault(kinds in prop::collection::vec(0_u8..=255, 0..4), rest: Vec<u8>) {
            let names = [1, 0, 0, 0, 0, 0, 0, 0, 1, b's', 0, 1, b't', 0, kinds.len() as u8];
            let start = [&names[..], &kinds, &rest].concat();
            let _ = TableName::parse(&start).unwrap().columns(false);
            let _ = TableName::parse(&rest).map(|name| name.columns(true));
        }
    }
}
