//! The events of a transaction that a ROLLBACK may still end: they wait for its end, in memory up to a budget
//! and then in a file.
//!
//! MariaDB writes a transaction that was rolled back into its log if a temporary table was made or dropped in
//! it, and leaves half a transaction behind after a crash; MySQL may do the first where statements stand in
//! the log.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::event::Event;
use crate::{Code, Error, Result};

/// Bytes of events that are held in memory; the rest of a transaction goes to disk.
const MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of events that are held on disk.
const DISK_BYTES_MAX: u64 = 64 << 30;
/// Bytes of an event in the file, without its body: where it lies in the log, its header, and the length of
/// the body.
const HEAD_BYTES: usize = 8 + 1 + 4 + 4 + 2 + 4 + 4 + 4;

/// Events of one transaction, in order.
pub(super) struct Held {
    first: VecDeque<(u64, Event)>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    disk: Option<Disk>,
    savepoints: Vec<(String, Mark)>,
}

/// How much was held at a savepoint.
#[derive(Debug, Clone, Copy)]
struct Mark {
    events: usize,
    memory_bytes: usize,
    disk_bytes: u64,
}

struct Disk {
    writer: BufWriter<File>,
    bytes: u64,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            first: VecDeque::new(),
            memory_bytes: 0,
            memory_bytes_max: MEMORY_BYTES_MAX,
            disk: None,
            savepoints: Vec::new(),
        }
    }
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.disk.is_none()
    }

    /// Takes an event that lies at `start` in its file of the log.
    pub fn push(&mut self, start: u64, event: Event) -> Result<()> {
        if self.disk.is_none() && self.memory_bytes < self.memory_bytes_max {
            self.memory_bytes += event.body.len() + size_of::<Event>();
            self.first.push_back((start, event));
            return Ok(());
        }
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => Disk {
                writer: BufWriter::with_capacity(1 << 16, unnamed_file().map_err(unwritable)?),
                bytes: 0,
            },
        };
        self.disk.insert(disk).push(start, &event)
    }

    /// What comes now can be taken back to here.
    pub fn savepoint(&mut self, name: String) {
        let disk_bytes = self.disk.as_ref().map_or(0, |disk| disk.bytes);
        let mark = Mark { events: self.first.len(), memory_bytes: self.memory_bytes, disk_bytes };
        self.savepoints.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        self.savepoints.push((name, mark));
    }

    /// Drops what came after the savepoint; false if it is not known.
    pub fn roll_back_to(&mut self, name: &str) -> Result<bool> {
        let Some(place) = self.savepoints.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            return Ok(false);
        };
        self.savepoints.truncate(place + 1);
        let mark = self.savepoints[place].1;
        self.first.truncate(mark.events);
        self.memory_bytes = mark.memory_bytes;
        match &mut self.disk {
            Some(_) if mark.disk_bytes == 0 => self.disk = None,
            Some(disk) => disk.cut(mark.disk_bytes).map_err(unwritable)?,
            None => {}
        }
        Ok(true)
    }

    /// The transaction is committed: its events come out again.
    pub fn release(self) -> Result<Released> {
        let disk = self.disk.map(Disk::into_reader).transpose().map_err(unwritable)?;
        Ok(Released { first: self.first, disk })
    }
}

/// The events of a committed transaction.
pub(super) struct Released {
    first: VecDeque<(u64, Event)>,
    disk: Option<(BufReader<File>, u64)>,
}

impl Released {
    /// The next event, and where it lies in its file of the log.
    pub fn next(&mut self) -> Result<Option<(u64, Event)>> {
        if let Some(next) = self.first.pop_front() {
            return Ok(Some(next));
        }
        match &mut self.disk {
            Some((reader, bytes)) if *bytes > 0 => read_event(reader, bytes).map(Some).map_err(unwritable),
            _ => Ok(None),
        }
    }
}

impl Disk {
    fn push(&mut self, start: u64, event: &Event) -> Result<()> {
        self.bytes += (HEAD_BYTES + event.body.len()) as u64;
        if self.bytes > DISK_BYTES_MAX {
            return Err(Error::stop(
                Code::TransactionTooLarge,
                format!("a transaction has more than {} GiB of events", DISK_BYTES_MAX >> 30),
            )
            .hint(
                "leave its tables out with \"!schema.table\", or change that many rows in several \
                    transactions",
            ));
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(&start.to_le_bytes());
        head.push(event.kind);
        for number in [event.timestamp, event.server_id] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        head.extend_from_slice(&event.flags.to_le_bytes());
        for number in [event.size, event.log_pos, event.body.len() as u32] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        self.writer.write_all(&head).and_then(|()| self.writer.write_all(&event.body)).map_err(unwritable)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.writer.flush()?;
        let file = self.writer.get_mut();
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        self.bytes = bytes;
        Ok(())
    }

    fn into_reader(self) -> io::Result<(BufReader<File>, u64)> {
        let mut file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok((BufReader::with_capacity(1 << 16, file), self.bytes))
    }
}

fn read_event(reader: &mut BufReader<File>, left: &mut u64) -> io::Result<(u64, Event)> {
    fn number<const N: usize>(reader: &mut BufReader<File>) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
    let start = u64::from_le_bytes(number(reader)?);
    let [kind] = number(reader)?;
    let (timestamp, server_id) = (u32::from_le_bytes(number(reader)?), u32::from_le_bytes(number(reader)?));
    let flags = u16::from_le_bytes(number(reader)?);
    let (size, log_pos) = (u32::from_le_bytes(number(reader)?), u32::from_le_bytes(number(reader)?));
    let mut body = vec![0; u32::from_le_bytes(number(reader)?) as usize];
    reader.read_exact(&mut body)?;
    *left = left.saturating_sub((HEAD_BYTES + body.len()) as u64);
    Ok((start, Event { kind, timestamp, server_id, flags, size, log_pos, body }))
}

/// A file that has no name any more, so that nothing stays behind whatever ends the process.
fn unnamed_file() -> io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let path = folder().join(format!(
            "list_sync-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir()
}

fn unwritable(cause: io::Error) -> Error {
    let memory = MEMORY_BYTES_MAX >> 20;
    Error::stop(
        Code::TransactionTooLarge,
        format!(
            "a transaction with more than {memory} MiB of events cannot be held in \"{}\" until its commit",
            folder().display()
        ),
    )
    .hint("make room there, or set TMPDIR to a folder that has some")
    .cause(cause)
}

#[cfg(test)]
mod tests {
    use super::{Event, Held};
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Savepoint(u8),
        RollBack(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_usize..300).prop_map(Step::Push),
            (0_u8..3).prop_map(Step::Savepoint),
            (0_u8..3).prop_map(Step::RollBack)
        ]
    }

    proptest! {
        /// The same steps on a plain list, with a budget so small that most events lie on disk.
        #[test]
        fn what_was_not_taken_back_comes_out_in_order(
            steps in prop::collection::vec(step(), 0..60),
            memory_bytes_max in 0_usize..2000,
        ) {
            let mut held = Held { memory_bytes_max, ..Held::default() };
            let (mut expected, mut marks, mut count) = (Vec::new(), Vec::<(u8, usize)>::new(), 0_u32);
            for step in steps {
                match step {
                    Step::Push(bytes) => {
                        count += 1;
                        let body = vec![count as u8; bytes];
                        let event = Event {
                            kind: 30,
                            flags: 7,
                            timestamp: 1,
                            server_id: 2,
                            size: 3,
                            log_pos: count,
                            body,
                        };
                        held.push(u64::from(count) + 4, event.clone()).unwrap();
                        expected.push((u64::from(count) + 4, event));
                    }
                    Step::Savepoint(name) => {
                        held.savepoint(name.to_string());
                        marks.retain(|(known, _)| *known != name);
                        marks.push((name, expected.len()));
                    }
                    Step::RollBack(name) => {
                        let mark = marks.iter().position(|(known, _)| *known == name);
                        prop_assert_eq!(held.roll_back_to(&name.to_string()).unwrap(), mark.is_some());
                        if let Some(mark) = mark {
                            marks.truncate(mark + 1);
                            expected.truncate(marks[mark].1);
                        }
                    }
                }
            }
            prop_assert_eq!(held.is_empty(), expected.is_empty());
            let mut released = held.release().unwrap();
            for one in expected {
                prop_assert_eq!(released.next().unwrap(), Some(one));
            }
            prop_assert_eq!(released.next().unwrap(), None);
        }
    }
}
