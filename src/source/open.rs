//! Plain SQL on whichever database an address names.

use super::{Address, Database, Dialect};
use crate::Result;

/// Connects for plain SQL.
pub fn open(address: &Address) -> Result<Box<dyn Database>> {
    Ok(match address.dialect {
        Dialect::Postgres => Box::new(super::postgres::open(address)?),
        Dialect::Mysql | Dialect::Mariadb => Box::new(super::mysql::open(address)?),
    })
}
