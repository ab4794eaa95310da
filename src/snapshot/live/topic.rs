//! A snapshot into a topic: what was sent stays there, and a restart finds more than the saved state counts.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::filter::message_key;
use super::{Bench, Change, Fold, Random};
use crate::change::{Batch, Checkpoint, Operation, Position, TableName};
use crate::source::{Sent, Source};

/// Partitions.
const LANES: usize = 3;

/// A message: the change, the table, and the message's key.
type Message = (Change, TableName, String);

/// A topic as the connector keeps it, by the rules of its dispatcher.
struct Topic {
    lanes: Vec<Vec<Message>>,
    /// The saved state: where it is, and the ends that it names.
    saved: Checkpoint,
    base: Vec<usize>,
    /// All before is acknowledged.
    acknowledged: Vec<usize>,
}

impl Topic {
    fn new(saved: Checkpoint) -> Self {
        Self { lanes: vec![Vec::new(); LANES], saved, base: vec![0; LANES], acknowledged: vec![0; LANES] }
    }

    fn ends(&self) -> Vec<usize> {
        self.lanes.iter().map(Vec::len).collect()
    }

    fn send(&mut self, batch: &Batch) {
        for row in batch.rows() {
            let table = batch.table(row);
            let name = TableName(table.schema.clone(), table.name.clone());
            let key = message_key(batch, row);
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            let one = hasher.finish() as usize % LANES;
            let lanes = if row.operation == Operation::Truncate { 0..LANES } else { one..one + 1 };
            for lane in &mut self.lanes[lanes] {
                if lane.last().is_none_or(|(last, ..)| last.position < row.position) {
                    lane.push((Change::of(batch, row), name.clone(), key.clone()));
                }
            }
        }
    }

    /// All that was sent is acknowledged, and this is saved.
    fn save(&mut self, checkpoint: Checkpoint) {
        self.acknowledged = self.ends();
        if checkpoint.snapshot.as_ref().is_none_or(|snapshot| snapshot.tail_from.is_none()) {
            self.base = self.ends();
        }
        self.saved = checkpoint;
    }

    /// The connector is killed: of what was not acknowledged, some arrived.
    fn break_off(&mut self, random: &mut Random) {
        for (lane, acknowledged) in self.lanes.iter_mut().zip(&self.acknowledged) {
            let arrived = random.below((lane.len() - acknowledged) as u64 + 1) as usize;
            lane.truncate(acknowledged + arrived);
        }
    }

    /// What a restart finds: the newest place, and what is behind the saved state.
    fn found(&self) -> (Position, Vec<Sent>) {
        let newest = self.lanes.iter().filter_map(|lane| lane.last()).map(|(last, ..)| last.position).max();
        let Some(snapshot) = &self.saved.snapshot else { return (Position::START, Vec::new()) };
        let from = snapshot.tail_from.unwrap_or(self.saved.position);
        let behind = self.lanes.iter().zip(&self.base).flat_map(|(lane, base)| &lane[*base..]);
        let sent = behind.filter(|(change, ..)| change.position >= from).map(|(change, table, key)| Sent {
            table: table.clone(),
            key: key.clone(),
            position: change.position,
        });
        (newest.unwrap_or(Position::START), sent.collect())
    }

    /// What a consumer has in the end. Every key is in one partition, so that they can be folded one by one.
    fn fold(&self, has_key: bool) -> Fold {
        let mut all = Fold { has_key, ..Fold::default() };
        for lane in &self.lanes {
            let mut fold = Fold { has_key, ..Fold::default() };
            for (change, ..) in lane {
                fold.take(change);
            }
            all.rows.extend(fold.rows);
        }
        all
    }
}

/// Reads until the snapshot is done and the load is over, killed every now and then.
pub fn follow_in_topic(bench: &Bench, seed: u64, truncates: bool, is_over: &AtomicBool) {
    let mut random = Random(seed ^ 0x5555);
    let mut source = bench.source();
    let mut topic = Topic::new(source.start(None).unwrap());
    let (mut batch, mut end, mut newest) = (Batch::default(), None, None);
    let (mut breaks, began_at, mut done_at) = (0, Instant::now(), None);
    loop {
        assert!(began_at.elapsed() < Duration::from_mins(2), "no end: {:?}", topic.saved);
        batch.clear();
        source.read(&mut batch, Duration::from_millis(50)).unwrap();
        topic.send(&batch);
        if let Some(checkpoint) = batch.checkpoint.take() {
            newest = Some(checkpoint.snapshot.is_some());
            if random.below(6) == 0 {
                topic.save(checkpoint);
            }
        }
        if newest == Some(false) && done_at.is_none() {
            done_at = Some(Instant::now());
        }
        if done_at.is_some_and(|done: Instant| done.elapsed() > Duration::from_millis(500)) && end.is_none() {
            is_over.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(200));
            end = Some(source.head().unwrap());
        }
        if end.is_some_and(|end| batch.read_to >= end) {
            break;
        }
        if done_at.is_none() && breaks < 8 && random.below(12) == 0 {
            breaks += 1;
            drop(source);
            topic.break_off(&mut random);
            source = bench.source();
            if random.below(2) == 0 {
                // A chunk is wanted at once, long before the stream is where it was.
                source.pace.slice = Duration::ZERO;
            }
            source.start(Some(&topic.saved)).unwrap();
            let (floor, sent) = topic.found();
            source.go_on_behind(floor, Some(sent));
        }
    }
    assert!(breaks > 0 || truncates || !bench.form.has_key, "it was never broken off");
    assert_eq!(topic.fold(bench.form.has_key), bench.rows());
}
