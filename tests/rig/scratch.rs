//! A folder, and a name, of one check's own; the folder goes with it unless the check failed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Scratch {
    /// Unique among all runs on these servers: for sources, topics, groups and tables. Lower-case letters,
    /// digits and `_`.
    pub name: String,
    pub folder: PathBuf,
}

impl Scratch {
    pub fn new(check: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 1_000_000_000;
        let name = format!("{check}_{since}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("list_sync-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self { name, folder }
    }

    /// Writes a file into the folder.
    pub fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.folder.join(file);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub fn read(&self, file: impl AsRef<Path>) -> String {
        let path = self.folder.join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for a look: {}", self.folder.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
