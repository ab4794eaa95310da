//! Names of files that are too many for the text of a commit: they lie in a file beside the sink's files, and
//! the commit names that file.
//!
//! A broker takes 4,096 bytes of text with an offset (`offset.metadata.max.bytes`): the names of some 50
//! files. A topic of 1,000 tables has more, and so has a group of 100 members. The file is named by a hash of
//! what it holds, so it is whole or it is not the file, and partitions that name the same files share it. It
//! is on the disk before the commit that names it. An older one is removed when a commit of the same
//! assignment has replaced it for every partition; one that a crash or a hand-over left is removed at a later
//! assignment, if no commit of the group names it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::sink::{Marks, file_failure, fixed_folder};
use crate::{Code, Error, Result};

/// A file that no commit names may still be about to be named, by a member that is just committing. None
/// takes so long.
const LEFT_OVER: Duration = Duration::from_hours(1);

/// Hexadecimal digits of a file's name.
const DIGITS: usize = 32;
/// Those of its group.
const GROUP_DIGITS: usize = 8;

/// The files of one member.
#[derive(Debug)]
pub struct LongTexts {
    folder: PathBuf,
    group: String,
    /// Named by the last commit of this assignment.
    held: BTreeSet<String>,
    /// Named by the commit that is being made.
    next: BTreeSet<String>,
}

impl LongTexts {
    /// For the members of a group that write to this path.
    pub fn new(path: &str, group: &str) -> Self {
        let folder = fixed_folder(path).join(".list_sync");
        Self {
            folder,
            group: digits(group.as_bytes())[..GROUP_DIGITS].to_owned(),
            held: BTreeSet::new(),
            next: BTreeSet::new(),
        }
    }

    /// Writes these names down, if they are not yet; answers what a commit calls them.
    pub fn store(&mut self, files: &Marks) -> Result<String> {
        let text = serde_json::to_vec(files).map_err(|cause| {
            Error::stop(Code::Internal, "the names of files cannot be written").cause(cause)
        })?;
        let name = Self::name(&self.group, &text);
        if !self.held.contains(&name) && !self.next.contains(&name) {
            let path = self.path(&name);
            self.write(&path, &text).map_err(|cause| file_failure("write", &path, cause))?;
        }
        self.next.insert(name.clone());
        Ok(name)
    }

    pub(super) fn name(group: &str, text: &[u8]) -> String {
        format!("{group}-{}", digits(text))
    }

    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Members of one folder may write the same names at once.
        let new =
            path.with_extension(format!("{}.{:?}.new", std::process::id(), std::thread::current().id()));
        let mut file = File::create(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The names of a file that a commit names. `None`: it lies on the disk of another member.
    pub fn load(&self, name: &str) -> Result<Option<Marks>> {
        let path = self.path(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(file_failure("read", &path, cause)),
        };
        match Self::parse(name, &text) {
            Some(files) => Ok(Some(files)),
            None => Err(Error::stop(
                Code::FileChanged,
                format!("file \"{}\", which a commit names, was changed", path.display()),
            )
            .hint(
                "bring it back from a copy of the folder; or give the sink a new group and an empty folder, \
                 and it writes all files again",
            )),
        }
    }

    /// Whether [`LongTexts::store`] could have answered it: what else a commit says never becomes a path.
    pub fn is_name(name: &str) -> bool {
        let is_hash =
            |text: &str, length| text.len() == length && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        name.split_once('-')
            .is_some_and(|(group, hash)| is_hash(group, GROUP_DIGITS) && is_hash(hash, DIGITS))
    }

    /// The names in a file, whose own name has the hash of its text.
    pub(super) fn parse(name: &str, text: &[u8]) -> Option<Marks> {
        let is_whole = name.rsplit_once('-').is_some_and(|(_, hash)| hash == digits(text));
        serde_json::from_slice(text).ok().filter(|_| is_whole)
    }

    /// The commit holds: what only older ones name is removed.
    pub fn committed(&mut self) {
        let next = std::mem::take(&mut self.next);
        for name in self.held.difference(&next) {
            self.remove(name);
        }
        self.held = next;
    }

    /// A new assignment begins. What earlier ones of any member left behind is removed, unless a commit names
    /// it.
    pub fn begin(&mut self, named: &BTreeSet<String>) {
        self.held.clear();
        self.next.clear();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_old = || {
                entry
                    .metadata()
                    .and_then(|data| data.modified())
                    .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_OVER))
            };
            let is_ours = name.strip_prefix(&self.group).is_some_and(|rest| rest.starts_with('-'));
            if is_ours && !named.contains(name.trim_end_matches(".json")) && is_old() {
                // Nothing is lost if it stays.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn remove(&self, name: &str) {
        let path = self.path(name);
        if let Err(cause) = fs::remove_file(&path) {
            tracing::debug!("{}", file_failure("remove", &path, cause));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn digits(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(DIGITS)
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn scratch(test: &str) -> (Scratch, LongTexts) {
        let folder = std::env::temp_dir().join(format!("list_sync_{test}_{}", std::process::id()));
        let texts = LongTexts::new(&format!("{}/{{table}}", folder.display()), "g");
        (Scratch(folder), texts)
    }

    fn marks(length: u64) -> Marks {
        (0..1000).map(|table| (format!("out/t{table}_insert.csv"), length.into())).collect()
    }

    fn files(texts: &LongTexts) -> usize {
        fs::read_dir(&texts.folder).map_or(0, Iterator::count)
    }

    #[test]
    fn what_a_commit_replaced_is_removed_and_nothing_before() {
        let (_scratch, mut texts) = scratch("long_texts");
        let first = texts.store(&marks(1)).unwrap();
        assert_eq!(
            (&texts.store(&marks(1)).unwrap(), files(&texts)),
            (&first, 1),
            "the same names are one file"
        );
        assert_eq!(texts.load(&first).unwrap(), Some(marks(1)));
        texts.committed();
        let second = texts.store(&marks(2)).unwrap();
        assert_eq!((texts.load(&first).unwrap(), files(&texts)), (Some(marks(1)), 2), "the commit may fail");
        texts.committed();
        assert_eq!((texts.load(&first).unwrap(), texts.load(&second).unwrap()), (None, Some(marks(2))));
        // After a hand-over somebody else's commits may name it.
        texts.begin(&BTreeSet::new());
        texts.store(&marks(3)).unwrap();
        texts.committed();
        assert_eq!(files(&texts), 2);
    }

    #[test]
    fn what_nobody_names_is_removed_when_it_is_old() {
        let (_scratch, mut texts) = scratch("long_texts_old");
        let [named, left] = [1, 2].map(|length| texts.store(&marks(length)).unwrap());
        let old = std::time::SystemTime::now() - 2 * LEFT_OVER;
        for name in [&named, &left] {
            File::options().write(true).open(texts.path(name)).unwrap().set_modified(old).unwrap();
        }
        let young = texts.store(&marks(3)).unwrap();
        texts.begin(&BTreeSet::from([named.clone()]));
        let is_there = |name: &String| texts.load(name).unwrap().is_some();
        assert_eq!((is_there(&named), is_there(&left), is_there(&young)), (true, false, true));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let (_scratch, mut texts) = scratch("long_texts_changed");
        let name = texts.store(&marks(1)).unwrap();
        fs::write(texts.path(&name), b"{}").unwrap();
        let error = texts.load(&name).unwrap_err();
        assert!(error.to_string().contains("was changed"), "{error}");
    }
}
