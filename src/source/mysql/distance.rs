//! How far a place lies behind the end of the server's binary log, asked on a light connection of its own.

use std::time::Duration;

use super::super::{Address, Distance, Measure};
use super::connection::Connection;
use super::failure::PURGED;
use crate::change::Restart;
use crate::{Code, Error, Result};

/// Asks a MySQL or MariaDB server.
pub struct MysqlMeasure {
    address: Address,
    time_out: Duration,
    conn: Option<Connection>,
}

impl MysqlMeasure {
    /// Connects at the first question. The server has `time_out` for each.
    pub fn new(address: &Address, time_out: Duration) -> Self {
        Self { address: address.clone(), time_out, conn: None }
    }

    fn logs(&mut self) -> Result<Vec<(String, u64)>> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => Connection::open(&self.address, self.time_out)?,
        };
        let rows = conn.query("SHOW BINARY LOGS")?;
        // Kept only after an answer: a connection that failed is of no more use.
        self.conn = Some(conn);
        let log = |row: Vec<Option<String>>| {
            let mut values = row.into_iter().flatten();
            Some((values.next()?, values.next()?.parse().ok()?))
        };
        Ok(rows.into_iter().filter_map(log).collect())
    }
}

impl Measure for MysqlMeasure {
    fn behind(&mut self, place: &Restart) -> Result<Distance> {
        let Restart::Binlog { file, offset, .. } = place else {
            return Err(Error::stop(
                Code::PositionForeign,
                "the place is not one of a MySQL or MariaDB server",
            ));
        };
        let logs = self.logs()?;
        let bytes = bytes_behind(&logs, file, *offset).ok_or_else(|| {
            Error::stop(
                Code::LogPurged,
                format!("the server no longer has binary log {file:?}, which was not read to its end"),
            )
            .hint(PURGED)
        })?;
        let end = logs.last().map_or_else(String::new, |(file, size)| format!("{file}:{size}"));
        Ok(Distance { bytes, retained_bytes: None, is_read: None, place: format!("{file}:{offset}"), end })
    }
}

/// Bytes from a place to the end of the newest file, over all files between. A place before the first file's
/// name is known (another server took over) has all of them before it.
fn bytes_behind(logs: &[(String, u64)], file: &str, offset: u64) -> Option<u64> {
    let sum = |logs: &[(String, u64)]| logs.iter().map(|(_, size)| size).sum::<u64>();
    if file.is_empty() {
        return Some(sum(logs));
    }
    let place = logs.iter().position(|(name, _)| name == file)?;
    Some(sum(&logs[place..]).saturating_sub(offset))
}

#[cfg(test)]
mod tests {
    use super::bytes_behind;

    #[test]
    fn bytes_are_counted_over_several_files() {
        let logs = [("b.1".to_owned(), 100), ("b.2".to_owned(), 1000), ("b.3".to_owned(), 50)];
        for (file, offset, expected) in [
            ("b.3", 50, Some(0)),
            ("b.3", 4, Some(46)),
            ("b.2", 900, Some(150)),
            ("b.1", 100, Some(1050)),
            ("", 0, Some(1150)),
            ("b.0", 4, None),
        ] {
            assert_eq!(bytes_behind(&logs, file, offset), expected, "{file}:{offset}");
        }
        // The server may have written on since it listed its files.
        assert_eq!(bytes_behind(&logs, "b.3", 60), Some(0));
    }
}
