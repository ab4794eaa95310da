//! The CSV writer without a consumer: each call appends the rows of one message to files that may be there
//! already.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use list_sync::change::{Batch, Position, Table};
use list_sync::config;
use list_sync::format::json::Decoder;
use list_sync::sink::{Marks, Sink, csv};
use list_sync::{Error, Result, assembly};
use pyo3::prelude::*;

use crate::{errors, settings};

/// What messages by hand come by.
const CHANNEL: &str = "python";

/// Files that rows are appended to. May be used from any thread of the process that made it.
#[pyclass(frozen, module = "list_sync._native")]
pub struct Rows {
    files: Mutex<Option<Files>>,
    process: u32,
}

enum Failure {
    Closed,
    Message(Error),
    Files(Error),
}

#[pymethods]
impl Rows {
    /// By the TOML text of one `[[sink]]`.
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        let config = settings::of_call("CsvWriter", text).map_err(|error| errors::exception(py, &error))?;
        let sink = config.need_sinks(&[]).map_err(|error| errors::exception(py, &error))?[0].clone();
        Ok(Self { files: Mutex::new(Some(Files::new(sink))), process: std::process::id() })
    }

    /// Appends the rows of a message.
    fn write(&self, py: Python<'_>, message: &str) -> PyResult<()> {
        self.with(py, |files| files.write(message))
    }

    /// Brings everything to the disk.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |files| files.flush().map_err(Failure::Files))
    }

    /// Brings everything to the disk and gives the files back.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = self.with(py, |files| files.flush().map_err(Failure::Files));
        if self.process == std::process::id() {
            *self.files.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        closed.or_else(|error| if error.get_type(py).name()? == "ClosedError" { Ok(()) } else { Err(error) })
    }
}

impl Rows {
    fn with(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Files) -> Result<(), Failure> + Send,
    ) -> PyResult<()> {
        if self.process != std::process::id() {
            return Err(errors::forked(py));
        }
        let done = py.detach(|| match &mut *self.files.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(files) => work(files),
            None => Err(Failure::Closed),
        });
        done.map_err(|failure| match failure {
            Failure::Closed => errors::closed(py, "the writer"),
            Failure::Message(error) => errors::message(py, &error),
            Failure::Files(error) => errors::exception(py, &error),
        })
    }
}

struct Files {
    settings: config::Sink,
    decoder: Decoder,
    batch: Batch,
    /// The last position; messages by hand have none, so the clock and the order of the calls stand for it.
    position: Position,
    sinks: HashMap<PathBuf, csv::CsvSink>,
}

impl Files {
    fn new(settings: config::Sink) -> Self {
        Self {
            settings,
            decoder: Decoder::default(),
            batch: Batch::default(),
            position: Position::START,
            sinks: HashMap::new(),
        }
    }

    fn write(&mut self, message: &str) -> Result<(), Failure> {
        self.batch.clear();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64;
        self.position = Position::first_of(0, now.max(self.position.commit + 1));
        self.decoder.decode(message.as_bytes(), self.position, &mut self.batch).map_err(Failure::Message)?;
        self.append().map_err(Failure::Files)
    }

    fn append(&mut self) -> Result<()> {
        let Some(row) = self.batch.rows().first() else { return Ok(()) };
        let table = self.batch.table(row);
        let stem = csv::stem(&self.settings.path, CHANNEL, table)?;
        let sink = match self.sinks.remove(&stem) {
            Some(sink) => sink,
            None => open(&self.settings, &stem, table)?,
        };
        let sink = self.sinks.entry(stem).or_insert(sink);
        if sink.prepare(CHANNEL, &self.batch)? {
            flush(sink)?;
        }
        sink.write(CHANNEL, &self.batch)?;
        sink.write_out()?;
        // Its file was moved or truncated: the row waits for the next one.
        if sink.holds_back_rows() { flush(sink) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.sinks.values_mut().try_for_each(flush)
    }
}

fn flush(sink: &mut csv::CsvSink) -> Result<()> {
    loop {
        sink.flush()?;
        if !sink.holds_back() {
            return Ok(());
        }
    }
}

/// A sink that goes on behind what its files hold.
fn open(settings: &config::Sink, stem: &Path, table: &Table) -> Result<csv::CsvSink> {
    let mut sink = csv::CsvSink::new(assembly::sink_settings(settings, settings.id.as_deref()))?;
    let mut marks = Marks::new();
    let prefix = stem.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    for part in
        csv::list(stem)?.into_iter().filter(|part| part.id == settings.id.as_deref().unwrap_or_default())
    {
        let name =
            part.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(prefix));
        let (Some(ending), Ok(about)) = (name, part.path.metadata()) else { continue };
        marks.insert(format!("{}{ending}", stem.display()), about.len().into());
    }
    tracing::debug!(table = table.name, files = marks.len(), "files are appended to");
    sink.recover(&BTreeMap::from([(CHANNEL.to_owned(), marks)]))?;
    Ok(sink)
}
