//! Where a source's position is saved, and how far that lies behind its server.

use std::time::Duration;

use serde::Serialize;

use crate::change::Checkpoint;
use crate::config::{Config, Source};
use crate::kafka::{Settings, Topics};
use crate::metrics::now_us;
use crate::monitor::Verdict;
use crate::source::{Dialect, measure};
use crate::{Code, Error, Result};

/// How long a server may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// `user@host:port/database`.
    pub database: String,
    /// `new`: nothing is saved; `ended`: it caught up or was stopped, and all is saved; `streaming`:
    /// PostgreSQL says that somebody reads the slot; `idle`: PostgreSQL says that nobody does; `started`: it
    /// did not end by itself, and whether it lives cannot be seen from outside; `lost`: the server no longer
    /// has its slot.
    pub state: &'static str,
    /// The saved place, as the server's own tools print it.
    pub position: Option<String>,
    /// The end of the server's log.
    pub end: Option<String>,
    /// Bytes of log from the saved place to the end.
    pub lag_bytes: Option<u64>,
    /// At most so old is the oldest change that is not saved; 0 if there is none.
    pub lag_seconds: Option<f64>,
    /// PostgreSQL: bytes of log that the server keeps for the slot.
    pub retained_bytes: Option<u64>,
    /// What could not be asked, and why.
    pub problem: Option<String>,
    /// The code of that error ([`crate::Code`]).
    pub problem_code: Option<&'static str>,
    /// What the running process says of it, if its monitor answers.
    pub live: Option<Verdict>,
}

/// A saved position.
pub struct Saved {
    checkpoint: Checkpoint,
    as_of_us: Option<i64>,
    is_clean: bool,
}

impl SourceStatus {
    fn new(source: &Source, state: &'static str) -> Self {
        Self {
            name: source.name.clone(),
            database: source.address.to_string(),
            state,
            position: None,
            end: None,
            lag_bytes: None,
            lag_seconds: None,
            retained_bytes: None,
            problem: None,
            problem_code: None,
            live: None,
        }
    }

    fn with_problem(self, error: &Error) -> Self {
        let problem_code = Some(error.code().slug());
        Self { problem: Some(error.to_string()), problem_code, ..self }
    }

    /// The thread that asked died.
    pub fn broken(source: &Source) -> Self {
        let problem_code = Some(Code::Internal.slug());
        Self {
            problem: Some("the question broke off".to_owned()),
            problem_code,
            ..Self::new(source, "unknown")
        }
    }
}

/// The saved position: in Kafka, or in direct mode in the state file.
pub fn saved(
    config: &Config,
    cluster: Option<(&Settings, Option<&Topics>)>,
    source: &Source,
) -> Result<Option<Saved>> {
    match cluster {
        Some((_, None)) => {
            Err(Error::link(Code::KafkaUnreachable, "its position is saved in Kafka, which does not answer"))
        }
        Some((settings, Some(topics))) => {
            let found = crate::connector::saved(settings, topics, &source.name)?;
            Ok(found.map(|(checkpoint, as_of_us, is_clean)| Saved { checkpoint, as_of_us, is_clean }))
        }
        None => {
            let found = crate::direct::saved(config, source)?;
            Ok(found.map(|checkpoint| Saved { checkpoint, as_of_us: None, is_clean: false }))
        }
    }
}

/// Asks the server how far a saved position is behind.
pub fn ask(source: &Source, saved: Result<Option<Saved>>) -> SourceStatus {
    let saved = match saved {
        Ok(Some(saved)) => saved,
        Ok(None) => return SourceStatus::new(source, "new"),
        Err(error) => {
            return SourceStatus::new(source, "unknown").with_problem(&error);
        }
    };
    let mut status = SourceStatus::new(source, if saved.is_clean { "ended" } else { "started" });
    match measure(&source.address, &source.slot, ANSWER_TIME).behind(&saved.checkpoint.restart) {
        Ok(distance) => {
            status.lag_seconds = if distance.bytes == 0 {
                Some(0.0)
            } else {
                saved.as_of_us.map(|as_of_us| (now_us() - as_of_us).max(0) as f64 / 1e6)
            };
            (status.lag_bytes, status.retained_bytes) = (Some(distance.bytes), distance.retained_bytes);
            (status.position, status.end) = (Some(distance.place), Some(distance.end));
            if source.address.dialect == Dialect::Postgres && distance.is_read.is_none() {
                status.state = "lost";
                status.problem = Some(format!(
                    "the slot {:?} is gone: changes since the saved position are lost",
                    source.slot
                ));
                status.problem_code = Some(Code::SlotLost.slug());
            }
            match distance.is_read {
                Some(true) => status.state = "streaming",
                Some(false) if !saved.is_clean => status.state = "idle",
                _ => {}
            }
        }
        Err(error) => {
            status.position = Some(saved.checkpoint.restart.to_string());
            return status.with_problem(&error);
        }
    }
    status
}
