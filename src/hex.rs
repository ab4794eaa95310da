//! Hexadecimal digits, lower case. Reading takes no other.
//!
//! No library: positions and ids of shapes stand in every message, and are printed and read eight digits at
//! once.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
const ONES: u64 = 0x0101_0101_0101_0101;

/// The two digits of a byte.
#[inline]
pub const fn pair(byte: u8) -> [u8; 2] {
    [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]
}

/// Appends the digits of all bytes.
#[inline]
pub fn write(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.extend_from_slice(&pair(*byte));
    }
}

/// The digits of all bytes.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| pair(*byte)).map(char::from).collect()
}

/// The eight digits of a number. A byte of each word belongs to one digit.
#[inline]
pub fn eight_digits(number: u32) -> [u8; 8] {
    let fours = (u64::from(number) | u64::from(number) << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (fours | fours << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (ONES * 0x0f);
    let above_nine = (values + ONES * 0x76) >> 7 & ONES;
    (values + ONES * u64::from(b'0') + above_nine * 0x27).to_be_bytes()
}

/// The inverse of [`eight_digits`]; `None` if anything else stands there, capitals too.
#[inline]
pub fn number(digits: [u8; 8]) -> Option<u32> {
    let word = u64::from_be_bytes(digits);
    let letters = word >> 6 & ONES;
    let values = (word & (ONES * 0x0f)) + letters * 9;
    // Printed again it must be the same: `:` and `g` have nibbles of digits, too.
    let above_nine = (values + ONES * 0x76) >> 7 & ONES;
    if values + ONES * u64::from(b'0') + above_nine * 0x27 != word || values & (ONES * 0x10) != 0 {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some((fours | fours >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{eight_digits, number, text, write};

    proptest! {
        #[test]
        fn bytes_are_printed_as_the_formatter_prints_them(bytes: Vec<u8>) {
            let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let oracle = digits.concat();
            prop_assert_eq!(&text(&bytes), &oracle);
            let mut out = b"before ".to_vec();
            write(&bytes, &mut out);
            prop_assert_eq!(out, format!("before {oracle}").into_bytes());
        }

        #[test]
        fn numbers_are_printed_and_read_eight_digits_at_once(value: u32, place in 0..8_usize, byte: u8) {
            let digits = eight_digits(value);
            prop_assert_eq!(digits.to_vec(), format!("{value:08x}").into_bytes());
            prop_assert_eq!(number(digits), Some(value));
            let mut changed = digits;
            changed[place] = byte;
            let oracle = matches!(byte, b'0'..=b'9' | b'a'..=b'f')
                .then(|| u32::from_str_radix(std::str::from_utf8(&changed).unwrap(), 16).unwrap());
            prop_assert_eq!(number(changed), oracle);
        }
    }
}
