//! MySQL's binary JSON, printed as the server prints it: `{"a": 1, "b": [true, null]}`.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html>

use std::io::Write as _;

use super::super::cursor::{Cursor, Malformed, Parsed};
use super::number::{finite, shortest_even, write_plain, write_signed, write_unsigned};
use super::{decimal, time};
use crate::json_string;

/// The server refuses deeper documents.
const DEPTH_MAX: u32 = 101;

/// Appends the document's text. An empty value is what old servers stored for `null`.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let mut left = Left(2 * bytes.len());
    match bytes.split_first() {
        None => out.extend_from_slice(b"null"),
        Some((kind, body)) => write_value(*kind, body, 0, &mut left, out)?,
    }
    Ok(())
}

/// How many bytes of text and elements may still come. In a document of the server no two share bytes, so
/// that there are fewer of them than bytes; offsets that lead to the same bytes again could otherwise make a
/// document without an end of a few hundred.
struct Left(usize);

impl Left {
    fn take(&mut self, count: usize) -> Parsed<()> {
        self.0 = self.0.checked_sub(count).ok_or(Malformed)?;
        Ok(())
    }
}

fn write_value(kind: u8, body: &[u8], depth: u32, left: &mut Left, out: &mut Vec<u8>) -> Parsed<()> {
    let mut cursor = Cursor::new(body);
    match kind {
        0x00..=0x03 => return write_container(kind, body, depth, left, out),
        0x04 => out.extend_from_slice(literal(cursor.u8()?)?),
        0x05 => write_signed(i64::from(cursor.u16()?.cast_signed()), out),
        0x06 => write_unsigned(u64::from(cursor.u16()?), out),
        0x07 => write_signed(i64::from(cursor.u32()?.cast_signed()), out),
        0x08 => write_unsigned(u64::from(cursor.u32()?), out),
        0x09 => write_signed(cursor.u64()?.cast_signed(), out),
        0x0a => write_unsigned(cursor.u64()?, out),
        0x0b => write_number(finite(f64::from_bits(cursor.u64()?))?, out),
        0x0c => {
            let length = variable_length(&mut cursor)?;
            left.take(length)?;
            write_string(cursor.take(length)?, out)?;
        }
        0x0f => {
            let kind = cursor.u8()?;
            let length = variable_length(&mut cursor)?;
            left.take(length)?;
            write_opaque(kind, cursor.take(length)?, out)?;
        }
        _ => return Err(Malformed),
    }
    Ok(())
}

fn literal(code: u8) -> Parsed<&'static [u8]> {
    match code {
        0 => Ok(b"null"),
        1 => Ok(b"true"),
        2 => Ok(b"false"),
        _ => Err(Malformed),
    }
}

/// Seven bits a byte, lowest first, the eighth says that more follow.
fn variable_length(cursor: &mut Cursor) -> Parsed<usize> {
    let mut length = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cursor.u8()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(Malformed)
}

/// Objects and arrays: count, size, then tables of keys (offset, length) and of values (type, offset or the
/// value itself). Offsets count from the count.
fn write_container(kind: u8, body: &[u8], depth: u32, left: &mut Left, out: &mut Vec<u8>) -> Parsed<()> {
    if depth >= DEPTH_MAX {
        return Err(Malformed);
    }
    let (object, width) = (kind < 2, if kind & 1 == 0 { 2 } else { 4 });
    let mut header = Cursor::new(body);
    let count = header.number(width)? as usize;
    let size = header.number(width)? as usize;
    let body = body.get(..size).ok_or(Malformed)?;
    let key_table = if object { count.checked_mul(width + 2).ok_or(Malformed)? } else { 0 };
    let mut keys = Cursor::new(header.take(key_table)?);
    out.push(if object { b'{' } else { b'[' });
    for place in 0..count {
        left.take(1)?;
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        if object {
            let (start, length) = (keys.number(width)? as usize, usize::from(keys.u16()?));
            left.take(length)?;
            write_string(body.get(start..).and_then(|rest| rest.get(..length)).ok_or(Malformed)?, out)?;
            out.extend_from_slice(b": ");
        }
        let kind = header.u8()?;
        let entry = header.take(width)?;
        let inlined = matches!(kind, 0x04..=0x06) || (width == 4 && matches!(kind, 0x07 | 0x08));
        let value = if inlined {
            entry
        } else {
            body.get(Cursor::new(entry).number(width)? as usize..).ok_or(Malformed)?
        };
        write_value(kind, value, depth + 1, left, out)?;
    }
    out.push(if object { b'}' } else { b']' });
    Ok(())
}

fn write_string(text: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    std::str::from_utf8(text).map_err(|_| Malformed)?;
    json_string::write_string(text, out);
    Ok(())
}

/// As the server's `my_gcvt` does: plain with up to 15 digits before the point, or with digits after it; else
/// with an exponent. A whole number gets `.0`.
fn write_number(number: f64, out: &mut Vec<u8>) {
    let printed = shortest_even(number);
    let mut room = [0; 32];
    let (negative, digits, exponent) = printed.parts(&mut room);
    if negative {
        out.push(b'-');
    }
    if exponent >= -15 && (exponent < 15 || digits.len() as i32 > exponent + 1) {
        write_plain(digits, exponent, out);
        if exponent + 1 >= digits.len() as i32 {
            out.extend_from_slice(b".0");
        }
        return;
    }
    out.push(digits.first().copied().unwrap_or(b'0'));
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    let _ = write!(out, "e{exponent}");
}

/// Values of SQL types within JSON: decimals are numbers, times strings, others base64.
fn write_opaque(kind: u8, bytes: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let mut cursor = Cursor::new(bytes);
    match kind {
        246 => {
            let (precision, scale) = (cursor.u8()?, cursor.u8()?);
            decimal::decode(&mut cursor, precision, scale, out)?;
        }
        7 | 10 | 11 | 12 => {
            out.push(b'"');
            write_packed_time(kind, cursor.u64()?.cast_signed(), out);
            out.push(b'"');
        }
        _ => {
            write!(out, "\"base64:type{kind}:").map_err(|_| Malformed)?;
            write_base64(bytes, out);
            out.push(b'"');
        }
    }
    Ok(())
}

/// The server's packed times: fields in the upper 40 bits, microseconds in the lower 24. In JSON all six
/// digits of the fraction are printed.
fn write_packed_time(kind: u8, packed: i64, out: &mut Vec<u8>) {
    let (negative, packed) = (packed < 0, packed.unsigned_abs());
    let (fields, micros) = (packed >> 24, packed & 0xff_ffff);
    let (minutes, seconds) = ((fields >> 6 & 63) as u32, (fields & 63) as u32);
    if kind == 11 {
        time::write_time(negative, (fields >> 12 & 0x3ff) as u32, minutes, seconds, 0, out);
    } else {
        let months = fields >> 22;
        time::write_date((months / 13) as u32, (months % 13) as u32, (fields >> 17 & 31) as u32, out);
        if kind == 10 {
            return;
        }
        out.push(b' ');
        time::write_clock((fields >> 12 & 31) as u32, minutes, seconds, 0, out);
    }
    let _ = write!(out, ".{micros:06}");
}

/// The server breaks the text after each 76 digits, and JSON escapes the line end.
fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const LINE_BYTES: usize = 76 / 4 * 3;
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (place, group) in bytes.chunks(3).enumerate() {
        if place > 0 && (3 * place).is_multiple_of(LINE_BYTES) {
            out.extend_from_slice(b"\\n");
        }
        let number = group.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= group.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use proptest::prelude::*;

    /// Each text and element of a document has bytes of its own.
    #[test]
    fn what_is_shared_is_refused() {
        // {"aa…a": null, …} with a name for every key, or with one for all.
        let object = |shared: bool| {
            let (count, length): (u16, u16) = (50, 100);
            let texts = 4 + count * 7;
            let starts = (0..count).map(|key| texts + if shared { 0 } else { key * length });
            let keys: Vec<u8> =
                starts.flat_map(|start| [start.to_le_bytes(), length.to_le_bytes()].concat()).collect();
            let text = vec![b'a'; usize::from(if shared { length } else { count * length })];
            let size = texts + text.len() as u16;
            [
                &[0][..],
                &count.to_le_bytes(),
                &size.to_le_bytes(),
                &keys,
                &[4, 0, 0].repeat(usize::from(count)),
                &text,
            ]
            .concat()
        };
        assert!(write(&object(false), &mut Vec::new()).is_ok());
        assert!(write(&object(true), &mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(write(&[&[0x0b][..], &number.to_le_bytes()].concat(), &mut Vec::new()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_document_or_a_fault(bytes: Vec<u8>, kind in 0_u8..16) {
            let _ = write(&[&[kind], &bytes[..]].concat(), &mut Vec::new());
        }
    }
}
