//! The handle by which Python stops what runs, and the calls that need nothing but it: connector, pipeline,
//! command line.

use std::ffi::OsString;
use std::process::ExitCode;

use list_sync::monitor::Monitor;
use list_sync::{connector, control};
use pyo3::prelude::*;

use crate::{errors, logs, settings, waiting};

/// Stops what was started with it. May be used from any thread of the process that made it.
#[pyclass(frozen, module = "list_sync._native")]
pub struct Control {
    inner: control::Control,
    process: u32,
}

#[pymethods]
impl Control {
    /// With `once`, what is started catches up with what is there and ends.
    #[new]
    #[pyo3(signature = (once = false))]
    fn new(once: bool) -> Self {
        Self { inner: control::Control::new(once), process: std::process::id() }
    }

    /// For the next run of the same object: a new handle, which is stopped if this one is.
    fn renew(&self, py: Python<'_>, once: bool) -> PyResult<Self> {
        let stopped = self.of_this_process(py)?.is_stopping();
        let new = Self::new(once);
        if stopped {
            new.stop();
        }
        Ok(new)
    }

    /// Asks what was started to finish what is in flight, and end. Does not wait for it.
    fn stop(&self) {
        self.inner.request_stop();
    }

    /// Whether it was asked to stop.
    #[getter]
    fn stopping(&self) -> bool {
        self.inner.is_stopping()
    }

    /// Row changes that are finished so far: by sources, and by sinks.
    fn rows(&self) -> (u64, u64) {
        let progress = &self.inner.progress;
        let read = progress.sources().iter().map(|(_, figures)| figures.rows.get()).sum();
        (read, progress.sinks().iter().map(|(_, figures)| figures.rows()).sum())
    }
}

impl Control {
    /// The engine's handle, if this is the process that made it.
    pub fn of_this_process(&self, py: Python<'_>) -> PyResult<control::Control> {
        if self.process == std::process::id() { Ok(self.inner.clone()) } else { Err(errors::forked(py)) }
    }
}

/// Databases to Kafka, by the TOML text that `call` made of its arguments.
#[pyfunction]
pub fn connect(py: Python<'_>, call: &str, text: &str, control: &Control) -> PyResult<()> {
    let control = control.of_this_process(py)?;
    let config = settings::of_call(call, text).map_err(|error| errors::exception(py, &error))?;
    let told = control.clone();
    waiting::run(py, &control, move |_| connector::run(&config, &[], &told))
}

/// A whole configuration file, or TOML text: databases to files, through Kafka if there is one.
#[pyfunction]
#[pyo3(signature = (control, *, path = None, text = ""))]
pub fn run(py: Python<'_>, control: &Control, path: Option<&str>, text: &str) -> PyResult<()> {
    let control = control.of_this_process(py)?;
    let config = path.map_or_else(|| settings::of_call("Pipeline", text), settings::of_file);
    let config = config.map_err(|error| errors::exception(py, &error))?;
    let told = control.clone();
    waiting::run(py, &control, move |_| {
        let (sources, sinks) =
            (config.sources.iter().collect::<Vec<_>>(), config.sinks.iter().collect::<Vec<_>>());
        let _monitor = Monitor::start(&config, &sources, &sinks, &told)?;
        match (sources.is_empty(), sinks.is_empty(), &config.kafka) {
            (false, true, Some(_)) => connector::run(&config, &[], &told),
            (true, false, Some(_)) => list_sync::consumer::run(&config, &[], 1, &told),
            _ => list_sync::pipeline::run(&config, &told),
        }
    })
}

/// The command `list_sync` with these arguments, the first of which is its name; answers the exit code.
/// Arguments that are wrong, or ask for help, end the process.
#[pyfunction]
pub fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let code = py.detach(|| list_sync_cli::run(arguments));
    (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(1)
}

/// Called in the child of a fork, before anything else.
#[pyfunction]
pub fn after_fork() {
    logs::after_fork();
}
