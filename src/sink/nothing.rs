//! A sink that writes nothing: what reading, decoding and committing cost alone.

use std::collections::BTreeMap;

use super::{Marks, Sink};
use crate::Result;
use crate::change::Batch;

/// Takes every row and keeps none. It has no files, so it vouches for none and has none to cut.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Sink for Nothing {
    fn recover(&mut self, _: &BTreeMap<String, Marks>) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, _: &str, _: &Batch) -> Result<bool> {
        Ok(false)
    }

    fn write(&mut self, _: &str, _: &Batch) -> Result<()> {
        Ok(())
    }

    fn merge(&self, _: &[Marks]) -> Marks {
        Marks::new()
    }

    fn flush(&mut self) -> Result<BTreeMap<String, Marks>> {
        Ok(BTreeMap::new())
    }
}
