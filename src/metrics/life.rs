//! What a source or sink is doing, in a word, and how it ended.

use std::sync::{Mutex, PoisonError};

/// What is being done.
#[derive(Debug, Default)]
pub struct Life {
    state: Mutex<String>,
    trouble: Mutex<Option<String>>,
    failure: Mutex<Option<String>>,
}

impl Life {
    /// Says in a word or two what is being done: `snapshot`, `streaming`, `reconnecting`.
    pub fn set_state(&self, state: impl Into<String>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state.into();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// It waits, and tries again: why.
    pub fn wait_for(&self, state: impl Into<String>, trouble: impl Into<String>) {
        self.set_state(state);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble.into());
    }

    /// What it waits for to pass, if it does.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was last said; empty before.
    pub fn state(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It ended, and nothing in this process starts it again.
    pub fn fail(&self, why: impl Into<String>) {
        self.set_state("failed");
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.into());
    }

    /// Why it ended, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
