//! Plain SQL on whichever database an address names.

use super::{Address, Database};
use crate::{Error, Result};

/// Connects for plain SQL.
pub fn open(address: &Address) -> Result<Box<dyn Database>> {
    Err(Error::stop(format!("{} cannot be opened yet", address.dialect.product())).hint("merge it"))
}
