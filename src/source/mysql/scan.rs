//! Rows of plain SQL that came by the binary protocol, printed as the stream prints them.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use super::charsets::BINARY;
use super::cursor::{Cursor, Malformed, Parsed};
use super::packet::{Column, DONE};
use super::values::{number, special, time};
use crate::change::CellKind;
use crate::{Code, Error, Result, hex};

/// Numbers of types, by MySQL's names.
mod kind {
    pub const DECIMAL: u8 = 0;
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const BIT: u8 = 16;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const GEOMETRY: u8 = 255;
}

const UNSIGNED: u16 = 1 << 5;
const ENUM: u16 = 1 << 8;
const SET: u16 = 1 << 11;

/// The values of a row that are still to be read.
pub(super) struct Row<'a> {
    nulls: &'a [u8],
    values: Cursor<'a>,
    /// Place of the next value in `nulls`: the first two bits stand for nothing.
    place: usize,
}

impl<'a> Row<'a> {
    /// Takes a row apart that has these columns.
    pub fn open(columns: &[Column], packet: &'a [u8]) -> Result<Self> {
        let mut values = Cursor::new(packet);
        let parsed = match values.u8() {
            Ok(DONE) => values.take((columns.len() + 2).div_ceil(8)),
            _ => Err(Malformed),
        };
        let nulls = parsed
            .map_err(|Malformed| Error::stop(Code::ValueUnreadable, "a row of a table cannot be read"))?;
        Ok(Self { nulls, values, place: 2 })
    }

    /// Appends the text of the next value.
    pub fn write(&mut self, column: &Column, out: &mut Vec<u8>) -> Result<CellKind> {
        let place = self.place;
        self.place += 1;
        if self.nulls.get(place / 8).is_some_and(|bits| bits >> (place % 8) & 1 == 1) {
            return Ok(CellKind::Null);
        }
        write(column, &mut self.values, out).map_err(|Malformed| {
            Error::stop(Code::ValueUnreadable, format!("a value of column {:?} cannot be read", column.name))
        })
    }
}

fn write(column: &Column, values: &mut Cursor, out: &mut Vec<u8>) -> Parsed<CellKind> {
    let mut integer = |bytes| number::decode_integer(values, bytes, column.flags & UNSIGNED == 0, out);
    match column.kind {
        kind::TINY => integer(1)?,
        kind::SHORT | kind::YEAR => integer(2)?,
        // Three bytes of an INT24 are sent as four.
        kind::LONG | kind::INT24 => integer(4)?,
        kind::LONGLONG => integer(8)?,
        kind::FLOAT => number::write_float(number::finite(f32::from_le_bytes(values.array()?))?, out),
        kind::DOUBLE => number::write_double(number::finite(f64::from_le_bytes(values.array()?))?, out),
        kind::DATE | kind::DATETIME | kind::TIMESTAMP => {
            write_date(column.kind, Cursor::new(values.sized_bytes(1)?), out)?;
            return Ok(CellKind::Text);
        }
        kind::TIME => {
            write_time(Cursor::new(values.sized_bytes(1)?), out)?;
            return Ok(CellKind::Text);
        }
        _ => return write_bytes(column, values.packed_bytes()?, out),
    }
    Ok(CellKind::Literal)
}

/// What is missing at the end is zero.
fn write_date(date_kind: u8, mut fields: Cursor, out: &mut Vec<u8>) -> Parsed<()> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    if !fields.is_empty() {
        (year, month, day) = (fields.u16()?, fields.u8()?, fields.u8()?);
    }
    time::write_date(year.into(), month.into(), day.into(), out);
    if date_kind != kind::DATE {
        out.push(b' ');
        write_clock(0, fields, out)?;
    }
    Ok(())
}

fn write_time(mut fields: Cursor, out: &mut Vec<u8>) -> Parsed<()> {
    let (mut negative, mut days) = (0, 0);
    if !fields.is_empty() {
        (negative, days) = (fields.u8()?, fields.u32()?);
    }
    if negative != 0 {
        out.push(b'-');
    }
    write_clock(days, fields, out)
}

/// Hours, minutes, seconds, and microseconds if there are some.
fn write_clock(days: u32, mut fields: Cursor, out: &mut Vec<u8>) -> Parsed<()> {
    const DAYS_MAX: u32 = 34;
    let (mut hours, mut minutes, mut seconds, mut micros) = (0, 0, 0, 0);
    if !fields.is_empty() {
        (hours, minutes, seconds) = (fields.u8()?, fields.u8()?, fields.u8()?);
    }
    if !fields.is_empty() {
        micros = fields.u32()?;
    }
    if days > DAYS_MAX {
        return Err(Malformed);
    }
    time::write_clock(days * 24 + u32::from(hours), minutes.into(), seconds.into(), micros, out);
    Ok(())
}

fn write_bytes(column: &Column, bytes: &[u8], out: &mut Vec<u8>) -> Parsed<CellKind> {
    match column.kind {
        kind::NEWDECIMAL | kind::DECIMAL => {
            out.extend_from_slice(without_zerofill(bytes));
            return Ok(CellKind::Literal);
        }
        kind::BIT => special::write_bits(bytes, column.length as u16, out),
        kind::GEOMETRY => special::write_geometry(bytes, out)?,
        kind::VECTOR => special::write_vector(bytes, out)?,
        kind::JSON => out.extend_from_slice(bytes),
        _ if u64::from(column.collation) == BINARY && column.flags & (ENUM | SET) == 0 => {
            hex::write(bytes, out);
        }
        _ => out.extend_from_slice(bytes),
    }
    Ok(CellKind::Text)
}

/// DECIMAL … ZEROFILL is printed with zeros in front; the stream knows of none.
fn without_zerofill(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let rest = &digits[zeros..];
    if zeros > 0 && !rest.first().is_some_and(u8::is_ascii_digit) { &digits[zeros - 1..] } else { rest }
}

#[cfg(test)]
mod tests {
    use super::without_zerofill;

    #[test]
    fn zeros_in_front_are_dropped_but_one() {
        for (printed, expected) in
            [("0001.50", "1.50"), ("000.50", "0.50"), ("0", "0"), ("-0.5", "-0.5"), ("12", "12")]
        {
            assert_eq!(without_zerofill(printed.as_bytes()), expected.as_bytes());
        }
    }
}
