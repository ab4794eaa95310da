//! The reading half of a source's two threads: reads, encodes, hands over, and starts again when the link
//! breaks.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};

use super::Shared;
use crate::change::{Batch, Checkpoint, Position};
use crate::error::ErrorKind;
use crate::format::{Encoder, Records};
use crate::source::Source;
use crate::supervisor::reconnect;
use crate::{Error, Result};

/// The longest wait for rows: how long a stop may go unseen.
const WAIT: Duration = Duration::from_millis(200);

/// A batch and its messages; goes round between the two threads.
#[derive(Default)]
pub struct Parcel {
    /// As the source read it.
    pub batch: Batch,
    /// As it is sent.
    pub records: Records,
}

/// The reading half.
pub struct Reader<'a> {
    /// The database.
    pub source: Box<dyn Source>,
    /// Makes the messages.
    pub encoder: Encoder,
    /// To the sending half; dropped at the end, which is how that half learns of it.
    pub hand: Option<Sender<Box<Parcel>>>,
    /// Used parcels from there.
    pub used: Receiver<Box<Parcel>>,
    /// What both halves see.
    pub shared: &'a Shared,
    /// Stop at what is there now.
    pub once: bool,
}

impl Reader<'_> {
    /// Reads until told to stop; the source has been started at `began`.
    pub fn run(mut self, began: Checkpoint) -> Result<()> {
        let mut saved = began;
        let end = if self.once { Some(self.source.head()?) } else { None };
        while !self.shared.stopping() {
            match self.step(&mut saved, end) {
                Ok(false) => {}
                Ok(true) => return self.linger(&mut saved),
                Err(error) if error.kind() == ErrorKind::Link => self.start_again(&mut saved, &error)?,
                Err(error) => return Err(error),
            }
        }
        self.linger(&mut saved)
    }

    /// One batch; true at the end.
    fn step(&mut self, saved: &mut Checkpoint, end: Option<Position>) -> Result<bool> {
        self.confirm(saved)?;
        let mut parcel = self.used.try_recv().unwrap_or_default();
        parcel.batch.clear();
        parcel.records.clear();
        self.source.read(&mut parcel.batch, WAIT)?;
        let read_to = parcel.batch.read_to;
        if !parcel.batch.rows().is_empty() || parcel.batch.checkpoint.is_some() {
            self.encoder.encode(&parcel.batch, &mut parcel.records);
            self.shared.figures.read(&parcel.batch);
            self.hand_over(parcel, saved)?;
        }
        Ok(end.is_some_and(|end| read_to >= end))
    }

    /// Waits for a place in the queue and keeps the server informed meanwhile: this is the back-pressure.
    fn hand_over(&mut self, mut parcel: Box<Parcel>, saved: &mut Checkpoint) -> Result<()> {
        while let Some(hand) = &self.hand {
            match hand.send_timeout(parcel, Duration::from_secs(1)) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => parcel = back,
            }
            if self.shared.stopping() {
                return Ok(());
            }
            self.confirm(saved)?;
            self.source.keep_alive()?;
        }
        Ok(())
    }

    fn confirm(&mut self, saved: &mut Checkpoint) -> Result<()> {
        if let Some(newer) = self.shared.take_saved() {
            // Noted first: the server may have heard it even if the answer is an error.
            *saved = newer;
            self.source.confirm(saved)?;
        }
        Ok(())
    }

    /// The sending half finishes what it has; its last saved position is confirmed, then both are done.
    fn linger(&mut self, saved: &mut Checkpoint) -> Result<()> {
        self.hand = None;
        let mut linked = true;
        loop {
            let ended = matches!(
                self.used.recv_timeout(Duration::from_millis(50)),
                Err(RecvTimeoutError::Disconnected)
            );
            if linked {
                match self.confirm(saved).and_then(|()| if ended { Ok(()) } else { self.source.keep_alive() })
                {
                    // Everything is saved; the database hears of it after the next start.
                    Err(error) if error.kind() == ErrorKind::Link => {
                        tracing::debug!(source = self.shared.name, "{error}");
                        linked = false;
                    }
                    other => other?,
                }
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Connects again, for as long as it takes.
    fn start_again(&mut self, saved: &mut Checkpoint, error: &Error) -> Result<()> {
        let shared = self.shared;
        let newest = || {
            if let Some(newer) = shared.take_saved() {
                *saved = newer;
            }
            saved.clone()
        };
        let of = (shared.name.as_str(), &*shared.figures);
        reconnect(&mut *self.source, of, error, || shared.stopping(), newest).map(drop)
    }
}
