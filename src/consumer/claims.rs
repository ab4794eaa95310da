//! What a commit says besides the offset, and what a new owner of a partition makes of it.
//!
//! The text of a commit names the highest position written of each source, and the files with their lengths at that moment. It
//! belongs to the partition, not to the member: whoever is given the partition next goes on from there, drops what was already written, and cuts
//! what lies behind the lengths. Files of other members are carried along, so that their owner still finds its lengths when it comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::Position;
use crate::sink::Marks;
use crate::{Error, Result};

/// The text of one partition's commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// Layout of this text.
    #[serde(rename = "v")]
    version: u32,
    /// The highest position written, by source.
    #[serde(rename = "p", default)]
    pub positions: BTreeMap<String, Position>,
    /// Files that hold the partition's changes, and their lengths.
    #[serde(rename = "f", default)]
    pub files: Marks,
}

impl Text {
    const VERSION: u32 = 1;

    /// A text of today's layout.
    pub fn new(positions: BTreeMap<String, Position>, files: Marks) -> Self {
        Self { version: Self::VERSION, positions, files }
    }

    /// JSON without spaces.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| Error::stop("the text of a commit cannot be written").cause(cause))
    }

    /// An empty text (another client's commit) knows nothing; one of another layout is refused.
    pub fn from_json(topic: &str, text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let fail = |reason: String| {
            Error::stop(format!("the commit of topic {topic:?} carries a text that list_sync did not write: {reason}"))
                .hint("give this sink a group of its own")
        };
        let found: Self = serde_json::from_str(text).map_err(|cause| fail(cause.to_string()))?;
        if found.version == Self::VERSION { Ok(found) } else { Err(fail(format!("layout {}", found.version))) }
    }

    /// Whether a change of `source` at `position` was written before this commit.
    pub fn holds(&self, source: &str, position: Position) -> bool {
        self.positions.get(source).is_some_and(|written| *written >= position)
    }
}

/// Splits the `position` header of a message.
pub fn position_of(header: &[u8]) -> Option<(&str, Position)> {
    let text = std::str::from_utf8(header).ok()?;
    let (source, digits) = text.rsplit_once(':')?;
    Some((source, Position::from_digits(digits.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_and_others_are_refused() {
        let positions = BTreeMap::from([("shop".to_owned(), Position::first_of(0, 9))]);
        let text = Text::new(positions, Marks::from([("out/t_insert.csv".to_owned(), 7)]));
        assert_eq!(Text::from_json("t", &text.to_json().unwrap()).unwrap(), text);
        assert!(text.holds("shop", Position::first_of(0, 9)) && !text.holds("shop", Position::first_of(0, 10)));
        assert!(!text.holds("other", Position::START));
        assert_eq!(Text::from_json("t", "").unwrap(), Text::default());
        assert!(Text::from_json("t", "something else").is_err());
        assert!(Text::from_json("t", "{\"v\":2}").is_err());
    }

    #[test]
    fn headers_are_split_at_the_last_colon() {
        let position = Position::first_of(3, 4);
        assert_eq!(position_of(format!("a:b:{position}").as_bytes()), Some(("a:b", position)));
        for bad in ["", "shop", "shop:12", "\u{e4}"] {
            assert_eq!(position_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
