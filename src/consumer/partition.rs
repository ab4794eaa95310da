//! What a member knows of one of its partitions.

use std::collections::{BTreeMap, BTreeSet};

use super::commit_text::CommitText;
use super::long_texts::LongTexts;
use crate::change::Position;
use crate::kafka::OffsetCommit;
use crate::sink::Marks;
use crate::{Code, Error, Result};

/// How far something has come in a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reach {
    /// The next message; `None` until one was seen or a commit is known.
    offset: Option<i64>,
    /// The highest position, by source. Nearly always one source.
    positions: Vec<(String, Position)>,
}

/// One partition.
#[derive(Debug)]
pub struct PartitionState {
    /// Topic name.
    pub topic: String,
    /// Its number in the topic.
    pub partition: u32,
    /// Files of other members that the partition's commits go on naming.
    pub carried: Marks,
    /// Long texts on other members' disks that its commits go on naming.
    long: BTreeSet<String>,
    read: Reach,
    written: Reach,
    committed: Reach,
}

impl PartitionState {
    /// From what the group has committed for it.
    pub fn new(entry: &OffsetCommit, texts: &LongTexts) -> Result<Self> {
        let text = CommitText::from_json(&entry.topic, &entry.text, texts)?;
        let reach = Reach { offset: entry.offset, positions: text.positions.into_iter().collect() };
        Ok(Self {
            topic: entry.topic.clone(),
            partition: entry.partition,
            carried: text.files,
            long: text.long,
            read: reach.clone(),
            written: reach.clone(),
            committed: reach,
        })
    }

    /// Whether changes of this source were read before.
    #[inline]
    pub fn knows(&self, source: &[u8]) -> bool {
        self.read.positions.iter().any(|(name, _)| name.as_bytes() == source)
    }

    /// Whether the change was read before; if not, it is noted as read. The source's name is UTF-8.
    pub fn repeats(&mut self, source: &[u8], position: Position) -> bool {
        match self.read.positions.iter_mut().find(|(name, _)| name.as_bytes() == source) {
            Some((_, read)) if *read >= position => true,
            Some((_, read)) => {
                *read = position;
                false
            }
            None => {
                self.read.positions.push((String::from_utf8_lossy(source).into_owned(), position));
                false
            }
        }
    }

    /// The offset that was to come next, if the message at `offset` lies behind it.
    #[inline]
    pub fn gap_before(&self, offset: i64) -> Option<i64> {
        self.read.offset.filter(|next| offset > *next)
    }

    /// The message at `offset` was taken in. Offsets only rise within a partition.
    pub fn took(&mut self, offset: i64) {
        if self.written.offset.is_none() {
            self.written.offset = Some(offset);
        }
        self.read.offset = Some(offset + 1);
    }

    /// Nothing is left before `end`; the last offsets before it may be no messages.
    pub fn reached(&mut self, end: i64) {
        if end > self.read.offset.unwrap_or(0) {
            self.written.offset.get_or_insert(end);
            self.read.offset = Some(end);
        }
    }

    /// All that was read has been written.
    pub fn wrote(&mut self) {
        if self.written != self.read {
            self.written.clone_from(&self.read);
        }
    }

    /// What was read up to the message at `offset` has been dealt with, and nothing behind it.
    pub fn wrote_to(&mut self, offset: i64, source: &str, position: Position) {
        self.written.offset = Some(offset + 1);
        match self.written.positions.iter_mut().find(|(name, _)| name == source) {
            Some((_, written)) => *written = position,
            None if source.is_empty() => {}
            None => self.written.positions.push((source.to_owned(), position)),
        }
    }

    /// Something was written that is not committed.
    pub fn is_ahead(&self) -> bool {
        self.written.offset != self.committed.offset
    }

    /// Whether everything before this offset has been read.
    pub fn has_read_to(&self, end: i64) -> bool {
        self.read.offset.unwrap_or(0) >= end
    }

    /// The next message that the group would read; 0 before the first commit.
    pub fn committed_offset(&self) -> i64 {
        self.committed.offset.unwrap_or(0)
    }

    /// What a commit says of it, given the sink's own files for its topic. `None`: there is nothing to say
    /// yet.
    pub fn entry(&self, own: Option<&Marks>, texts: &mut LongTexts) -> Result<Option<OffsetCommit>> {
        self.entry_of(&self.written, own, texts)
    }

    /// What the last commit said, with these files.
    pub fn entry_again(&self, own: Option<&Marks>, texts: &mut LongTexts) -> Result<Option<OffsetCommit>> {
        self.entry_of(&self.committed, own, texts)
    }

    fn entry_of(
        &self,
        reach: &Reach,
        own: Option<&Marks>,
        texts: &mut LongTexts,
    ) -> Result<Option<OffsetCommit>> {
        let Some(offset) = reach.offset else { return Ok(None) };
        let positions: BTreeMap<String, Position> = reach.positions.iter().cloned().collect();
        let sources = positions.len();
        let text = CommitText::fit(positions, own, &self.carried, &self.long, texts)?;
        if text.len() > OffsetCommit::TEXT_MAX {
            let fact = format!(
                "one commit cannot name the positions of all {sources} sources of topic {:?}",
                self.topic
            );
            return Err(Error::stop(Code::TopicsCollide, fact)
                .hint("give the sources topics of their own: topic = \"{source}\""));
        }
        Ok(Some(OffsetCommit {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: Some(offset),
            text,
        }))
    }

    /// The commit held.
    pub fn committed(&mut self, own: Option<&Marks>) {
        self.committed.clone_from(&self.written);
        // From now on the sink's own lengths are the newer ones.
        for file in own.into_iter().flatten() {
            self.carried.remove(file.0);
        }
    }
}
