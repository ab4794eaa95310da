//! A running stream: reads what the server sends into batches, answers its keep-alives, and tells it what is
//! finished.

use std::time::{Duration, Instant};

use super::super::socket::Wait;
use super::super::{KEEP_ALIVE, Tables};
use super::catalog::Catalog;
use super::connection::Connection;
use super::failure::ServerError;
use super::message::{Fields, Malformed};
use super::origin::SLOT_RESTART;
use super::progress::{EPOCH_2000_US, Progress};
use super::publication::{self, Look};
use super::slot::{self, print_lsn};
use super::{Settings, notice, pgoutput, wal2json};
use crate::change::{Batch, Checkpoint, Identity, Restart};
use crate::{Code, Error, Result};

/// Before the next read after a short one: the server sends row by row, and many small reads cost both sides
/// more than they bring.
const NAP: Duration = Duration::from_micros(500);
/// A read of fewer bytes is a short one.
const SHORT_READ_BYTES: usize = 64 * 1024;
/// How often the server is asked where it stands while nothing comes.
const ASK_IDLE: Duration = Duration::from_secs(1);
/// The same while someone waits for a certain place in the log.
const ASK_AWAITED: Duration = Duration::from_millis(20);
/// Questions without any answer for so long mean that the link is dead.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long the server may take for one question while the stream waits.
const LOOK_TIME_OUT: Duration = Duration::from_secs(10);

/// A running stream.
#[derive(Debug)]
pub(super) struct Session {
    pub wire: Connection,
    pub catalog: Catalog,
    pub decoder: Decoder,
    pub progress: Progress,
    pub identity: Identity,
    pub epoch: u16,
    /// What the caller has confirmed; the server may release its log up to here.
    pub confirmed_lsn: u64,
    /// The last place in the log that the caller asked for.
    pub awaited_lsn: u64,
    pub status_sent: Instant,
    /// When the server was asked where it stands.
    pub asked: Instant,
    /// The first question since the server was last heard.
    pub unanswered_since: Option<Instant>,
    /// Which tables are captured.
    pub tables: Tables,
    /// Object ids of the tables that the publication names.
    pub published: Vec<u32>,
    /// As [`Catalog::partitions`].
    pub partitions: Option<String>,
    /// When the catalog was last looked at, and how long the next look is put off.
    pub looked_at: Instant,
    pub look_pause: Duration,
    /// What ended the stream, behind rows that were still handed out.
    pub failure: Option<Error>,
}

#[derive(Debug)]
pub(super) enum Decoder {
    Pgoutput(pgoutput::Decoder),
    Wal2json(Box<wal2json::Decoder>),
}

impl Session {
    /// As [`super::super::Source::read`].
    pub fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let (rows_before, finished_before) = (batch.rows().len(), self.progress.finished_lsn);
        self.progress.enter_batch();
        let read = self.fill(batch, wait, finished_before);
        batch.read_to = batch.read_to.max(self.progress.read_to());
        if self.progress.finished_lsn > finished_before {
            let restart = Restart::Postgres { lsn: self.progress.finished_lsn, last: self.progress.last };
            batch.checkpoint = Some(Checkpoint {
                identity: self.identity.clone(),
                position: self.progress.finished(),
                restart,
                snapshot: None,
                known: None,
            });
        }
        match read {
            // What came before it is good, and is not read again.
            Err(failure) if batch.rows().len() > rows_before || batch.checkpoint.is_some() => {
                self.failure = Some(failure);
                Ok(())
            }
            read => read,
        }
    }

    fn fill(&mut self, batch: &mut Batch, wait: Duration, finished_before: u64) -> Result<()> {
        let (deadline, rows_before) = (Instant::now() + wait, batch.rows().len());
        let mut short_read = false;
        loop {
            let was_in_doubt = self.progress.overlap().is_some();
            self.decode(batch)?;
            if was_in_doubt && self.progress.overlap().is_none() {
                self.send_status(false)?;
            }
            self.send_status_if_due()?;
            if batch.is_full()
                || (finished_before < self.awaited_lsn && self.awaited_lsn <= self.progress.finished_lsn)
            {
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
        Ok(())
    }

    /// Looks at what the log does not tell; see [`super::PostgresSource`].
    pub fn look(&mut self, settings: &Settings) -> Result<Look> {
        self.catalog.hurry(LOOK_TIME_OUT)?;
        let slot = slot::find(&mut self.catalog, settings)?;
        self.identity.extend(slot.map(|slot| (SLOT_RESTART.to_owned(), print_lsn(slot.restart_lsn))));
        if let Decoder::Wal2json(decoder) = &mut self.decoder {
            let partitions = self.catalog.partitions()?;
            if partitions != self.partitions {
                decoder.forget();
                self.partitions = partitions;
            }
            return Ok(Look::default());
        }
        let captured = self.catalog.captured(&settings.tables)?;
        let mut look = publication::keep(&mut self.catalog, settings, &captured, Some(&self.published))?;
        self.published = std::mem::take(&mut look.published);
        Ok(look)
    }

    /// Takes the whole messages that are here, until the batch is full.
    fn decode(&mut self, batch: &mut Batch) -> Result<()> {
        while !batch.is_full() {
            let Some((tag, body)) = self.wire.buffered()? else { break };
            match tag {
                b'd' => {}
                b'E' => return Err(self.wire.server_error(body).context("the server ended the stream")),
                b'c' | b'C' | b'Z' => {
                    return Err(Error::link(Code::DatabaseDisconnected, "the server ended the stream"));
                }
                b'N' => {
                    let notice = ServerError::parse(self.wire.body(body))?;
                    // What was said of rows that come again was judged when they came first.
                    if self.progress.overlap().is_none() {
                        notice::judge(&notice, &self.tables, &mut self.catalog)?;
                    }
                    continue;
                }
                b'S' => continue,
                _ => return Err(Malformed.into()),
            }
            let mut fields = Fields(self.wire.body(body));
            match fields.u8()? {
                b'w' => {
                    let (lsn, _end, _sent) = (fields.u64()?, fields.u64()?, fields.u64()?);
                    match &mut self.decoder {
                        Decoder::Pgoutput(decoder) => {
                            decoder.take(fields.0, lsn, batch, &mut self.progress, &mut self.catalog)?;
                        }
                        Decoder::Wal2json(decoder) => {
                            decoder.take(fields.0, batch, &mut self.progress, &mut self.catalog)?;
                        }
                    }
                }
                b'k' => {
                    let (end, _sent, reply) = (fields.u64()?, fields.u64()?, fields.u8()?);
                    self.progress.keep_alive(end)?;
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
        let is_awaited = self.progress.finished_lsn < self.awaited_lsn || self.progress.overlap().is_some();
        if is_awaited { ASK_AWAITED } else { ASK_IDLE }
    }

    /// Nothing came in time: asks, and gives the link up if earlier questions were not answered.
    fn check_silence(&mut self) -> Result<()> {
        if let Some(since) = self.unanswered_since.filter(|since| since.elapsed() > SILENCE_MAX) {
            return Err(Error::link(
                Code::DatabaseSilent,
                format!("the server has sent nothing for {} s", since.elapsed().as_secs()),
            )
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

    /// Standby status update (protocol page "Streaming Replication Protocol"): written is what was read,
    /// flushed and applied what was confirmed.
    pub fn send_status(&mut self, ask: bool) -> Result<()> {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let sent_us = since_1970.as_micros() as i64 - EPOCH_2000_US;
        // What is not recognised yet is not confirmed.
        let (read, confirmed) = self
            .progress
            .overlap()
            .map_or((self.progress.finished_lsn, self.confirmed_lsn), |overlap| (overlap.from, overlap.from));
        let mut body = [0; 34];
        body[0] = b'r';
        body[1..9].copy_from_slice(&read.to_be_bytes());
        body[9..17].copy_from_slice(&confirmed.to_be_bytes());
        body[17..25].copy_from_slice(&confirmed.to_be_bytes());
        body[25..33].copy_from_slice(&sent_us.to_be_bytes());
        body[33] = u8::from(ask);
        self.wire.send(Some(b'd'), &body)?;
        self.status_sent = Instant::now();
        Ok(())
    }
}
