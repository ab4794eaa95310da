//! The wire format of protocol buffers, as far as `docs/change.proto` needs it:
//! <https://protobuf.dev/programming-guides/encoding/>.

use crate::format::parts::Reason;

/// Field numbers of `Change`.
pub mod change {
    pub const ACTION: u32 = 1;
    pub const XID: u32 = 2;
    pub const COMMITTED_US: u32 = 3;
    pub const LSN: u32 = 4;
    pub const SCHEMA: u32 = 5;
    pub const TABLE: u32 = 6;
    pub const NAME: u32 = 7;
    pub const TYPE: u32 = 8;
    pub const PK: u32 = 9;
    pub const COLUMN_KINDS: u32 = 10;
    pub const COLUMNS: u32 = 11;
    pub const IDENTITY_KINDS: u32 = 12;
    pub const IDENTITY: u32 = 13;
}

/// Numbers of `Kind`.
pub mod kind {
    pub const NOT_SENT: u8 = 0;
    pub const NULL: u8 = 1;
    pub const LITERAL: u8 = 2;
    pub const TEXT: u8 = 3;
}

/// A number in groups of seven bits, the lowest first.
pub const VARINT: u32 = 0;
/// A length, then so many bytes.
pub const BYTES: u32 = 2;
const FIXED_64: u32 = 1;
const FIXED_32: u32 = 5;

/// Appends a number.
#[inline]
pub fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends what a field begins with. All numbers of ours take one byte.
#[inline]
pub fn write_tag(field: u32, wire_type: u32, out: &mut Vec<u8>) {
    debug_assert!(field < 16, "the tag of a larger number has two bytes");
    out.push((field << 3 | wire_type) as u8);
}

/// Appends a field of bytes or text.
#[inline]
pub fn write_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_tag(field, BYTES, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The map of signed numbers to unsigned ones that keeps small ones small (`sint64`).
pub fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// The number that [`zigzag`] made this of.
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads a message, or a part of one; places are those in the whole.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Of a whole message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: bytes.len() }
    }

    /// Of the rest of a message from a place on.
    #[inline]
    pub fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, end: bytes.len() }
    }

    /// Whether everything is read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// The next number.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Reason> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte =
                *self.bytes.get(self.at).filter(|_| self.at < self.end).ok_or("it ends within a number")?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number has more than 64 bits")
    }

    /// What the next field begins with: its number and its wire type.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, u32), Reason> {
        let tag = u32::try_from(self.varint()?).map_err(|_| "a field's number is too large")?;
        if tag < 8 { Err("a field has the number 0") } else { Ok((tag >> 3, tag & 7)) }
    }

    /// The bytes of a field that was found to be [`BYTES`]: a reader of them alone.
    #[inline]
    pub fn part(&mut self) -> Result<Self, Reason> {
        let length = usize::try_from(self.varint()?).map_err(|_| "a length is too large")?;
        if length > self.end - self.at {
            return Err("it ends within a field");
        }
        let part = Self { bytes: self.bytes, at: self.at, end: self.at + length };
        self.at = part.end;
        Ok(part)
    }

    /// Where what is left lies.
    #[inline]
    pub fn place(&self) -> (usize, usize) {
        (self.at, self.end)
    }

    /// What is left.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// Passes the value of a field that is not known.
    pub fn skip(&mut self, wire_type: u32) -> Result<(), Reason> {
        let length = match wire_type {
            VARINT => return self.varint().map(drop),
            BYTES => return self.part().map(drop),
            FIXED_64 => 8,
            FIXED_32 => 4,
            _ => return Err("a field has no wire type of today"),
        };
        if length > self.end - self.at {
            return Err("it ends within a field");
        }
        self.at += length;
        Ok(())
    }
}
