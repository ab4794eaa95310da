//! One file that is appended to: its buffer, its length, its lock. It is locked (`flock`) as long as it is
//! open.
//!
//! Somebody may move, remove or truncate it meanwhile. So before bytes go to it, and after each sync, its
//! path must still lead to the open file, and the file must be as long as we wrote it. If not it is lost: the
//! next file takes over what no marks name yet (`succeed`).

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::lost::{Carried, Lost, look};
use crate::{Code, Error, Result};

/// A buffer with more bytes than this is written to its file.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// A file, open or not.
#[derive(Debug)]
pub(super) struct Appended {
    /// As the sink was told to write it: what marks say.
    pub path: String,
    buffer: Vec<u8>,
    /// Bytes in the file, without the buffer.
    written: u64,
    /// Bytes that the last marks named.
    marked: u64,
    handle: Option<File>,
    /// Whether the path led to the open file when it was opened: some network file systems number files anew
    /// all the time.
    has_number: bool,
    /// What became of the file in other hands.
    lost: Option<Lost>,
    /// Rows of the file before this one that go first into this one.
    carried: Option<Carried>,
    /// Written since the last sync.
    dirty: bool,
    /// When it was last used, in the caller's count.
    used: u64,
}

/// What taking over a file led to.
pub(super) enum Taken {
    /// Locked, and exactly as long as its mark.
    Locked(Appended),
    /// A living process holds it.
    Held,
    /// It is not there.
    Absent,
    /// It has this many bytes, less than its mark.
    Short(u64),
}

impl Appended {
    /// A file that is made when its first bytes are written.
    pub fn new(path: String) -> Self {
        Self {
            path,
            buffer: Vec::new(),
            written: 0,
            marked: 0,
            handle: None,
            has_number: false,
            lost: None,
            carried: None,
            dirty: false,
            used: 0,
        }
    }

    /// Locks a file that lies there and cuts what lies behind its mark. `patient`: waits a moment for one
    /// that is held.
    pub fn take_over(path: &str, mark: u64, patient: bool) -> Result<Taken> {
        let file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Taken::Absent),
            Err(cause) => return Err(failure("open", path, cause)),
        };
        if !lock(&file, path, patient)? {
            return Ok(Taken::Held);
        }
        let length = file.metadata().map_err(|cause| failure("read", path, cause))?.len();
        if length < mark {
            return Ok(Taken::Short(length));
        }
        if length > mark {
            file.set_len(mark)
                .and_then(|()| file.sync_data())
                .map_err(|cause| failure("cut", path, cause))?;
            tracing::info!(file = path, bytes = length - mark, "truncated file to its last committed length");
        }
        let has_number = look(path, &file, mark, true)?.is_none();
        let own = Self::new(path.to_owned());
        Ok(Taken::Locked(Self { written: mark, marked: mark, handle: Some(file), has_number, ..own }))
    }

    /// Where rows are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes written and buffered: the length after the next sync.
    pub fn length(&self) -> u64 {
        self.written + self.buffer.len() as u64 + self.carried.as_ref().map_or(0, |carried| carried.bytes)
    }

    /// Bytes that the last marks named.
    pub fn marked(&self) -> u64 {
        self.marked
    }

    /// Marks are handed out that name its whole length.
    pub fn mark(&mut self) -> u64 {
        self.marked = self.length();
        self.marked
    }

    /// Whether the file is no longer what was written.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Bytes buffered.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a flush has something to write.
    pub fn has_unwritten(&self) -> bool {
        !self.buffer.is_empty() || self.carried.is_some()
    }

    /// Whether it takes a file descriptor, and when it was last used.
    pub fn open_since(&self) -> Option<u64> {
        self.handle.as_ref().map(|_| self.used)
    }

    /// Writes the buffer to the file, which is made or opened if need be; its folders are added to `folders`
    /// if it is made. The buffer of a file that is lost stays.
    pub fn spill(&mut self, used: u64, folders: &mut BTreeSet<PathBuf>) -> Result<()> {
        self.used = used;
        if !self.has_unwritten() || self.is_lost() {
            return self.check_room();
        }
        if self.handle.is_none() {
            self.handle = self.open(folders)?;
        }
        self.look()?;
        let Some(file) = self.handle.as_mut().filter(|_| self.lost.is_none()) else { return Ok(()) };
        let failed = |cause| failure("write", &self.path, cause);
        let (head, rows) = self.buffer.split_at(self.carried.as_ref().map_or(0, |carried| carried.after));
        file.write_all(head).map_err(failed)?;
        if let Some(carried) = &mut self.carried {
            carried.copy_to(file).map_err(failed)?;
        }
        file.write_all(rows).map_err(failed)?;
        self.dirty = true;
        self.written = self.length();
        self.carried = None;
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }

    /// Rows for a file that is lost wait in memory until the next flush, which begins the next file.
    fn check_room(&self) -> Result<()> {
        if self.buffer.len() <= LOST_BYTES_MAX {
            return Ok(());
        }
        Err(Error::link(
            Code::FileChanged,
            format!("file {:?} was taken away, and too much waits for the next commit", self.path),
        )
        .hint("set a shorter commit_interval_ms, or take away finished files only"))
    }

    /// Looks whether somebody else changed the file.
    fn look(&mut self) -> Result<()> {
        if let (None, Some(file)) = (self.lost, &self.handle) {
            self.lost = look(&self.path, file, self.written, self.has_number)?;
        }
        Ok(())
    }

    /// Brings what was written to the disk; after it the file is looked at, so that what was taken away
    /// before is noticed now.
    pub fn sync(&mut self) -> Result<()> {
        if let (true, Some(file)) = (self.dirty, &self.handle) {
            file.sync_data().map_err(|cause| failure("sync", &self.path, cause))?;
            self.dirty = false;
            self.look()?;
        }
        Ok(())
    }

    /// Gives its descriptor, its lock and its memory back, after a sync: an error of a later sync would not
    /// reach us. False: it is lost, and kept open for its rows.
    pub fn close(&mut self) -> Result<bool> {
        self.sync()?;
        if self.is_lost() {
            return Ok(false);
        }
        self.handle = None;
        self.buffer.shrink_to(0);
        Ok(true)
    }

    /// Takes over what a lost file held behind its last marks. `header` is written before it, if it goes to a
    /// file of its own.
    pub fn succeed(&mut self, lost: &mut Self, header: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let Some(how) = lost.lost else { return Ok(()) };
        tracing::warn!(
            file = lost.path,
            next = self.path,
            "the file {how}; its next rows go to the next file"
        );
        let rows = std::mem::take(&mut lost.buffer);
        // Without a descriptor: they were in the file before it was taken away.
        let behind =
            lost.handle.take().map(|file| (file, lost.written - lost.marked)).filter(|(_, bytes)| *bytes > 0);
        if behind.is_none() && rows.is_empty() {
            return Ok(());
        }
        if lost.written > 0 && (lost.marked > 0 || behind.is_none()) {
            header(&mut self.buffer);
        }
        if let Some((file, bytes)) = behind {
            if let Lost::Shorter(length) = how {
                return Err(super::lost::cut_off(&lost.path, length, lost.written));
            }
            self.carried = Some(Carried {
                path: lost.path.clone(),
                file,
                from: lost.marked,
                bytes,
                after: self.buffer.len(),
            });
        }
        self.buffer.extend_from_slice(&rows);
        Ok(())
    }

    /// `None`: the file is lost.
    fn open(&mut self, folders: &mut BTreeSet<PathBuf>) -> Result<Option<File>> {
        let path = &self.path;
        let create = self.written == 0;
        if create {
            make_folders(path, folders)?;
        }
        let opened = OpenOptions::new().read(true).append(true).create_new(create).open(path);
        let file = match opened {
            Err(cause) if create && cause.kind() == ErrorKind::AlreadyExists => return Err(foreign(path)),
            Err(cause) if !create && cause.kind() == ErrorKind::NotFound => {
                self.lost = Some(Lost::Away);
                return Ok(None);
            }
            opened => opened.map_err(|cause| failure("open", path, cause))?,
        };
        if !lock(&file, path, true)? {
            return Err(held(path));
        }
        self.has_number = look(path, &file, self.written, true)?.is_none();
        Ok(Some(file))
    }
}

/// Makes the folders of a file and notes all whose entries changed.
fn make_folders(path: &str, folders: &mut BTreeSet<PathBuf>) -> Result<()> {
    let folder = folder_of(path);
    let mut changed = vec![folder.clone()];
    while let Some(last) = changed.last().filter(|last| !last.exists()) {
        let above =
            last.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        changed.push(above);
    }
    std::fs::create_dir_all(&folder).map_err(|cause| failure("make the folder of", path, cause))?;
    folders.extend(changed);
    Ok(())
}

/// Brings the entries of folders to the disk, so that a file that was made stays after a power cut.
pub(super) fn sync_folders(folders: &mut BTreeSet<PathBuf>) -> Result<()> {
    while let Some(folder) = folders.pop_first() {
        let synced = File::open(&folder).and_then(|file| file.sync_all());
        synced.map_err(|cause| failure("sync", &folder.to_string_lossy(), cause))?;
    }
    Ok(())
}

fn folder_of(path: &str) -> PathBuf {
    Path::new(path)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// False if another process holds the file. A process that is just being started from this one shares our
/// locks until its program runs, even those that we have given back: hence the patience.
fn lock(file: &File, path: &str, patient: bool) -> Result<bool> {
    for _ in 0..LOCK_TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if patient => std::thread::sleep(LOCK_PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => break,
            Err(cause) => return Err(failure("lock", path, cause.into())),
        }
    }
    Ok(false)
}

/// Rows that wait in memory for the file after one that is lost, bytes.
const LOST_BYTES_MAX: usize = 64 * 1024 * 1024;

const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A file that lies where one shall be made, and no mark names it.
pub(super) fn foreign(path: &str) -> Error {
    Error::stop(Code::FileUnknown, format!("file {path:?} exists, but the saved state does not know it"))
        .hint(
            "it was written under a place that is not saved any more (the topic was made again, offsets \
             were reset, the state file was removed), \
             by another consumer group, or by another program: move it away, or choose another `path` or \
             `id` for this sink",
        )
}

/// A file that another process writes.
pub(super) fn held(path: &str) -> Error {
    Error::stop(Code::FileLocked, format!("file {path:?} is held by another process"))
        .hint("stop the other list_sync that writes it, or give each of them an `id` of its own")
}

/// A file that lost rows a saved mark vouches for.
pub(super) fn short(path: &str, length: u64, mark: u64) -> Error {
    Error::stop(
        Code::FileTooShort,
        format!("file {path:?} has {length} bytes, but the saved state needs {mark}"),
    )
    .hint("put the file back as it was, or move it away: then the next file is started")
}

/// A failed step on a file.
pub(super) fn failure(step: &str, path: &str, cause: io::Error) -> Error {
    let hint = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on the disk, then start again: nothing is lost"
        }
        ErrorKind::FileTooLarge => {
            "raise the limit of file sizes (ulimit -f) or set rotate_bytes, then start again: nothing is lost"
        }
        ErrorKind::PermissionDenied => {
            "let this user write there (chown, chmod) or choose another `path`, then start again"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "mount the file system for writing or choose another `path`, then start again: nothing is lost"
        }
        ErrorKind::InvalidFilename => {
            "choose a `path` without {table}: the table's name is too long for a file's name"
        }
        _ => {
            "check the disk (dmesg), then start again: everything after the last saved position is written again"
        }
    };
    Error::stop(Code::FileFailed, format!("cannot {step} {path:?}")).cause(cause).hint(hint)
}
