//! The source itself: checks the server and the saved position, makes what is missing, and starts the stream.

use std::time::{Duration, Instant};

use super::super::{Inspection, KEEP_ALIVE, Source};
use super::catalog::{Captured, Catalog, cells};
use super::connection::{Connection, Purpose};
use super::message::Malformed;
use super::progress::Progress;
use super::session::{Decoder, Session};
use super::slot::{parse_lsn, print_lsn};
use super::{Plugin, Settings, checks, pgoutput, slot, wal2json};
use crate::change::{Batch, Checkpoint, Identity, Position, Restart};
use crate::{Error, Result, error};

/// How long another reader of the slot is waited for.
const SLOT_BUSY_MAX: Duration = Duration::from_secs(10);

/// How often tables are looked for that are new to the publication, and how long the server may take to answer.
const LOOK_FOR_TABLES: Duration = Duration::from_secs(5);
const LOOK_TIME_OUT: Duration = Duration::from_secs(10);

/// The row changes of a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresSource {
    settings: Settings,
    session: Option<Session>,
    /// Why new tables could not be captured, so that it is told once.
    told_of_tables: Option<String>,
}

impl PostgresSource {
    /// A source that is not connected yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, session: None, told_of_tables: None }
    }

    fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().ok_or_else(|| Error::link(format!("source {:?} is not started", self.settings.name)))
    }

    /// Tables that were made, or took another's name, since the last look: a publication names tables one by one, and whatever it does not name the server
    /// leaves out without a word. A failure is told and does not hold up the tables that are there.
    fn look_for_tables(&mut self) {
        let settings = &self.settings;
        let Some(session) = self.session.as_mut() else { return };
        // A link in doubt is not waited for here: whoever reads from it notices.
        let is_due = session.tables_looked_at.elapsed() >= LOOK_FOR_TABLES && session.unanswered_since.is_none();
        if settings.plugin != Plugin::Pgoutput || !is_due {
            return;
        }
        session.tables_looked_at = Instant::now();
        let catalog = &mut session.catalog;
        // It stays so: no other question on this connection may hold up the stream longer either.
        let looked = catalog.connection().map(|connection| connection.time_out = Some(LOOK_TIME_OUT)).and_then(|()| {
            let captured = catalog.captured(&settings.tables)?;
            slot::keep_publication(catalog, settings, &captured, true)
        });
        match looked {
            Err(error) if error.kind() == error::Kind::Stop && self.told_of_tables.as_ref() != Some(&error.to_string()) => {
                tracing::error!(source = settings.name, hint = error.hint_text(), "new tables are not captured: {error}");
                self.told_of_tables = Some(error.to_string());
            }
            Err(error) => tracing::debug!(source = settings.name, "new tables were not looked for: {error}"),
            Ok(()) => self.told_of_tables = None,
        }
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
        settings.tables.warn_of_unmatched(&settings.name, captured.iter().map(|table| (table.schema.as_str(), table.name.as_str())));
        checks::warn_of_identities(&captured, settings.plugin);
        let mut wire = Connection::open(&settings.address, Purpose::Replication)?;
        let [system, ..] = wire.query("IDENTIFY_SYSTEM")?.into_iter().next().map(cells::<4>).unwrap_or_default();
        let marks = [("system", system), ("database", settings.address.database.clone()), ("slot", settings.slot.clone())];
        let identity: Identity = marks.into_iter().map(|(mark, value)| (mark.to_owned(), value)).collect();
        let known_lsn = saved.map(|saved| self.check_saved(&mut catalog, &identity, saved)).transpose()?;
        if saved.is_none() {
            checks::tables_are_empty(catalog.connection()?, settings.snapshot, &captured)?;
        }
        if settings.plugin == Plugin::Pgoutput {
            slot::keep_publication(&mut catalog, settings, &captured, saved.is_some())?;
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
            tables_looked_at: now,
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
        self.look_for_tables();
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

    fn inspect(&self) -> Inspection {
        super::inspect::inspect(&self.settings)
    }
}
