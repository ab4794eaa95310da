//! Packets to and from a server, over a socket or TLS. Knows how packets are framed and numbered, and not
//! what they say.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use super::super::Address;
use super::super::socket::{Socket, Stream, Wait};
use super::failure::Fault;
use super::input::{Input, frame};

/// A packet before the log-in is short; a server that is not MySQL may claim anything.
const LOGIN_BYTES_MAX: usize = 1 << 20;
/// The largest packet that the protocol knows, bytes: a row event can be this long whatever the server's
/// `max_allowed_packet` says.
const PACKET_BYTES_MAX: usize = 1 << 30;

/// The packets of one connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    input: Input,
    /// The longest silence while something is waited for.
    pub time_out: Duration,
}

impl Wire {
    /// Connects; the server has `time_out` for that, and then for each packet.
    pub fn open(address: &Address, time_out: Duration) -> Result<Self, Fault> {
        let socket = Socket::connect(address, time_out).map_err(Fault::Unreachable)?;
        Ok(Self { stream: Stream::Plain(socket), input: Input::new(LOGIN_BYTES_MAX), time_out })
    }

    /// Goes on in TLS. What came before it in plain text, and was not asked for, may be somebody else's
    /// words.
    pub fn encrypted(self, client: ClientConnection) -> Result<Self, Fault> {
        let Self { stream, input, time_out } = self;
        if !input.is_empty() {
            return Err(Fault::Protocol("unexpected bytes before TLS begins"));
        }
        let stream = match stream {
            Stream::Plain(socket) => Stream::encrypted(socket, client, time_out)?,
            Stream::Tls(_) => stream,
        };
        Ok(Self { stream, input, time_out })
    }

    /// After the log-in: packets may be as long as the protocol lets them be.
    pub fn logged_in(&mut self, time_out: Duration) {
        self.input.packet_bytes_max = PACKET_BYTES_MAX;
        self.time_out = time_out;
    }

    /// Whether nobody on the network can read along.
    pub fn is_private(&self) -> bool {
        self.stream.is_private()
    }

    /// Sends a packet as the next one of what is going on.
    pub fn send(&mut self, body: &[u8]) -> Result<(), Fault> {
        let (bytes, number) = frame(body, self.input.number);
        self.input.number = number;
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Sends a command, with which the count of packets begins at 0.
    pub fn command(&mut self, command: u8, body: &[u8]) -> Result<(), Fault> {
        self.input.number = 0;
        self.send(&[&[command], body].concat())
    }

    /// Waits for the next packet; [`Self::body`] is what it holds.
    pub fn receive(&mut self) -> Result<Range<usize>, Fault> {
        let mut since = Instant::now();
        loop {
            if let Some(packet) = self.input.next()? {
                return Ok(packet);
            }
            let left = self.time_out.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Err(io::Error::from(ErrorKind::TimedOut).into());
            }
            if self.fill(Wait::For(left))? {
                since = Instant::now();
            }
        }
    }

    /// The next packet among the bytes that were read already.
    pub fn buffered(&mut self) -> Result<Option<Range<usize>>, Fault> {
        self.input.next()
    }

    /// Reads once; answers whether something came.
    pub fn fill(&mut self, wait: Wait) -> Result<bool, Fault> {
        match self.stream.read(self.input.room(), wait)? {
            None => Ok(false),
            Some(0) => {
                Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection").into())
            }
            Some(count) => {
                self.input.filled(count);
                Ok(true)
            }
        }
    }

    /// The packet just received.
    pub fn body(&self, packet: Range<usize>) -> &[u8] {
        self.input.body(packet)
    }
}
