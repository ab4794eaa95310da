//! Kafka to files without the interpreter, or to a Python function.

use std::sync::Arc;

use crossbeam_channel::bounded;
use list_sync::consumer::{self, Messages, Receiver};
use list_sync::{Code, Error, control};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::control::Control;
use crate::waiting::Jobs;
use crate::{errors, settings, waiting};

/// Kafka to files, `instances` members of each group, by the TOML text that `call` made of its arguments.
#[pyfunction]
pub fn consume(py: Python<'_>, call: &str, text: &str, instances: u32, control: &Control) -> PyResult<()> {
    let control = control.of_this_process(py)?;
    let config = settings::of_call(call, text).map_err(|error| errors::exception(py, &error))?;
    let told = control.clone();
    waiting::run(py, &control, move |_| consumer::run(&config, &[], instances, &told))
}

/// Kafka to `callback`, which gets each message, or with `batch` a list of them; `loads` makes of a message's
/// text what it gets.
#[pyfunction]
#[pyo3(signature = (call, text, control, callback, *, batch = false, batch_max = 1024, loads = None))]
#[expect(clippy::too_many_arguments, reason = "the arguments of the Python call, by name")]
pub fn hand_over(
    py: Python<'_>,
    call: &str,
    text: &str,
    control: &Control,
    callback: Py<PyAny>,
    batch: bool,
    batch_max: usize,
    loads: Option<Py<PyAny>>,
) -> PyResult<()> {
    let control = control.of_this_process(py)?;
    let config = settings::of_call(call, text).map_err(|error| errors::exception(py, &error))?;
    let told = control.clone();
    let callback = Arc::new(Callback { function: callback, loads, batch });
    waiting::run(py, &control, move |jobs| {
        let handing = Handing { callback, jobs, control: told.clone(), batch_max };
        consumer::relay(&config, Box::new(handing), &told)
    })
}

struct Callback {
    function: Py<PyAny>,
    loads: Option<Py<PyAny>>,
    batch: bool,
}

impl Callback {
    /// Calls the function; `done` counts the messages that it has returned for.
    fn call(
        &self,
        py: Python<'_>,
        messages: &Messages,
        control: &control::Control,
        done: &mut usize,
    ) -> PyResult<()> {
        let function = self.function.bind(py);
        if self.batch {
            let list =
                messages.iter().map(|message| self.argument(py, message)).collect::<PyResult<Vec<_>>>()?;
            function.call1((PyList::new(py, list)?,))?;
            *done = messages.len();
            return Ok(());
        }
        for message in messages.iter() {
            // The function itself may have asked to stop.
            if control.is_stopping() {
                break;
            }
            function.call1((self.argument(py, message)?,))?;
            *done += 1;
        }
        Ok(())
    }

    fn argument<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let text = std::str::from_utf8(message);
        let text = text.map_err(|fault| {
            errors::message(
                py,
                &Error::stop(Code::MessageUnreadable, "a message is no UTF-8 text").cause(fault),
            )
        })?;
        let text = PyString::new(py, text);
        match &self.loads {
            Some(loads) => loads.bind(py).call1((text,)),
            None => Ok(text.into_any()),
        }
    }
}

/// Hands batches to the thread that made the call, and waits until it is done with them.
struct Handing {
    callback: Arc<Callback>,
    jobs: Jobs,
    control: control::Control,
    batch_max: usize,
}

impl Receiver for Handing {
    fn receive(&mut self, messages: &Messages) -> list_sync::Result<usize> {
        if self.control.is_stopping() {
            return Ok(0);
        }
        let (messages, callback, control) =
            (messages.clone(), Arc::clone(&self.callback), self.control.clone());
        let (tell, told) = bounded(1);
        let job = move |py: Python<'_>| {
            let mut done = 0;
            let called = callback.call(py, &messages, &control, &mut done);
            let _ = tell.send(done);
            called
        };
        let gone = || Error::stop(Code::ProgramEnded, "the program no longer waits for its messages");
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        told.recv().map_err(|_| gone())
    }

    fn messages_max(&self) -> usize {
        self.batch_max
    }
}
