//! The log on stderr: text or JSON, above the progress lines where there are any; and the one place that
//! prints an error.

use std::io::{self, Write};

use indicatif::MultiProgress;
use list_sync::Error;
use tracing::Level;

use crate::args::{Everywhere, LogFormat};

/// Begins to log; lines that come while `bars` are drawn push them down.
pub fn start(flags: &Everywhere, bars: Option<&MultiProgress>) {
    let level = match (flags.quiet, flags.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::INFO,
        (false, 1) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    let bars = bars.cloned();
    let writer = move || Above { bars: bars.clone() };
    // A log that cannot be written (its disk is full, its reader has gone) must not end the program, as a
    // complaint about it on stderr would.
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_target(level > Level::INFO)
        .log_internal_errors(false);
    // A second logger in one process is no reason to stop.
    let _ = match flags.log_format {
        LogFormat::Text => tracing::subscriber::set_global_default(builder.with_ansi(false).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(
            builder
                .json()
                .flatten_event(true)
                .with_target(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
    };
}

/// Prints an error as `error: …` (a line for each fact), `hint: …` and `code: …`, or as JSON objects.
pub fn report(error: &Error, format: LogFormat) {
    let facts = error.to_string();
    let hint = error.hint_text().unwrap_or_default();
    let code = error.code().slug();
    if format == LogFormat::Json {
        for fact in facts.lines() {
            tracing::error!(code, hint, "{fact}");
        }
        return;
    }
    let mut told = String::new();
    for (label, lines) in [("error", facts.as_str()), ("hint", hint)] {
        for line in lines.lines() {
            told = format!("{told}{label}: {line}\n");
        }
    }
    told = format!("{told}code: {code} (list_sync explain {code})\n");
    // Nobody is left to tell if stderr is closed.
    let _ = io::stderr().write_all(told.as_bytes());
}

struct Above {
    bars: Option<MultiProgress>,
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.bars {
            Some(bars) => bars.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
