//! DECIMAL: groups of nine digits in four bytes, highest first, the sign in the first bit.
//! <https://dev.mysql.com/doc/refman/8.4/en/precision-math-decimal-characteristics.html>

use std::io::Write as _;

use super::super::cursor::{Cursor, Malformed, Parsed};

const GROUP_DIGITS: usize = 9;
/// Bytes that hold 0 to 8 digits.
const BYTES: [usize; GROUP_DIGITS] = [0, 1, 1, 2, 2, 3, 3, 4, 4];

fn stored_bytes(digits: usize) -> usize {
    digits / GROUP_DIGITS * 4 + BYTES[digits % GROUP_DIGITS]
}

/// Appends all digits after the point; none of the zeros in front but one.
pub(super) fn decode(row: &mut Cursor, precision: u8, scale: u8, out: &mut Vec<u8>) -> Parsed<()> {
    let (precision, scale) = (usize::from(precision), usize::from(scale));
    let whole = precision.checked_sub(scale).ok_or(Malformed)?;
    let (whole_bytes, length) = (stored_bytes(whole), stored_bytes(whole) + stored_bytes(scale));
    let mut room = [0; 128]; // precision has at most 65 digits; a byte of metadata could say 255
    let bytes = room.get_mut(..length).ok_or(Malformed)?;
    bytes.copy_from_slice(row.take(length)?);
    let negative = bytes.first().ok_or(Malformed)? & 0x80 == 0;
    bytes[0] ^= 0x80;
    if negative {
        for byte in bytes.iter_mut() {
            *byte = !*byte;
        }
        out.push(b'-');
    }
    let start = out.len();
    let (mut integral, mut fraction) =
        (Cursor::new(&bytes[..whole_bytes]), Cursor::new(&bytes[whole_bytes..]));
    let short = whole % GROUP_DIGITS;
    write_group(&mut integral, short, out)?;
    for _ in 0..whole / GROUP_DIGITS {
        write_group(&mut integral, GROUP_DIGITS, out)?;
    }
    let zeros = out[start..].iter().take_while(|&&digit| digit == b'0').count();
    out.drain(start..start + zeros);
    if out.len() == start {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        for _ in 0..scale / GROUP_DIGITS {
            write_group(&mut fraction, GROUP_DIGITS, out)?;
        }
        write_group(&mut fraction, scale % GROUP_DIGITS, out)?;
    }
    Ok(())
}

fn write_group(bytes: &mut Cursor, digits: usize, out: &mut Vec<u8>) -> Parsed<()> {
    if digits == 0 {
        return Ok(());
    }
    let group = bytes.number_big_endian(stored_bytes(digits))?;
    if group >= 10_u64.pow(digits as u32) {
        return Err(Malformed);
    }
    write!(out, "{group:0digits$}").map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::decode;
    use crate::source::mysql::cursor::Cursor;

    #[test]
    fn the_manuals_example() {
        let mut bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2]; // 1234567890.1234 as DECIMAL(14,4)
        for expected in ["1234567890.1234", "-1234567890.1234"] {
            let mut out = Vec::new();
            decode(&mut Cursor::new(&bytes), 14, 4, &mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), expected);
            bytes = bytes.map(|byte| !byte);
        }
    }
}
