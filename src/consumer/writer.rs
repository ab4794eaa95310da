//! What a member has on its writer: the partitions it holds, the batch it is filling, and the sink it writes
//! to.
//!
//! The order of a commit is fixed: write the batch, flush the sink, commit offsets and file lengths as one.
//! After a commit that failed nothing on the writer counts any more: the next assignment begins from what the
//! group has committed, and the sink cuts the rest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::commit_text::CommitText;
use super::figures::MemberFigures;
use super::long_texts::LongTexts;
use super::partition::PartitionState;
use super::rejected::Rejected;
use super::relay::Relay;
use super::shapes::Shapes;
use crate::change::{Batch, Position, Table};
use crate::error::ErrorKind;
use crate::format::{Decoder, Encoding, ShapeId};
use crate::kafka::{Holder, Message, OffsetCommit};
use crate::sink::{Marks, Sink};
use crate::{Code, Error, Result};

/// Partitions, batch and sink of one member.
pub struct Writer {
    sink: Box<dyn Sink>,
    make_sink: Box<dyn Fn() -> Result<Box<dyn Sink>> + Send>,
    rejected: Rejected,
    texts: LongTexts,
    /// In place of batch and sink, where a program takes the messages.
    pub relay: Option<Relay>,
    decoder: Decoder,
    shapes: Arc<Shapes>,
    /// Those that its messages have named.
    tables: HashMap<ShapeId, Arc<Table>>,
    /// What the decoder takes messages for: their format, and their table's shape if they name one.
    decoding: Option<(Encoding, Option<ShapeId>)>,
    /// Space for a message in another format.
    text: Vec<u8>,
    batch: Batch,
    /// The topic that the batch's rows came by.
    channel: String,
    lanes: Vec<PartitionState>,
    by_topic: HashMap<String, Vec<usize>>,
    /// The lanes of the channel.
    mates: Vec<usize>,
    spoilt: bool,
    own_figures: MemberFigures,
    /// Messages that were repeats.
    pub repeats: u64,
    /// Why the last hand-over failed, if only a person can mend it.
    pub stopped: Option<Error>,
}

impl Writer {
    /// An empty writer.
    pub fn new(
        make_sink: Box<dyn Fn() -> Result<Box<dyn Sink>> + Send>,
        rejected: Rejected,
        own_figures: MemberFigures,
        shapes: Arc<Shapes>,
        texts: LongTexts,
    ) -> Result<Self> {
        Ok(Self {
            sink: make_sink()?,
            make_sink,
            rejected,
            texts,
            relay: None,
            decoder: Decoder::default(),
            shapes,
            tables: HashMap::new(),
            decoding: None,
            text: Vec::new(),
            batch: Batch::default(),
            channel: String::new(),
            lanes: Vec::new(),
            by_topic: HashMap::new(),
            mates: Vec::new(),
            spoilt: false,
            own_figures,
            repeats: 0,
            stopped: None,
        })
    }

    /// Begins with new partitions. `own` are their commits; `all` those of every partition of these topics,
    /// whose files may be cut.
    pub fn begin(&mut self, own: &[OffsetCommit], all: &[OffsetCommit]) -> Result<()> {
        self.clear();
        let mut marks: BTreeMap<String, Vec<Marks>> = BTreeMap::new();
        for entry in all {
            let lane = PartitionState::new(entry, &self.texts)?;
            if !lane.carried.is_empty() {
                marks.entry(entry.topic.clone()).or_default().push(lane.carried);
            }
        }
        // The files of the old writer are closed before the new one opens them.
        self.renew_sink()?;
        let merged: BTreeMap<String, Marks> =
            marks.into_iter().map(|(topic, saved)| (topic, self.sink.merge(&saved))).collect();
        self.sink.recover(&merged)?;
        for entry in own {
            self.by_topic.entry(entry.topic.clone()).or_default().push(self.lanes.len());
            let mut lane = PartitionState::new(entry, &self.texts)?;
            // Names that a newer commit has left behind are not carried on for ever.
            let known = merged.get(&entry.topic);
            lane.carried.retain(|file, _| known.is_some_and(|known| known.contains_key(file)));
            self.lanes.push(lane);
        }
        self.texts.begin(&all.iter().flat_map(|entry| CommitText::long_of(&entry.text)).collect());
        self.own_figures.began(&self.lanes);
        Ok(())
    }

    fn renew_sink(&mut self) -> Result<()> {
        self.sink = (self.make_sink)()?;
        self.own_figures.closed();
        Ok(())
    }

    /// Whether the program that takes the messages wants no more.
    pub fn has_ended(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.ended)
    }

    /// Why the program that takes the messages gets no more, if it did not want that.
    pub fn take_unreadable(&mut self) -> Option<Error> {
        self.relay.as_mut()?.unreadable.take()
    }

    /// Whether everything is lost until the next `begin`.
    pub fn is_spoilt(&self) -> bool {
        self.spoilt
    }

    /// Takes a message in; true if the batch is full. `first_kept` answers which offset is the first that
    /// Kafka still has.
    pub fn take(
        &mut self,
        message: &Message<'_>,
        first_kept: impl FnOnce(&str, u32) -> Option<i64>,
    ) -> Result<bool> {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        if self.channel != topic {
            self.change_topic(topic);
        }
        let Some(&place) = self.mates.iter().find(|place| self.lanes[**place].partition == partition) else {
            return Err(not_held(topic, partition));
        };
        // Offsets may be missing in a partition; what was deleted unread is another matter.
        if let Some(next) = self.lanes[place].gap_before(offset)
            && let Some(first) = first_kept(topic, partition).filter(|first| *first > next)
        {
            self.own_figures.unread(&self.lanes[place], next, first.min(offset));
        }
        let [shape, named, format] = message.headers([ShapeId::HEADER, "position", Encoding::HEADER]);
        let named = named.map(|header| {
            super::commit_text::position_of(header)
                .filter(|(source, _)| self.lanes[place].knows(source) || std::str::from_utf8(source).is_ok())
        });
        let (source, position) = match named {
            Some(Some((source, position))) => (source, position),
            // A foreign message, such as one of list_sync 0.1.0: its place in the partition is all there is
            // to order it by.
            None => (&b""[..], Position::first_of(0, offset as u64)),
            Some(None) if self.relay.is_some() => (&b""[..], Position::first_of(0, offset as u64)),
            Some(None) => {
                self.rejected.add(message, "its position header cannot be read")?;
                self.lanes[place].took(offset);
                return Ok(false);
            }
        };
        let lane = &mut self.lanes[place];
        lane.took(offset);
        if !source.is_empty() && lane.repeats(source, position) {
            self.repeats += 1;
            return Ok(false);
        }
        if let Some(relay) = &mut self.relay {
            // A format that is not ours is for the program to know.
            let encoding = Encoding::of_header(format).unwrap_or_default();
            return Ok(match self.decoder.text(encoding, message.value(), &mut self.text) {
                Ok(text) => {
                    relay.add(text, place, offset, std::str::from_utf8(source).unwrap_or_default(), position)
                }
                Err(error) => relay.end_before(
                    error.context(format!("topic {topic:?}, partition {partition}, offset {offset}")),
                ),
            });
        }
        if self.batch.rows().is_empty() {
            self.own_figures.first_row(if source.is_empty() { 0 } else { message.timestamp_ms() });
        }
        match Encoding::of_header(format) {
            None => self.rejected.add(message, "its format header names no format that is known")?,
            Some(encoding) if self.prepare_decoder(encoding, shape)? => {
                if let Err(error) = self.decoder.decode(encoding, message.value(), position, &mut self.batch)
                {
                    self.rejected.add(message, &error.to_string())?;
                }
            }
            Some(_) => self.rejected.add(message, "its shape header cannot be read")?,
        }
        Ok(self.batch.is_full())
    }

    /// The next messages are of this topic.
    fn change_topic(&mut self, topic: &str) {
        debug_assert!(
            self.batch.rows().is_empty(),
            "the caller writes before another topic's message is taken"
        );
        topic.clone_into(&mut self.channel);
        self.decoding = None;
        self.mates.clear();
        self.mates.extend(self.by_topic.get(topic).into_iter().flatten());
    }

    /// Lets the decoder know which table the next message is of; false if its header is malformed.
    #[inline]
    fn prepare_decoder(&mut self, encoding: Encoding, shape: Option<&[u8]>) -> Result<bool> {
        if let Some((known, id)) = &self.decoding
            && *known == encoding
            && id.as_ref().map(ShapeId::as_bytes) == shape
        {
            return Ok(true);
        }
        self.change_decoder(encoding, shape)
    }

    fn change_decoder(&mut self, encoding: Encoding, shape: Option<&[u8]>) -> Result<bool> {
        let Some(digits) = shape else {
            self.decoder.of_topic(encoding, &self.channel);
            self.decoding = Some((encoding, None));
            return Ok(true);
        };
        let Some(id) = ShapeId::from_digits(digits) else { return Ok(false) };
        if !self.tables.contains_key(&id) {
            self.tables.insert(id, self.shapes.table(id, &self.channel)?);
        }
        if let Some(table) = self.tables.get(&id) {
            self.decoder.of_table(encoding, table);
            self.decoding = Some((encoding, Some(id)));
        }
        Ok(true)
    }

    /// The partition was read to this end, whose last offsets may be the markers of transactions, or of
    /// messages that were deleted.
    pub fn reached(
        &mut self,
        topic: &str,
        partition: u32,
        end: i64,
        first_kept: impl FnOnce(&str, u32) -> Option<i64>,
    ) {
        // What a program was handed is counted message by message.
        if self.relay.is_some() || self.spoilt {
            return;
        }
        let Some(lane) =
            self.lanes.iter_mut().find(|lane| lane.partition == partition && lane.topic == topic)
        else {
            return;
        };
        if let Some(next) = lane.gap_before(end)
            && let Some(first) = first_kept(topic, partition).filter(|first| *first > next)
        {
            self.own_figures.unread(lane, next, first.min(end));
        }
        lane.reached(end);
    }

    /// Whether a message of `topic` can join the batch.
    pub fn fits(&self, topic: &str) -> bool {
        self.batch.rows().is_empty() || self.channel == topic
    }

    /// Writes the batch. `commit` is called first if it needs files that no commit names yet.
    pub fn write(&mut self, commit: impl FnMut(&[OffsetCommit]) -> Result<()>) -> Result<()> {
        if let Some(relay) = &mut self.relay {
            relay
                .hand_over(&mut self.lanes, &mut |topic, messages| self.own_figures.wrote(topic, messages))?;
            self.own_figures.count(self.repeats, self.rejected.count);
            return Ok(());
        }
        if !self.batch.rows().is_empty() {
            if self.sink.prepare(&self.channel, &self.batch)? {
                self.commit(commit)?;
            }
            self.sink.write(&self.channel, &self.batch)?;
            self.own_figures.wrote(&self.channel, self.batch.rows().len());
            self.batch.clear();
        }
        for lane in &mut self.lanes {
            lane.wrote();
        }
        self.own_figures.count(self.repeats, self.rejected.count);
        Ok(())
    }

    /// Whether all that its partitions held before these ends has been read.
    pub fn has_read_to(&self, ends: &BTreeMap<(String, u32), i64>) -> bool {
        let end =
            |lane: &PartitionState| ends.get(&(lane.topic.clone(), lane.partition)).copied().unwrap_or(0);
        !self.lanes.is_empty() && self.lanes.iter().all(|lane| lane.has_read_to(end(lane)))
    }

    /// Whether the group gave it no partition.
    pub fn holds_nothing(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether a commit would say anything new.
    pub fn is_ahead(&self) -> bool {
        self.lanes.iter().any(PartitionState::is_ahead)
    }

    /// Flushes the sink and commits what was written: offsets and lengths as one.
    pub fn commit(&mut self, mut commit: impl FnMut(&[OffsetCommit]) -> Result<()>) -> Result<()> {
        let mut marks = self.flush()?;
        loop {
            let commits = self.commits(&marks)?;
            if let Err(error) = commit(&commits) {
                self.spoilt = true;
                return Err(error);
            }
            if !self.sink.holds_back() {
                break;
            }
            marks = self.flush()?;
        }
        self.committed(&marks);
        Ok(())
    }

    fn flush(&mut self) -> Result<BTreeMap<String, Marks>> {
        let began = Instant::now();
        let marks = self.sink.flush()?;
        self.own_figures.flushed(began.elapsed(), self.sink.files());
        Ok(marks)
    }

    fn commits(&mut self, marks: &BTreeMap<String, Marks>) -> Result<Vec<OffsetCommit>> {
        self.rejected.flush()?;
        let again = self.sink.holds_back();
        let Self { lanes, texts, .. } = self;
        let entry = |lane: &PartitionState| {
            let own = marks.get(&lane.topic);
            if again { lane.entry_again(own, texts) } else { lane.entry(own, texts) }.transpose()
        };
        lanes.iter().filter_map(entry).collect()
    }

    fn committed(&mut self, marks: &BTreeMap<String, Marks>) {
        for lane in &mut self.lanes {
            lane.committed(marks.get(&lane.topic));
        }
        self.texts.committed();
        self.own_figures.committed(&self.lanes);
    }

    /// The member failed, for the figures.
    pub fn failed(&self, kind: ErrorKind) {
        self.own_figures.failed(kind);
    }

    /// A failure left the writer in an unknown state: nothing of it may be committed.
    pub fn spoil(&mut self) {
        self.spoilt = true;
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.relay.iter_mut().for_each(Relay::clear);
        self.lanes.clear();
        self.by_topic.clear();
        self.channel.clear();
        self.spoilt = false;
        self.own_figures.released();
    }
}

impl Holder for Writer {
    fn finish(&mut self) -> Result<Vec<OffsetCommit>> {
        if self.spoilt {
            return Ok(Vec::new());
        }
        if self.relay.is_some() {
            self.write(|_| Ok(()))?;
        }
        if !self.batch.rows().is_empty() {
            if self.sink.prepare(&self.channel, &self.batch)? {
                // Rows that need a new file are left to the next owner: naming the file would take a commit
                // of its own.
                self.batch.clear();
            } else {
                self.write(|_| Ok(()))?;
            }
        }
        let marks = self.flush()?;
        self.commits(&marks)
    }

    fn release(&mut self, committed: Result<()>) {
        match committed {
            Ok(()) => {
                // MemberFigures before they are gone, since their last rows are safe now.
                self.own_figures.committed(&[]);
                tracing::debug!("partitions revoked");
            }
            Err(error) => {
                tracing::warn!(code = error.code().slug(), "{error}; what was not committed is read again");
                if error.kind() == ErrorKind::Stop {
                    self.stopped = Some(error);
                }
            }
        }
        self.clear();
        self.spoilt = true;
        // Closes the files, so that the next owner can cut what was not committed.
        let _ = self.renew_sink();
    }
}

fn not_held(topic: &str, partition: u32) -> Error {
    let fact =
        format!("a message of partition {partition} of topic {topic:?}, which this member does not hold");
    Error::link(Code::PartitionLost, fact)
}
