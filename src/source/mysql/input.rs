//! The buffer that packets are framed in. Pure: no socket.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>

use std::ops::Range;

use super::failure::Fault;

/// Bytes of a frame without its head. A frame of this length is followed by another one of the same packet.
pub(super) const FRAME_BYTES_MAX: usize = 0xff_ffff;
/// Bytes in front of a frame: three of length, one that counts.
pub(super) const HEAD_BYTES: usize = 4;

/// Bytes read and not yet taken.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the packet at `start` whose frames are whole; their heads are taken out.
    joined: usize,
    /// Bytes from `start` on to the end of the frame that is only partly here.
    awaited: usize,
    /// The number that the next frame has, whoever sends it.
    pub number: u8,
    /// A longer packet is refused.
    pub packet_bytes_max: usize,
}

impl Input {
    /// As much as one read takes from the socket.
    const BYTES: usize = 256 * 1024;
    /// Less free room than this is not worth a read.
    const ROOM_MIN: usize = 64 * 1024;

    pub fn new(packet_bytes_max: usize) -> Self {
        let bytes = vec![0; Self::BYTES];
        Self { bytes, start: 0, end: 0, joined: 0, awaited: 0, number: 0, packet_bytes_max }
    }

    /// Where [`Input::body`] finds the next whole packet until the next call of [`Input::room`].
    pub fn next(&mut self) -> Result<Option<Range<usize>>, Fault> {
        loop {
            let head = self.start + self.joined;
            let Some(&[low, middle, high, number]) = self.bytes[head..self.end].first_chunk::<HEAD_BYTES>()
            else {
                self.awaited = self.joined + HEAD_BYTES;
                return Ok(None);
            };
            if number != self.number {
                return Err(Fault::Protocol("packet out of sync"));
            }
            let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
            let total = self.joined + length;
            if total > self.packet_bytes_max {
                return Err(Fault::Protocol("packet too large"));
            }
            self.awaited = total + HEAD_BYTES;
            if self.end - self.start < self.awaited {
                return Ok(None);
            }
            if self.joined == 0 {
                self.start += HEAD_BYTES;
            } else {
                self.bytes.copy_within(head + HEAD_BYTES..self.end, head);
                self.end -= HEAD_BYTES;
            }
            self.number = number.wrapping_add(1);
            self.joined = total;
            if length < FRAME_BYTES_MAX {
                let body = self.start..self.start + total;
                self.start = body.end;
                (self.joined, self.awaited) = (0, 0);
                return Ok(Some(body));
            }
        }
    }

    /// The packet that [`Input::next`] just answered.
    pub fn body(&self, body: Range<usize>) -> &[u8] {
        &self.bytes[body]
    }

    /// Whether nothing is left to be taken.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room to read into. It grows with what has come of the packet that is awaited: a length is only a
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

/// What is sent: a packet as frames, the first of which has `number`. Answers the number after the last.
pub(super) fn frame(body: &[u8], mut number: u8) -> (Vec<u8>, u8) {
    let mut bytes = Vec::with_capacity(body.len() + HEAD_BYTES * (1 + body.len() / FRAME_BYTES_MAX));
    let mut rest = body;
    loop {
        let (part, behind) = rest.split_at(rest.len().min(FRAME_BYTES_MAX));
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
        bytes.push(number);
        bytes.extend_from_slice(part);
        (rest, number) = (behind, number.wrapping_add(1));
        if part.len() < FRAME_BYTES_MAX {
            return (bytes, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FRAME_BYTES_MAX, Fault, HEAD_BYTES, Input, frame};
    use proptest::prelude::*;

    /// What comes out of an input that is given `sent` in pieces.
    fn packets(sent: &[u8], step: usize) -> Vec<Vec<u8>> {
        let (mut input, mut got) = (Input::new(1 << 30), Vec::new());
        let mut rest = sent;
        while !rest.is_empty() {
            let room = input.room();
            let (piece, behind) = rest.split_at(rest.len().min(step).min(room.len()));
            room[..piece.len()].copy_from_slice(piece);
            input.filled(piece.len());
            rest = behind;
            while let Some(body) = input.next().unwrap() {
                got.push(input.body(body).to_vec());
            }
        }
        assert!(input.is_empty());
        got
    }

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let (mut sent, mut number) = (Vec::new(), 0);
        for body in bodies {
            let (bytes, next) = frame(body, number);
            sent.extend(bytes);
            number = next;
        }
        sent
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in(bodies: Vec<Vec<u8>>, step in 1_usize..100_000) {
            prop_assert_eq!(packets(&framed(&bodies), step), bodies);
        }
    }

    #[test]
    fn a_packet_of_several_frames() {
        for length in [FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1, 2 * FRAME_BYTES_MAX + 7] {
            let body: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            let bodies = [vec![1], body, vec![2, 3]];
            let sent = framed(&bodies);
            let frames = length / FRAME_BYTES_MAX + 3;
            assert_eq!(sent.len(), length + 3 + frames * HEAD_BYTES);
            assert!(packets(&sent, 1 << 20) == bodies, "{length}");
        }
    }

    #[test]
    fn room_grows_with_what_came_and_not_with_what_is_claimed() {
        let mut input = Input::new(1 << 30);
        let claim = [0xff, 0xff, 0xff, 0];
        input.room()[..claim.len()].copy_from_slice(&claim);
        input.filled(claim.len());
        for _ in 0..3 {
            assert!(matches!(input.next(), Ok(None)));
            assert!(input.room().len() <= Input::BYTES);
            input.filled(1);
        }
    }

    #[test]
    fn what_is_out_of_step_or_too_long_is_refused() {
        for (bytes, fault) in
            [([1, 0, 0, 1, 0], "packet out of sync"), ([17, 0, 0, 0, 0], "packet too large")]
        {
            let mut input = Input::new(16);
            input.room()[..bytes.len()].copy_from_slice(&bytes);
            input.filled(bytes.len());
            assert!(matches!(input.next(), Err(Fault::Protocol(said)) if said == fault));
        }
    }
}
