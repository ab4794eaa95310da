//! One file that is appended to: its buffer, its length, its lock. It is locked (`flock`) as long as it is open.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

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
    handle: Option<File>,
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
        Self { path, buffer: Vec::new(), written: 0, handle: None, dirty: false, used: 0 }
    }

    /// Locks a file that lies there and cuts what lies behind its mark. `patient`: waits a moment for one that is held.
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
            file.set_len(mark).and_then(|()| file.sync_data()).map_err(|cause| failure("cut", path, cause))?;
            tracing::info!(file = path, bytes = length - mark, "cut what no saved position vouches for");
        }
        let handle = Some(file);
        Ok(Taken::Locked(Self { path: path.to_owned(), buffer: Vec::new(), written: mark, handle, dirty: false, used: 0 }))
    }

    /// Where rows are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes written and buffered: the length after the next sync.
    pub fn length(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Bytes buffered.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether it takes a file descriptor, and when it was last used.
    pub fn open_since(&self) -> Option<u64> {
        self.handle.as_ref().map(|_| self.used)
    }

    /// Writes the buffer to the file, which is made or opened if need be; its folders are added to `folders` if it is made.
    pub fn spill(&mut self, used: u64, folders: &mut BTreeSet<PathBuf>) -> Result<()> {
        self.used = used;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut file = match self.handle.take() {
            Some(file) => file,
            None => self.open(folders)?,
        };
        file.write_all(&self.buffer).map_err(|cause| failure("write", &self.path, cause))?;
        self.handle = Some(file);
        self.dirty = true;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }

    /// Brings what was written to the disk.
    pub fn sync(&mut self) -> Result<()> {
        if let (true, Some(file)) = (self.dirty, &self.handle) {
            file.sync_data().map_err(|cause| failure("sync", &self.path, cause))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Gives its descriptor, its lock and its memory back, after a sync: an error of a later sync would not reach us.
    pub fn close(&mut self) -> Result<()> {
        self.sync()?;
        self.handle = None;
        self.buffer.shrink_to(0);
        Ok(())
    }

    fn open(&mut self, folders: &mut BTreeSet<PathBuf>) -> Result<File> {
        let path = &self.path;
        let create = self.written == 0;
        if create {
            make_folders(path, folders)?;
        }
        let opened = OpenOptions::new().append(true).create_new(create).open(path);
        let file = match opened {
            Err(cause) if create && cause.kind() == ErrorKind::AlreadyExists => return Err(foreign(path)),
            opened => opened.map_err(|cause| failure("open", path, cause))?,
        };
        if !lock(&file, path, true)? {
            return Err(held(path));
        }
        let length = file.metadata().map_err(|cause| failure("read", path, cause))?.len();
        if length != self.written {
            return Err(Error::stop(format!("file {path:?} has {length} bytes instead of {}: something else wrote to it", self.written))
                .hint("stop what writes to it, then start again"));
        }
        Ok(file)
    }
}

/// Makes the folders of a file and notes all whose entries changed.
fn make_folders(path: &str, folders: &mut BTreeSet<PathBuf>) -> Result<()> {
    let folder = folder_of(path);
    let mut changed = vec![folder.clone()];
    while let Some(last) = changed.last().filter(|last| !last.exists()) {
        let above = last.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
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
    Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// False if another process holds the file. A process that is just being started from this one shares our locks until its program
/// runs, even those that we have given back: hence the patience.
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

const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A file that lies where one shall be made, and no mark names it.
pub(super) fn foreign(path: &str) -> Error {
    Error::stop(format!("file {path:?} exists, but the saved state does not know it"))
        .hint("move it away, or choose another `path` or `id` for this sink")
}

/// A file that another process writes.
pub(super) fn held(path: &str) -> Error {
    Error::stop(format!("file {path:?} is held by another process"))
        .hint("stop the other list_sync that writes it, or give each of them an `id` of its own")
}

/// A file that lost rows a saved mark vouches for.
pub(super) fn short(path: &str, length: u64, mark: u64) -> Error {
    Error::stop(format!("file {path:?} has {length} bytes, but the saved state vouches for {mark}"))
        .hint("put the file back as it was, or move it away: then the next file is started")
}

/// A failed step on a file.
pub(super) fn failure(step: &str, path: &str, cause: io::Error) -> Error {
    let hint = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk, then start again: nothing is lost",
        ErrorKind::FileTooLarge => "raise the limit of file sizes (ulimit -f) or set rotate_bytes, then start again: nothing is lost",
        ErrorKind::PermissionDenied => "let this user write there (chown, chmod) or choose another `path`, then start again",
        ErrorKind::ReadOnlyFilesystem => "mount the file system for writing or choose another `path`, then start again: nothing is lost",
        ErrorKind::InvalidFilename => "choose a `path` without {table}: the table's name is too long for a file's name",
        _ => "check the disk (dmesg), then start again: what no saved position vouches for is written again",
    };
    Error::stop(format!("cannot {step} {path:?}")).cause(cause).hint(hint)
}
