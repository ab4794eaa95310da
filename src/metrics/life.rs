//! What a source or sink is doing, in a word, and how it ended.

use std::sync::{Mutex, PoisonError};

use crate::{Code, Error};

/// An error as it is shown: in `/readyz`, in `status`, on the progress line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its code.
    pub code: Code,
    /// Its fact and causes.
    pub text: String,
}

impl Trouble {
    fn new(error: &Error) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}

/// What is being done.
#[derive(Debug, Default)]
pub struct Life {
    state: Mutex<String>,
    trouble: Mutex<Option<Trouble>>,
    failure: Mutex<Option<Trouble>>,
}

impl Life {
    /// Says in a word or two what is being done: `snapshot`, `streaming`, `reconnecting`.
    pub fn set_state(&self, state: impl Into<String>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state.into();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// It waits, and tries again: why.
    pub fn wait_for(&self, state: impl Into<String>, error: &Error) {
        self.set_state(state);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(Trouble::new(error));
    }

    /// What it waits for to pass, if it does.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was last said; empty before.
    pub fn state(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It ended, and nothing in this process starts it again.
    pub fn fail(&self, error: &Error) {
        self.set_state("failed");
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Trouble::new(error));
    }

    /// Why it ended, if it did.
    pub fn failure(&self) -> Option<Trouble> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
