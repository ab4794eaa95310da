//! A database -> a program. Reads batches and moves the position when the program says what it is done with.

use std::path::Path;
use std::time::Duration;

use super::state::{State, StateFile};
use crate::change::{Batch, Checkpoint, Position};
use crate::config;
use crate::error::ErrorKind;
use crate::source::Source;
use crate::{Error, Result};

/// One source, read by a program.
///
/// **Order.** Batches come in commit order; a change comes once between two openings. **Promise.** What is
/// acknowledged is saved in the state file and confirmed to the database. What is not comes again at the next
/// opening. **Without a state file** the stream begins now and leaves nothing on the server: PostgreSQL's
/// slot is a temporary one. When such a connection breaks, the changes since are lost, and so the stream ends
/// with an error. **Callers.** One thread; [`Feed::keep_alive`] at least every [`crate::source::KEEP_ALIVE`]
/// while it does not read.
pub struct Feed {
    name: String,
    source: Box<dyn Source>,
    key_only: bool,
    file: Option<StateFile>,
    state: State,
    /// The last change that was handed out.
    handed: Position,
    /// The connection broke: the next read opens it again.
    is_broken: bool,
}

impl Feed {
    /// Connects and begins to stream after what the state file holds.
    pub fn open(source: &config::Source, state: Option<&Path>) -> Result<Self> {
        let context = |error: Error| error.context(format!("source {:?}", source.name));
        let file = state.map(StateFile::at);
        let saved = file.as_ref().map_or(Ok(None), StateFile::load).map_err(context)?;
        let mut reader = crate::assembly::source(source, file.is_none());
        let began = reader.start(saved.as_ref().map(|saved| &saved.checkpoint)).map_err(context)?;
        let state = if let Some(saved) = saved {
            reader.go_on_behind(saved.written, None);
            saved
        } else {
            let state = State::new(began);
            file.as_ref().map_or(Ok(()), |file| file.save(&state))?;
            state
        };
        let key_only = source.identity == config::RowIdentity::Key;
        Ok(Self {
            name: source.name.clone(),
            source: reader,
            key_only,
            file,
            handed: state.written,
            state,
            is_broken: false,
        })
    }

    /// The end of the database's log at this moment.
    pub fn head(&mut self) -> Result<Position> {
        self.source.head()
    }

    /// Fills `batch` with the next changes; it may stay empty after `wait`. A connection that broke is opened
    /// again, with an error of the kind `Link` if that fails: call it again after a pause, or give up.
    pub fn read(&mut self, batch: &mut Batch, wait: Duration) -> Result<()> {
        batch.clear();
        if !self.is_broken
            && let Err(error) = self.source.read(batch, wait)
        {
            self.broke(error)?;
            batch.clear();
        }
        if self.is_broken {
            let started = self.source.start(Some(&self.state.checkpoint));
            started.map_err(|error| error.context(format!("source {:?}", self.name)))?;
            self.is_broken = false;
            tracing::info!(source = self.name, "connected again");
            return Ok(());
        }
        let repeats = batch.rows().partition_point(|row| row.position <= self.handed);
        if repeats > 0 {
            let (checkpoint, read_to) = (batch.checkpoint.take(), batch.read_to);
            *batch = batch.without_first(repeats);
            (batch.checkpoint, batch.read_to) = (checkpoint, read_to);
        }
        if self.key_only {
            batch.cut_identity_to_key();
        }
        if let Some(last) = batch.rows().last() {
            self.handed = last.position;
        }
        Ok(())
    }

    /// The program is done with all changes up to `written`, and thereby with all before `checkpoint`: saves
    /// it and lets the database release its log.
    pub fn acknowledge(&mut self, checkpoint: Option<&Checkpoint>, written: Position) -> Result<()> {
        self.state.written = self.state.written.max(written);
        if let Some(checkpoint) = checkpoint {
            self.state.checkpoint.clone_from(checkpoint);
        }
        self.file.as_ref().map_or(Ok(()), |file| file.save(&self.state))?;
        if self.is_broken {
            // It is saved here; the database hears of it after the next connection.
            return Ok(());
        }
        self.source.confirm(&self.state.checkpoint).or_else(|error| self.broke(error))
    }

    /// Tells the server that the reader lives. A connection that broke is opened again by the next read.
    pub fn keep_alive(&mut self) -> Result<()> {
        if self.is_broken { Ok(()) } else { self.source.keep_alive().or_else(|error| self.broke(error)) }
    }

    /// Notes a broken connection; what else went wrong, and a break without a saved place to go on from, is
    /// an error.
    fn broke(&mut self, error: Error) -> Result<()> {
        let error = error.context(format!("source {:?}", self.name));
        if error.kind() != ErrorKind::Link {
            return Err(error);
        }
        if self.file.is_none() {
            return Err(error
                .definite()
                .hint("name a state file: then the stream goes on after a broken connection"));
        }
        tracing::warn!(source = self.name, code = error.code().slug(), "{error}; connecting again");
        self.is_broken = true;
        Ok(())
    }
}
