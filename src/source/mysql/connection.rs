//! One connection to a server, for plain SQL or for its log: log-in, statements, and their answers.

use std::ops::Range;
use std::time::Duration;

use super::super::Address;
use super::cursor::Cursor;
use super::failure::{Fault, explain};
use super::login;
use super::packet::{Column, DONE, Done, ERROR, Prepared, ServerError, parse_row};
use super::wire::Wire;
use crate::{Error, Result};

/// How long the server may think about an answer of plain SQL.
pub(super) const SQL_TIMEOUT: Duration = Duration::from_mins(10);
/// Bytes of an answer that is kept whole.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Takes a row as it came, with its columns.
type EachRow<'a> = dyn FnMut(&[Column], &[u8]) -> Result<()> + 'a;

/// Commands.
mod command {
    pub const QUIT: u8 = 1;
    pub const QUERY: u8 = 3;
    pub const PREPARE: u8 = 0x16;
    pub const EXECUTE: u8 = 0x17;
    pub const CLOSE_STATEMENT: u8 = 0x19;
}

/// A logged-in connection, in UTC and utf8mb4.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    address: Address,
    /// A failure left the two sides out of step: only a new connection helps.
    is_broken: bool,
}

impl Connection {
    /// Connects, logs in, and sets the session up. `time_out`: the longest silence once it is open; until
    /// then a server has the time of a connection.
    pub fn open(address: &Address, time_out: Duration) -> Result<Self> {
        let wire = login::log_in(address)?;
        let mut connection = Self { wire, address: address.clone(), is_broken: false };
        for setting in login::session_settings(address.dialect) {
            connection.execute(&setting)?;
        }
        connection.wire.logged_in(time_out);
        Ok(connection)
    }

    /// The packets, for what is not SQL.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// The failure that a fault stands for.
    fn failed(&mut self, fault: Fault) -> Error {
        self.is_broken |= !matches!(fault, Fault::Server(_));
        explain(&self.address, fault)
    }

    fn command(&mut self, command: u8, body: &[u8]) -> Result<()> {
        if self.is_broken {
            return Err(explain(&self.address, Fault::Protocol("an earlier failure left it out of step")));
        }
        self.wire.command(command, body).map_err(|fault| self.failed(fault))
    }

    /// Waits for a packet that is no error.
    fn receive(&mut self) -> Result<Range<usize>> {
        let received = received(&mut self.wire);
        received.map_err(|fault| self.failed(fault))
    }

    /// Reads an answer: its rows, if it has some, are handed to `each` with their columns.
    fn answer(&mut self, each: &mut EachRow) -> Result<Done> {
        let packet = self.receive()?;
        let packet = self.wire.body(packet);
        if packet.first() == Some(&DONE) {
            return Done::parse(packet).map_err(|malformed| self.failed(malformed.into()));
        }
        let count = column_count(packet).map_err(|fault| self.failed(fault))?;
        let columns = self.columns(count)?;
        loop {
            let packet = self.receive()?;
            let packet = self.wire.body(packet);
            match Done::parse_end(packet) {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => {}
                Err(malformed) => return Err(self.failed(malformed.into())),
            }
            if let Err(error) = each(&columns, packet) {
                self.is_broken = true;
                return Err(error);
            }
        }
    }

    /// Reads the descriptions of columns, and what ends them.
    fn columns(&mut self, count: usize) -> Result<Vec<Column>> {
        let mut columns = Vec::new();
        loop {
            let packet = self.receive()?;
            let packet = self.wire.body(packet);
            let parsed = if columns.len() == count {
                let is_end = matches!(Done::parse_end(packet), Ok(Some(_)));
                if is_end { Ok(None) } else { Err(Fault::Protocol("more columns than were announced")) }
            } else {
                Column::parse(packet).map(Some).map_err(Fault::from)
            };
            match parsed {
                Ok(Some(column)) => columns.push(column),
                Ok(None) => return Ok(columns),
                Err(fault) => return Err(self.failed(fault)),
            }
        }
    }

    /// Runs statements; answers how many rows they changed.
    pub fn execute(&mut self, statements: &str) -> Result<u64> {
        self.command(command::QUERY, statements.as_bytes())?;
        let mut changed = 0_u64;
        loop {
            let done = self.answer(&mut |_, _| Ok(()))?;
            changed = changed.saturating_add(done.changed);
            if !done.has_more {
                return Ok(changed);
            }
        }
    }

    /// Reads a small answer; `None` is NULL. Of several, it is the first.
    pub fn query(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.command(command::QUERY, statement.as_bytes())?;
        let (mut rows, mut bytes, mut is_first) = (Vec::new(), 0, true);
        let broken = |address: &Address, fault| explain(address, Fault::Protocol(fault));
        let address = self.address.clone();
        loop {
            let done = self.answer(&mut |columns, packet| {
                if !is_first {
                    return Ok(());
                }
                bytes += packet.len();
                if bytes > ANSWER_BYTES_MAX {
                    return Err(broken(&address, "an answer too large to be kept"));
                }
                let row = parse_row(packet, columns.len());
                rows.push(row.map_err(|_| broken(&address, "a row cannot be read"))?);
                Ok(())
            })?;
            is_first = false;
            if !done.has_more {
                return Ok(rows);
            }
        }
    }

    /// Reads rows by the binary protocol, whose floats are whole: each is handed on as it came.
    pub fn select(&mut self, statement: &str, each: &mut EachRow) -> Result<()> {
        self.command(command::PREPARE, statement.as_bytes())?;
        let packet = self.receive()?;
        let prepared = Prepared::parse(self.wire.body(packet));
        let prepared = prepared.map_err(|malformed| self.failed(malformed.into()))?;
        for count in [prepared.parameters, prepared.columns] {
            if count > 0 {
                self.columns(count.into())?;
            }
        }
        let number = prepared.number.to_le_bytes();
        // No cursor, and run once.
        self.command(command::EXECUTE, &[&number[..], &[0, 1, 0, 0, 0]].concat())?;
        self.answer(each)?;
        self.command(command::CLOSE_STATEMENT, &number)
    }
}

impl Drop for Connection {
    /// Says goodbye, so that the server does not count it as broken off. Whether it arrives does not matter.
    fn drop(&mut self) {
        if !self.is_broken {
            let _ = self.wire.command(command::QUIT, &[]);
        }
    }
}

/// Waits for a packet that is no error.
pub(super) fn received(wire: &mut Wire) -> Result<Range<usize>, Fault> {
    let packet = wire.receive()?;
    let body = wire.body(packet.clone());
    if body.first() == Some(&ERROR) { Err(Fault::Server(ServerError::parse(body)?)) } else { Ok(packet) }
}

/// How many columns an answer has.
fn column_count(packet: &[u8]) -> Result<usize, Fault> {
    let count = Cursor::new(packet).packed()?;
    if (1..=Column::COUNT_MAX).contains(&count) {
        Ok(count as usize)
    } else {
        Err(Fault::Protocol("an answer without columns"))
    }
}

/// A text as a literal of SQL.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name as SQL writes it.
pub(super) fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_server_that_takes_the_connection_and_stays_silent_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&format!("mysql://x@{}/db", silent.local_addr().unwrap())).unwrap();
        let began = Instant::now();
        let error = Connection::open(&address, SQL_TIMEOUT).unwrap_err();
        assert!(began.elapsed() < SQL_TIMEOUT / 10, "{error}");
        assert!(
            error.kind() == crate::error::ErrorKind::Link && error.to_string().contains("does not answer"),
            "{error}"
        );
    }

    /// What a client answers to a server that asks for a plugin of MariaDB's with these packets, one after
    /// the other. The server then refuses it.
    fn answers_to(asked: &'static [&'static [u8]]) -> Vec<usize> {
        const ABILITIES: [u8; 4] = 0x0008_8208_u32.to_le_bytes();
        let packet =
            |number: u8, body: &[u8]| [&(body.len() as u32).to_le_bytes()[..3], &[number], body].concat();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("mariadb://x:secret@{}/db?ssl-mode=disabled", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut reader = socket.try_clone().unwrap();
            let mut read = || {
                let mut head = [0; 4];
                reader.read_exact(&mut head).unwrap();
                let mut body = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
                reader.read_exact(&mut body).unwrap();
                body.len()
            };
            let greeting = [
                &b"\x0a5.5.5-11.8.3-MariaDB\0\x01\0\0\0saltsalt\0"[..],
                &ABILITIES[..2],
                &[45, 2, 0],
                &ABILITIES[2..],
                &[21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                b"saltsaltsalt\0mysql_native_password\0",
            ];
            socket.write_all(&packet(0, &greeting.concat())).unwrap();
            read();
            let mut number = 2;
            let mut answers = Vec::new();
            for body in asked {
                socket.write_all(&packet(number, body)).unwrap();
                answers.push(read());
                number += 2;
            }
            socket.write_all(&packet(number, b"\xff\x15\x04#28000Access denied")).unwrap();
            answers
        });
        let error = Connection::open(&Address::parse(&url).unwrap(), SQL_TIMEOUT).unwrap_err();
        assert!(error.to_string().contains("refuses the password"), "{error}");
        server.join().unwrap()
    }

    /// The answer is a signature, and no panic.
    #[test]
    fn a_server_may_ask_for_a_signature() {
        assert_eq!(answers_to(&[b"\xfeclient_ed25519\0nonce_of_thirty_two_bytes_______"]), [64]);
        // An empty packet asks for the salt; the signature follows the client's own nonce.
        assert_eq!(
            answers_to(&[b"\xfeparsec\0nonce_of_thirty_two_bytes_______", b"\x01P\x00salt_of_18_bytes__"]),
            [0, 96]
        );
    }
}
