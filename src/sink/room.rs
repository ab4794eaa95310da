//! Whether files can be written where a sink is to write them, and whether there is room; nothing stays
//! behind.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Settings;
use super::failure::file_failure;
use crate::finding::{Finding, Fix};
use crate::template::fixed_part;
use crate::{Code, Error, Result};

/// Less room than this is worth a warning, bytes.
const FREE_BYTES_LOW: u64 = 1 << 30;
/// Less room than this will not last to the first rotation, bytes.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// The folder of a path such as `out/{source}/{table}`: what stands before the first placeholder.
pub fn fixed_folder(path: &str) -> PathBuf {
    let fixed = fixed_part(path);
    let folder =
        fixed.rsplit_once('/').map_or("", |(folder, _)| if folder.is_empty() { "/" } else { folder });
    PathBuf::from(if folder.is_empty() { "." } else { folder })
}

/// Tries the folder of a sink's files.
pub fn inspect(settings: &Settings) -> Vec<Finding> {
    let folder = fixed_folder(&settings.path);
    let nearest = nearest(&folder);
    let mut found = Vec::new();
    match try_to_write(&nearest) {
        Err(error) => found.push(Finding::fail("folder", &error)),
        Ok(()) if nearest == folder => {
            found.push(Finding::ok("folder", format!("files can be written in \"{}\"", folder.display())));
        }
        Ok(()) => {
            let fact = format!("\"{}\" will be made at the start", folder.display());
            found.push(Finding::ok("folder", fact).fix(Fix::Folder(folder)));
        }
    }
    found.push(free(&nearest).unwrap_or_else(|error| Finding::fail("free space", &error)));
    found
}

/// The folder itself, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let above =
        folder.ancestors().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    above.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new(".")).to_owned()
}

fn try_to_write(folder: &Path) -> Result<()> {
    let file = folder.join(format!(".list_sync.check.{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create_new(true).open(&file).and_then(|mut file| file.write_all(b"x"));
    let removed = fs::remove_file(&file);
    let mend = |error: Error| {
        let folder = folder.display();
        error.hint(format!(
            "give this user the folder: sudo install -d -o \"$(id -un)\" \"{folder}\"; or set another `path`"
        ))
    };
    written.and(removed).map_err(|cause| mend(file_failure("write", &file, cause)))
}

fn free(folder: &Path) -> Result<Finding> {
    let told = rustix::fs::statvfs(folder)
        .map_err(|cause| file_failure("ask for the room in", folder, std::io::Error::from(cause)))?;
    let bytes = told.f_bavail.saturating_mul(told.f_frsize);
    let fact = format!("{} free in \"{}\"", size(bytes), folder.display());
    let mend = "make room, or set `path` to another disk";
    Ok(if bytes < FREE_BYTES_MIN {
        Finding::fail("free space", &Error::stop(Code::DiskFull, fact).hint(mend))
    } else if bytes < FREE_BYTES_LOW {
        Finding::warn("free space", fact, mend)
    } else {
        Finding::ok("free space", fact)
    })
}

fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{} MB", bytes / 1_000_000)
    } else {
        format!("{} GB", bytes / 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, fixed_folder, inspect};
    use crate::finding::{Fix, Status};

    #[test]
    fn the_folder_before_the_first_placeholder() {
        for (path, folder) in [
            ("out/{table}", "out"),
            ("a/b/x_{table}", "a/b"),
            ("{table}", "."),
            ("/{table}", "/"),
            ("a/{source}/b/{table}", "a"),
        ] {
            assert_eq!(fixed_folder(path).to_str(), Some(folder), "{path}");
        }
    }

    #[test]
    fn folders_that_are_there_that_can_be_made_and_that_cannot() {
        let root = std::env::temp_dir().join(format!("list_sync_room_{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let path =
            |under: &str| Settings { path: root.join(under).display().to_string(), ..Settings::default() };
        let found = inspect(&path("{table}"));
        assert_eq!((found[0].status, &found[0].fix, found[1].check), (Status::Ok, &None, "free space"));
        let found = inspect(&path("a/b/{table}"));
        assert_eq!((found[0].status, &found[0].fix), (Status::Ok, &Some(Fix::Folder(root.join("a/b")))));
        std::fs::write(root.join("file"), "").unwrap();
        let found = inspect(&path("file/{table}"));
        assert_eq!(found[0].status, Status::Fail, "{found:?}");
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1, "nothing stays behind");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
