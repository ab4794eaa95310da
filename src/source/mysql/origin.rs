//! Whether the server's log is the one that was read, and where the stream goes on in it.
//!
//! | mark | is | changes |
//! |---|---|---|
//! | `product`, `server_uuid` (MariaDB: `server_id`) | the server | with another server: GTIDs then say where to go on |
//! | when the file was begun | its first event's time, seconds | with RESET BINARY LOGS, and with a restored server's new files |
//! | the log's end, GTIDs | what was executed and purged | they only grow, but for a reset or a restore |
//!
//! Places that an older list_sync saved do not have the time; it is then not compared.

use super::super::Dialect;
use super::catalog::Catalog;
use super::connection::quote;
use super::failure::{BEGIN_AGAIN, PURGED, keep_longer};
use super::gtid::GtidSet;
use super::place::{self, Reached, file_number, position};
use super::reader::Reader;
use super::{MysqlSource, checks, parse_gtids, stream};
use crate::change::{Checkpoint, Position, Restart};
use crate::error::ErrorKind;
use crate::{Code, Error, Result};

impl MysqlSource {
    /// Where the stream goes on, after all checks that it can.
    pub(super) fn go_on(
        &self,
        catalog: &mut Catalog,
        settings: &checks::Settings,
        saved: &Checkpoint,
    ) -> Result<(Reached, Option<GtidSet>)> {
        let Restart::Binlog { gtid, file, offset, begun } = &saved.restart else {
            let name = &self.settings.name;
            let fact = format!("the saved position of source {name:?} is not one of MySQL or MariaDB");
            return Err(Error::stop(Code::PositionForeign, fact).hint("give the source another name"));
        };
        let dialect = self.settings.address.dialect;
        let same_server = saved.identity == self.identity;
        if saved.identity.get("product") != self.identity.get("product") {
            return Err(Error::stop(
                Code::PositionForeign,
                "the saved position belongs to another product's server",
            )
            .hint("give the source another name"));
        }
        // GTIDs were turned off while the source was away: on the same server, file and offset still say
        // where it goes on.
        let gtid = gtid.as_ref().filter(|_| settings.has_gtids() || !same_server);
        let gtids = gtid.map(|text| parse_gtids(dialect, text)).transpose()?;
        if same_server {
            let file_begun = begun.unwrap_or(0);
            let reached = Reached {
                position: saved.position,
                file: file.clone(),
                file_begun,
                offset: *offset,
                moved: false,
            };
            self.check_log(catalog, &reached, gtids.as_ref())?;
            return Ok((reached, gtids));
        }
        match &gtids {
            Some(set) if settings.has_gtids() => check_gtids(catalog, set)?,
            Some(_) => {
                return Err(Error::stop(
                    Code::ServerChanged,
                    "this is another server than the saved position's, and it has no GTIDs: its log cannot \
                     be compared",
                )
                .hint("connect to the server of before, or turn gtid_mode = ON on this one"));
            }
            None => {
                return Err(Error::stop(
                    Code::ServerChanged,
                    "this is another server than the saved position's, and without GTIDs \
                    its log cannot be compared",
                )
                .hint(format!(
                    "connect to the server of before, or {BEGIN_AGAIN}; gtid_mode = ON makes a change \
                         of servers possible"
                )));
            }
        }
        let too_often = || Error::stop(Code::ServerChanged, "the server changed more than 65,535 times");
        let epoch = saved.position.epoch.checked_add(1).ok_or_else(too_often)?;
        let reached = Reached {
            position: Position::first_of(epoch, 0),
            file: String::new(),
            file_begun: 0,
            offset: 0,
            moved: false,
        };
        Ok((reached, gtids))
    }

    /// The server's log is still the one that was read, and holds what comes next. RESET BINARY LOGS and a
    /// restored server begin another one, whose files and GTIDs soon have the same names: what tells them
    /// apart is when each file was begun.
    fn check_log(&self, catalog: &mut Catalog, reached: &Reached, gtids: Option<&GtidSet>) -> Result<()> {
        if reached.file.is_empty() {
            return gtids.map_or(Ok(()), |set| check_gtids(catalog, set));
        }
        let end = checks::log_end(catalog)?;
        if position(reached.position.epoch, file_number(&end.file), end.offset) < reached.position {
            return Err(Error::stop(
                Code::LogReset,
                format!(
                    "the server's log ends at {}:{}, before {}:{} that was read: it was reset or restored",
                    end.file, end.offset, reached.file, reached.offset
                ),
            )
            .hint(PURGED));
        }
        match stream::file_begun(&self.settings.address, self.server_id(), &reached.file)? {
            Some(begun) => place::same_file(&reached.file, reached.file_begun, begun)?,
            None => gtids.map_or(Ok(()), |set| check_log_goes_on(catalog, &reached.file, set))?,
        }
        match gtids {
            Some(set) => check_gtids(catalog, set),
            None => check_file(catalog, &reached.file, reached.offset),
        }
    }

    /// A server that resets its log while it is read ends the stream with any of several errors: the log
    /// itself tells the cause.
    pub(super) fn cause_of(&self, error: Error, reader: &mut Reader) -> Error {
        if error.kind() != ErrorKind::Stop {
            return error;
        }
        match self.check_log(&mut reader.captured.catalog, &reader.reached, reader.gtids.as_ref()) {
            Err(cause) if cause.kind() == ErrorKind::Stop => cause.cause(error.to_string()),
            _ => error,
        }
    }
}

/// What is finished was executed on this server, and what is not finished is still in its log.
fn check_gtids(catalog: &mut Catalog, saved: &GtidSet) -> Result<()> {
    match saved {
        GtidSet::Mariadb(_) => check_mariadb_gtids(catalog, saved),
        GtidSet::Mysql(_) => check_mysql_gtids(catalog, &saved.to_string()),
    }
}

/// The file that was read last is gone: it was purged, so all that was read stands before the oldest file.
/// After a reset it does not.
fn check_log_goes_on(catalog: &mut Catalog, file: &str, saved: &GtidSet) -> Result<()> {
    let goes_on = if let GtidSet::Mariadb(_) = saved {
        let logs = catalog.query("SHOW BINARY LOGS")?;
        let oldest =
            logs.into_iter().next().and_then(|row| row.into_iter().next()).flatten().unwrap_or_default();
        let before =
            catalog.text(&format!("SELECT BINLOG_GTID_POS({}, 4)", quote(&oldest)))?.unwrap_or_default();
        GtidSet::parse_mariadb(&before).is_some_and(|before| before.domains_behind(saved).is_empty())
    } else {
        let ask = format!("SELECT GTID_SUBTRACT({}, @@GLOBAL.gtid_purged)", quote(&saved.to_string()));
        catalog.text(&ask)?.unwrap_or_default().is_empty()
    };
    if goes_on {
        return Ok(());
    }
    Err(Error::stop(
        Code::LogReset,
        format!(
            "the server does not have binary log \"{file}\", and its log does not go on from there: its logs \
         were reset, or it was restored"
        ),
    )
    .hint(PURGED))
}

/// MySQL: what is finished was executed here, and what is not finished is still in the log.
fn check_mysql_gtids(catalog: &mut Catalog, saved: &str) -> Result<()> {
    let saved_literal = quote(saved);
    let unknown = catalog
        .text(&format!("SELECT GTID_SUBTRACT({saved_literal}, @@GLOBAL.gtid_executed)"))?
        .unwrap_or_default();
    if !unknown.is_empty() {
        return Err(Error::stop(
            Code::LogReset,
            format!(
                "the server never executed transactions {unknown}, which are in the files: it was reset or \
             restored from a backup"
            ),
        )
        .hint(PURGED));
    }
    let missing = catalog
        .text(&format!("SELECT GTID_SUBTRACT(@@GLOBAL.gtid_purged, {saved_literal})"))?
        .unwrap_or_default();
    if !missing.is_empty() {
        let hint = format!("{PURGED}; next time keep the log longer: {}", keep_longer(Dialect::Mysql));
        return Err(Error::stop(
            Code::LogPurged,
            format!("the server purged transactions {missing}, which were not read yet"),
        )
        .hint(hint));
    }
    Ok(())
}

/// MariaDB: the server is not behind what is finished. Whether the log still reaches back is said by the
/// server itself (error 1236).
fn check_mariadb_gtids(catalog: &mut Catalog, saved: &GtidSet) -> Result<()> {
    let own = catalog.text("SELECT @@GLOBAL.gtid_binlog_pos")?.unwrap_or_default();
    let own = GtidSet::parse_mariadb(&own)
        .ok_or_else(|| Error::stop(Code::StatementRefused, "the server's gtid_binlog_pos cannot be read"))?;
    let behind = own.domains_behind(saved);
    if behind.is_empty() {
        return Ok(());
    }
    Err(Error::stop(
        Code::LogReset,
        format!(
            "the server is at GTID {own}, behind {saved} which is in the files (domain {behind:?}): it was \
         reset or restored"
        ),
    )
    .hint(PURGED))
}

/// Without GTIDs: this is the same server, and the file is still there and long enough.
fn check_file(catalog: &mut Catalog, file: &str, offset: u64) -> Result<()> {
    let logs = catalog.query("SHOW BINARY LOGS")?;
    let length = logs.iter().find_map(|row| match &row[..] {
        [Some(name), Some(length), ..] if name == file => length.parse::<u64>().ok(),
        _ => None,
    });
    match length {
        Some(length) if length >= offset => Ok(()),
        Some(length) => Err(Error::stop(
            Code::LogReset,
            format!("binary log \"{file}\" has {length} bytes, and {offset} were read: the server was reset"),
        )
        .hint(PURGED)),
        None => {
            let hint =
                format!("{PURGED}; next time keep the log longer: {}", keep_longer(catalog.address.dialect));
            Err(Error::stop(
                Code::LogPurged,
                format!("the server no longer has binary log \"{file}\", which was not read to its end"),
            )
            .hint(hint))
        }
    }
}
