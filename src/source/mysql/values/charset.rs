//! Character sets: what the bytes of a text column become in UTF-8.

use std::sync::Arc;

use super::Fault;

/// The character set of a column.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Charset {
    /// utf8mb4, utf8mb3, ascii.
    Utf8,
    /// One byte a character; the characters of the bytes from 128 on, as the server converts them.
    Table(Arc<[char; 128]>),
    /// Two bytes a character, highest first, with surrogates (ucs2 has none).
    Utf16,
    Utf16LittleEndian,
    Utf32,
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
            Self::Table(_) if bytes.is_ascii() => out.extend_from_slice(bytes),
            Self::Table(high) => {
                for &byte in bytes {
                    push(if byte < 128 { char::from(byte) } else { high[usize::from(byte - 128)] }, out);
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
