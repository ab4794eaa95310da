//! What a source keeps on its server: PostgreSQL's slot and publication. MySQL and MariaDB keep nothing.

use super::ask;
use crate::Result;
use crate::config;
use crate::source::{Dialect, write_literal};

/// What was found.
#[derive(Debug, Default)]
pub struct Kept {
    slot: Option<Slot>,
    publication: Option<String>,
    /// PostgreSQL: where the log ends.
    pub end_lsn: u64,
}

#[derive(Debug)]
struct Slot {
    name: String,
    database: String,
    reader: Option<String>,
    retained_bytes: Option<String>,
}

const END: &str =
    "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END";

impl Kept {
    /// Asks the server.
    pub fn look(source: &config::Source) -> Result<Self> {
        if source.address.dialect != Dialect::Postgres {
            return Ok(Self::default());
        }
        let end = ask(source, &format!("SELECT {END} - '0/0'::pg_lsn"))?;
        let end_lsn = end
            .into_iter()
            .flatten()
            .flatten()
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_default();
        let slots = ask(
            source,
            &format!(
                "SELECT database, active_pid, {END} - restart_lsn FROM pg_catalog.pg_replication_slots \
                 WHERE slot_name = {}",
                literal(&source.slot)
            ),
        )?;
        let slot = slots.into_iter().next().map(|row| {
            let [database, reader, retained_bytes] = <[_; 3]>::try_from(row).unwrap_or_default();
            Slot { name: source.slot.clone(), database: database.unwrap_or_default(), reader, retained_bytes }
        });
        let publications = ask(
            source,
            &format!(
                "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = {}",
                literal(&source.publication)
            ),
        )?;
        let publication = (!publications.is_empty()).then(|| source.publication.clone());
        Ok(Self { slot, publication, end_lsn })
    }

    /// Whether somebody reads the slot now.
    pub fn is_read(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.reader.is_some())
    }

    /// What there is, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(slot) = &self.slot {
            let read = slot
                .reader
                .as_ref()
                .map_or_else(|| "nobody reads it".to_owned(), |pid| format!("read by server process {pid}"));
            let kept = slot
                .retained_bytes
                .as_ref()
                .map_or_else(String::new, |bytes| format!(", the server keeps {bytes} bytes of log for it"));
            lines.push(format!("slot {}: {read}{kept}", slot.name));
        }
        if let Some(publication) = &self.publication {
            lines.push(format!("publication {publication}"));
        }
        lines
    }

    /// A publication with a name of its own may be somebody else's: list_sync only removes those that it
    /// names itself.
    fn own_publication(&self) -> Option<&String> {
        self.publication.as_ref().filter(|name| name.starts_with("list_sync_"))
    }

    /// What [`Kept::remove`] removes, a line each.
    pub fn removable(&self) -> Vec<String> {
        let slot = self.slot.iter().map(|slot| format!("slot {} in database {}", slot.name, slot.database));
        slot.chain(self.own_publication().map(|name| format!("publication {name}"))).collect()
    }

    /// Drops the publication, which takes its owner, then the slot.
    pub fn remove(&self, source: &config::Source) -> Result<()> {
        if let Some(name) = self.own_publication() {
            let drop = format!("DROP PUBLICATION {}", identifier(name));
            let dropped = crate::source::open(&source.address)?.execute(&drop);
            dropped.map_err(|error| error.hint(format!("run as the owner of the publication: {drop}")))?;
        }
        if let Some(slot) = &self.slot {
            let drop = format!("SELECT pg_drop_replication_slot({})", literal(&slot.name));
            ask(source, &drop)
                .map_err(|error| error.hint(format!("run as a user with REPLICATION: {drop}")))?;
        }
        Ok(())
    }
}

fn literal(text: &str) -> String {
    let mut out = String::new();
    write_literal(&mut out, text, Dialect::Postgres);
    out
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
