//! One connection to the server, for plain SQL or for replication: log-in, queries, COPY, and the framing of
//! both.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::Address;
use super::super::socket::{Stream, Wait};
use super::failure::{ServerError, lost};
use super::login;
use super::message::{Fields, Input, Malformed, UNREADABLE};
use crate::{Code, Error, Result};

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// SQL.
    Sql,
    /// SQL and replication commands (`replication=database`).
    Replication,
}

/// An answer of the server, row by row.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// A logged-in connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    input: Input,
    address: Address,
    /// Major version of the server: 15.
    pub version: u32,
    /// How long a statement may stay without an answer; `None` is without end.
    pub time_out: Option<Duration>,
    /// A failure left the two sides out of step: only a new connection helps.
    broken: bool,
}

impl Connection {
    /// How long the server may think about one statement of ours before the link counts as dead.
    pub const TIME_OUT: Duration = Duration::from_mins(1);

    /// Connects and logs in.
    pub fn open(address: &Address, purpose: Purpose) -> Result<Self> {
        let stream = login::connect(address)?;
        let mut connection = Self {
            stream,
            input: Input::new(),
            address: address.clone(),
            version: 0,
            time_out: Some(login::TIME_OUT),
            broken: false,
        };
        login::log_in(&mut connection, address, purpose).map_err(|error| {
            let is_strange = error.to_string() == UNREADABLE;
            if is_strange {
                error.hint(
                    "check that PostgreSQL itself listens at this address, not a proxy or another program",
                )
            } else {
                error
            }
        })?;
        connection.time_out = Some(Self::TIME_OUT);
        Ok(connection)
    }

    /// Whether the link is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.stream.is_encrypted()
    }

    /// Whether only a new connection helps.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Sends one message; a startup message has no tag.
    pub fn send(&mut self, tag: Option<u8>, body: &[u8]) -> Result<()> {
        let mut message = Vec::with_capacity(body.len() + 5);
        message.extend(tag);
        let length = u32::try_from(body.len() + 4)
            .map_err(|_| Error::stop(Code::Internal, "a statement is longer than PostgreSQL can take"))?;
        message.extend(length.to_be_bytes());
        message.extend(body);
        self.stream.write_all(&message).map_err(|cause| self.lost("connection lost to", cause))
    }

    /// Waits for the next message.
    pub fn receive(&mut self) -> Result<(u8, Range<usize>)> {
        let since = Instant::now();
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            let left =
                self.time_out.map_or(Self::TIME_OUT, |time_out| time_out.saturating_sub(since.elapsed()));
            if left.is_zero() {
                let cause = io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer for {} s", since.elapsed().as_secs()),
                );
                return Err(self.lost("connection lost to", cause));
            }
            self.fill(Wait::For(left))?;
        }
    }

    /// The next message among the bytes that were read already.
    pub fn buffered(&mut self) -> Result<Option<(u8, Range<usize>)>> {
        self.input.next().map_err(|malformed| {
            self.broken = true;
            malformed.into()
        })
    }

    /// The body of the message just received.
    pub fn body(&self, body: Range<usize>) -> &[u8] {
        self.input.body(body)
    }

    /// Reads once; answers the number of bytes, `None` if nothing came.
    pub fn fill(&mut self, wait: Wait) -> Result<Option<usize>> {
        match self.stream.read(self.input.room(), wait) {
            Ok(None) => Ok(None),
            Ok(Some(0)) => Err(self.lost(
                "connection lost to",
                io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it"),
            )),
            Ok(Some(count)) => {
                self.input.filled(count);
                Ok(Some(count))
            }
            Err(cause) => Err(self.lost("connection lost to", cause)),
        }
    }

    /// The failure that an error message stands for.
    pub fn server_error(&self, body: Range<usize>) -> Error {
        match ServerError::parse(self.body(body)) {
            Ok(error) => error.into_error(&self.address),
            Err(malformed) => malformed.into(),
        }
    }

    fn lost(&mut self, what: &str, cause: io::Error) -> Error {
        self.broken = true;
        lost(what, &self.address, cause)
    }

    /// Runs one statement by the simple protocol and hands out its rows ('D') and copied data ('d'). Answers
    /// the command tag.
    fn run(&mut self, statement: &str, each: &mut dyn FnMut(u8, &[u8]) -> Result<()>) -> Result<String> {
        let mut body = Vec::with_capacity(statement.len() + 1);
        body.extend(statement.as_bytes());
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        let (mut command, mut failure) = (String::new(), None);
        loop {
            let (tag, body) = self.receive()?;
            match tag {
                b'D' | b'd' => {
                    if let Err(error) = each(tag, self.body(body)) {
                        self.broken = true;
                        return Err(error);
                    }
                }
                b'C' => self.text(body)?.clone_into(&mut command),
                b'E' => failure = failure.or(Some(self.server_error(body))),
                b'Z' => return failure.map_or(Ok(command), Err),
                b'N' => {
                    let notice = ServerError::parse(self.body(body))?;
                    tracing::debug!("PostgreSQL says: {} ({})", notice.message, notice.code);
                }
                // Row description, begin and end of a copy, empty query, parameter, notification.
                b'T' | b'H' | b'c' | b'I' | b'S' | b'A' => {}
                _ => {
                    self.broken = true;
                    return Err(Malformed.into());
                }
            }
        }
    }

    fn text(&self, body: Range<usize>) -> Result<&str, Malformed> {
        Fields(self.body(body)).text()
    }

    /// Runs a query whose answer is small.
    pub fn query(&mut self, query: &str) -> Result<Rows> {
        let mut rows = Rows::new();
        self.run(query, &mut |tag, body| {
            if tag == b'D' {
                rows.push(parse_row(body)?);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs one statement; answers the number of rows that it changed.
    pub fn execute(&mut self, statement: &str) -> Result<u64> {
        let command = self.run(statement, &mut |_, _| Ok(()))?;
        Ok(command.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Runs a `COPY … TO STDOUT` and hands out its lines, each with its line end.
    pub fn copy_out(&mut self, statement: &str, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.run(statement, &mut |tag, body| if tag == b'd' { each(body) } else { Ok(()) }).map(|_| ())
    }

    /// Sends a replication command that switches the connection to copying both ways; answers what the server
    /// said on the side. After a refusal the connection can be used again.
    pub fn start_copy_both(&mut self, command: &str) -> Result<Vec<ServerError>> {
        self.send(Some(b'Q'), &[command.as_bytes(), &[0]].concat())?;
        let (mut failure, mut notices) = (None, Vec::new());
        loop {
            let (tag, body) = self.receive()?;
            match tag {
                b'W' => return Ok(notices),
                b'E' => failure = Some(self.server_error(body)),
                b'Z' => return Err(failure.unwrap_or_else(|| Malformed.into())),
                b'N' => notices.push(ServerError::parse(self.body(body))?),
                b'S' => {}
                _ => return Err(Malformed.into()),
            }
        }
    }
}

impl Drop for Connection {
    /// Says goodbye, so that the server frees the slot at once. Whether it arrives does not matter.
    fn drop(&mut self) {
        if !self.broken {
            let _ = self.send(Some(b'X'), &[]);
        }
    }
}

fn parse_row(body: &[u8]) -> Result<Vec<Option<String>>, Malformed> {
    let mut fields = Fields(body);
    let count = fields.u16()?;
    (0..count).map(|_| Ok(fields.value()?.map(|value| String::from_utf8_lossy(value).into_owned()))).collect()
}
