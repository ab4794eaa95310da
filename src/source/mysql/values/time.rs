//! Dates and times, ISO, fractions without trailing zeros; zero dates as they stand; TIMESTAMP in UTC.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Table__map__event.html>

use super::super::cursor::{Cursor, Malformed, Parsed};
use crate::calendar::{Date, date_of};

pub(in super::super) fn decode_date(row: &mut Cursor, out: &mut Vec<u8>) -> Parsed<()> {
    let packed = row.number(3)?;
    write_date((packed >> 9) as u32, (packed >> 5 & 15) as u32, (packed & 31) as u32, out);
    Ok(())
}

/// TIME as of MySQL 5.6: offset 2^23 in three bytes, then the fraction; negative times count both from below.
pub(super) fn decode_time(row: &mut Cursor, decimals: u8, out: &mut Vec<u8>) -> Parsed<()> {
    let bytes = usize::from(decimals.div_ceil(2));
    let shift = 8 * bytes as u32;
    let packed = row.number_big_endian(3 + bytes)?.cast_signed() - (0x80_0000_i64 << shift);
    let (negative, packed) = (packed < 0, packed.unsigned_abs());
    let clock = packed >> shift;
    let micros = to_micros(packed & ((1 << shift) - 1), bytes)?;
    write_time(
        negative,
        (clock >> 12 & 0x3ff) as u32,
        (clock >> 6 & 63) as u32,
        (clock & 63) as u32,
        micros,
        out,
    );
    Ok(())
}

/// DATETIME as of MySQL 5.6: five bytes of packed fields, then the fraction.
pub(super) fn decode_datetime(row: &mut Cursor, decimals: u8, out: &mut Vec<u8>) -> Parsed<()> {
    let packed = row.number_big_endian(5)?.checked_sub(0x80_0000_0000).ok_or(Malformed)?;
    let micros = fraction(row, decimals)?;
    let (months, day) = (packed >> 22, packed >> 17 & 31);
    write_date((months / 13) as u32, (months % 13) as u32, day as u32, out);
    out.push(b' ');
    write_clock((packed >> 12 & 31) as u32, (packed >> 6 & 63) as u32, (packed & 63) as u32, micros, out);
    Ok(())
}

/// TIMESTAMP as of MySQL 5.6: seconds since 1970 in four bytes, then the fraction. 0 is the zero date.
pub(super) fn decode_timestamp(row: &mut Cursor, decimals: u8, out: &mut Vec<u8>) -> Parsed<()> {
    let seconds = row.number_big_endian(4)? as u32;
    let micros = fraction(row, decimals)?;
    if seconds == 0 && micros == 0 {
        write_date(0, 0, 0, out);
    } else {
        let Date { year, month, day } = date_of((seconds / 86_400) as i32);
        write_date(year as u32, month, day, out);
    }
    out.push(b' ');
    let clock = seconds % 86_400;
    write_clock(clock / 3600, clock / 60 % 60, clock % 60, micros, out);
    Ok(())
}

fn fraction(row: &mut Cursor, decimals: u8) -> Parsed<u32> {
    let bytes = usize::from(decimals.div_ceil(2));
    to_micros(row.number_big_endian(bytes)?, bytes)
}

/// A fraction in one byte counts hundredths, in two 1/10,000, in three microseconds.
fn to_micros(fraction: u64, bytes: usize) -> Parsed<u32> {
    let factor = *[1, 10_000, 100, 1].get(bytes).ok_or(Malformed)?;
    let micros = fraction * factor;
    if micros < 1_000_000 { Ok(micros as u32) } else { Err(Malformed) }
}

pub(in super::super) fn write_date(year: u32, month: u32, day: u32, out: &mut Vec<u8>) {
    two_digits(year / 100, out);
    two_digits(year % 100, out);
    out.push(b'-');
    two_digits(month, out);
    out.push(b'-');
    two_digits(day, out);
}

/// Hours go up to 838.
pub(in super::super) fn write_time(
    negative: bool,
    hours: u32,
    minutes: u32,
    seconds: u32,
    micros: u32,
    out: &mut Vec<u8>,
) {
    if negative {
        out.push(b'-');
    }
    write_clock(hours, minutes, seconds, micros, out);
}

pub(in super::super) fn write_clock(hours: u32, minutes: u32, seconds: u32, micros: u32, out: &mut Vec<u8>) {
    if hours >= 100 {
        out.push(b'0' + (hours / 100 % 10) as u8);
    }
    two_digits(hours % 100, out);
    out.push(b':');
    two_digits(minutes, out);
    out.push(b':');
    two_digits(seconds, out);
    if micros > 0 {
        out.push(b'.');
        for pair in [micros / 10_000, micros / 100 % 100, micros % 100] {
            two_digits(pair, out);
        }
        let zeros = out.iter().rev().take_while(|&&digit| digit == b'0').count();
        out.truncate(out.len() - zeros);
    }
}

#[inline]
fn two_digits(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}
