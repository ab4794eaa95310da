//! Integers, floats and years. Floats are printed as PostgreSQL prints them: the shortest digits that read
//! back the same.

use std::io::Write as _;

use super::super::cursor::{Cursor, Malformed, Parsed};

pub(in super::super) fn decode_integer(
    row: &mut Cursor,
    bytes: u8,
    signed: bool,
    out: &mut Vec<u8>,
) -> Parsed<()> {
    let number = match bytes {
        8 => row.u64()?,
        4 => u64::from(row.u32()?),
        other => row.number(usize::from(other))?,
    };
    if signed {
        let unused = 64 - 8 * u32::from(bytes);
        write_signed((number << unused).cast_signed() >> unused, out);
    } else {
        write_unsigned(number, out);
    }
    Ok(())
}

#[inline]
pub(in super::super) fn write_signed(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[inline]
pub(in super::super) fn write_unsigned(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// 0 stands for year 0, else years count from 1900.
pub(in super::super) fn write_year(year: u8, out: &mut Vec<u8>) {
    write_unsigned(if year == 0 { 0 } else { 1900 + u64::from(year) }, out);
}

/// No column holds NaN or an infinity: the server refuses them.
pub(in super::super) fn finite<F: Copy + Into<f64>>(number: F) -> Parsed<F> {
    if number.into().is_finite() { Ok(number) } else { Err(Malformed) }
}

/// As PostgreSQL's `float4out`: an exponent below -4 or from 6 on is written out.
pub(in super::super) fn write_float(number: f32, out: &mut Vec<u8>) {
    let mantissa = number.to_bits() & 0x7f_ffff | u32::from(number.is_normal()) << 23;
    shortest(u64::from(mantissa), 23, &number, |text| text.parse() == Ok(number)).write(6, out);
}

/// As PostgreSQL's `float8out`: an exponent below -4 or from 15 on is written out.
pub(in super::super) fn write_double(number: f64, out: &mut Vec<u8>) {
    shortest(mantissa_of(number), 52, &number, |text| text.parse() == Ok(number)).write(15, out);
}

/// The shortest digits that read back the same; of two that are equally near the even ones, as MySQL prints a
/// number in JSON.
pub(super) fn shortest_even(number: f64) -> Digits {
    let mut shortest = Digits::default();
    let _ = write!(shortest, "{number:e}"); // `Digits` has room for every float
    let even = shortest.rounded_to_even(mantissa_of(number));
    even.filter(|even| even.text().is_some_and(|text| text.parse() == Ok(number))).unwrap_or(shortest)
}

fn mantissa_of(number: f64) -> u64 {
    number.to_bits() & 0xf_ffff_ffff_ffff | u64::from(number.is_normal()) << 52
}

/// The shortest digits that read back the same. PostgreSQL takes longer ones where these lie in the very
/// middle between two floats, since not every reader rounds the middle as it should.
fn shortest(
    mantissa: u64,
    bits: u32,
    number: &impl std::fmt::LowerExp,
    reads_back: impl Fn(&str) -> bool,
) -> Digits {
    let mut shortest = Digits::default();
    let _ = write!(shortest, "{number:e}"); // `Digits` has room for every float
    let even = shortest.rounded_to_even(mantissa);
    if let Some(even) = even.filter(|even| even.text().is_some_and(&reads_back)) {
        return even;
    }
    if !shortest.is_middle(mantissa, bits) {
        return shortest;
    }
    for decimals in shortest.parts(&mut [0; 32]).1.len()..17 {
        let mut longer = Digits::default();
        let _ = write!(longer, "{number:.decimals$e}");
        if !longer.is_middle(mantissa, bits) && longer.text().is_some_and(&reads_back) {
            return longer;
        }
    }
    shortest
}

/// A number as Rust prints it with `{:e}`: sign, digits with a point after the first, `e`, exponent.
#[derive(Default)]
pub(super) struct Digits {
    text: [u8; 32],
    length: usize,
}

impl std::io::Write for Digits {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room =
            self.text.get_mut(self.length..self.length + bytes.len()).ok_or(std::io::ErrorKind::WriteZero)?;
        room.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Digits {
    /// Whether the number is negative, its digits without a point, and its decimal exponent.
    pub fn parts<'a>(&self, digits: &'a mut [u8; 32]) -> (bool, &'a [u8], i32) {
        let text = &self.text[..self.length];
        let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let mut count = 0;
        let mut parts = text.splitn(2, |&byte| byte == b'e');
        for &digit in parts.next().unwrap_or_default().iter().filter(|byte| byte.is_ascii_digit()) {
            digits[count] = digit;
            count += 1;
        }
        let exponent =
            parts.next().and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
        (negative, &digits[..count], exponent.unwrap_or(0))
    }

    /// Where the float lies in the very middle between two numbers of so many digits, PostgreSQL takes the
    /// even one.
    fn rounded_to_even(&self, mantissa: u64) -> Option<Self> {
        const FIVES_MAX: u32 = 25;
        let mut room = [0; 32];
        let (_, digits, exponent) = self.parts(&mut room);
        let number = digits.iter().fold(0_u128, |number, digit| number * 10 + u128::from(digit - b'0'));
        let fives = exponent + 1 - digits.len() as i32;
        let power = 5_u128.pow(fives.unsigned_abs().min(FIVES_MAX));
        if number % 2 == 0 || fives.unsigned_abs() > FIVES_MAX || mantissa == 0 {
            return None;
        }
        let odd = u128::from(mantissa >> mantissa.trailing_zeros());
        let is_float =
            |doubled: u128| if fives < 0 { odd * power == doubled } else { odd == doubled * power };
        let length = self.text[..self.length].iter().position(|&byte| byte == b'e').unwrap_or(0);
        let mut even = Self { ..*self };
        let last = even.text.get_mut(length.checked_sub(1)?)?;
        if is_float(2 * number - 1) {
            *last -= 1;
        } else if is_float(2 * number + 1) && *last < b'9' {
            *last += 1;
        } else {
            return None;
        }
        Some(even)
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.text.get(..self.length)?).ok()
    }

    /// Whether the digits are exactly in the middle between the float of this mantissa and the next one, up
    /// or down: then the odd part of the decimal number is the odd mantissa of one bit more.
    fn is_middle(&self, mantissa: u64, bits: u32) -> bool {
        let mut room = [0; 32];
        let (_, digits, exponent) = self.parts(&mut room);
        let number = digits.iter().fold(0_u128, |number, digit| number * 10 + u128::from(digit - b'0'));
        let fives = exponent + 1 - digits.len() as i32;
        let odd = match u32::try_from(fives) {
            Ok(fives @ 0..=23) => number * 5_u128.pow(fives),
            Err(_) if fives >= -23 && number % 5_u128.pow(fives.unsigned_abs()) == 0 => {
                number / 5_u128.pow(fives.unsigned_abs())
            }
            _ => return false,
        };
        let (odd, mantissa) = (odd >> odd.trailing_zeros().min(127), u128::from(mantissa));
        odd == 2 * mantissa + 1
            || odd + 1 == 2 * mantissa
            || (mantissa == 1 << bits && odd + 1 == 4 * mantissa)
    }

    fn write(&self, exponent_from: i32, out: &mut Vec<u8>) {
        let mut room = [0; 32];
        let (negative, digits, exponent) = self.parts(&mut room);
        if negative {
            out.push(b'-');
        }
        if (-4..exponent_from).contains(&exponent) {
            write_plain(digits, exponent, out);
        } else {
            out.push(digits.first().copied().unwrap_or(b'0'));
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
        }
    }
}

/// Digits without an exponent: `0.00123`, `12.5`, `1200`.
pub(super) fn write_plain(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend_from_slice(digits);
        return;
    }
    let whole = exponent as usize + 1;
    out.extend_from_slice(&digits[..whole.min(digits.len())]);
    out.extend(std::iter::repeat_n(b'0', whole.saturating_sub(digits.len())));
    if digits.len() > whole {
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

#[cfg(test)]
mod tests {
    use super::{decode_integer, write_double, write_float};
    use crate::source::mysql::cursor::Cursor;

    #[test]
    fn floats_as_postgresql_prints_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e20, "1e+20"),
            (1.234_5e-7, "1.2345e-07"),
            (0.0001, "0.0001"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1e23, "9.999999999999999e+22"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            let mut out = Vec::new();
            write_double(number, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        for (number, expected) in [
            (0.1, "0.1"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (f32::MIN_POSITIVE, "1.1754944e-38"),
        ] {
            let mut out = Vec::new();
            write_float(number, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn integers_of_every_width() {
        for (bytes, signed, expected) in [
            (&[0xff][..], true, "-1"),
            (&[0xff], false, "255"),
            (&[0, 0, 0x80], true, "-8388608"),
            (&[0xff, 0xff, 0xff], false, "16777215"),
            (&[0xff; 8], true, "-1"),
            (&[0xff; 8], false, "18446744073709551615"),
        ] {
            let mut out = Vec::new();
            decode_integer(&mut Cursor::new(bytes), bytes.len() as u8, signed, &mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
