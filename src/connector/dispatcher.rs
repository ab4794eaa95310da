//! The sending half of a source's two threads: finds each message's partition, leaves out what is already
//! there, sends, and saves the position of what is acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender as Channel};

use super::Shared;
use super::delivery::{Acknowledgements, SAVE_TAG, SHAPE_TAG, Standing, State};
use super::headers::Headers;
use super::in_flight::LaneEnd;
use super::reader::Parcel;
use super::saved::Saved;
use super::shapes::Shapes;
use super::tail::Tail;
use crate::change::{Checkpoint, Operation, Position, Table};
use crate::config::{self, TopicName, TopicOwners};
use crate::format::{Encoding, ShapeId};
use crate::kafka::{self, Checkpoints, Outgoing, Sender, Settings, Topics, partition_of};
use crate::metrics::as_of_us;
use crate::source::Sent;
use crate::{Code, Error, Result, assembly};

/// While rows flow, the position is saved this often.
const SAVE_MOVING: Duration = Duration::from_secs(1);
/// While none flow but the log moves on.
const SAVE_IDLE: Duration = Duration::from_secs(10);
/// How long a stop waits for acknowledgements before it leaves the rest to the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

struct Lanes {
    topic: String,
    first: usize,
    partitions: u32,
}

/// Where the rows of a table go, and what says which columns it has.
#[derive(Debug, Clone, Copy)]
struct Route {
    /// Index into the lanes.
    lanes: usize,
    shape: ShapeId,
}

/// Messages of fewer bytes than this are few: a batch of them would be small at any rate.
const FEW_BYTES: usize = 64 * 1024;
/// How long the delivery of a few messages that are sent at once is waited for.
const HASTE: Duration = Duration::from_millis(2);

/// The sending half.
pub struct Dispatcher<'a> {
    settings: &'a Settings,
    topics: Topics,
    sender: Sender<Acknowledgements>,
    acknowledgements: Arc<Acknowledgements>,
    shared: &'a Shared,
    topic: TopicName,
    encoding: Encoding,
    added_headers: config::Headers,
    lanes: Vec<Lanes>,
    /// The last position given to each lane: what is not behind it is there already.
    sent: Vec<Option<Position>>,
    standing: Vec<Standing>,
    by_topic: HashMap<String, usize>,
    by_table: HashMap<Arc<Table>, Route>,
    owners: TopicOwners,
    shapes: Shapes,
    newest: Option<Checkpoint>,
    tail: Tail,
    saved_at: Instant,
    rows_since_save: bool,
    is_finished: bool,
    repeats: u64,
}

impl<'a> Dispatcher<'a> {
    /// Connects, and reads what the topics of `source` hold since `saved`.
    pub fn new(
        settings: &'a Settings,
        shared: &'a Shared,
        source: &config::Source,
        saved: Option<&Saved>,
        topics: Topics,
    ) -> Result<Self> {
        let acknowledgements = Arc::new(Acknowledgements::default());
        let sender = Sender::new(settings, Arc::clone(&acknowledgements))?;
        let mut dispatcher = Self {
            settings,
            topics,
            sender,
            acknowledgements,
            shared,
            topic: source.topic.clone(),
            encoding: assembly::encoding(source),
            added_headers: source.headers,
            lanes: Vec::new(),
            sent: Vec::new(),
            standing: Vec::new(),
            by_topic: HashMap::new(),
            by_table: HashMap::new(),
            owners: TopicOwners::default(),
            shapes: Shapes::new(assembly::format_options(source)),
            newest: saved.map(|saved| saved.checkpoint.clone()),
            tail: Tail::default(),
            saved_at: Instant::now(),
            rows_since_save: false,
            is_finished: false,
            repeats: 0,
        };
        kafka::Shapes::ensure(&dispatcher.topics)?;
        if let Some(saved) = saved {
            for topic in saved.topics.keys() {
                // Every broker knew the topic when it was saved.
                let partitions = match dispatcher.topics.partitions(topic)? {
                    0 => dispatcher.topics.ensure(topic, false)?,
                    there => there,
                };
                let tail = &mut dispatcher.tail;
                let mut each = |position, shape: &[u8], key: &[u8]| tail.add(position, shape, key);
                let ends = saved.lane_ends(settings, &shared.name, topic, partitions, &mut each)?;
                for (partition, end) in ends.iter().enumerate() {
                    tail.base.push(saved.saved_end(topic, partition).unwrap_or(*end));
                }
                dispatcher.add_lanes(topic, &ends);
            }
        }
        Ok(dispatcher)
    }

    fn add_lanes(&mut self, topic: &str, ends: &[LaneEnd]) -> usize {
        let first = self.sent.len();
        for end in ends {
            self.sent.push(end.delivered);
            self.standing.push(Standing::Unknown);
            self.acknowledgements.with(|state| state.in_flight.add_lane(*end));
        }
        self.lanes.push(Lanes { topic: topic.to_owned(), first, partitions: ends.len() as u32 });
        self.by_topic.insert(topic.to_owned(), self.lanes.len() - 1);
        self.lanes.len() - 1
    }

    /// The newest change that the topics hold, and the keys behind the saved place of tables that are not
    /// read to their ends.
    pub fn what_is_there(&mut self) -> Result<(Position, Vec<Sent>)> {
        let floor = self.sent.iter().flatten().max().copied().unwrap_or(Position::START);
        let snapshot = self.newest.as_ref().and_then(|newest| newest.snapshot.as_deref());
        let sent = match snapshot {
            Some(snapshot) => self.tail.keys_of(snapshot, self.settings, &self.topics)?,
            None => Vec::new(),
        };
        Ok((floor, sent))
    }

    /// Saves where a new source begins, before anything is read.
    pub fn save_beginning(&mut self, began: Checkpoint) -> Result<()> {
        self.newest = Some(began);
        self.save_and_wait()
    }

    /// Sends what is handed over, until the end.
    pub fn run(&mut self, handed: &Receiver<Box<Parcel>>, used: &Channel<Box<Parcel>>) -> Result<()> {
        loop {
            match handed.recv_timeout(Duration::from_millis(100)) {
                Ok(parcel) => {
                    let is_first = self.acknowledgements.with(|state| state.queue.bytes == 0);
                    self.dispatch(&parcel)?;
                    // A single change need not wait for more of its kind; what follows meanwhile goes
                    // together.
                    if is_first && parcel.records.bytes.len() < FEW_BYTES && handed.is_empty() {
                        self.sender.hasten(HASTE);
                    }
                    // The other half may have ended; then the parcel is simply dropped.
                    let _ = used.try_send(parcel);
                }
                // The other half ended, well or with an error of its own: what it handed over still counts.
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.tend()?;
        }
    }

    fn dispatch(&mut self, parcel: &Parcel) -> Result<()> {
        let Parcel { batch, records } = parcel;
        let of_table = self.routes_of(batch.tables())?;
        let mut position = self.shared.name.clone().into_bytes();
        position.push(b':');
        let name_length = position.len();
        let repeats_before = self.repeats;
        let mut last_sent = None;
        for record in &records.records {
            let row = &batch.rows()[record.row as usize];
            let route = &of_table[row.table as usize];
            let lanes = &self.lanes[route.lanes];
            let key = records.key(record);
            // A truncate concerns the keys of every partition.
            let partitions = if row.operation == Operation::Truncate {
                0..lanes.partitions
            } else {
                let partition = partition_of(key, lanes.partitions);
                partition..partition + 1
            };
            position.truncate(name_length);
            position.extend_from_slice(&row.position.digits());
            let headers = Headers::of(row, batch, &route.shape, &position, self.encoding, self.added_headers);
            let first = lanes.first;
            for partition in partitions {
                let lane = first + partition as usize;
                if self.sent[lane] >= Some(row.position) {
                    self.repeats += 1;
                    continue;
                }
                self.introduce(lane, row.position)?;
                self.sent[lane] = Some(row.position);
                last_sent = Some((lane, row.position));
                self.acknowledgements.with(|state| {
                    state.in_flight.sending(lane, row.position);
                    state.queue.sending(key.len() + records.value(record).len());
                });
                let timestamp_ms = batch.transaction(row).committed_us / 1000;
                self.send(
                    route.lanes,
                    partition,
                    (key, records.value(record)),
                    timestamp_ms,
                    headers.as_slice(),
                    lane,
                )?;
            }
        }
        self.rows_since_save |= !records.records.is_empty();
        let figures = &self.shared.figures;
        figures.repeats.inc_by(self.repeats - repeats_before);
        figures.rows.inc_by(batch.rows().len() as u64);
        figures.bytes.inc_by(records.bytes.len() as u64);
        self.acknowledgements.with(|state| {
            if let Some((lane, position)) = last_sent {
                state.queue.time(lane, position, state.in_flight.end(lane).delivered);
            }
            if let Some(checkpoint) = &batch.checkpoint {
                state.queue.reached(checkpoint.position, as_of_us(batch));
                state.in_flight.reached(checkpoint.clone());
                if checkpoint.snapshot.is_some() {
                    let ends = || (0..self.sent.len()).map(|lane| state.in_flight.end(lane)).collect();
                    self.tail.reached(checkpoint.position, ends);
                }
            }
        });
        Ok(())
    }

    /// Nothing follows the first message of a lane before that one is acknowledged: were it refused, what is
    /// behind it would get ahead and be taken for all.
    fn introduce(&mut self, lane: usize, position: Position) -> Result<()> {
        match self.standing[lane] {
            Standing::Known => return Ok(()),
            Standing::Unknown => self.standing[lane] = Standing::First(position),
            Standing::First(first) => {
                self.wait_until("Kafka did not acknowledge the first change", |state| {
                    state.in_flight.end(lane).delivered >= Some(first)
                })?;
                self.standing[lane] = Standing::Known;
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        lanes: usize,
        partition: u32,
        (key, value): (&[u8], &[u8]),
        timestamp_ms: i64,
        headers: &[(&str, &[u8])],
        tag: usize,
    ) -> Result<()> {
        loop {
            let topic = &self.lanes[lanes].topic;
            if self.has_sent(&Outgoing { topic, partition, key, value, timestamp_ms, headers, tag })? {
                return Ok(());
            }
            // The producer's queue is full: Kafka is slower than the database, or away.
            std::thread::sleep(Duration::from_millis(1));
            self.tend()?;
            if self.shared.stopping() && self.shared.stopped_for() > STOP_PATIENCE {
                return Err(Error::link(
                    Code::KafkaTimeout,
                    format!(
                        "source {:?}: Kafka did not take all in time; the rest follows at the next start",
                        self.shared.name
                    ),
                ));
            }
        }
    }

    /// Whether the producer took a message; if not, its queue is full.
    fn has_sent(&self, message: &Outgoing<'_>) -> Result<bool> {
        // A producer that ended because of an earlier message says only that it ended; the cause was reported
        // with that message.
        self.sender
            .send(message)
            .map_err(|error| self.acknowledgements.with(|state| state.failed.take()).unwrap_or(error))
    }

    /// Where the rows of each table go. The shapes of tables that are new here are written, and acknowledged,
    /// before this returns.
    fn routes_of(&mut self, tables: &[Arc<Table>]) -> Result<Vec<Route>> {
        let mut is_new = false;
        for table in tables {
            if self.by_table.contains_key(table) {
                continue;
            }
            self.owners.add(&self.topic, &table.schema, &table.name)?;
            let (shape, text) = self.shapes.of(table)?;
            if let Some(text) = text {
                self.write_shape(shape, &text)?;
            }
            let lanes = self.lanes_of(table)?;
            self.by_table.insert(Arc::clone(table), Route { lanes, shape });
            is_new = true;
        }
        if is_new {
            self.wait_until("Kafka did not take the shapes of tables", |state| state.shapes == 0)?;
        }
        Ok(tables.iter().map(|table| self.by_table[table]).collect())
    }

    fn write_shape(&mut self, shape: ShapeId, text: &str) -> Result<()> {
        self.acknowledgements.with(|state| state.shapes += 1);
        let (key, value) = (shape.as_bytes(), text.as_bytes());
        let topic = kafka::Shapes::TOPIC;
        let message =
            Outgoing { topic, partition: 0, key, value, timestamp_ms: 0, headers: &[], tag: SHAPE_TAG };
        while !self.has_sent(&message)? {
            self.wait_until("Kafka did not take the shapes of tables", |state| state.in_flight.is_empty())?;
        }
        Ok(())
    }

    /// The lanes of a table's topic; a topic met for the first time is made, and the state saved with it
    /// before anything is sent there, so that a restart knows where to look.
    fn lanes_of(&mut self, table: &Arc<Table>) -> Result<usize> {
        let topic = self.topic.of(&table.schema, &table.name);
        if let Some(known) = self.by_topic.get(&topic) {
            return Ok(*known);
        }
        let partitions = self.topics.ensure(&topic, false)?;
        let ends = kafka::watermarks(self.settings, &topic, partitions)?;
        let ends: Vec<LaneEnd> =
            ends.into_iter().map(|(_, end)| LaneEnd { delivered: None, end_offset: end }).collect();
        self.tail.base.extend(&ends);
        let added = self.add_lanes(&topic, &ends);
        self.save_and_wait()?;
        Ok(added)
    }

    /// What is to be done now and then: report a failure, publish what was saved, save what is finished.
    fn tend(&mut self) -> Result<()> {
        self.sender.check()?;
        let pause = if self.rows_since_save { SAVE_MOVING } else { SAVE_IDLE };
        let due = self.saved_at.elapsed() >= pause;
        let (saved, moved) = self.acknowledgements.with(|state| {
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            let moved =
                if due && state.saving.is_none() { state.in_flight.finished().cloned() } else { None };
            Ok((state.saved.take(), moved))
        })?;
        if let Some(saved) = saved {
            self.shared.saved(saved);
        }
        self.tell();
        if moved.is_some() && moved != self.newest {
            self.newest = moved;
            self.save()?;
        }
        Ok(())
    }

    /// Brings the figures up to date.
    fn tell(&self) {
        let figures = &self.shared.figures;
        let (bytes, messages, measured) = self.acknowledgements.with(|state| {
            let State { in_flight, queue, .. } = state;
            if let Some(finished) = in_flight.finished()
                && let Some(as_of_us) = queue.finished(finished.position)
            {
                figures.finish(finished, as_of_us);
            }
            figures.acknowledged.inc_by(queue.take_acknowledged());
            (queue.bytes, queue.messages, queue.take_measured())
        });
        figures.queue_bytes.set(bytes as i64);
        figures.queue_messages.set(messages as i64);
        for after in measured {
            figures.delivered(after);
        }
    }

    /// Sends the state; the answer comes through [`Acknowledgements`].
    fn save(&mut self) -> Result<()> {
        let Some(checkpoint) = self.newest.clone() else { return Ok(()) };
        let base = checkpoint.snapshot.as_deref().map(|snapshot| {
            self.tail.save(checkpoint.position, snapshot.tail_from.is_some());
            &self.tail.base
        });
        let topics = self.acknowledgements.with(|state| {
            state.saving = Some(checkpoint.clone());
            let end = |lane: usize| {
                base.and_then(|base| base.get(lane).copied()).unwrap_or_else(|| state.in_flight.end(lane))
            };
            let ends =
                |lanes: &Lanes| (lanes.first..lanes.first + lanes.partitions as usize).map(end).collect();
            self.lanes.iter().map(|lanes| (lanes.topic.clone(), ends(lanes))).collect::<BTreeMap<_, Vec<_>>>()
        });
        let finished = self.shared.figures.finished().filter(|finished| finished.checkpoint == checkpoint);
        let as_of_us = finished.map(|finished| finished.as_of_us);
        let value = Saved::new(checkpoint, as_of_us, self.is_finished, topics).to_bytes()?;
        let key = self.shared.name.as_bytes();
        let message = Outgoing {
            topic: Checkpoints::TOPIC,
            partition: 0,
            key,
            value: &value,
            timestamp_ms: 0,
            headers: &[],
            tag: SAVE_TAG,
        };
        while !self.sender.send(&message)? {
            std::thread::sleep(Duration::from_millis(1));
            // The queue may be full because Kafka refuses what is in it: then it never empties.
            self.sender.check()?;
            self.acknowledgements.with(|state| state.failed.take().map_or(Ok(()), Err))?;
            if self.shared.stopping() && self.shared.stopped_for() > STOP_PATIENCE {
                return Err(Error::link(Code::KafkaTimeout, "Kafka did not take the position in time"));
            }
        }
        self.saved_at = Instant::now();
        self.rows_since_save = self.acknowledgements.with(|state| !state.in_flight.is_empty());
        Ok(())
    }

    fn save_and_wait(&mut self) -> Result<()> {
        self.wait_until("Kafka did not take the position", |state| state.saving.is_none())?;
        self.save()?;
        self.wait_until("Kafka did not take the position", |state| state.saving.is_none())?;
        if let Some(saved) = self.acknowledgements.with(|state| state.saved.take()) {
            self.shared.saved(saved);
        }
        Ok(())
    }

    /// Everything handed over is acknowledged and its position saved.
    fn finish(&mut self) -> Result<()> {
        self.wait_until("Kafka did not acknowledge all", |state| state.in_flight.is_empty())?;
        if let Some(finished) = self.acknowledgements.with(|state| state.in_flight.finished().cloned()) {
            self.newest = Some(finished);
        }
        self.tell();
        self.is_finished = true;
        self.save_and_wait()?;
        if self.repeats > 0 {
            tracing::info!(
                source = self.shared.name,
                repeats = self.repeats,
                "skipped changes already in the topic"
            );
        }
        Ok(())
    }

    fn wait_until(&self, failing: &str, mut done: impl FnMut(&mut State) -> bool) -> Result<()> {
        loop {
            self.sender.check()?;
            let done = self
                .acknowledgements
                .with(|state| state.failed.take().map_or_else(|| Ok(done(state)), Err))?;
            if done {
                return Ok(());
            }
            if self.shared.stopping() && self.shared.stopped_for() > STOP_PATIENCE {
                return Err(Error::link(
                    Code::KafkaTimeout,
                    format!(
                        "source {:?}: {failing} in time; the rest follows at the next start",
                        self.shared.name
                    ),
                ));
            }
            self.sender.hasten(Duration::from_millis(2));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
