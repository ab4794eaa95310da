//! MySQL and MariaDB: the binary log over the replication protocol, and plain SQL beside it.
//!
//! ```text
//! wire (packets) ─► stream (raw events) ─► reader (transactions, tables) ─► rows ─► values ─► Batch
//! ```
//! Column names, signs, character sets, labels and keys come from the log itself (`binlog_row_metadata =
//! FULL`), so a change is always decoded with the table's form at its own place in the log. An event that is
//! not understood stops the source.
//!
//! A checkpoint's identity: `server_uuid` (MySQL) or `server_id` (MariaDB), and `product`.

mod captured;
mod catalog;
mod charsets;
mod checks;
mod chunks;
mod compressed;
mod connection;
mod cursor;
mod database;
mod distance;
mod effect;
mod event;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod gtid;
mod held;
mod hidden;
mod input;
mod inspect;
#[cfg(test)]
mod live;
mod login;
mod origin;
mod packet;
mod password;
mod place;
mod reader;
mod rows;
mod rsa;
mod scan;
mod shape;
mod statement;
mod stream;
mod table_map;
mod tls;
mod transaction;
mod values;
mod wire;
mod words;

pub use database::{MysqlDatabase, open};
pub use distance::MysqlMeasure;

use std::time::{Duration, Instant};

use self::captured::Captured;
use self::catalog::Catalog;
use self::chunks::MysqlChunks;
use self::gtid::GtidSet;
use self::place::{Reached, file_number, position};
use self::reader::Reader;
use self::stream::{From, Stream};
use super::socket::Wait;
use super::{Address, Chunks, Dialect, Inspection, Snapshot, Source, Tables};
use crate::change::{self, Batch, Checkpoint, Identity, Position, Restart, TableName};
use crate::{Code, Error, Result};

/// What a source is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The source's name; the default server id is made of it.
    pub name: String,
    /// Where the server listens.
    pub address: Address,
    /// What is captured.
    pub tables: Tables,
    /// What is done with rows that are there before the stream begins.
    pub snapshot: Snapshot,
    /// Our number among the server's replicas; `None`: a number from 2^30 to 2^31 made of the name.
    pub server_id: Option<u32>,
}

/// Reads row changes from a binary log.
pub struct MysqlSource {
    settings: Settings,
    identity: Identity,
    running: Option<Running>,
    /// Why the stream ended, to be told after what was finished before it.
    failed: Option<Error>,
    /// The captured tables that were there at the last start.
    tables: Vec<TableName>,
}

struct Running {
    stream: Stream,
    reader: Reader,
}

impl MysqlSource {
    /// A source that does nothing before [`Source::start`].
    pub fn new(settings: Settings) -> Self {
        Self { settings, identity: Identity::new(), running: None, failed: None, tables: Vec::new() }
    }

    fn server_id(&self) -> u32 {
        self.settings.server_id.unwrap_or_else(|| default_server_id(&self.settings.name))
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().ok_or_else(|| {
            Error::link(Code::Internal, format!("source {:?} is not started", self.settings.name))
        })
    }

    /// A stream that begins now.
    fn begin(
        &self,
        catalog: &mut Catalog,
        settings: &checks::Settings,
    ) -> Result<(Reached, Option<GtidSet>)> {
        let end = checks::log_end(catalog)?;
        let gtids = if settings.has_gtids() {
            Some(parse_gtids(self.settings.address.dialect, &end.gtids)?)
        } else {
            None
        };
        let position = position(0, file_number(&end.file), end.offset);
        let file_begun =
            stream::file_begun(&self.settings.address, self.server_id(), &end.file)?.unwrap_or(0);
        Ok((Reached { position, file: end.file, file_begun, offset: end.offset, moved: false }, gtids))
    }

    fn checkpoint(&self, reached: &Reached, gtids: Option<&GtidSet>) -> Checkpoint {
        let restart = Restart::Binlog {
            gtid: gtids.map(ToString::to_string),
            file: reached.file.clone(),
            offset: reached.offset,
            begun: Some(reached.file_begun).filter(|begun| *begun != 0),
        };
        Checkpoint {
            identity: self.identity.clone(),
            position: reached.position,
            restart,
            snapshot: None,
            known: None,
        }
    }
}

/// Where the server is asked to begin: an empty MariaDB list would mean the beginning of the log.
fn stream_from(reached: &Reached, gtids: Option<&GtidSet>) -> From {
    match gtids {
        Some(set) if !set.is_empty() || reached.file.is_empty() => From::Gtid(set.clone()),
        _ => From::File { file: reached.file.clone(), offset: reached.offset },
    }
}

fn parse_gtids(dialect: Dialect, text: &str) -> Result<GtidSet> {
    let set =
        if dialect == Dialect::Mariadb { GtidSet::parse_mariadb(text) } else { GtidSet::parse_mysql(text) };
    set.ok_or_else(|| Error::stop(Code::Internal, "a set of GTIDs cannot be read"))
}

/// FNV-1a of the name, in a range that people do not number their servers in.
fn default_server_id(name: &str) -> u32 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    1 << 30 | hash & 0x3fff_ffff
}

impl Source for MysqlSource {
    fn start(&mut self, saved: Option<&Checkpoint>) -> Result<Checkpoint> {
        (self.running, self.failed) = (None, None);
        let mut catalog = Catalog::open(&self.settings.address)?;
        let settings = checks::Settings::read(&mut catalog)?;
        settings.check_product()?;
        settings.check_log_bin()?;
        settings.check_format()?;
        settings.check_row_image()?;
        settings.check_row_metadata()?;
        settings.check_row_values()?;
        checks::check_privileges(&mut catalog)?;
        self.identity = settings.identity();
        if let Err(error) = checks::check_replica(&mut catalog, &settings) {
            tracing::error!(
                source = self.settings.name,
                code = error.code().slug(),
                hint = error.hint_text(),
                "{error}"
            );
        }
        let (tables, (reached, gtids)) = if let Some(saved) = saved {
            (
                checks::matching_tables(&mut catalog, &self.settings.tables)?,
                self.go_on(&mut catalog, &settings, saved)?,
            )
        } else {
            let tables = checks::check_tables(&mut catalog, &self.settings.tables)?;
            checks::check_versioning(&mut catalog, &tables)?;
            (tables, self.begin(&mut catalog, &settings)?)
        };
        checks::log_end(&mut catalog)?.check_filters(&tables)?;
        self.settings.tables.warn_of_unmatched(
            &self.settings.name,
            tables.iter().map(|(schema, name)| (schema.as_str(), name.as_str())),
        );
        self.tables = tables.iter().map(|(schema, name)| TableName(schema.clone(), name.clone())).collect();
        let snapshot = (saved.is_none() && self.settings.snapshot != Snapshot::Never)
            .then(|| Box::new(change::Snapshot::of(self.tables.clone(), None)));
        let mut schemas: Vec<String> = tables.into_iter().map(|(schema, _)| schema).collect();
        schemas.dedup();
        let stream =
            Stream::open(&self.settings.address, self.server_id(), &stream_from(&reached, gtids.as_ref()))?;
        let checkpoint = Checkpoint { snapshot, ..self.checkpoint(&reached, gtids.as_ref()) };
        let captured = Captured::new(
            &self.settings.name,
            self.settings.tables.clone(),
            catalog,
            schemas,
            settings.has_lower_case_names(),
        );
        let reader = Reader::new(captured, reached, gtids);
        self.running = Some(Running { stream, reader });
        Ok(checkpoint)
    }

    fn tables(&self) -> Vec<TableName> {
        self.tables.clone()
    }

    fn head(&mut self) -> Result<Position> {
        let reader = &mut self.running()?.reader;
        let end = checks::log_end(&mut reader.captured.catalog)?;
        Ok(position(reader.reached.position.epoch, file_number(&end.file), end.offset))
    }

    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let deadline = Instant::now() + wait;
        let running = self.running()?;
        running.reader.begin_batch();
        running.reader.reached.moved = false;
        let filled = running.fill(batch, deadline);
        batch.read_to = running.reader.reached.position;
        if running.reader.reached.moved {
            let running = self.running.as_ref().map(|running| &running.reader);
            batch.checkpoint = running.map(|reader| self.checkpoint(&reader.reached, reader.gtids.as_ref()));
        }
        let Err(error) = filled else { return Ok(()) };
        let error = match self.running.take() {
            Some(mut running) => self.cause_of(error, &mut running.reader),
            None => error,
        };
        // The transactions before the failure are finished: they are not lost with it.
        batch.keep_before(batch.read_to);
        if batch.rows().is_empty() && batch.checkpoint.is_none() {
            return Err(error);
        }
        self.failed = Some(error);
        Ok(())
    }

    /// The server waits a day for us to take its bytes (`net_write_timeout`): nothing is to be done.
    fn keep_alive(&mut self) -> Result<()> {
        Ok(())
    }

    /// The server keeps its log as long as it was told to, whoever reads it.
    fn confirm(&mut self, _saved: &Checkpoint) -> Result<()> {
        Ok(())
    }

    fn chunks(&self) -> Box<dyn Chunks> {
        Box::new(MysqlChunks::new(&self.settings.address))
    }

    fn inspect(&self) -> Inspection {
        inspect::inspect(&self.settings, self.server_id())
    }
}

impl Running {
    fn fill(&mut self, batch: &mut Batch, deadline: Instant) -> Result<()> {
        let rows_before = batch.rows().len();
        let mut took_some = false;
        while !batch.is_full() {
            if self.reader.resume(batch)? {
                continue;
            }
            if let Some(event) = self.stream.buffered()? {
                self.reader.take(event, batch)?;
                continue;
            }
            let has_news = batch.rows().len() > rows_before || self.reader.reached.moved;
            let left = deadline.saturating_duration_since(Instant::now());
            if took_some && left.is_zero() {
                break;
            }
            if !self.stream.fill(if has_news { Wait::Now } else { Wait::For(left) })? {
                break;
            }
            took_some = true;
        }
        Ok(())
    }
}
