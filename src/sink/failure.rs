//! What goes wrong with files, said once.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::{Code, Error};

/// A file or folder failed; `what` is the verb. Always a stop: the kernel has tried already.
pub fn file_failure(what: &str, path: &Path, cause: impl Into<io::Error> + Display) -> Error {
    let cause = cause.into();
    let hint = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room, then start again: nothing that was committed is lost, and the rest is read again"
        }
        ErrorKind::PermissionDenied => "give the user that runs list_sync the right to write there",
        ErrorKind::ReadOnlyFilesystem => "mount it for writing, or choose another path",
        _ => "look at the disk and at the kernel's log",
    };
    Error::stop(Code::FileFailed, format!("cannot {what} file \"{}\"", path.display()))
        .cause(cause)
        .hint(hint)
}
