//! Whether the saved place is one of this server's log. The identity that is saved with it names these marks:
//!
//! | mark | is | changes |
//! |---|---|---|
//! | `system` | the cluster's system identifier | with another server, and by `pg_upgrade` |
//! | `timeline` | the log's timeline | when a standby is promoted, and by a recovery to a point in time |
//! | `slot_restart` | where the log begins that the server keeps for the slot | only moves on: it goes back if the server's folder is an older copy |
//! | `version`, `database_oid` | of the server, and of the database | `pg_upgrade` raises the one and keeps the other |
//! | `database`, `slot`, `publication` | their names | |
//!
//! What was read before and comes again tells the rest (`overlap`). Places that an older list_sync saved have
//! `system`, `database` and `slot` alone; what is not there is not compared.

use super::Settings;
use super::catalog::{Catalog, cells};
use super::connection::Connection;
use super::failure::ANOTHER_NAME;
use super::message::Malformed;
use super::slot::{self, Slot, parse_lsn, print_lsn};
use crate::change::{Checkpoint, Identity, Landmark, Restart};
use crate::{Code, Error, Result};

/// The first version whose slots `pg_upgrade` keeps.
const UPGRADE_KEEPS_SLOTS: u32 = 17;
pub(super) const SLOT_RESTART: &str = "slot_restart";

/// The end of the server's log, as SQL.
pub(super) const LOG_END: &str = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN \
    pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END";

/// The marks of the server at the other end.
pub(super) fn identity(
    catalog: &mut Catalog,
    wire: &mut Connection,
    settings: &Settings,
) -> Result<Identity> {
    let [system, timeline] = wire.query("IDENTIFY_SYSTEM")?.into_iter().next().map(cells).unwrap_or_default();
    let database_oid = catalog
        .ask_one("SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()")?
        .unwrap_or_default();
    let marks = [
        ("system", system),
        ("timeline", timeline),
        ("version", wire.version.to_string()),
        ("database", settings.address.database.clone()),
        ("database_oid", database_oid),
        ("slot", settings.slot.clone()),
        ("publication", settings.publication.clone()),
    ];
    Ok(marks.into_iter().map(|(mark, value)| (mark.to_owned(), value)).collect())
}

/// Checks that the slot can go on from the saved place; answers where.
pub(super) fn check(
    catalog: &mut Catalog,
    wire: &mut Connection,
    settings: &Settings,
    identity: &Identity,
    saved: &Checkpoint,
) -> Result<u64> {
    let Restart::Postgres { lsn, .. } = saved.restart else {
        return Err(Error::stop(
            Code::PositionForeign,
            format!("the saved position of source {:?} is not one of PostgreSQL", settings.name),
        )
        .hint("give the source another name, or remove its saved position"));
    };
    let differs = |mark: &str| saved.identity.get(mark) != identity.get(mark);
    let slot = slot::find(catalog, settings)?;
    if differs("system")
        && is_upgraded(identity, &saved.identity)
        && let Some(slot) = slot.as_ref().filter(|slot| slot.confirmed_lsn >= lsn)
    {
        tracing::warn!(
            source = settings.name,
            lsn = print_lsn(slot.confirmed_lsn),
            "the server was upgraded with pg_upgrade, which kept the slot"
        );
        return Ok(slot.confirmed_lsn);
    }
    if let Some(mark) = ["system", "database"].into_iter().find(|mark| differs(mark)) {
        let [was, is] =
            [&saved.identity, identity].map(|identity| identity.get(mark).map_or("", String::as_str));
        return Err(Error::stop(Code::ServerChanged, format!(
            "the saved position of source {:?} belongs to another server: {mark} was {was:?} and is {is:?}",
            settings.name
        ))
        .hint(format!("check the URL; to read from this server, {ANOTHER_NAME}")));
    }
    let name = &settings.slot;
    let slot = slot.ok_or_else(|| {
        Error::stop(
            Code::SlotLost,
            format!("the slot {name:?} is gone: changes since {} are lost", print_lsn(lsn)),
        )
        .hint(ANOTHER_NAME)
    })?;
    if slot.confirmed_lsn > lsn {
        return Err(Error::stop(Code::SlotLost, format!(
            "slot {name:?} stands at {}, past the saved {}: it was made again, or somebody else reads from \
             it",
            print_lsn(slot.confirmed_lsn),
            print_lsn(lsn)
        ))
        .hint(ANOTHER_NAME));
    }
    if saved.identity.contains_key("timeline") && differs("timeline") {
        let [was, is] =
            [&saved.identity, identity].map(|identity| identity.get("timeline").map_or("", String::as_str));
        // The first timeline has no history.
        if is == "1" {
            return Err(restored(&format!("its timeline was {was} and is {is}")));
        }
        let history = wire.query(&format!("TIMELINE_HISTORY {is}"))?;
        let [_, history] = history.into_iter().next().map(cells).unwrap_or_default();
        same_history(&history, was, lsn)?;
    } else {
        not_set_back(&slot, &saved.identity)?;
    }
    log_reaches(catalog, lsn)?;
    Ok(lsn)
}

/// The last transaction that was read, if it can be expected to come again as it did: by the same slot and
/// publication, and not from an upgraded server.
pub(super) fn last_read(identity: &Identity, saved: &Checkpoint, lsn: u64) -> Option<Landmark> {
    let Restart::Postgres { lsn: saved_lsn, last } = saved.restart else { return None };
    let is_same = |mark: &str| saved.identity.get(mark) == identity.get(mark);
    last.filter(|_| saved_lsn == lsn && is_same("slot") && is_same("publication"))
}

/// `pg_upgrade` makes a cluster with another system identifier, keeps the object ids and, from version 17 on,
/// the slots, all of whose changes were read before.
fn is_upgraded(now: &Identity, saved: &Identity) -> bool {
    let number =
        |identity: &Identity| identity.get("version").and_then(|version| version.parse::<u32>().ok());
    let [Some(was), Some(is)] = [number(saved), number(now)] else { return false };
    was >= UPGRADE_KEEPS_SLOTS
        && is > was
        && ["database", "database_oid", "slot"].iter().all(|mark| saved.get(*mark) == now.get(*mark))
}

/// The saved place lies before the point where this timeline left the saved one (documentation of the file
/// `00000002.history`).
pub(super) fn same_history(history: &str, was: &str, lsn: u64) -> Result<()> {
    let mut steps = history
        .lines()
        .map(|line| line.split_whitespace())
        .filter_map(|mut words| Some((words.next()?, parse_lsn(words.next()?)?)));
    match steps.find(|(timeline, _)| *timeline == was) {
        Some((_, end)) if lsn <= end => Ok(()),
        Some((_, end)) => Err(restored(&format!(
            "timeline {was} ended at {}, and {} is saved",
            print_lsn(end),
            print_lsn(lsn)
        ))),
        None => Err(restored(&format!("it does not come from timeline {was}"))),
    }
}

fn not_set_back(slot: &Slot, saved: &Identity) -> Result<()> {
    let known = saved.get(SLOT_RESTART).and_then(|lsn| parse_lsn(lsn)).unwrap_or(0);
    if slot.restart_lsn != 0 && slot.restart_lsn < known {
        return Err(restored(&format!(
            "its slot went back from {} to {}",
            print_lsn(known),
            print_lsn(slot.restart_lsn)
        )));
    }
    Ok(())
}

fn log_reaches(catalog: &mut Catalog, lsn: u64) -> Result<()> {
    let rows = catalog.ask(&format!("SELECT {LOG_END}, pg_catalog.pg_is_in_recovery()"))?;
    let [end, on_standby] = rows.into_iter().next().map(cells).unwrap_or_default();
    let end = parse_lsn(&end).ok_or(Malformed)?;
    if end >= lsn {
        return Ok(());
    }
    let (saved, end) = (print_lsn(lsn), print_lsn(end));
    if on_standby == "t" {
        return Err(Error::link(
            Code::StandbyBehind,
            format!("the standby has read the log up to {end}, and {saved} is saved"),
        ));
    }
    Err(restored(&format!("its log ends at {end}, and {saved} is saved")))
}

pub(super) fn restored(why: &str) -> Error {
    Error::stop(
        Code::LogReset,
        format!(
            "the server is not in the state that was read from, but in an older one (a backup, \
        or another standby): {why}"
        ),
    )
    .hint(format!(
        "rows may be in the files that the server does not have, and the other way round; \
            {ANOTHER_NAME}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_of_timelines() {
        let history = "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tbefore 2020\n";
        assert!(same_history(history, "1", 0x300_0148).is_ok());
        assert!(same_history(history, "2", 0x400_0000).is_ok());
        for (was, lsn) in [("1", 0x300_0149), ("3", 1), ("", 1)] {
            assert!(
                same_history(history, was, lsn).unwrap_err().to_string().contains("older one"),
                "{was} {lsn}"
            );
        }
    }

    #[test]
    fn upgrades() {
        let identity = |version: &str, oid: &str| -> Identity {
            let marks = [
                ("system", version),
                ("version", version),
                ("database", "d"),
                ("database_oid", oid),
                ("slot", "s"),
            ];
            marks.into_iter().map(|(mark, value)| (mark.to_owned(), value.to_owned())).collect()
        };
        assert!(is_upgraded(&identity("18", "5"), &identity("17", "5")));
        for (now, saved) in [
            (("18", "5"), ("16", "5")),
            (("17", "5"), ("17", "5")),
            (("18", "6"), ("17", "5")),
            (("18", "5"), ("", "5")),
        ] {
            assert!(!is_upgraded(&identity(now.0, now.1), &identity(saved.0, saved.1)));
        }
    }
}
