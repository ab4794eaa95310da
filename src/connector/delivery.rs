//! What Kafka acknowledged: the state that the producer's thread and the dispatcher share.

use std::sync::{Mutex, PoisonError};

use super::in_flight::InFlight;
use super::queue_figures::QueueFigures;
use crate::Error;
use crate::change::{Checkpoint, Position};
use crate::kafka::Delivery;

/// The tag of the message that saves the position; lanes count from 0.
pub const SAVE_TAG: usize = usize::MAX;
/// The tag of messages that say what a table's shape is.
pub const SHAPE_TAG: usize = usize::MAX - 1;

/// What the producer's thread reports to.
#[derive(Default)]
pub struct Acknowledgements(Mutex<State>);

/// What is on its way to Kafka, and what arrived.
#[derive(Default)]
pub struct State {
    /// The position that is finished.
    pub in_flight: InFlight,
    /// How much is on its way, and since when.
    pub queue: QueueFigures,
    /// What is being saved.
    pub saving: Option<Checkpoint>,
    /// What was saved, until the dispatcher reports it.
    pub saved: Option<Checkpoint>,
    /// Shapes of tables that are on their way.
    pub shapes: usize,
    /// The first refusal.
    pub failed: Option<Error>,
}

impl Acknowledgements {
    /// Works on the state under its lock.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Delivery for Acknowledgements {
    fn delivered(&self, tag: usize, offset: i64, bytes: usize) {
        self.with(|state| {
            if tag == SAVE_TAG {
                state.saved = state.saving.take();
            } else if tag == SHAPE_TAG {
                state.shapes = state.shapes.saturating_sub(1);
            } else if state.failed.is_none() {
                state.in_flight.delivered(tag, offset);
                state.queue.delivered(tag, state.in_flight.end(tag).delivered, bytes);
            }
        });
    }

    fn failed(&self, _: usize, error: Error) {
        self.with(|state| {
            state.failed.get_or_insert(error);
        });
    }
}

/// Whether a lane's broker knows this producer. It takes a producer's first message in a partition with any
/// sequence number (<https://cwiki.apache.org/confluence/display/KAFKA/KIP-360>); only behind one that it
/// took does it refuse a message whose forerunner it refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// It was sent nothing.
    Unknown,
    /// The first message is on its way, the one at this position.
    First(Position),
    /// It took one.
    Known,
}
