//! Compressed events: MySQL's `TRANSACTION_PAYLOAD` (zstd) holds events; MariaDB's row and query events
//! (zlib) hold their own last part.

use std::io::{self, Cursor as Bytes, Read};

use super::cursor::{Cursor, Malformed, Parsed};
use super::event::{Event, HEADER_BYTES};

/// The events of one payload, decompressed one at a time.
pub(super) struct Payload {
    reader: Box<dyn Read + Send>,
}

impl Payload {
    /// Reads the payload's own header. The compressed bytes are kept, the decompressed ones never are.
    pub fn open(body: &[u8]) -> Parsed<Self> {
        const COMPRESSION: u64 = 2;
        const ZSTD: u64 = 0;
        const NONE: u64 = 255;
        let mut cursor = Cursor::new(body);
        let mut compression = NONE;
        loop {
            let field = cursor.packed()?;
            if field == 0 {
                break;
            }
            let value = cursor.packed_bytes()?;
            if field == COMPRESSION {
                compression = Cursor::new(value).packed()?;
            }
        }
        let bytes = Bytes::new(cursor.rest().to_vec());
        let reader: Box<dyn Read + Send> = match compression {
            ZSTD => Box::new(zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| Malformed)?),
            NONE => Box::new(bytes),
            _ => return Err(Malformed),
        };
        Ok(Self { reader })
    }

    /// The next event; `None` after the last one.
    pub fn next(&mut self) -> Parsed<Option<Event>> {
        let mut header = [0; HEADER_BYTES];
        match self.reader.read(&mut header[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return self.next(),
            Err(_) => return Err(Malformed),
        }
        self.reader.read_exact(&mut header[1..]).map_err(|_| Malformed)?;
        let (mut event, length) = Event::parse_header(header)?;
        read_exactly(&mut self.reader, length, &mut event.body)?;
        Ok(Some(event))
    }
}

/// Memory grows with what is there, not with what a header claims.
fn read_exactly(reader: &mut dyn Read, length: usize, out: &mut Vec<u8>) -> Parsed<()> {
    let read = reader.take(length as u64).read_to_end(out).map_err(|_| Malformed)?;
    if read == length { Ok(()) } else { Err(Malformed) }
}

/// MariaDB: one byte (1, algorithm, count of length bytes), the length with its highest byte first, then a
/// zlib stream. <https://mariadb.com/kb/en/query_compressed_event/>
pub(super) fn inflate(bytes: &[u8]) -> Parsed<Vec<u8>> {
    let mut cursor = Cursor::new(bytes);
    let head = cursor.u8()?;
    if head & 0xf0 != 0x80 {
        return Err(Malformed);
    }
    let length = cursor.number_big_endian(usize::from(head & 7))?;
    let mut out = Vec::new();
    let length = u32::try_from(length).map_err(|_| Malformed)? as usize;
    read_exactly(&mut flate2::read::ZlibDecoder::new(cursor.rest()), length, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{Payload, inflate};
    use proptest::prelude::*;
    use std::io::Write as _;

    #[test]
    fn mariadb_compression_is_undone() {
        let mut zlib =
            flate2::write::ZlibEncoder::new(vec![0x82, 0x01, 0x2c], flate2::Compression::default());
        zlib.write_all(&[b'a'; 300]).unwrap();
        assert_eq!(inflate(&zlib.finish().unwrap()), Ok(vec![b'a'; 300]));
    }

    #[test]
    fn a_payload_holds_events() {
        let mut event = [0_u8; 20];
        (event[4], event[9], event[19]) = (16, 20, 7);
        let packed = zstd::encode_all(&[event, event].concat()[..], 3).unwrap();
        let mut payload = Payload::open(&[&[2, 1, 0, 0][..], &packed].concat()).unwrap();
        for _ in 0..2 {
            assert_eq!(payload.next().unwrap().unwrap().body, [7]);
        }
        assert_eq!(payload.next(), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decompressed_or_a_fault(bytes: Vec<u8>) {
            let _ = inflate(&bytes);
            let _ = Payload::open(&bytes).map(|mut payload| payload.next());
        }
    }
}
