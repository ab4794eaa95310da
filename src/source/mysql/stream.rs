//! The binary log over the wire: a thread that takes events off the socket, checks them, and hands them over
//! through a queue bounded in bytes.
//!
//! A thread, because the driver's reads block and cannot say whether more is at hand. When the queue is full
//! the thread stops reading, so the pressure reaches the server. Events are handed over as raw bytes: nothing
//! is decoded, and so nothing dropped, here.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable as _;
use mysql::{BinlogRequest, BinlogStream};

use super::super::{Address, Dialect};
use super::connection::{LOG_REFUSED, connect, explain, tls_failure};
use super::event::{Event, kind};
use super::gtid::GtidSet;
use crate::{Error, Result, threads};

/// Bytes of events that wait to be decoded; one event more may be on top.
const QUEUE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The server sends a heartbeat after so long without an event.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// No event nor heartbeat for so long: the link is dead, although the socket does not say so.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Where the server is asked to begin.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// After the finished transactions.
    Gtid(GtidSet),
    /// At a byte of a file.
    File { file: String, offset: u64 },
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    /// Why the thread ended.
    end: Option<Error>,
    closed: bool,
    taker_waits: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    added: Condvar,
    taken: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving end. Dropping it ends the thread at the next event or heartbeat.
pub(super) struct Stream {
    shared: Arc<Shared>,
}

impl Stream {
    /// Asks the server for its log and begins to read.
    pub fn open(address: &Address, server_id: u32, from: &From) -> Result<Self> {
        let mut conn = connect(address, SILENCE_MAX)?;
        for setting in session_settings(address.dialect, from) {
            conn.query_drop(setting).map_err(|error| explain(address, error))?;
        }
        let request = request(server_id, from)?;
        let stream = conn.get_binlog_stream(request).map_err(|error| explain(address, error))?;
        let shared = Arc::new(Shared::default());
        let (thread_shared, address) = (Arc::clone(&shared), address.clone());
        let work = move || {
            // Whoever takes events hears of a panic, too; without an end it would wait for ever.
            let end = catch_unwind(AssertUnwindSafe(|| receive(stream, &thread_shared, &address)));
            let end = end.unwrap_or_else(|_| Error::stop("the thread that reads the binary log died"));
            thread_shared.lock().end = Some(end);
            thread_shared.added.notify_one();
        };
        threads::spawn("binlog", work)
            .map_err(|cause| Error::link("no thread for the binary log").cause(cause))?;
        Ok(Self { shared })
    }

    /// Moves all events that are there into `events`; waits until `deadline` for the first. The events that
    /// came before a failure are handed out before it.
    pub fn take(&self, events: &mut VecDeque<Event>, deadline: Instant) -> Result<()> {
        let mut queue = self.shared.lock();
        while queue.events.is_empty() {
            if let Some(end) = queue.end.take() {
                queue.end = Some(Error::link("the stream of the binary log has ended"));
                return Err(end);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            queue.taker_waits = true;
            queue = self.shared.added.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            queue.taker_waits = false;
        }
        events.append(&mut queue.events);
        queue.bytes = 0;
        drop(queue);
        self.shared.taken.notify_one();
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.taken.notify_one();
    }
}

/// When the server began this file of its log; `None` if it does not have it. Asked on a connection of its
/// own, since SQL does not tell, and under a number of its own: the server ends the stream of another reader
/// with the same one.
pub(super) fn file_begun(address: &Address, server_id: u32, file: &str) -> Result<Option<u32>> {
    const FIRST: u64 = 4;
    let from = From::File { file: file.to_owned(), offset: FIRST };
    let mut conn = connect(address, SILENCE_MAX)?;
    for setting in session_settings(address.dialect, &from) {
        conn.query_drop(setting).map_err(|error| explain(address, error))?;
    }
    let is_gone = |error: &mysql::Error| match error {
        mysql::Error::MySqlError(refused) => refused.code == LOG_REFUSED,
        _ => false,
    };
    let stream = match conn.get_binlog_stream(request(server_id ^ 1 << 31, &from)?) {
        Err(refused) if is_gone(&refused) => return Ok(None),
        opened => opened.map_err(|error| explain(address, error))?,
    };
    for event in stream {
        match event {
            Err(refused) if is_gone(&refused) => return Ok(None),
            Err(error) => return Err(explain_read(address, error)),
            Ok(event) if event.header().event_type_raw() == kind::FORMAT_DESCRIPTION => {
                return Ok(Some(event.header().timestamp()));
            }
            Ok(_) => {}
        }
    }
    Err(Error::link(format!("{} ended the stream of its binary log", address.dialect.product())))
}

fn session_settings(dialect: Dialect, from: &From) -> Vec<String> {
    let nanoseconds = HEARTBEAT.as_nanos();
    let mut settings = vec![
        format!("SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}"),
        "SET @source_binlog_checksum = 'CRC32'".to_owned(), // the driver sets @master_binlog_checksum
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

fn request(server_id: u32, from: &From) -> Result<BinlogRequest<'static>> {
    let request = BinlogRequest::new(server_id);
    Ok(match from {
        From::File { file, offset } => {
            let offset = u32::try_from(*offset).map_err(|_| {
                Error::stop(format!(
                    "the stream would begin at byte {offset} of \"{file}\", and the protocol counts to 4 GiB"
                ))
                .hint("set gtid_mode = ON on the server, so that the stream begins at a transaction")
            })?;
            request.with_filename(file.clone().into_bytes()).with_pos(offset)
        }
        From::Gtid(GtidSet::Mariadb(_)) => request,
        From::Gtid(set) => {
            let mut sids = Vec::new();
            for server_set in set.to_string().split(',').filter(|part| !part.is_empty()) {
                sids.push(
                    server_set
                        .parse()
                        .map_err(|_| Error::stop("the saved GTID set cannot be sent to the server"))?,
                );
            }
            request.with_use_gtid(true).with_sids(sids)
        }
    })
}

/// Reads until something ends the stream, and answers what.
fn receive(stream: BinlogStream, shared: &Shared, address: &Address) -> Error {
    for event in stream {
        let event =
            match event.map_err(|error| explain_read(address, error)).and_then(|event| checked(&event)) {
                Ok(event) => event,
                Err(error) => return error,
            };
        let mut queue = shared.lock();
        while queue.bytes > QUEUE_BYTES_MAX && !queue.closed {
            queue = shared.taken.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closed {
            return Error::link("the stream of the binary log was closed");
        }
        queue.bytes += event.body.len() + size_of::<Event>();
        queue.events.push_back(event);
        if queue.taker_waits {
            shared.added.notify_one();
        }
    }
    let ended = Error::link(format!("{} ended the stream of its binary log", address.dialect.product()));
    if address.dialect == Dialect::Mariadb {
        return ended.hint(
            "if it does so again and again, another reader may have the same server id (SHOW \
            SLAVE HOSTS): give each [[source]] its own name or server_id",
        );
    }
    ended
}

fn explain_read(address: &Address, error: mysql::Error) -> Error {
    // A record that TLS refuses was damaged on its way: the same bytes come again.
    if tls_failure(&error).is_some() {
        return Error::link(format!(
            "the TLS connection to {} at \"{address}\" broke",
            address.dialect.product()
        ))
        .cause(error.to_string());
    }
    match error {
        mysql::Error::IoError(cause)
            if matches!(cause.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
        {
            Error::link(format!("no event nor heartbeat from \"{address}\" for {} s", SILENCE_MAX.as_secs()))
        }
        mysql::Error::IoError(cause)
            if matches!(cause.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::Other) =>
        {
            Error::stop("an event of the binary log cannot be read").cause(cause)
        }
        other => explain(address, other),
    }
}

/// Takes the raw event out of the driver's, and checks its checksum.
fn checked(event: &mysql::binlog::events::Event) -> Result<Event> {
    let header = event.header();
    let taken = Event {
        kind: header.event_type_raw(),
        timestamp: header.timestamp(),
        server_id: header.server_id(),
        flags: header.flags_raw(),
        size: header.event_size(),
        log_pos: header.log_pos(),
        body: event.data().to_vec(),
    };
    verified(taken, event.checksum())
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
            return Err(Error::stop(format!(
                "the checksum of an event (type {event_kind}) of the binary log \
                is wrong"
            ))
            .hint(
                "check the server's disk and memory with mysqlbinlog --verify-binlog-checksum; a \
                    proxy in between may be at fault",
            ));
        }
    } else if let Some((rest, sum)) = body.split_last_chunk::<4>()
        && crc32(flags, rest) == u32::from_le_bytes(*sum)
    {
        // What comes before the first FORMAT_DESCRIPTION may have a checksum that the driver does not know
        // of.
        let length = rest.len();
        event.body.truncate(length);
    }
    Ok(event)
}
