//! What fuzzing calls of the consumer: the texts of commits, the lists in `.list_sync/`, and headers of
//! messages.

use super::commit_text::{CommitText, position_of};
use super::long_texts::LongTexts;
use crate::sink::Sink as _;
use crate::sink::csv::{CsvSink, Settings};

/// A text is read or refused; what was read is written as it was read. No list that it names lies outside the
/// folder of lists.
pub(crate) fn commit_text(text: &str) {
    let texts = LongTexts::new("no_such_folder/{table}", "files");
    let Ok(read) = CommitText::from_json("t", text, &texts) else { return };
    if let Ok(written) = read.to_json().as_deref()
        && read != CommitText::default()
    {
        assert_eq!(CommitText::from_json("t", written, &texts).ok().as_ref(), Some(&read));
    }
    let some = read.files.iter().take(2).map(|(file, mark)| (file.clone(), mark.clone())).collect();
    let Ok(sink) = CsvSink::new(Settings::default()) else { return };
    let merged = sink.merge(&[read.files.clone(), some]);
    assert!(
        merged.iter().all(|(file, length)| read.files.get(file).is_some_and(|known| known == length)),
        "lengths are those that were said"
    );
    for name in read.long {
        assert!(!name.contains('/') && !name.contains(".."), "{name:?}");
    }
}

/// A list is read, under the name that its hash gives it, or refused; under another one it is refused.
pub(crate) fn long_text(bytes: &[u8]) {
    if let Some(files) = LongTexts::parse(&LongTexts::name("files", bytes), bytes) {
        let again = serde_json::to_vec(&files)
            .ok()
            .and_then(|text| LongTexts::parse(&LongTexts::name("files", &text), &text));
        assert_eq!(again, Some(files));
    }
    assert_eq!(LongTexts::parse("files-0", bytes), None);
}

/// A header is split, and put together again.
pub(crate) fn position_header(bytes: &[u8]) {
    if let Some((source, position)) = position_of(bytes) {
        assert_eq!([source, b":", &position.digits()].concat(), bytes);
    }
}
