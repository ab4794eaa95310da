//! Plain SQL on whichever database an address names.

use super::{Address, Database, Dialect, postgres};
use crate::{Error, Result};

/// Connects for plain SQL.
pub fn open(address: &Address) -> Result<Box<dyn Database>> {
    match address.dialect {
        Dialect::Postgres => Ok(Box::new(postgres::open(address)?)),
        Dialect::Mysql | Dialect::Mariadb => {
            Err(Error::stop(format!("{} cannot be opened yet", address.dialect.product())).hint("merge it"))
        }
    }
}
