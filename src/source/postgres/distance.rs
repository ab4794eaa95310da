//! How far a place lies behind the end of the server's log, asked on a light connection of its own.

use std::time::Duration;

use super::super::{Address, Distance, Measure};
use super::catalog::cells;
use super::connection::{Connection, Purpose};
use super::failure::quote_literal;
use super::origin::LOG_END;
use super::slot::{parse_lsn, print_lsn};
use crate::change::Restart;
use crate::{Code, Error, Result};

/// Asks a PostgreSQL server.
pub struct PostgresMeasure {
    address: Address,
    slot: String,
    time_out: Duration,
    connection: Option<Connection>,
}

impl PostgresMeasure {
    /// Connects at the first question. The server has `time_out` for each.
    pub fn new(address: &Address, slot: &str, time_out: Duration) -> Self {
        let mut address = address.clone();
        address
            .options
            .entry("connect_timeout".to_owned())
            .or_insert_with(|| time_out.as_secs().max(1).to_string());
        Self { address, slot: slot.to_owned(), time_out, connection: None }
    }

    fn connection(&mut self) -> Result<&mut Connection> {
        let kept = self.connection.take().filter(|connection| !connection.is_broken());
        let connection = kept.map_or_else(|| Connection::open(&self.address, Purpose::Sql), Ok)?;
        let connection = self.connection.insert(connection);
        connection.time_out = Some(self.time_out);
        Ok(connection)
    }
}

impl Measure for PostgresMeasure {
    fn behind(&mut self, place: &Restart) -> Result<Distance> {
        let Restart::Postgres { lsn, .. } = place else {
            return Err(Error::stop(Code::PositionForeign, "the place is not one of a PostgreSQL server"));
        };
        let slot = quote_literal(&self.slot);
        let question = format!(
            "SELECT {LOG_END}, s.restart_lsn, s.active FROM (SELECT) one LEFT JOIN \
             pg_catalog.pg_replication_slots s ON s.slot_name = {slot}"
        );
        let rows = self.connection()?.query(&question)?;
        let [end, kept, active] = rows.into_iter().next().map(cells::<3>).unwrap_or_default();
        let end = parse_lsn(&end).ok_or_else(|| {
            Error::link(Code::StatementRefused, "the server does not say where its log ends")
        })?;
        Ok(Distance {
            bytes: end.saturating_sub(*lsn),
            retained_bytes: parse_lsn(&kept).map(|kept| end.saturating_sub(kept)),
            is_read: (!active.is_empty()).then(|| active == "t"),
            place: print_lsn(*lsn),
            end: print_lsn(end),
        })
    }
}
