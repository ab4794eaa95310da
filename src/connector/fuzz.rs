//! What fuzzing calls of the connector: what it saves in `list_sync.positions`.

use super::saved::{Saved, own_position};

/// A state is read or refused; what was read is written as it was read.
pub(crate) fn saved(bytes: &[u8]) {
    if let Ok(saved) = Saved::from_bytes("shop", bytes) {
        let again = saved.to_bytes().map(|bytes| Saved::from_bytes("shop", &bytes).ok());
        assert_eq!(again.ok(), Some(Some(saved)));
    }
    if let Some(position) = own_position("shop", bytes) {
        assert_eq!(format!("shop:{position}").as_bytes(), bytes);
    }
}
