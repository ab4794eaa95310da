//! Changes on stdout, one JSON text a line, for pipes and for looking.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};

use super::{Marks, Sink};
use crate::change::Batch;
use crate::format::{Encoder, Encoding, Include, Options, Records};
use crate::{Code, Error, Result};

/// Writes each batch at once: whoever reads sees it, and a commit that follows is later than the lines. A
/// crash between the two repeats lines; it never leaves one out.
pub struct Stdout {
    encoder: Encoder,
    records: Records,
    lines: Vec<u8>,
}

impl Default for Stdout {
    /// As messages are written to Kafka, with the schema, since tables of several may come.
    fn default() -> Self {
        let include = Include { schema: true, ..Include::default() };
        let options = Options { include, identity_key_only: false };
        let encoder = Encoder::new(Encoding::Json, options);
        Self { encoder, records: Records::default(), lines: Vec::new() }
    }
}

impl Sink for Stdout {
    fn recover(&mut self, _: &BTreeMap<String, Marks>) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, _: &str, _: &Batch) -> Result<bool> {
        Ok(false)
    }

    fn write(&mut self, _: &str, batch: &Batch) -> Result<()> {
        self.records.clear();
        self.encoder.encode(batch, &mut self.records);
        self.lines.clear();
        for record in &self.records.records {
            self.lines.extend_from_slice(self.records.value(record));
            self.lines.push(b'\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(&self.lines).and_then(|()| out.flush()).map_err(failure)
    }

    fn merge(&self, _: &[Marks]) -> Marks {
        Marks::new()
    }

    fn flush(&mut self) -> Result<BTreeMap<String, Marks>> {
        Ok(BTreeMap::new())
    }
}

fn failure(cause: io::Error) -> Error {
    let hint = match cause.kind() {
        ErrorKind::BrokenPipe => "the program that reads it has ended",
        _ => "check where stdout leads",
    };
    Error::stop(Code::OutputFailed, "stdout cannot be written").cause(cause).hint(hint)
}
