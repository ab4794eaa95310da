//! stub
use super::{Marks, Sink};
use crate::{Result, change::Batch};
use std::collections::BTreeMap;
use std::time::Duration;
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub struct Settings {
    pub path: String,
    pub id: Option<String>,
    pub split: bool,
    pub position: bool,
    pub unchanged: String,
    pub rotate_bytes: Option<u64>,
    pub rotate_rows: Option<u64>,
    pub rotate_after: Option<Duration>,
}
#[allow(missing_docs)]
pub struct CsvSink;
impl CsvSink {
    #[allow(missing_docs)]
    pub fn new(_: Settings) -> Result<Self> {
        Ok(Self)
    }
}
impl Sink for CsvSink {
    fn recover(&mut self, _: &BTreeMap<String, Marks>) -> Result<()> {
        Ok(())
    }
    fn prepare(&mut self, _: &str, _: &Batch) -> Result<bool> {
        Ok(false)
    }
    fn write(&mut self, _: &str, _: &Batch) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> Result<BTreeMap<String, Marks>> {
        Ok(BTreeMap::new())
    }
}
