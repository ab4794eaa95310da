//! The source itself: checks the server and the saved position, makes what is missing, and starts the stream.

use std::time::{Duration, Instant};

use super::super::{Chunks, Inspection, KEEP_ALIVE, Snapshot, Source};
use super::catalog::{Captured, Catalog, cells};
use super::chunks::{PostgresChunks, parse_view};
use super::connection::{Connection, Purpose};
use super::failure::is_lock_time_out;
use super::message::Malformed;
use super::origin::{self, LOG_END};
use super::overlap::Overlap;
use super::progress::Progress;
use super::publication::{self, Look};
use super::session::{Decoder, Session};
use super::slot::{parse_lsn, print_lsn};
use super::{Plugin, Settings, checks, notice, pgoutput, slot, wal2json};
use crate::change::{self, Batch, Checkpoint, Position, Restart, TableName, View};
use crate::{Code, Error, Result, error};

/// How long another reader of the slot is waited for.
const SLOT_BUSY_MAX: Duration = Duration::from_secs(10);

/// How often the catalog is looked at.
const LOOK_FOR_TABLES: Duration = Duration::from_secs(5);
/// The same after looks that failed.
const LOOK_PAUSE_MAX: Duration = Duration::from_mins(1);

/// The row changes of a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresSource {
    settings: Settings,
    pub(super) session: Option<Session>,
    /// Why new tables could not be captured, so that it is told once.
    told_of_tables: Option<String>,
    /// The captured tables that were there at the last start.
    tables: Vec<TableName>,
    /// Those that came in later, and were not asked for yet.
    new_tables: Vec<TableName>,
}

impl PostgresSource {
    /// A source that is not connected yet.
    pub fn new(settings: Settings) -> Self {
        let (tables, new_tables) = (Vec::new(), Vec::new());
        Self { settings, session: None, told_of_tables: None, tables, new_tables }
    }

    fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().ok_or_else(|| {
            Error::link(Code::Internal, format!("source {:?} is not started", self.settings.name))
        })
    }

    /// What the catalog says that the log does not: how far the slot's log is, partitions that came or went
    /// (wal2json), and tables that were made, or took another's name (pgoutput). A failure is told and does
    /// not hold up the tables that are there; an error is rows that were left out.
    fn look(&mut self) -> Result<()> {
        let settings = &self.settings;
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        // A link in doubt is not waited for here: whoever reads from it notices.
        if session.looked_at.elapsed() < session.look_pause || session.unanswered_since.is_some() {
            return Ok(());
        }
        let looked = session.look(settings);
        session.looked_at = Instant::now();
        let pending = match looked {
            Ok(Look { lost: Some(lost), .. }) => return Err(lost),
            Ok(Look { pending: None, added, .. }) => {
                self.new_tables.extend(added);
                (self.told_of_tables, session.look_pause) = (None, LOOK_FOR_TABLES);
                return Ok(());
            }
            Ok(Look { pending: Some(error), added, .. }) => {
                self.new_tables.extend(added);
                error
            }
            Err(error) => error,
        };
        if pending.kind() == error::ErrorKind::Link && !is_lock_time_out(&pending) {
            tracing::debug!(source = settings.name, "the catalog was not looked at: {pending}");
            return Ok(());
        }
        // What was tried in vain is not tried again at once: others may wait for the same locks.
        session.look_pause = (session.look_pause * 2).min(LOOK_PAUSE_MAX);
        if self.told_of_tables.as_ref() != Some(&pending.to_string()) {
            tracing::error!(
                source = settings.name,
                code = pending.code().slug(),
                hint = pending.hint_text(),
                "tables that are new may not be captured: {pending}"
            );
            self.told_of_tables = Some(pending.to_string());
        }
        Ok(())
    }

    /// Where the stream begins when nothing was saved: at the slot, which is made if it is missing; and what
    /// was to be seen there, if it was.
    fn first_lsn(&self, catalog: &mut Catalog, wire: &mut Connection) -> Result<(u64, Option<View>)> {
        if let Some(slot) = slot::find(catalog, &self.settings)? {
            return Ok((slot.confirmed_lsn, None));
        }
        let on_standby = catalog.ask_one("SELECT pg_catalog.pg_is_in_recovery()")?.as_deref() == Some("t");
        let lsn = slot::create(wire, &self.settings, on_standby)?;
        let view = wire.query("SELECT pg_catalog.pg_current_snapshot()")?.into_iter().next().map(cells);
        let base = view.and_then(|[view]| parse_view(&view));
        wire.execute("COMMIT")?;
        tracing::info!(slot = self.settings.slot, lsn = print_lsn(lsn), "replication slot created");
        Ok((lsn, base))
    }

    /// Makes the publication right. A table that somebody holds a lock on does not keep a stream that has
    /// begun from going on without it.
    fn keep_publication(
        &self,
        catalog: &mut Catalog,
        captured: &[Captured],
        has_begun: bool,
    ) -> Result<(Vec<u32>, Vec<TableName>)> {
        let before: Option<&[u32]> = has_begun.then_some(&[]);
        let look = publication::keep(catalog, &self.settings, captured, before)?;
        if let Some(lost) = look.lost {
            return Err(lost);
        }
        match look.pending {
            Some(error) if error.kind() == error::ErrorKind::Stop || !has_begun => return Err(error),
            Some(error) => tracing::error!(
                source = self.settings.name,
                code = error.code().slug(),
                hint = error.hint_text(),
                "{error}"
            ),
            None => {}
        }
        Ok((look.published, look.added))
    }

    fn start_command(&self, wire: &Connection, lsn: u64) -> String {
        let options = match self.settings.plugin {
            Plugin::Pgoutput => vec![
                ("proto_version", pgoutput::Decoder::protocol_version(wire.version).to_string()),
                ("publication_names", super::failure::quote_identifier(&self.settings.publication)),
            ],
            Plugin::Wal2json => wal2json::options(),
        };
        // Replication commands know no other escape than the doubled quote.
        let options: Vec<_> = options
            .iter()
            .map(|(name, value)| format!("\"{name}\" '{}'", value.replace('\'', "''")))
            .collect();
        let slot = super::failure::quote_identifier(&self.settings.slot);
        format!("START_REPLICATION SLOT {slot} LOGICAL {} ({})", print_lsn(lsn), options.join(", "))
    }

    fn decoder(&self, catalog: &mut Catalog) -> Result<Decoder> {
        let tables = self.settings.tables.clone();
        Ok(match self.settings.plugin {
            Plugin::Pgoutput => Decoder::Pgoutput(pgoutput::Decoder::new(tables)),
            Plugin::Wal2json => {
                let encoding = catalog.ask_one("SHOW server_encoding")?.unwrap_or_default();
                Decoder::Wal2json(Box::new(wal2json::Decoder::new(tables, &encoding)))
            }
        })
    }

    /// Begins to stream; an old connection that the server still believes in is waited for.
    fn start_streaming(&self, wire: &mut Connection, catalog: &mut Catalog, command: &str) -> Result<()> {
        let tables = &self.settings.tables;
        let since = Instant::now();
        loop {
            let error = match wire.start_copy_both(command) {
                Ok(notices) => {
                    return notices.iter().try_for_each(|notice| notice::judge(notice, tables, catalog));
                }
                Err(error) if wire.is_broken() => return Err(error),
                Err(error) => error,
            };
            let pid = slot::find(catalog, &self.settings)?.and_then(|slot| slot.active_pid);
            if error.kind() != error::ErrorKind::Link || since.elapsed() > SLOT_BUSY_MAX {
                let error = error.context(format!("slot {:?} cannot be read", self.settings.slot));
                return Err(match pid {
                    Some(pid) => {
                        error.hint(format!("stop the other reader, or: SELECT pg_terminate_backend({pid})"))
                    }
                    None => error,
                });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl PostgresSource {
    /// The captured tables, with warnings of what is odd with them. The log of a source that has begun may
    /// hold rows of tables that are gone; of another one there must be some.
    fn captured(&self, catalog: &mut Catalog, has_begun: bool) -> Result<Vec<Captured>> {
        let settings = &self.settings;
        let captured = if has_begun {
            catalog.captured(&settings.tables)?
        } else {
            checks::tables_are_there(catalog, settings)?
        };
        settings.tables.warn_of_unmatched(
            &settings.name,
            captured.iter().map(|table| (table.schema.as_str(), table.name.as_str())),
        );
        checks::warn_of_identities(&captured, settings.plugin, catalog.version()?);
        Ok(captured)
    }
}

impl Source for PostgresSource {
    fn start(&mut self, saved: Option<&Checkpoint>) -> Result<Checkpoint> {
        self.session = None;
        let settings = &self.settings;
        let mut catalog = Catalog::open(&settings.address)?;
        checks::server_is_ready(&mut catalog, settings.plugin)?;
        let captured = self.captured(&mut catalog, saved.is_some())?;
        let mut wire = Connection::open(&settings.address, Purpose::Replication)?;
        let mut identity = origin::identity(&mut catalog, &mut wire, settings)?;
        let known_lsn = saved
            .map(|saved| origin::check(&mut catalog, &mut wire, settings, &identity, saved))
            .transpose()?;
        let (published, added) = match settings.plugin {
            Plugin::Pgoutput => self.keep_publication(&mut catalog, &captured, saved.is_some())?,
            Plugin::Wal2json => Default::default(),
        };
        let (lsn, base) = match known_lsn {
            Some(lsn) => (lsn, None),
            None => self.first_lsn(&mut catalog, &mut wire)?,
        };
        let names = captured.iter().map(|table| TableName(table.schema.clone(), table.name.clone()));
        let tables: Vec<TableName> = names.collect();
        let snapshot = (saved.is_none() && settings.snapshot != Snapshot::Never)
            .then(|| Box::new(change::Snapshot::of(tables.clone(), base)));
        let slot = slot::find(&mut catalog, settings)?;
        let last = saved.and_then(|saved| origin::last_read(&identity, saved, lsn));
        let overlap = Overlap::new(slot.as_ref().map_or(lsn, |slot| slot.confirmed_lsn), lsn, last);
        identity.extend(slot.map(|slot| (origin::SLOT_RESTART.to_owned(), print_lsn(slot.restart_lsn))));
        let decoder = self.decoder(&mut catalog)?;
        let partitions = catalog.partitions()?;
        let command = self.start_command(&wire, overlap.as_ref().map_or(lsn, |overlap| overlap.from));
        self.start_streaming(&mut wire, &mut catalog, &command)?;
        let epoch = saved.map_or(0, |saved| saved.position.epoch);
        tracing::info!(
            source = settings.name,
            lsn = print_lsn(lsn),
            encrypted = wire.is_encrypted(),
            "streaming from PostgreSQL {}",
            wire.version
        );
        let now = Instant::now();
        let progress = Progress::new(epoch, lsn).with_past(last, overlap);
        let checkpoint = Checkpoint {
            identity: identity.clone(),
            position: progress.finished(),
            restart: Restart::Postgres { lsn, last },
            snapshot,
            known: None,
        };
        (self.tables, self.new_tables) = (tables, added);
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
            tables: settings.tables.clone(),
            published,
            partitions,
            looked_at: now,
            look_pause: LOOK_FOR_TABLES,
            failure: None,
        });
        Ok(checkpoint)
    }

    fn head(&mut self) -> Result<Position> {
        let session = self.session()?;
        let lsn = session
            .catalog
            .ask_one(&format!("SELECT {LOG_END}"))?
            .as_deref()
            .and_then(parse_lsn)
            .ok_or(Malformed)?;
        session.awaited_lsn = lsn;
        Ok(Position::first_of(session.epoch, lsn))
    }

    fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        let before = self.new_tables.len();
        self.look()?;
        if self.new_tables.len() > before {
            // Whoever asks for new tables hears of them before their first rows come.
            return Ok(());
        }
        self.session()?.read(batch, wait)
    }

    fn keep_alive(&mut self) -> Result<()> {
        let session = self.session()?;
        if session.status_sent.elapsed() >= KEEP_ALIVE / 2 {
            session.send_status(false)?;
        }
        Ok(())
    }

    fn tables(&self) -> Vec<TableName> {
        self.tables.clone()
    }

    fn take_new_tables(&mut self) -> Vec<TableName> {
        std::mem::take(&mut self.new_tables)
    }

    fn hasten(&mut self, place: Position) {
        if let Ok(session) = self.session() {
            session.awaited_lsn = session.awaited_lsn.max(place.commit);
        }
    }

    fn confirm(&mut self, saved: &Checkpoint) -> Result<()> {
        let Restart::Postgres { lsn, .. } = saved.restart else {
            return Err(Error::stop(
                Code::Internal,
                "a position that is not one of PostgreSQL was confirmed to a PostgreSQL source",
            ));
        };
        let session = self.session()?;
        if lsn > session.confirmed_lsn {
            session.confirmed_lsn = lsn;
            session.send_status(false)?;
        }
        Ok(())
    }

    fn chunks(&self) -> Box<dyn Chunks> {
        Box::new(PostgresChunks::new(&self.settings.address))
    }

    fn inspect(&self) -> Inspection {
        super::inspect::inspect(&self.settings)
    }
}
