//! Checked reading of the fields of protocol messages, and the buffer that messages are framed in. Pure: no
//! socket.

use std::ops::Range;

use crate::{Code, Error};

/// What the failure is called.
pub(super) const UNREADABLE: &str = "the PostgreSQL server sent a message that cannot be read";

/// A message ended before its fields did, or says something impossible of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Self::stop(Code::LogDamaged, UNREADABLE).hint(
            "this is a fault of list_sync, or of a plugin or version of the server that it does not know: \
             please report it with the server's version",
        )
    }
}

/// The fields of one message, read from front to back (protocol page "Message Data Types").
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A string that ends with a zero byte, which is not part of the answer.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let end = memchr::memchr(0, self.0).ok_or(Malformed)?;
        let text = std::str::from_utf8(self.bytes(end)?).map_err(|_| Malformed)?;
        self.u8()?;
        Ok(text)
    }

    /// A value with its length in front; `None` for length -1, which stands for NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.bytes(usize::try_from(length).map_err(|_| Malformed)?).map(Some),
        }
    }
}

/// Bytes read and not yet taken, framed into messages: a tag byte, and a length that counts itself and the
/// body.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of the message that is only partly here.
    awaited: usize,
}

impl Input {
    /// As much as one read takes from the socket.
    const BYTES: usize = 512 * 1024;
    /// Less free room than this is not worth a read.
    const ROOM_MIN: usize = 128 * 1024;
    /// The server's own limit for one message is 1 GiB.
    const MESSAGE_MAX: usize = 1 << 30;

    pub fn new() -> Self {
        Self { bytes: vec![0; Self::BYTES], start: 0, end: 0, awaited: 0 }
    }

    /// The next whole message: its tag, and where [`Input::body`] finds its body until the next call of
    /// [`Input::room`].
    pub fn next(&mut self) -> Result<Option<(u8, Range<usize>)>, Malformed> {
        let mut head = Fields(&self.bytes[self.start..self.end]);
        let (Ok(tag), Ok(length)) = (head.u8(), head.u32()) else { return Ok(None) };
        let length = length as usize;
        if !(4..=Self::MESSAGE_MAX).contains(&length) {
            return Err(Malformed);
        }
        let total = length + 1;
        if self.end - self.start < total {
            self.awaited = total;
            return Ok(None);
        }
        let body = self.start + 5..self.start + total;
        self.start += total;
        self.awaited = 0;
        Ok(Some((tag, body)))
    }

    /// The body of the message that [`Input::next`] just answered.
    pub fn body(&self, body: Range<usize>) -> &[u8] {
        &self.bytes[body]
    }

    /// Room to read into. It grows with what has come of the message that is awaited: a length is only a
    /// claim.
    pub fn room(&mut self) -> &mut [u8] {
        let held = self.end - self.start;
        let wanted = self.awaited.saturating_sub(held).min(held).max(Self::ROOM_MIN);
        if held == 0 || self.bytes.len() - self.end < wanted {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
            let needed = (held + wanted).max(Self::BYTES);
            if self.bytes.len() < needed {
                self.bytes.resize(needed, 0);
            } else if self.bytes.len() > 8 * Self::BYTES && needed == Self::BYTES {
                self.bytes.truncate(needed);
                self.bytes.shrink_to_fit();
            }
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes of the room were filled.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Input};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(bodies: Vec<Vec<u8>>, step in 1_usize..100_000) {
            let mut sent = Vec::new();
            for body in &bodies {
                sent.push(b'd');
                sent.extend((body.len() as u32 + 4).to_be_bytes());
                sent.extend(body);
            }
            let (mut input, mut got) = (Input::new(), Vec::new());
            for piece in sent.chunks(step) {
                input.room()[..piece.len()].copy_from_slice(piece);
                input.filled(piece.len());
                while let Some((_, body)) = input.next().unwrap() {
                    got.push(input.body(body).to_vec());
                }
            }
            prop_assert_eq!(got, bodies);
        }

        #[test]
        fn any_bytes_are_framed_or_refused(bytes: Vec<u8>) {
            let mut input = Input::new();
            input.room()[..bytes.len()].copy_from_slice(&bytes);
            input.filled(bytes.len());
            while let Ok(Some((_, body))) = input.next() {
                let mut fields = Fields(input.body(body));
                let _ = fields.text();
                let _ = fields.value();
            }
        }
    }

    #[test]
    fn room_grows_with_what_came_and_not_with_what_is_claimed() {
        let mut input = Input::new();
        let claim = [&b"d"[..], &(Input::MESSAGE_MAX as u32).to_be_bytes()].concat();
        input.room()[..claim.len()].copy_from_slice(&claim);
        input.filled(claim.len());
        for _ in 0..3 {
            assert_eq!(input.next(), Ok(None));
            assert!(input.room().len() <= Input::BYTES);
            input.filled(1);
        }
    }

    #[test]
    fn a_message_larger_than_the_buffer() {
        let mut input = Input::new();
        let body = vec![7; 3 * Input::BYTES];
        let mut sent = vec![b'd'];
        sent.extend((body.len() as u32 + 4).to_be_bytes());
        sent.extend(&body);
        let mut rest = &sent[..];
        let found = loop {
            if let Some((_, found)) = input.next().unwrap() {
                break found;
            }
            let room = input.room();
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            input.filled(count);
            rest = &rest[count..];
        };
        assert_eq!(input.body(found), body);
    }
}
