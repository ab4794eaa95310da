//! One error type. Its [`ErrorKind`] says what must happen next; its hint says what a person can do.

mod code;
#[cfg(test)]
mod reference;

use std::fmt;

pub use code::{Code, Explanation};

/// What must happen next.
///
/// | kind | what happens | exit code |
/// |---|---|---|
/// | `Usage` | stop before anything starts: the command line or the configuration is wrong | 2 |
/// | `Link` | the same step again, on a new connection, with growing pauses (at the first start: stop, since the address may be wrong) | 1 |
/// | `Stop` | stop this source or sink and say why: only a person can mend it (privilege, setting, purged log, full disk, unknown event) | 1 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The command line or the configuration is wrong.
    Usage,
    /// A connection broke, timed out or was refused: trying again may help.
    Link,
    /// Trying again cannot help.
    Stop,
}

impl ErrorKind {
    /// The name it has in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Link => "link",
            Self::Stop => "stop",
        }
    }
}

/// A failure: a code that stays, a short fact that quotes the object's kind and name, a hint that can be
/// followed, and what caused it. Never a row's values, never a secret.
#[derive(Debug)]
pub struct Error {
    code: Code,
    kind: ErrorKind,
    fact: String,
    hint: Option<String>,
    statements: Vec<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of this library's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of the given kind.
    pub fn new(code: Code, kind: ErrorKind, fact: impl Into<String>) -> Self {
        Self { code, kind, fact: fact.into(), hint: None, statements: Vec::new(), cause: None }
    }

    /// The command line or the configuration is wrong.
    pub fn usage(code: Code, fact: impl Into<String>) -> Self {
        Self::new(code, ErrorKind::Usage, fact)
    }

    /// A connection failed.
    pub fn link(code: Code, fact: impl Into<String>) -> Self {
        Self::new(code, ErrorKind::Link, fact)
    }

    /// Only a person can mend it.
    pub fn stop(code: Code, fact: impl Into<String>) -> Self {
        Self::new(code, ErrorKind::Stop, fact)
    }

    /// With what a person can do, as an instruction.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a statement that mends it while the server runs; `check --fix` runs it.
    #[must_use]
    pub fn mended_by(mut self, statement: impl Into<String>) -> Self {
        self.statements.push(statement.into());
        self
    }

    /// With what caused it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same failure seen from further out: `what: fact`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.fact = format!("{what}: {}", self.fact);
        self
    }

    /// The same failure, but not worth another try.
    #[must_use]
    pub fn definite(mut self) -> Self {
        self.kind = ErrorKind::Stop;
        self
    }

    /// Which failure it is, by a name that stays.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What must happen next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What a person can do.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Statements that mend it while the server runs.
    pub fn statements(&self) -> &[String] {
        &self.statements
    }

    /// The exit code of a process that ends with this failure: 2 for usage, else 1.
    pub fn exit_code(&self) -> u8 {
        if self.kind == ErrorKind::Usage { 2 } else { 1 }
    }
}

/// One line: the fact, then each cause after a colon. The hint is for the edge to print.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.fact)?;
        let mut cause: Option<&dyn std::error::Error> = self.cause.as_deref().map(|cause| cause as _);
        while let Some(next) = cause {
            write!(formatter, ": {}", next.to_string().replace('\n', " "))?;
            cause = next.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
