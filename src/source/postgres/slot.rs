//! The replication slot: made when missing, checked before it is read from; never dropped.

use super::catalog::{Catalog, cells};
use super::connection::Connection;
use super::failure::{quote_identifier, quote_literal};
use super::{Plugin, Settings};
use crate::{Code, Error, Result, error};

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

/// The way out where the server has no wal2json.
pub(super) fn wal2json_missing(version: u32) -> String {
    format!(
        "install wal2json on the server (Debian: apt install postgresql-{version}-wal2json), or set plugin \
         = \"pgoutput\", which needs nothing"
    )
}

/// A slot as the server describes it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Where the server would send from.
    pub confirmed_lsn: u64,
    /// Where the log that the server keeps for it begins. It only moves on, and is on the server's disk
    /// before anybody sees it.
    pub restart_lsn: u64,
    /// The process that reads it now.
    pub active_pid: Option<String>,
}

/// Looks the slot up; a slot that cannot be read from is a `Stop`.
pub(super) fn find(catalog: &mut Catalog, settings: &Settings) -> Result<Option<Slot>> {
    let name = &settings.slot;
    let reason = if catalog.version()? >= 17 { "invalidation_reason" } else { "NULL" };
    let rows = catalog.ask(&format!(
        "SELECT plugin, database, wal_status, confirmed_flush_lsn, active_pid, {reason}, restart_lsn FROM \
         pg_catalog.pg_replication_slots WHERE \
         slot_name = {}",
        quote_literal(name)
    ))?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let [plugin, database, wal_status, confirmed, active_pid, reason, restart] = cells(row);
    let drop_it = format!("SELECT pg_drop_replication_slot({})", quote_literal(name));
    if database != settings.address.database {
        return Err(Error::stop(
            Code::SlotMismatch,
            format!("slot {name:?} belongs to database {database:?}"),
        )
        .hint(format!("set another `slot`, or, if nobody needs that one: {drop_it}")));
    }
    if plugin != settings.plugin.name() {
        return Err(Error::stop(
            Code::SlotMismatch,
            format!("slot {name:?} was made for the plugin {plugin:?}, not {:?}", settings.plugin.name()),
        )
        .hint(format!("set plugin = \"{plugin}\"")));
    }
    if wal_status == "lost" {
        let reason = if reason.is_empty() { "the log that it needs is removed" } else { reason.as_str() };
        return Err(Error::stop(Code::SlotLost, format!("slot {name:?} is lost: {reason}")).hint(format!(
            "raise max_slot_wal_keep_size (18: idle_replication_slot_timeout), run {drop_it}, and {}",
            super::failure::ANOTHER_NAME
        )));
    }
    let confirmed_lsn = parse_lsn(&confirmed).ok_or_else(|| {
        Error::link(Code::SlotBusy, format!("slot {name:?} is still being made"))
            .hint("wait for the transactions that were open when it was asked for")
    })?;
    let restart_lsn = parse_lsn(&restart).unwrap_or(0);
    Ok(Some(Slot { confirmed_lsn, restart_lsn, active_pid: (!active_pid.is_empty()).then_some(active_pid) }))
}

/// Makes the slot within an open transaction of the replication connection, which then sees the tables
/// exactly as they are where the slot begins. Answers that LSN.
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
    let rows = wire
        .query(&format!(
            "CREATE_REPLICATION_SLOT {slot} {lifetime}LOGICAL {} {options}",
            quote_identifier(settings.plugin.name())
        ))
        .map_err(|error| {
            let error = error.context(format!("slot {:?} cannot be made", settings.slot));
            match (error.kind(), settings.plugin) {
                (error::ErrorKind::Link, _) => error.hint(
                    "it waits for every open transaction to end: SELECT pid, xact_start, query FROM \
                 pg_stat_activity WHERE backend_xid IS NOT NULL",
                ),
                (_, Plugin::Wal2json) if error.to_string().contains("wal2json") => {
                    error.hint(wal2json_missing(version))
                }
                _ => error,
            }
        })?;
    let [_, lsn] = rows.into_iter().next().map(cells).unwrap_or_default();
    parse_lsn(&lsn)
        .ok_or_else(|| Error::stop(Code::Internal, "the server made a slot and did not say where it begins"))
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
