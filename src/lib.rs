//! Change data capture for MySQL, MariaDB and PostgreSQL: row changes are read from the databases' logs,
//! carried through Kafka in one format and written to files, exactly once into the files.
//!
//! The tree is the flow; ARCHITECTURE.md draws it: `source` reads, `change` is the vocabulary, `format` turns
//! changes into bytes and back, `kafka` carries bytes, `sink` writes files. `connector`, `consumer` and
//! `direct` join the stages and are the only places that move a position.

pub mod assembly;
pub mod calendar;
pub mod change;
pub mod check;
pub mod config;
pub mod connector;
pub mod consumer;
pub mod control;
pub mod direct;
pub mod error;
pub mod finding;
pub mod format;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod glob;
pub mod hex;
pub mod json_string;
pub mod kafka;
#[cfg(test)]
mod live;
pub mod metrics;
pub mod monitor;
pub mod pipeline;
pub mod position;
pub mod secret;
pub mod seed;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod status;
pub mod supervisor;
pub mod template;
pub mod threads;
mod tls;
pub mod verify;

pub use error::{Code, Error, Result};
