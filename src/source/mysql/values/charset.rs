//! Character sets: what the bytes of a text column become in UTF-8.

use std::collections::HashMap;
use std::sync::Arc;

use super::Fault;

/// The character set of a column.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Charset {
    /// utf8mb4, utf8mb3, ascii.
    Utf8,
    /// One byte a character, as the server converts them.
    Table(Arc<OneByte>),
    /// One to four bytes a character, as the server converts them.
    Many(Arc<ManyBytes>),
    /// Two bytes a character, highest first, with surrogates (ucs2 has none).
    Utf16,
    Utf16LittleEndian,
    Utf32,
}

/// The characters of all bytes.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct OneByte {
    pub characters: [char; 256],
    /// The bytes below 128 are ASCII, as they are in all sets but swe7.
    pub low_is_ascii: bool,
}

/// The characters of the Chinese, Japanese and Korean sets, whose bytes below 128 are ASCII.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct ManyBytes {
    /// Of one byte; NUL where there is none.
    pub singles: [char; 256],
    /// Of two bytes, by [`ManyBytes::place`]; NUL where there is none.
    pub pairs: Vec<char>,
    /// Of three or four bytes, as one number.
    pub longer: HashMap<u32, char>,
    /// gb18030: four bytes from 0x90308130 on count the characters behind the first 65,536.
    pub counts_on: bool,
}

impl ManyBytes {
    /// Pairs of a first byte from 128 on.
    pub const PAIRS: usize = 128 * 256;

    pub fn place(first: u8, second: u8) -> usize {
        usize::from(first & 0x7f) << 8 | usize::from(second)
    }

    /// The first character, and how many bytes it takes.
    fn first(&self, bytes: &[u8]) -> Option<(char, usize)> {
        let known = |character: &char| *character != '\0';
        match *bytes {
            [] => None,
            [single @ 0..0x80, ..] => Some((char::from(single), 1)),
            [first, ref rest @ ..] => {
                let pair = rest
                    .first()
                    .and_then(|second| self.pairs.get(Self::place(first, *second)))
                    .copied()
                    .filter(known);
                let number = |length| {
                    bytes
                        .get(..length)
                        .map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
                };
                let longer = |length| self.longer.get(&number(length)?).copied();
                let single = self.singles[usize::from(first)];
                pair.map(|character| (character, 2))
                    .or_else(|| longer(3).map(|character| (character, 3)))
                    .or_else(|| longer(4).or_else(|| self.counted(bytes)).map(|character| (character, 4)))
                    .or_else(|| Some((single, 1)).filter(|_| known(&single)))
            }
        }
    }

    fn counted(&self, bytes: &[u8]) -> Option<char> {
        let [a @ 0x90..=0xff, b @ 0x30..=0x39, c @ 0x81..=0xff, d @ 0x30..=0x39, ..] = *bytes else {
            return None;
        };
        let [a, b, c, d] = [a - 0x90, b - 0x30, c - 0x81, d - 0x30].map(u32::from);
        char::from_u32(0x10000 + ((a * 10 + b) * 126 + c) * 10 + d).filter(|_| self.counts_on)
    }
}

impl Charset {
    /// Appends the text in UTF-8.
    #[inline]
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Utf8 => {
                std::str::from_utf8(bytes).map_err(|_| Fault::Characters)?;
                out.extend_from_slice(bytes);
            }
            Self::Table(table) if table.low_is_ascii && bytes.is_ascii() => out.extend_from_slice(bytes),
            Self::Table(table) => {
                for &byte in bytes {
                    push(table.characters[usize::from(byte)], out);
                }
            }
            Self::Many(_) if bytes.is_ascii() => out.extend_from_slice(bytes),
            Self::Many(table) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (character, length) = table.first(rest).ok_or(Fault::Characters)?;
                    push(character, out);
                    rest = rest.get(length..).unwrap_or_default();
                }
            }
            Self::Utf16 => write_utf16(bytes, u16::from_be_bytes, out)?,
            Self::Utf16LittleEndian => write_utf16(bytes, u16::from_le_bytes, out)?,
            Self::Utf32 => {
                let (units, rest) = bytes.as_chunks::<4>();
                for unit in units {
                    push(char::from_u32(u32::from_be_bytes(*unit)).ok_or(Fault::Characters)?, out);
                }
                if !rest.is_empty() {
                    return Err(Fault::Characters);
                }
            }
        }
        Ok(())
    }

    /// The text of a name or label.
    pub fn text(&self, bytes: &[u8]) -> Result<String, Fault> {
        let mut out = Vec::new();
        self.write(bytes, &mut out)?;
        String::from_utf8(out).map_err(|_| Fault::Characters)
    }
}

fn push(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn write_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::Characters);
    }
    for character in char::decode_utf16(units.iter().map(|bytes| unit(*bytes))) {
        push(character.map_err(|_| Fault::Characters)?, out);
    }
    Ok(())
}
