//! The source itself: starts the stream, reads it into batches, and tells the server what is finished.

use std::time::{Duration, Instant};

use super::super::{KEEP_ALIVE, Source};
use super::catalog::{Captured, Catalog, cells};
use super::connection::{Connection, Purpose};
use super::message::{Fields, Malformed};
use super::progress::{EPOCH_2000_US, Progress};
use super::slot::{parse_lsn, print_lsn};
use super::socket::Wait;
use super::{Plugin, Settings, checks, pgoutput, slot, wal2json};
use crate::change::{Batch, Checkpoint, Identity, Position, Restart};
use crate::{Error, Result, error};

/// Before the next read after a short one: the server sends row by row, and many small reads cost both sides more than they bring.
const NAP: Duration = Duration::from_micros(500);
/// A read of fewer bytes is a short one.
const SHORT_READ_BYTES: usize = 64 * 1024;
/// How often the server is asked where it stands while nothing comes.
const ASK_IDLE: Duration = Duration::from_secs(1);
/// The same while someone waits for a certain place in the log.
const ASK_AWAITED: Duration = Duration::from_millis(20);
/// Questions without any answer for so long mean that the link is dead.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long another reader of the slot is waited for.
const SLOT_BUSY_MAX: Duration = Duration::from_secs(10);

/// The row changes of a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresSource {
    settings: Settings,
    session: Option<Session>,
}

/// A running stream.
#[derive(Debug)]
struct Session {
    wire: Connection,
    catalog: Catalog,
    decoder: Decoder,
    progress: Progress,
    identity: Identity,
    epoch: u16,
    /// What the caller has confirmed; the server may release its log up to here.
    confirmed_lsn: u64,
    /// The last place in the log that the caller asked for.
    awaited_lsn: u64,
    status_sent: Instant,
    /// When the server was asked where it stands.
    asked: Instant,
    /// The first question since the server was last heard.
    unanswered_since: Option<Instant>,
}

#[derive(Debug)]
enum Decoder {
    Pgoutput(pgoutput::Decoder),
    Wal2json(Box<wal2json::Decoder>),
}

impl PostgresSource {
    /// A source that is not connected yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, session: None }
    }

    fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().ok_or_else(|| Error::link(format!("source {:?} is not started", self.settings.name)))
    }

    /// Where the stream begins when nothing was saved: at the slot, which is made if it is missing.
    fn first_lsn(&self, catalog: &mut Catalog, wire: &mut Connection, captured: &[Captured]) -> Result<u64> {
        checks::tables_are_empty(catalog.connection()?, self.settings.snapshot, captured)?;
        if let Some(slot) = slot::find(catalog, &self.settings)? {
            return Ok(slot.confirmed_lsn);
        }
        let on_standby = catalog.ask_one("SELECT pg_catalog.pg_is_in_recovery()")?.as_deref() == Some("t");
        let lsn = slot::create(wire, &self.settings, on_standby)?;
        checks::tables_are_empty(wire, self.settings.snapshot, captured)?;
        wire.execute("COMMIT")?;
        tracing::info!(slot = self.settings.slot, lsn = print_lsn(lsn), "the slot is made");
        Ok(lsn)
    }

    /// The saved position is one that this slot can go on from.
    fn check_saved(&self, catalog: &mut Catalog, identity: &Identity, saved: &Checkpoint) -> Result<u64> {
        let Restart::Postgres { lsn } = saved.restart else {
            return Err(Error::stop(format!("the saved position of source {:?} is not one of PostgreSQL", self.settings.name))
                .hint("give the source another name, or remove its saved position"));
        };
        for mark in ["system", "database"] {
            let (was, is) = (saved.identity.get(mark), identity.get(mark));
            if was != is {
                return Err(Error::stop(format!(
                    "the saved position of source {:?} belongs to another server: {mark} was {:?} and is {:?}",
                    self.settings.name,
                    was.map_or("", String::as_str),
                    is.map_or("", String::as_str)
                ))
                .hint("check the URL; to begin anew with this server, give the source another name"));
            }
        }
        let name = &self.settings.slot;
        let anew = "give the source another name to begin anew, and compare with `list_sync verify`";
        let slot = slot::find(catalog, &self.settings)?
            .ok_or_else(|| Error::stop(format!("the slot {name:?} is gone: changes since {} are lost", print_lsn(lsn))).hint(anew))?;
        if slot.confirmed_lsn > lsn {
            let (slot, saved) = (print_lsn(slot.confirmed_lsn), print_lsn(lsn));
            return Err(Error::stop(format!(
                "slot {name:?} stands at {slot}, past the saved {saved}: it was made anew, or somebody else reads from it"
            ))
            .hint(anew));
        }
        Ok(lsn)
    }

    fn start_command(&self, wire: &Connection, captured: &[Captured], lsn: u64) -> String {
        let options = match self.settings.plugin {
            Plugin::Pgoutput => vec![
                ("proto_version", pgoutput::Decoder::protocol_version(wire.version).to_string()),
                ("publication_names", super::failure::quote_identifier(&self.settings.publication)),
            ],
            Plugin::Wal2json => wal2json::options(captured),
        };
        // Replication commands know no other escape than the doubled quote.
        let options: Vec<_> = options.iter().map(|(name, value)| format!("\"{name}\" '{}'", value.replace('\'', "''"))).collect();
        let slot = super::failure::quote_identifier(&self.settings.slot);
        format!("START_REPLICATION SLOT {slot} LOGICAL {} ({})", print_lsn(lsn), options.join(", "))
    }

    /// Begins to stream; an old connection that the server still believes in is waited for.
    fn start_streaming(&self, wire: &mut Connection, catalog: &mut Catalog, command: &str) -> Result<()> {
        let since = Instant::now();
        loop {
            let error = match wire.start_copy_both(command) {
                Ok(()) => return Ok(()),
                Err(error) if wire.is_broken() => return Err(error),
                Err(error) => error,
            };
            let pid = slot::find(catalog, &self.settings)?.and_then(|slot| slot.active_pid);
            if error.kind() != error::Kind::Link || since.elapsed() > SLOT_BUSY_MAX {
                let error = error.context(format!("slot {:?} cannot be read", self.settings.slot));
                return Err(match pid {
                    Some(pid) => error.hint(format!("stop the other reader, or: SELECT pg_terminate_backend({pid})")),
                    None => error,
                });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Source for PostgresSource {
    fn start(&mut self, saved: Option<&Checkpoint>) -> Result<Checkpoint> {
        self.session = None;
        let settings = &self.settings;
        let mut catalog = Catalog::open(&settings.address)?;
        checks::version_is_known(&mut catalog)?;
        checks::log_is_logical(&mut catalog)?;
        checks::role_may_replicate(&mut catalog)?;
        checks::plugin_is_allowed(&mut catalog, settings.plugin)?;
        let captured = checks::tables_are_there(&mut catalog, settings)?;
        let mut wire = Connection::open(&settings.address, Purpose::Replication)?;
        let [system, ..] = wire.query("IDENTIFY_SYSTEM")?.into_iter().next().map(cells::<4>).unwrap_or_default();
        let marks = [("system", system), ("database", settings.address.database.clone()), ("slot", settings.slot.clone())];
        let identity: Identity = marks.into_iter().map(|(mark, value)| (mark.to_owned(), value)).collect();
        let known_lsn = saved.map(|saved| self.check_saved(&mut catalog, &identity, saved)).transpose()?;
        if saved.is_none() {
            checks::tables_are_empty(catalog.connection()?, settings.snapshot, &captured)?;
        }
        if settings.plugin == Plugin::Pgoutput {
            slot::keep_publication(&mut catalog, settings, &captured)?;
        }
        let lsn = known_lsn.map_or_else(|| self.first_lsn(&mut catalog, &mut wire, &captured), Ok)?;
        let command = self.start_command(&wire, &captured, lsn);
        self.start_streaming(&mut wire, &mut catalog, &command)?;
        let epoch = saved.map_or(0, |saved| saved.position.epoch);
        tracing::info!(
            source = settings.name,
            lsn = print_lsn(lsn),
            encrypted = wire.is_encrypted(),
            "streaming from PostgreSQL {}",
            wire.version
        );
        let decoder = match settings.plugin {
            Plugin::Pgoutput => Decoder::Pgoutput(pgoutput::Decoder::new(settings.tables.clone())),
            Plugin::Wal2json => Decoder::Wal2json(Box::new(wal2json::Decoder::new(settings.tables.clone()))),
        };
        let now = Instant::now();
        let progress = Progress::new(epoch, lsn);
        let checkpoint = Checkpoint { identity: identity.clone(), position: progress.finished(), restart: Restart::Postgres { lsn } };
        self.session = Some(Session {
            wire,
            catalog,
            decoder,
            progress,
            identity,
            epoch,
            confirmed_lsn: lsn,
            awaited_lsn: 0,
            status_sent: now,
            asked: now,
            unanswered_since: None,
        });
        Ok(checkpoint)
    }

    fn head(&mut self) -> Result<Position> {
        let session = self.session()?;
        let head = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END";
        let lsn = session.catalog.ask_one(head)?.as_deref().and_then(parse_lsn).ok_or(Malformed)?;
        session.awaited_lsn = lsn;
        Ok(Position::first_of(session.epoch, lsn))
    }

    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        self.session()?.read(batch, wait)
    }

    fn keep_alive(&mut self) -> Result<()> {
        let session = self.session()?;
        if session.status_sent.elapsed() >= KEEP_ALIVE / 2 {
            session.send_status(false)?;
        }
        Ok(())
    }

    fn confirm(&mut self, saved: &Checkpoint) -> Result<()> {
        let Restart::Postgres { lsn } = saved.restart else {
            return Err(Error::stop("a position that is not one of PostgreSQL was confirmed to a PostgreSQL source"));
        };
        let session = self.session()?;
        if lsn > session.confirmed_lsn {
            session.confirmed_lsn = lsn;
            session.send_status(false)?;
        }
        Ok(())
    }
}

impl Session {
    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        let (rows_before, finished_before) = (batch.rows().len(), self.progress.finished_lsn);
        self.progress.enter_batch();
        let mut short_read = false;
        loop {
            self.decode(batch)?;
            self.send_status_if_due()?;
            if batch.is_full() || (finished_before < self.awaited_lsn && self.awaited_lsn <= self.progress.finished_lsn) {
                break;
            }
            let read = if batch.rows().len() > rows_before {
                if short_read {
                    std::thread::sleep(NAP);
                }
                let read = self.wire.fill(Wait::Now)?;
                if read.is_none() {
                    break;
                }
                read
            } else {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                self.wire.fill(Wait::For(left.min(self.ask_interval())))?
            };
            match read {
                Some(count) => {
                    self.unanswered_since = None;
                    short_read = count < SHORT_READ_BYTES;
                }
                None => self.check_silence()?,
            }
        }
        batch.read_to = batch.read_to.max(self.progress.read_to());
        if self.progress.finished_lsn > finished_before {
            let restart = Restart::Postgres { lsn: self.progress.finished_lsn };
            batch.checkpoint = Some(Checkpoint { identity: self.identity.clone(), position: self.progress.finished(), restart });
        }
        Ok(())
    }

    /// Takes the whole messages that are here, until the batch is full.
    fn decode(&mut self, batch: &mut Batch) -> Result<()> {
        while !batch.is_full() {
            let Some((tag, body)) = self.wire.buffered()? else { break };
            match tag {
                b'd' => {}
                b'E' => return Err(self.wire.server_error(body).context("the server ended the stream")),
                b'c' | b'C' | b'Z' => return Err(Error::link("the server ended the stream")),
                b'N' | b'S' => continue,
                _ => return Err(Malformed.into()),
            }
            let mut fields = Fields(self.wire.body(body));
            match fields.u8()? {
                b'w' => {
                    let (lsn, _end, _sent) = (fields.u64()?, fields.u64()?, fields.u64()?);
                    match &mut self.decoder {
                        Decoder::Pgoutput(decoder) => decoder.take(fields.0, lsn, batch, &mut self.progress, &mut self.catalog)?,
                        Decoder::Wal2json(decoder) => decoder.take(fields.0, batch, &mut self.progress, &mut self.catalog)?,
                    }
                }
                b'k' => {
                    let (end, _sent, reply) = (fields.u64()?, fields.u64()?, fields.u8()?);
                    self.progress.keep_alive(end);
                    if reply == 1 {
                        self.send_status(false)?;
                    }
                }
                _ => return Err(Malformed.into()),
            }
        }
        Ok(())
    }

    /// How long silence lasts before the server is asked where it stands.
    fn ask_interval(&self) -> Duration {
        if self.progress.finished_lsn < self.awaited_lsn { ASK_AWAITED } else { ASK_IDLE }
    }

    /// Nothing came in time: asks, and gives the link up if earlier questions were not answered.
    fn check_silence(&mut self) -> Result<()> {
        if let Some(since) = self.unanswered_since.filter(|since| since.elapsed() > SILENCE_MAX) {
            return Err(Error::link(format!("the server has sent nothing for {} s", since.elapsed().as_secs()))
                .hint("check the network between here and the server, and the server's load"));
        }
        if self.asked.elapsed() >= self.ask_interval() {
            self.send_status(true)?;
            self.asked = Instant::now();
            self.unanswered_since.get_or_insert(self.asked);
        }
        Ok(())
    }

    fn send_status_if_due(&mut self) -> Result<()> {
        if self.status_sent.elapsed() >= KEEP_ALIVE { self.send_status(false) } else { Ok(()) }
    }

    /// Standby status update (protocol page "Streaming Replication Protocol"): written is what was read, flushed and applied what was confirmed.
    fn send_status(&mut self, ask: bool) -> Result<()> {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let sent_us = since_1970.as_micros() as i64 - EPOCH_2000_US;
        let mut body = [0; 34];
        body[0] = b'r';
        body[1..9].copy_from_slice(&self.progress.finished_lsn.to_be_bytes());
        body[9..17].copy_from_slice(&self.confirmed_lsn.to_be_bytes());
        body[17..25].copy_from_slice(&self.confirmed_lsn.to_be_bytes());
        body[25..33].copy_from_slice(&sent_us.to_be_bytes());
        body[33] = u8::from(ask);
        self.wire.send(Some(b'd'), &body)?;
        self.status_sent = Instant::now();
        Ok(())
    }
}
