//! What fuzzing calls of direct mode: the text of a state file.

use super::state::StateFile;

/// A state is read or refused; what was read is written as it was read. With the right checksum in front,
/// damage gets further.
pub(crate) fn state(text: &str) {
    let json = text.split_once('\n').map_or(text, |(_, json)| json);
    for text in [text.to_owned(), format!("{:08x}\n{json}", crc32fast::hash(json.as_bytes()))] {
        let Ok(state) = StateFile::parse(&text) else { continue };
        let again = StateFile::text(&state).map(|text| StateFile::parse(&text));
        assert_eq!(again.ok(), Some(Ok(state)));
    }
}
