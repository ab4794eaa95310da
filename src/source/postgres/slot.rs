//! The publication and the replication slot: made when missing, kept right, checked before they are read from; never dropped.

use super::catalog::{Captured, Catalog, cells};
use super::connection::Connection;
use super::failure::{quote_identifier, quote_literal};
use super::{Plugin, Settings, checks};
use crate::{Error, Result, error};

/// `16/B374D848` as a number.
pub(super) fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |digits: &str| {
        let is_hex = (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
    };
    Some(half(high)? << 32 | half(low)?)
}

/// As the server prints it.
pub(super) fn print_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// Makes the publication, or sets its list of tables right. It comes before the slot: the server wants it to exist at each change that it decodes.
/// With `has_begun`, a table that comes in is told of: what it holds by now is in nobody's log.
pub(super) fn keep_publication(catalog: &mut Catalog, settings: &Settings, captured: &[Captured], has_begun: bool) -> Result<()> {
    let name = &settings.publication;
    let changes = publication_changes(catalog, settings, captured)?;
    let published = if changes.is_empty() || !has_begun { Vec::new() } else { published(catalog, name)? };
    for statement in changes {
        if statement.starts_with("CREATE") {
            statement_of_owner(catalog, &statement).map_err(|error| error.context(format!("publication {name:?} cannot be made")))?;
        } else {
            statement_of_owner(catalog, &statement)?;
            tracing::info!(publication = name, tables = captured.len(), "the publication is set right");
        }
    }
    if published.is_empty() {
        return Ok(());
    }
    for table in captured.iter().filter(|table| !published.contains(&(table.schema.clone(), table.name.clone()))) {
        let name = format!("{}.{}", table.schema, table.name);
        // Who may not read it cannot be told that it is empty.
        if checks::holds_rows(catalog.connection()?, table).unwrap_or(true) {
            tracing::error!(
                source = settings.name,
                table = name,
                "captured from now on, and it held rows before: those are in no message, and snapshots are not built yet; update them to have them sent"
            );
        } else {
            tracing::info!(source = settings.name, table = name, "a new table is captured");
        }
    }
    Ok(())
}

/// The tables that a publication names one by one, in order.
fn published(catalog: &mut Catalog, name: &str) -> Result<Vec<(String, String)>> {
    let rows = catalog.ask(&format!(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid JOIN \
         pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = {}",
        quote_literal(name)
    ))?;
    let mut published: Vec<(String, String)> = rows.into_iter().map(|row| cells::<2>(row).into()).collect();
    published.sort();
    Ok(published)
}

/// The statements that make the publication as it must be; none if it is.
pub(super) fn publication_changes(catalog: &mut Catalog, settings: &Settings, captured: &[Captured]) -> Result<Vec<String>> {
    let name = &settings.publication;
    let list = |names: &[(String, String)]| {
        let quoted = names.iter().map(|(schema, name)| format!("{}.{}", quote_identifier(schema), quote_identifier(name)));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let wanted: Vec<_> = captured.iter().map(|table| (table.schema.clone(), table.name.clone())).collect();
    // From version 18 on the server refuses updates of a table whose whole row is its identity, if a generated column in it is not published.
    let (right, options) = match catalog.version()? {
        ..18 => ("", "publish_via_partition_root = true"),
        _ => (" AND pubgencols = 's'", "publish_via_partition_root = true, publish_generated_columns = stored"),
    };
    let found = catalog.ask(&format!(
        "SELECT puballtables, pubviaroot AND pubinsert AND pubupdate AND pubdelete AND pubtruncate{right} FROM \
         pg_catalog.pg_publication WHERE pubname = {}",
        quote_literal(name)
    ))?;
    let quoted = quote_identifier(name);
    let Some(row) = found.into_iter().next() else {
        return Ok(vec![format!("CREATE PUBLICATION {quoted} FOR TABLE {} WITH ({options})", list(&wanted))]);
    };
    let [all_tables, right] = cells(row);
    let mut changes = Vec::new();
    if right != "t" {
        changes.push(format!("ALTER PUBLICATION {quoted} SET (publish = 'insert, update, delete, truncate', {options})"));
    }
    if all_tables == "t" {
        return Ok(changes);
    }
    // A list cannot be empty: of tables that were all renamed or dropped while the source runs, nothing is wanted any more and nothing comes.
    if !wanted.is_empty() && published(catalog, name)? != wanted {
        changes.push(format!("ALTER PUBLICATION {quoted} SET TABLE {}", list(&wanted)));
    }
    Ok(changes)
}

/// The way out where the server has no wal2json.
pub(super) fn wal2json_missing(version: u32) -> String {
    format!(
        "install wal2json on the server (Debian: apt install postgresql-{version}-wal2json), or set plugin = \"pgoutput\", which needs nothing"
    )
}

/// Runs a statement that needs ownership; without it, the statement itself is the hint.
fn statement_of_owner(catalog: &mut Catalog, statement: &str) -> Result<()> {
    let answer = catalog.connection()?.execute(statement);
    answer.map(|_| ()).map_err(|error| match error.kind() {
        error::Kind::Stop => error.hint(format!("run as the owner of the tables: {statement}")),
        _ => error,
    })
}

/// A slot as the server describes it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Where the server would send from.
    pub confirmed_lsn: u64,
    /// The process that reads it now.
    pub active_pid: Option<String>,
}

/// Looks the slot up; a slot that cannot be read from is a `Stop`.
pub(super) fn find(catalog: &mut Catalog, settings: &Settings) -> Result<Option<Slot>> {
    let name = &settings.slot;
    let reason = if catalog.version()? >= 17 { "invalidation_reason" } else { "NULL" };
    let rows = catalog.ask(&format!(
        "SELECT plugin, database, wal_status, confirmed_flush_lsn, active_pid, {reason} FROM pg_catalog.pg_replication_slots WHERE \
         slot_name = {}",
        quote_literal(name)
    ))?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let [plugin, database, wal_status, confirmed, active_pid, reason] = cells(row);
    let drop_it = format!("SELECT pg_drop_replication_slot({})", quote_literal(name));
    if database != settings.address.database {
        return Err(Error::stop(format!("slot {name:?} belongs to database {database:?}"))
            .hint(format!("give the source another name, or, if nobody needs that slot: {drop_it}")));
    }
    if plugin != settings.plugin.name() {
        return Err(Error::stop(format!("slot {name:?} was made for the plugin {plugin:?}, not {:?}", settings.plugin.name()))
            .hint(format!("set plugin = \"{plugin}\", or start anew: {drop_it}")));
    }
    if wal_status == "lost" {
        let reason = if reason.is_empty() { "the log that it needs is removed" } else { reason.as_str() };
        return Err(Error::stop(format!("slot {name:?} is lost: {reason}")).hint(format!(
            "raise max_slot_wal_keep_size (18: idle_replication_slot_timeout), run {drop_it}, and begin anew with the source under another name"
        )));
    }
    let confirmed_lsn = parse_lsn(&confirmed).ok_or_else(|| {
        Error::link(format!("slot {name:?} is still being made")).hint("wait for the transactions that were open when it was asked for")
    })?;
    Ok(Some(Slot { confirmed_lsn, active_pid: (!active_pid.is_empty()).then_some(active_pid) }))
}

/// Makes the slot within an open transaction of the replication connection, which then sees the tables exactly as they are where the slot begins.
/// Answers that LSN.
pub(super) fn create(wire: &mut Connection, settings: &Settings, on_standby: bool) -> Result<u64> {
    let slot = quote_identifier(&settings.slot);
    let options = match wire.version {
        ..15 => "USE_SNAPSHOT",
        17.. if !on_standby && !settings.temporary => "(SNAPSHOT 'use', FAILOVER true)",
        _ => "(SNAPSHOT 'use')",
    };
    let version = wire.version;
    wire.execute("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")?;
    let lifetime = if settings.temporary { "TEMPORARY " } else { "" };
    let rows = wire.query(&format!("CREATE_REPLICATION_SLOT {slot} {lifetime}LOGICAL {} {options}", quote_identifier(settings.plugin.name()))).map_err(|error| {
        let error = error.context(format!("slot {:?} cannot be made", settings.slot));
        match (error.kind(), settings.plugin) {
            (error::Kind::Link, _) => error.hint(
                "it waits for every open transaction to end: SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL",
            ),
            (_, Plugin::Wal2json) if error.to_string().contains("wal2json") => error.hint(wal2json_missing(version)),
            _ => error,
        }
    })?;
    let [_, lsn] = rows.into_iter().next().map(cells).unwrap_or_default();
    parse_lsn(&lsn).ok_or_else(|| Error::stop("the server made a slot and did not say where it begins"))
}

#[cfg(test)]
mod tests {
    use super::{parse_lsn, print_lsn};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printed_places_come_back(lsn: u64) {
            prop_assert_eq!(parse_lsn(&print_lsn(lsn)), Some(lsn));
        }

        #[test]
        fn other_texts_are_no_place(text: String) {
            let _ = parse_lsn(&text);
        }
    }
}
