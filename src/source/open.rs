//! Plain SQL, and the end of the log, of whichever database an address names.

use std::time::Duration;

use super::{Address, Database, Dialect, Measure};
use crate::Result;

/// Connects for plain SQL.
pub fn open(address: &Address) -> Result<Box<dyn Database>> {
    Ok(match address.dialect {
        Dialect::Postgres => Box::new(super::postgres::open(address)?),
        Dialect::Mysql | Dialect::Mariadb => Box::new(super::mysql::open(address)?),
    })
}

/// What asks the server of this address how far its log goes; `slot` is PostgreSQL's. Nothing is connected
/// before the first question.
pub fn measure(address: &Address, slot: &str, time_out: Duration) -> Box<dyn Measure> {
    match address.dialect {
        Dialect::Postgres => Box::new(super::postgres::PostgresMeasure::new(address, slot, time_out)),
        Dialect::Mysql | Dialect::Mariadb => Box::new(super::mysql::MysqlMeasure::new(address, time_out)),
    }
}
