//! Bits, bytes, geometry, vectors, and MariaDB's UUID and INET.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::cursor::{Cursor, Malformed, Parsed};
use super::number::{finite, write_float};
use std::io::Write as _;

use crate::hex;

/// `width` digits, the highest bit first; bytes come highest first too.
pub(in super::super) fn write_bits(bytes: &[u8], width: u16, out: &mut Vec<u8>) {
    for place in (0..usize::from(width)).rev() {
        let bit =
            bytes.len().checked_sub(1 + place / 8).is_some_and(|byte| bytes[byte] >> (place % 8) & 1 == 1);
        out.push(if bit { b'1' } else { b'0' });
    }
}

/// The hex of bytes and of the zero bytes that BINARY(n) left out at the end.
pub(in super::super) fn write_padded_hex(bytes: &[u8], pad_to: u16, out: &mut Vec<u8>) {
    hex::write(bytes, out);
    out.extend(std::iter::repeat_n(b'0', 2 * usize::from(pad_to).saturating_sub(bytes.len())));
}

/// MySQL keeps the SRID in four bytes before the WKB; EWKB, as `PostGIS` prints it, keeps it after the type,
/// in upper-case hex.
pub(in super::super) fn write_geometry(bytes: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    const HAS_SRID: u32 = 0x2000_0000;
    let mut bytes = Cursor::new(bytes);
    let srid = bytes.u32()?;
    let order = bytes.u8()?;
    let (kind, start) = (bytes.u32()?, out.len());
    if order != 1 {
        return Err(Malformed); // MySQL stores little-endian only
    }
    hex::write(&[order], out);
    if srid == 0 {
        hex::write(&kind.to_le_bytes(), out);
    } else {
        hex::write(&(kind | HAS_SRID).to_le_bytes(), out);
        hex::write(&srid.to_le_bytes(), out);
    }
    hex::write(bytes.rest(), out);
    out[start..].make_ascii_uppercase();
    Ok(())
}

/// `[1,2.5]`, as pgvector prints it.
pub(in super::super) fn write_vector(bytes: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Malformed);
    }
    out.push(b'[');
    for (place, number) in numbers.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_float(finite(f32::from_le_bytes(*number))?, out);
    }
    out.push(b']');
    Ok(())
}

/// The log holds the bytes in the order in which they are printed, whatever order the table keeps them in.
pub(in super::super) fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) -> Parsed<()> {
    let mut printed = [0; 16];
    printed.get_mut(..bytes.len()).ok_or(Malformed)?.copy_from_slice(bytes);
    for (place, (start, end)) in [(0, 4), (4, 6), (6, 8), (8, 10), (10, 16)].into_iter().enumerate() {
        if place > 0 {
            out.push(b'-');
        }
        hex::write(&printed[start..end], out);
    }
    Ok(())
}

pub(in super::super) fn write_inet(bytes: &[u8], width: u8, out: &mut Vec<u8>) -> Parsed<()> {
    let mut stored = [0; 16];
    stored.get_mut(..bytes.len()).ok_or(Malformed)?.copy_from_slice(bytes);
    let written = if width == 4 {
        write!(out, "{}", Ipv4Addr::new(stored[0], stored[1], stored[2], stored[3]))
    } else {
        write_inet6(Ipv6Addr::from(stored), out)
    };
    written.map_err(|_| Malformed)
}

/// As MariaDB prints it: the first of the longest runs of zero groups is left out, even one group; behind six
/// of them, or five and `ffff`, stands an IPv4 address.
fn write_inet6(address: Ipv6Addr, out: &mut Vec<u8>) -> std::io::Result<()> {
    let groups = address.segments();
    let run = |start: usize| groups[start..].iter().take_while(|&&group| group == 0).count();
    let (mut gap, mut length) = (0, 0);
    for start in 0..groups.len() {
        if run(start) > length {
            (gap, length) = (start, run(start));
        }
    }
    if gap == 0 && (length == 6 || length == 5 && groups[5] == 0xffff) {
        let before = if length == 5 { "::ffff:" } else { "::" };
        let [.., a, b, c, d] = address.octets();
        return write!(out, "{before}{}", Ipv4Addr::new(a, b, c, d));
    }
    let write_groups = |groups: &[u16], out: &mut Vec<u8>| {
        groups
            .iter()
            .enumerate()
            .try_for_each(|(place, group)| write!(out, "{}{group:x}", if place > 0 { ":" } else { "" }))
    };
    if length == 0 {
        return write_groups(&groups, out);
    }
    write_groups(&groups[..gap], out)?;
    out.extend_from_slice(b"::");
    write_groups(&groups[gap + length..], out)
}
