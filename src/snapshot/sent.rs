//! Keys of a table that were sent behind the last saved place, before the snapshot was broken off.

use std::collections::BTreeMap;

use crate::change::Position;

/// Message keys, with the last place of each.
#[derive(Debug, Default)]
pub struct SentKeys(BTreeMap<String, Position>);

impl SentKeys {
    /// A change of this key was sent.
    pub fn add(&mut self, key: String, position: Position) {
        let last = self.0.entry(key).or_insert(position);
        *last = position.max(*last);
    }

    /// Whether a change of this key was sent.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The key counts no longer; whether it did.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    /// The table was emptied at this place, and what was sent before with it. Whether there was any.
    pub fn truncate(&mut self, at: Position) -> bool {
        let before = self.0.len();
        self.0.retain(|_, position| *position > at);
        self.0.len() < before
    }

    /// The keys in the order in which they were sent.
    pub fn by_place(&self) -> Vec<String> {
        let mut keys: Vec<(&Position, &String)> =
            self.0.iter().map(|(key, position)| (position, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// No key counts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::SentKeys;
    use crate::change::Position;

    #[test]
    fn a_truncate_counts_for_what_was_sent_before() {
        let at = |commit| Position::first_of(0, commit);
        let mut sent = SentKeys::default();
        for (key, commit) in [("b", 5), ("a", 7), ("b", 9), ("c", 6)] {
            sent.add(key.into(), at(commit));
        }
        assert_eq!(sent.by_place(), ["c", "a", "b"]);
        assert!(sent.truncate(at(8)) && !sent.truncate(at(8)));
        assert!(sent.contains("b") && !sent.contains("a") && !sent.contains("c"));
        assert!(sent.remove("b") && !sent.remove("b") && sent.is_empty());
    }
}
