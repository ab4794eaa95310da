//! Values of plain SQL, printed as the stream prints them.

use mysql::consts::{ColumnFlags, ColumnType};
use mysql::{Column, Value};

use super::charsets::BINARY;
use super::values::{number, special, time};
use crate::change::CellKind;
use crate::{Error, Result, hex};

/// Appends the text of one value that came by the binary protocol.
pub(super) fn write(column: &Column, value: &Value, out: &mut Vec<u8>) -> Result<CellKind> {
    match value {
        Value::NULL => return Ok(CellKind::Null),
        Value::Int(integer) => number::write_signed(*integer, out),
        Value::UInt(integer) => number::write_unsigned(*integer, out),
        Value::Float(float) => number::write_float(*float, out),
        Value::Double(double) => number::write_double(*double, out),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            time::write_date(u32::from(*year), u32::from(*month), u32::from(*day), out);
            if column.column_type() != ColumnType::MYSQL_TYPE_DATE {
                out.push(b' ');
                time::write_clock(u32::from(*hour), u32::from(*minute), u32::from(*second), *micros, out);
            }
            return Ok(CellKind::Text);
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            time::write_time(
                *negative,
                days * 24 + u32::from(*hours),
                u32::from(*minutes),
                u32::from(*seconds),
                *micros,
                out,
            );
            return Ok(CellKind::Text);
        }
        Value::Bytes(bytes) => return write_bytes(column, bytes, out),
    }
    Ok(CellKind::Literal)
}

fn write_bytes(column: &Column, bytes: &[u8], out: &mut Vec<u8>) -> Result<CellKind> {
    let malformed = |_| Error::stop(format!("a value of column {:?} cannot be read", column.name_str()));
    match column.column_type() {
        ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL => {
            out.extend_from_slice(without_zerofill(bytes));
            return Ok(CellKind::Literal);
        }
        ColumnType::MYSQL_TYPE_BIT => special::write_bits(bytes, column.column_length() as u16, out),
        ColumnType::MYSQL_TYPE_GEOMETRY => special::write_geometry(bytes, out).map_err(malformed)?,
        ColumnType::MYSQL_TYPE_VECTOR => special::write_vector(bytes, out).map_err(malformed)?,
        ColumnType::MYSQL_TYPE_JSON => out.extend_from_slice(bytes),
        _ if u64::from(column.character_set()) == BINARY
            && !column.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) =>
        {
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
