//! Files that somebody else moved, removed or truncated while they were written, and the rows of theirs that
//! no marks name yet.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::file::failure;
use crate::{Code, Error, Result};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its path leads to no file, or to another one.
    Away,
    /// It has only this many bytes.
    Shorter(u64),
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away => formatter.write_str("was moved or removed"),
            Self::Shorter(length) => write!(formatter, "was truncated to {length} bytes by something else"),
        }
    }
}

/// Compares the path with the open file. `has_number`: inode numbers may be compared.
pub(super) fn look(path: &str, file: &File, written: u64, has_number: bool) -> Result<Option<Lost>> {
    let failed = |cause| failure("read", path, cause);
    let own = file.metadata().map_err(failed)?;
    match Path::new(path).metadata() {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Some(Lost::Away)),
        Err(cause) => return Err(failed(cause)),
        Ok(there) if has_number && (there.dev(), there.ino()) != (own.dev(), own.ino()) => {
            return Ok(Some(Lost::Away));
        }
        // A device has no length.
        Ok(_) if !own.is_file() => return Ok(None),
        Ok(_) => {}
    }
    match own.len() {
        length if length < written => Ok(Some(Lost::Shorter(length))),
        length if length > written => Err(Error::stop(
            Code::FileChanged,
            format!("file {path:?} has {length} bytes instead of {written}: something else wrote to it"),
        )
        .hint("stop what writes to it, then start again")),
        _ => Ok(None),
    }
}

/// Rows that were in a file beyond its last marks are gone from the disk.
pub(super) fn cut_off(path: &str, length: u64, written: u64) -> Error {
    Error::stop(
        Code::FileChanged,
        format!("file {path:?} was truncated to {length} bytes by something else; {written} were written"),
    )
    .hint("stop what truncates it and move it away, then start again: what was not committed is read again")
}

/// The rows of a lost file from its last mark on. Once they are copied, or if they never are, the file is cut
/// at the mark: they are in the next file then, or come again.
#[derive(Debug)]
pub(super) struct Carried {
    pub path: String,
    pub file: File,
    pub from: u64,
    pub bytes: u64,
    /// They come behind so many bytes of the next file's buffer.
    pub after: usize,
}

impl Carried {
    /// Appends the rows to the next file.
    pub fn copy_to(&mut self, next: &mut File) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.from))?;
        let copied = io::copy(&mut (&self.file).take(self.bytes), next)?;
        if copied == self.bytes { Ok(()) } else { Err(io::Error::from(ErrorKind::UnexpectedEof)) }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Err(cause) = self.file.set_len(self.from).and_then(|()| self.file.sync_data()) {
            tracing::warn!(
                file = self.path,
                "rows that no saved position covers stay in a file that was moved: {cause}"
            );
        }
    }
}
