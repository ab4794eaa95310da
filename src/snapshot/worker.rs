//! The thread that reads chunks, so that the stream's connection is kept alive meanwhile.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::source::{Chunks, Piece, Task};
use crate::{Code, Error, Result, threads};

/// Pieces that wait for the reader of the stream.
const PIECES: usize = 4;

/// A thread with a reader of chunks, which reads one after the other.
pub struct Worker {
    tasks: Option<Sender<(u64, Task)>>,
    /// Each with the number of its task: a chunk that was given up may have some on their way.
    pieces: Receiver<(u64, Result<Piece>)>,
    /// The task that was asked for last.
    current: u64,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    pub fn start(mut chunks: Box<dyn Chunks>) -> Result<Self> {
        let (tasks, wanted) = bounded::<(u64, Task)>(1);
        let (hand, pieces) = bounded(PIECES);
        let work = move || {
            for (number, task) in wanted {
                let mut each = |piece| {
                    let gone = |_| Error::stop(Code::Internal, "nobody wants the chunk any more");
                    hand.send((number, Ok(piece))).map_err(gone)
                };
                if let Err(error) = chunks.read(&task, &mut each)
                    && hand.send((number, Err(error))).is_err()
                {
                    return;
                }
            }
        };
        let refused = |cause| Error::stop(Code::SystemRefused, "no thread can be started").cause(cause);
        let thread = threads::spawn("chunks", work).map_err(refused)?;
        Ok(Self { tasks: Some(tasks), pieces, current: 0, thread: Some(thread) })
    }

    /// Begins to read a chunk; what still comes of the last one is left out.
    pub fn read(&mut self, task: Task) -> Result<()> {
        let died = || Error::stop(Code::Internal, "the thread that reads chunks died");
        self.current += 1;
        self.tasks.as_ref().ok_or_else(died)?.send((self.current, task)).map_err(|_| died())
    }

    /// The next piece of the chunk, if one comes in time.
    pub fn next(&self, wait: Duration) -> Result<Option<Piece>> {
        match self.pieces.recv_timeout(wait) {
            Ok((number, piece)) if number == self.current => piece.map(Some),
            Ok(_) | Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::stop(Code::Internal, "the thread that reads chunks died"))
            }
        }
    }
}

impl Drop for Worker {
    /// The thread ends with its next piece; a server that does not answer holds nobody up.
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}
