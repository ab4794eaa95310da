//! The state file of direct mode: how far the source was read, and how long the files were then. One rename
//! moves both.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::change::{Checkpoint, Position};
use crate::sink::{Marks, file_failure, fixed_folder};
use crate::{Code, Error, Result};

/// What is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// Where the source reads on.
    pub checkpoint: Checkpoint,
    /// The last change in the files; what comes again up to here is left out.
    pub written: Position,
    /// Files and lengths, by sink and channel.
    pub files: BTreeMap<String, BTreeMap<String, Marks>>,
}

impl State {
    const VERSION: u32 = 1;

    /// At the beginning: nothing written.
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self { version: Self::VERSION, checkpoint, written: Position::START, files: BTreeMap::new() }
    }
}

/// Where the state of one source lies.
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// `.list_sync.SOURCE.state` in the folder of the sink's files: the part of its path before the first
    /// placeholder.
    pub fn beside(path_template: &str, source: &str) -> Self {
        let name: String = source
            .chars()
            .map(|letter| if letter.is_alphanumeric() || "_-.".contains(letter) { letter } else { '_' })
            .collect();
        Self { path: fixed_folder(path_template).join(format!(".list_sync.{name}.state")) }
    }

    /// In this file.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it; one that is not there is removed already.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                Err(file_failure("remove", &self.path, cause))
            }
            _ => Ok(()),
        }
    }

    /// The saved state; `None` at the very first start.
    pub fn load(&self) -> Result<Option<State>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(file_failure("read", &self.path, cause)),
        };
        Self::parse(&text).map(Some).map_err(|reason| {
            Error::stop(
                Code::PositionDamaged,
                format!("the state file \"{}\" is damaged: {reason}", self.path.display()),
            )
            .hint(
                "restore it from a backup; or move it and the CSV files away: the next start then begins at \
                 the end of the log, and changes since the \
                 last saved place are in no file",
            )
        })
    }

    /// The first line is the CRC-32 of the second.
    pub(super) fn parse(text: &str) -> std::result::Result<State, String> {
        let (sum, json) = text.split_once('\n').ok_or("it is cut short")?;
        if sum != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
            return Err("its checksum does not fit".to_owned());
        }
        let state: State = serde_json::from_str(json).map_err(|cause| cause.to_string())?;
        if state.version == State::VERSION {
            Ok(state)
        } else {
            Err(format!("layout {} is not known", state.version))
        }
    }

    /// What [`StateFile::parse`] reads.
    pub(super) fn text(state: &State) -> Result<String> {
        let json = serde_json::to_string(state)
            .map_err(|cause| Error::stop(Code::Internal, "the state cannot be written").cause(cause))?;
        Ok(format!("{:08x}\n{json}", crc32fast::hash(json.as_bytes())))
    }

    /// Where the next state is written before it takes the file's name: of this file alone, since states with
    /// different endings may lie side by side.
    fn new_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }

    /// Saves: after this returned, the new state is on the disk; after a crash meanwhile, either the old or
    /// the new one is.
    pub fn save(&self, state: &State) -> Result<()> {
        let text = Self::text(state)?;
        let new = self.new_path();
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|cause| file_failure("write", &self.path, cause))
    }
}

/// For messages about the file.
impl std::fmt::Display for StateFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Identity, Restart};

    /// Feeds that save at the same time each find their own place again.
    #[test]
    fn states_of_one_folder_do_not_meet() {
        let names = ["state.orders", "state.items", "state", ".state", "state.new"];
        let files: Vec<_> =
            names.iter().map(|name| StateFile::at(&Path::new("folder").join(name)).new_path()).collect();
        for (file, name) in files.iter().zip(names) {
            assert_eq!(file.file_name().unwrap().to_str().unwrap(), format!("{name}.new"));
            assert_eq!(files.iter().filter(|other| *other == file).count(), 1);
        }
    }

    #[test]
    fn a_state_survives_and_a_flipped_bit_is_seen() {
        let folder = std::env::temp_dir().join(format!("list_sync-state-{}", std::process::id()));
        let file = StateFile::beside(&format!("{}/{{table}}/x", folder.display()), "a/b");
        assert_eq!(file.path, folder.join(".list_sync.a_b.state"));
        assert_eq!(file.load().unwrap(), None);
        let checkpoint = Checkpoint {
            identity: Identity::default(),
            position: Position::START,
            restart: Restart::Postgres { lsn: 1, last: None },
            snapshot: None,
            known: None,
        };
        let state = State::new(checkpoint);
        file.save(&state).unwrap();
        assert_eq!(file.load().unwrap(), Some(state));
        let mut bytes = fs::read(&file.path).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            fs::write(&file.path, &bytes).unwrap();
            assert!(file.load().is_err(), "byte {place}");
            bytes[place] ^= 1;
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
