//! The binary log over the wire: asks the server for it, takes its events out of their packets, and checks
//! that they are whole. Nothing is decoded, and so nothing dropped, here.
//!
//! Nothing is sent once the log flows. While nobody reads, the server waits (`net_write_timeout`).

use std::time::{Duration, Instant};

use super::super::socket::Wait;
use super::super::{Address, Dialect};
use super::connection::{Connection, received};
use super::cursor::{Cursor, Malformed, Parsed};
use super::event::{Event, HEADER_BYTES, kind};
use super::failure::{Fault, LOG_REFUSED, explain};
use super::gtid::{self, GtidSet};
use super::packet::{DONE, Done, ERROR, ServerError};
use crate::{Code, Error, Result};

/// The server sends a heartbeat after so long without an event.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// No event nor heartbeat for so long: the link is dead, although the socket does not say so.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The first event of a file.
const FILE_START: u64 = 4;

/// Commands.
mod command {
    pub const BINLOG_DUMP: u8 = 0x12;
    pub const REGISTER_SLAVE: u8 = 0x15;
    pub const BINLOG_DUMP_GTID: u8 = 0x1e;
}

/// Where the server is asked to begin.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// After the finished transactions.
    Gtid(GtidSet),
    /// At a byte of a file.
    File { file: String, offset: u64 },
}

/// The events of a log as they come.
pub(super) struct Stream {
    connection: Connection,
    address: Address,
    log: Log,
    /// How long nothing has come while it was waited for.
    silence: Duration,
}

impl Stream {
    /// Asks the server for its log.
    pub fn open(address: &Address, server_id: u32, from: &From) -> Result<Self> {
        let mut connection = Connection::open(address, SILENCE_MAX)?;
        request(&mut connection, address, server_id, from)?.map_err(|fault| explain(address, fault))?;
        Ok(Self { connection, address: address.clone(), log: Log::default(), silence: Duration::ZERO })
    }

    /// The next event among the bytes that were read already.
    pub fn buffered(&mut self) -> Result<Option<Event>> {
        let wire = self.connection.wire();
        let packet = match wire.buffered() {
            Ok(Some(packet)) => wire.body(packet),
            Ok(None) => return Ok(None),
            Err(fault) => return Err(explain_read(&self.address, fault)),
        };
        match self.log.event(packet) {
            Ok(Some((event, checksum))) => verified(event, checksum).map(Some),
            Ok(None) => Err(ended(&self.address)),
            Err(fault) => Err(explain_read(&self.address, fault)),
        }
    }

    /// Reads once; answers whether something came. A server that stays silent for too long is an error.
    pub fn fill(&mut self, wait: Wait) -> Result<bool> {
        let began = Instant::now();
        let came = self.connection.wire().fill(wait).map_err(|fault| explain_read(&self.address, fault))?;
        if came {
            self.silence = Duration::ZERO;
            return Ok(true);
        }
        // Only what was waited for counts: while nobody read, the socket kept what came.
        self.silence += began.elapsed();
        if self.silence > SILENCE_MAX {
            return Err(silent(&self.address));
        }
        Ok(false)
    }
}

/// When the server began this file of its log; `None` if it does not have it. Asked on a connection of its
/// own, since SQL does not tell, and under a number of its own: the server ends the stream of another reader
/// with the same one.
pub(super) fn file_begun(address: &Address, server_id: u32, file: &str) -> Result<Option<u32>> {
    let from = From::File { file: file.to_owned(), offset: FILE_START };
    let mut connection = Connection::open(address, SILENCE_MAX)?;
    match request(&mut connection, address, server_id ^ 1 << 31, &from)? {
        Err(refused) if is_gone(&refused) => return Ok(None),
        opened => opened.map_err(|fault| explain(address, fault))?,
    }
    let mut log = Log::default();
    loop {
        let wire = connection.wire();
        let event = wire.receive().and_then(|packet| log.event(wire.body(packet)));
        match event {
            Err(refused) if is_gone(&refused) => return Ok(None),
            Err(fault) => return Err(explain_read(address, fault)),
            Ok(Some((event, _))) if event.kind == kind::FORMAT_DESCRIPTION => {
                return Ok(Some(event.timestamp));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(ended(address)),
        }
    }
}

fn is_gone(fault: &Fault) -> bool {
    matches!(fault, Fault::Server(refused) if refused.code == LOG_REFUSED)
}

fn session_settings(dialect: Dialect, from: &From) -> Vec<String> {
    let nanoseconds = HEARTBEAT.as_nanos();
    let mut settings = vec![
        format!("SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}"),
        "SET @master_binlog_checksum = 'ALL', @source_binlog_checksum = 'CRC32'".to_owned(),
    ];
    if dialect == Dialect::Mariadb {
        settings.push("SET @mariadb_slave_capability = 4".to_owned());
        if let From::Gtid(list) = from {
            settings.push(format!(
                "SET @slave_connect_state = '{list}', @slave_gtid_strict_mode = 0, \
                @slave_gtid_ignore_duplicates = 0"
            ));
        }
    }
    settings
}

/// Asks for the log. The outer error is one of ours, the inner one what the server answers.
fn request(
    connection: &mut Connection,
    address: &Address,
    server_id: u32,
    from: &From,
) -> Result<Result<(), Fault>> {
    let (dump, body) = dump(server_id, from)?;
    for setting in session_settings(address.dialect, from) {
        connection.execute(&setting)?;
    }
    // Our host, user and password, and a port, a rank and a master: nobody looks at them.
    let replica = [&server_id.to_le_bytes()[..], &[0; 3 + 2 + 4 + 4]].concat();
    let wire = connection.wire();
    let mut ask = || {
        wire.command(command::REGISTER_SLAVE, &replica)?;
        received(wire)?;
        wire.command(dump, &body)
    };
    Ok(ask())
}

/// The command that makes the server send its log.
fn dump(server_id: u32, from: &From) -> Result<(u8, Vec<u8>)> {
    let by_place = |file: &str, offset: u32| {
        let id = server_id.to_le_bytes();
        [&offset.to_le_bytes()[..], &[0, 0], &id, file.as_bytes()].concat()
    };
    match from {
        From::File { file, offset } => {
            let offset = u32::try_from(*offset).map_err(|_| {
                Error::stop(Code::PositionInvalid, format!(
                    "the stream would begin at byte {offset} of \"{file}\", and the protocol counts to 4 GiB"
                ))
                .hint("set gtid_mode = ON on the server, so that the stream begins at a transaction")
            })?;
            Ok((command::BINLOG_DUMP, by_place(file, offset)))
        }
        From::Gtid(GtidSet::Mariadb(_)) => Ok((command::BINLOG_DUMP, by_place("", FILE_START as u32))),
        From::Gtid(GtidSet::Mysql(set)) => {
            let set = gtid::encoded(set);
            let mut body = vec![0, 0]; // flags
            body.extend(server_id.to_le_bytes());
            body.extend(0_u32.to_le_bytes()); // no file
            body.extend(FILE_START.to_le_bytes());
            body.extend((set.len() as u32).to_le_bytes());
            body.extend(set);
            Ok((command::BINLOG_DUMP_GTID, body))
        }
    }
}

/// An event, and the checksum that stood behind it.
type Checked = (Event, Option<[u8; 4]>);

/// How a log's packets become events.
#[derive(Debug, Default)]
pub(super) struct Log {
    has_checksums: bool,
}

impl Log {
    /// The event of a packet, and its checksum; `None` is the end of the log.
    pub fn event(&mut self, packet: &[u8]) -> Result<Option<Checked>, Fault> {
        match packet.first() {
            Some(&DONE) => Ok(Some(self.take(&packet[1..])?)),
            Some(&ERROR) => Err(Fault::Server(ServerError::parse(packet)?)),
            _ if matches!(Done::parse_end(packet), Ok(Some(_))) => Ok(None),
            _ => Err(Fault::Protocol("a packet that was not expected")),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Parsed<Checked> {
        const CHECKSUM_BYTES: usize = 4;
        let mut bytes = Cursor::new(bytes);
        let (mut event, body_bytes) = Event::parse_header(bytes.array::<HEADER_BYTES>()?)?;
        let mut body = bytes.take(body_bytes)?;
        let mut checksum = None;
        if event.kind == kind::FORMAT_DESCRIPTION {
            // Its own checksum is there in any case, behind the number of the algorithm.
            let (rest, sum) = body.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Malformed)?;
            let (algorithm, rest) = rest.split_last().ok_or(Malformed)?;
            self.has_checksums = *algorithm != 0;
            (body, checksum) = (rest, Some(*sum));
        } else if self.has_checksums {
            let (rest, sum) = body.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Malformed)?;
            (body, checksum) = (rest, Some(*sum));
        }
        event.body = body.to_vec();
        Ok((event, checksum))
    }
}

fn ended(address: &Address) -> Error {
    let ended = Error::link(
        Code::DatabaseDisconnected,
        format!("{} ended the stream of its binary log", address.dialect.product()),
    );
    if address.dialect == Dialect::Mariadb {
        return ended.hint(
            "if it does so again and again, another reader may have the same server id (SHOW \
            SLAVE HOSTS): give each [[source]] its own name or server_id",
        );
    }
    ended
}

fn silent(address: &Address) -> Error {
    Error::link(
        Code::DatabaseSilent,
        format!("no event nor heartbeat from \"{address}\" for {} s", SILENCE_MAX.as_secs()),
    )
}

fn explain_read(address: &Address, fault: Fault) -> Error {
    // A record that TLS refuses was damaged on its way: the same bytes come again.
    if let Some(failure) = fault.tls() {
        let product = address.dialect.product();
        return Error::link(
            Code::DatabaseDisconnected,
            format!("the TLS connection to {product} at \"{address}\" broke"),
        )
        .cause(failure.to_string());
    }
    match fault {
        fault if fault.is_time_out() => silent(address),
        Fault::Malformed => Error::stop(Code::LogDamaged, "an event of the binary log cannot be read"),
        other => explain(address, other),
    }
}

/// The event, if it is as it was written.
pub(super) fn verified(mut event: Event, checksum: Option<[u8; 4]>) -> Result<Event> {
    const IN_USE: u16 = 1; // set in the file while it is written to, and left out of the checksum
    let Event { kind: event_kind, flags, ref body, .. } = event;
    let crc32 = |flags: u16, body: &[u8]| {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&event.timestamp.to_le_bytes());
        hasher.update(&[event_kind]);
        hasher.update(&event.server_id.to_le_bytes());
        hasher.update(&event.size.to_le_bytes());
        hasher.update(&event.log_pos.to_le_bytes());
        hasher.update(&flags.to_le_bytes());
        hasher.update(body);
        hasher.finalize()
    };
    if event_kind == kind::FORMAT_DESCRIPTION {
        // The server edits this event on its way (start position, flags), and each server in its own way: it
        // carries no rows.
    } else if let Some(sum) = checksum {
        if crc32(flags, body) != u32::from_le_bytes(sum)
            && crc32(flags & !IN_USE, body) != u32::from_le_bytes(sum)
        {
            return Err(Error::stop(
                Code::LogDamaged,
                format!(
                    "the checksum of an event (type {event_kind}) of the binary log \
                is wrong"
                ),
            )
            .hint(
                "check the server's disk and memory with mysqlbinlog --verify-binlog-checksum; a \
                    proxy in between may be at fault",
            ));
        }
    } else if let Some((rest, sum)) = body.split_last_chunk::<4>()
        && crc32(flags, rest) == u32::from_le_bytes(*sum)
    {
        // What comes before the first FORMAT_DESCRIPTION may have a checksum that nothing tells of.
        let length = rest.len();
        event.body.truncate(length);
    }
    Ok(event)
}
