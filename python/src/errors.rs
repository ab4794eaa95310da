//! The one place where a failure becomes an exception of `list_sync.errors`.

use list_sync::error::ErrorKind;
use list_sync::{Code, Error};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The exception of a failure:
///
/// | kind | exception |
/// |---|---|
/// | `Usage` | `ConfigurationError` (a `ValueError`) |
/// | `Link` | `LinkError` (a `ConnectionError`) |
/// | `Stop` | `StoppedError` (a `RuntimeError`) |
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::Usage => "ConfigurationError",
        ErrorKind::Link => "LinkError",
        ErrorKind::Stop => "StoppedError",
    };
    named(py, class, &error.to_string(), error.hint_text(), error.code())
}

/// A message that is no row change in JSON: `MessageError` (a `ValueError`).
pub fn message(py: Python<'_>, error: &Error) -> PyErr {
    named(py, "MessageError", &error.to_string(), error.hint_text(), error.code())
}

/// A call in a process that was forked from the one that made the object: `ForkError`.
pub fn forked(py: Python<'_>) -> PyErr {
    let hint = "make the object in the child process, after the fork";
    named(
        py,
        "ForkError",
        "the object was made in another process: its threads and connections did not come along",
        Some(hint),
        Code::Forked,
    )
}

/// A call on something that was closed: `ClosedError`.
pub fn closed(py: Python<'_>, what: &str) -> PyErr {
    named(py, "ClosedError", &format!("{what} is closed"), None, Code::Closed)
}

fn named(py: Python<'_>, class: &'static str, text: &str, hint: Option<&str>, code: Code) -> PyErr {
    let made = found(py, class).and_then(|class| class.call1((text, hint, code.slug())));
    made.map_or_else(|error| error, PyErr::from_value)
}

fn found<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static BASE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    // Imported once; the others are its neighbours.
    let base = BASE.import(py, "list_sync.errors", "ListSyncError")?;
    py.import(base.getattr("__module__")?.cast::<pyo3::types::PyString>()?)?.getattr(name)
}
