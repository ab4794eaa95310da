//! The handles of the sources and sinks of a process, by which each is paused, resumed or stopped alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Code, Error, Result};

/// A source or a sink, by its name in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `[[source]]`.
    Source(String),
    /// `[[sink]]`: all of its members in this process.
    Sink(String),
}

impl Part {
    /// The source's name, for the field of a log line.
    pub fn source(&self) -> Option<&str> {
        if let Self::Source(name) = self { Some(name) } else { None }
    }

    /// The sink's name, for the field of a log line.
    pub fn sink(&self) -> Option<&str> {
        if let Self::Sink(name) = self { Some(name) } else { None }
    }
}

/// `source "shop"`.
impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(name) => write!(formatter, "source {name:?}"),
            Self::Sink(name) => write!(formatter, "sink {name:?}"),
        }
    }
}

/// What a source or sink is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Finish what is in flight, save it, disconnect, and wait. A source's server keeps its log meanwhile; a
    /// sink's partitions go to other members of its group.
    Pause,
    /// Go on from the saved place.
    Resume,
    /// Finish what is in flight, save it, and end. Nothing in this process starts it again.
    Stop,
}

/// All handles of a process; clones of a [`super::Control`] share it.
#[derive(Debug, Default)]
pub struct Board {
    handles: Mutex<BTreeMap<Part, Arc<Handle>>>,
}

impl Board {
    /// The handle of a source or sink, made if need be.
    pub(super) fn handle(&self, part: Part) -> Arc<Handle> {
        Arc::clone(self.handles.lock().unwrap_or_else(PoisonError::into_inner).entry(part).or_default())
    }

    /// Asks a source or sink that runs in this process to do something. Returns at once; its state says when
    /// it is done. Asking twice is asking once.
    pub fn send(&self, part: &Part, command: Command) -> Result<()> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = handles.get(part) else {
            return Err(Error::usage(Code::NotRunning, format!("no {part} runs in this process")));
        };
        handle.set(command);
        Ok(())
    }
}

/// What one source or sink is asked for now.
#[derive(Debug, Default)]
pub struct Handle(AtomicU8);

const RUN: u8 = 0;
const PAUSED: u8 = 1;
const STOPPED: u8 = 2;

impl Handle {
    /// A stop is for good.
    fn set(&self, command: Command) {
        let wanted = match command {
            Command::Pause => PAUSED,
            Command::Resume => RUN,
            Command::Stop => STOPPED,
        };
        let _ =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| (now != STOPPED).then_some(wanted));
    }

    /// Whether it is to wait.
    pub fn is_paused(&self) -> bool {
        self.0.load(Ordering::SeqCst) == PAUSED
    }

    /// Whether it is to end.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) == STOPPED
    }

    /// Whether it is to finish what is in flight: to wait or to end.
    pub fn finishes(&self) -> bool {
        self.0.load(Ordering::SeqCst) != RUN
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Command, Part};

    #[test]
    fn each_part_is_asked_alone_and_a_stop_is_for_good() {
        let board = Board::default();
        let (shop, files) = (Part::Source("shop".to_owned()), Part::Sink("shop".to_owned()));
        assert!(board.send(&shop, Command::Pause).unwrap_err().to_string().contains("no source \"shop\""));
        let (source, sink) = (board.handle(shop.clone()), board.handle(files.clone()));
        board.send(&shop, Command::Pause).unwrap();
        assert!(source.is_paused() && source.finishes() && !source.is_stopped() && !sink.finishes());
        board.send(&shop, Command::Resume).unwrap();
        assert!(!source.finishes());
        board.send(&files, Command::Stop).unwrap();
        board.send(&files, Command::Resume).unwrap();
        assert!(sink.is_stopped() && sink.finishes() && !sink.is_paused());
    }
}
