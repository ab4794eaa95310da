//! What a saved position says of what a sink wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a sink says of each thing that it writes to, by name: a file's path as the sink was told to write it.
pub type Marks = BTreeMap<String, Mark>;

/// How far one of these things is good; only its sink knows what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(Value);

/// What a mark may be in saved positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    /// A file's length in bytes.
    Length(u64),
    /// What another kind of sink says.
    Text(String),
}

impl Mark {
    /// A file's length in bytes; `None` if it says something else.
    pub(super) fn length(&self) -> Option<u64> {
        match self.0 {
            Value::Length(length) => Some(length),
            Value::Text(_) => None,
        }
    }
}

/// Of a file's length in bytes.
impl From<u64> for Mark {
    fn from(length: u64) -> Self {
        Self(Value::Length(length))
    }
}
