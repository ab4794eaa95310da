//! What a check of the surroundings found, before anything is started: the words that sources, Kafka and
//! sinks answer `list_sync check` with.

use std::path::PathBuf;

use crate::{Code, Error, Result};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// As it must be.
    Ok,
    /// It works, with a consequence that is told.
    Warn,
    /// It will not work.
    Fail,
}

impl Status {
    /// `ok`, `warn` or `fail`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check and what it found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was tried: `wal_level`.
    pub check: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found; one line.
    pub fact: String,
    /// What a person can do, with the exact statement.
    pub mend: Option<String>,
    /// The code of the error that was found.
    pub code: Option<Code>,
    /// What mends it, or does now what the start would do, without a restart of the server.
    pub fix: Option<Fix>,
}

/// What `check --fix` can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// These statements on the source's server.
    Statements(Vec<String>),
    /// Making this topic.
    Topic {
        /// Its name.
        name: String,
        /// One partition, in which the newest message of each key stays.
        compacted: bool,
    },
    /// Making this folder.
    Folder(PathBuf),
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, fact: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, fact: fact.into(), mend: None, code: None, fix: None }
    }

    /// It works, with a consequence.
    pub fn warn(check: &'static str, fact: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            check,
            status: Status::Warn,
            fact: fact.into(),
            mend: Some(mend.into()),
            code: None,
            fix: None,
        }
    }

    /// A rule's own answer: what it says if it holds, or its failure with the hint and the statements that
    /// mend it.
    pub fn of(check: &'static str, answer: Result<impl Into<String>>) -> Self {
        match answer {
            Ok(fact) => Self::ok(check, fact),
            Err(error) => Self::fail(check, &error),
        }
    }

    /// A rule that does not hold.
    pub fn fail(check: &'static str, error: &Error) -> Self {
        let statements = error.statements();
        let fix = (!statements.is_empty()).then(|| Fix::Statements(statements.to_vec()));
        Self {
            check,
            status: Status::Fail,
            fact: error.to_string(),
            mend: error.hint_text().map(str::to_owned),
            code: Some(error.code()),
            fix,
        }
    }

    /// With what `check --fix` can do.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// Names for a message, at most ten of them.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
