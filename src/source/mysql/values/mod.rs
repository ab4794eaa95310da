//! One encoder per type: from the bytes of a row event to the text of `contract.md` section 3.
//!
//! The plain-SQL reader (`database`) calls the same writers, so a scan and the stream print the same text.

pub(super) mod charset;
mod decimal;
mod json;
pub(super) mod labels;
pub(super) mod number;
pub(super) mod special;
pub(super) mod time;

use std::sync::Arc;

use self::charset::Charset;
use super::cursor::{Cursor, Malformed};
use crate::change::CellKind;

/// Why a value has no text. The caller adds table and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not what the protocol describes.
    Malformed,
    /// The column's bytes are not valid in its character set.
    Characters,
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

pub(super) type Encoded<T> = Result<T, Fault>;

/// How the values of one column lie in a row event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Encoding {
    /// 1, 2, 3, 4 or 8 bytes.
    Integer {
        bytes: u8,
        signed: bool,
    },
    Float,
    MariadbFloat,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    Date,
    /// `decimals` digits of the second's fraction.
    Time {
        decimals: u8,
    },
    Datetime {
        decimals: u8,
    },
    Timestamp {
        decimals: u8,
    },
    Bit {
        width: u16,
    },
    /// `length_bytes` in front of the text.
    Text {
        length_bytes: u8,
        charset: Charset,
    },
    /// `pad_to`: BINARY(n) is stored without its trailing zero bytes.
    Bytes {
        length_bytes: u8,
        pad_to: u16,
    },
    Enum {
        bytes: u8,
        labels: Arc<[Option<String>]>,
    },
    Set {
        bytes: u8,
        labels: Arc<[Option<String>]>,
    },
    Json {
        length_bytes: u8,
    },
    Geometry {
        length_bytes: u8,
    },
    Vector {
        length_bytes: u8,
    },
    /// MariaDB's UUID: 16 bytes in its own order.
    Uuid,
    /// MariaDB's INET4 and INET6.
    Inet {
        bytes: u8,
    },
}

impl Encoding {
    /// Reads one value that is not NULL and appends its text.
    #[inline]
    pub fn decode(&self, row: &mut Cursor, out: &mut Vec<u8>) -> Encoded<CellKind> {
        match self {
            Self::Integer { bytes, signed } => number::decode_integer(row, *bytes, *signed, out)?,
            Self::Float => number::write_float(number::finite(f32::from_bits(row.u32()?))?, out),
            // MariaDB prints no minus for a zero: the sum of both zeros has none.
            Self::MariadbFloat => number::write_float(number::finite(f32::from_bits(row.u32()?))? + 0.0, out),
            Self::Double => number::write_double(number::finite(f64::from_bits(row.u64()?))?, out),
            Self::Decimal { precision, scale } => decimal::decode(row, *precision, *scale, out)?,
            Self::Year => number::write_year(row.u8()?, out),
            Self::Text { length_bytes, charset } => {
                charset.write(row.sized_bytes(usize::from(*length_bytes))?, out)?;
                return Ok(CellKind::Text);
            }
            _ => return self.decode_text(row, out),
        }
        Ok(CellKind::Literal)
    }

    fn decode_text(&self, row: &mut Cursor, out: &mut Vec<u8>) -> Encoded<CellKind> {
        match self {
            Self::Date => time::decode_date(row, out)?,
            Self::Time { decimals } => time::decode_time(row, *decimals, out)?,
            Self::Datetime { decimals } => time::decode_datetime(row, *decimals, out)?,
            Self::Timestamp { decimals } => time::decode_timestamp(row, *decimals, out)?,
            Self::Bit { width } => {
                special::write_bits(row.take(usize::from(width.div_ceil(8)))?, *width, out);
            }
            Self::Bytes { length_bytes, pad_to } => {
                special::write_padded_hex(row.sized_bytes(usize::from(*length_bytes))?, *pad_to, out);
            }
            Self::Enum { bytes, labels } => {
                labels::write_enum(row.number(usize::from(*bytes))?, labels, out)?;
            }
            Self::Set { bytes, labels } => labels::write_set(row.number(usize::from(*bytes))?, labels, out)?,
            Self::Json { length_bytes } => json::write(row.sized_bytes(usize::from(*length_bytes))?, out)?,
            Self::Geometry { length_bytes } => {
                special::write_geometry(row.sized_bytes(usize::from(*length_bytes))?, out)?;
            }
            Self::Vector { length_bytes } => {
                special::write_vector(row.sized_bytes(usize::from(*length_bytes))?, out)?;
            }
            Self::Uuid => special::write_uuid(row.sized_bytes(1)?, out)?,
            Self::Inet { bytes } => special::write_inet(row.sized_bytes(1)?, *bytes, out)?,
            _ => return Err(Fault::Malformed),
        }
        Ok(CellKind::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Encoding, Fault};

    /// The server has no such numbers; digits made of them would be wrong.
    #[test]
    fn what_is_no_number_is_refused() {
        let refuses = |encoding: &Encoding, bytes: &[u8]| {
            encoding.decode(&mut Cursor::new(bytes), &mut Vec::new()) == Err(Fault::Malformed)
        };
        for number in [f32::NAN, f32::INFINITY] {
            for encoding in [Encoding::Float, Encoding::MariadbFloat] {
                assert!(refuses(&encoding, &number.to_le_bytes()));
            }
            assert!(refuses(&Encoding::Double, &f64::from(number).to_le_bytes()));
            assert!(refuses(
                &Encoding::Vector { length_bytes: 1 },
                &[&[4][..], &number.to_le_bytes()].concat()
            ));
        }
        // Nine digits in four bytes: not 4,294,967,295.
        assert!(refuses(
            &Encoding::Decimal { precision: 18, scale: 9 },
            &[0x80, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]
        ));
    }
}
