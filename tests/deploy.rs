//! The configurations that are shipped for containers and services say what the program understands.

use std::fs;
use std::path::{Path, PathBuf};

use list_sync::config::{Config, Outside};

fn configurations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn shipped_configurations_are_understood() {
    let mut found = Vec::new();
    configurations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy"), &mut found);
    assert!(found.len() >= 5, "only {found:?} were found");
    let outside = Outside { variable: &|_| Some("p@ss".to_owned()), read: &|_| Ok("secret".to_owned()) };
    for path in found {
        let name = path.display().to_string();
        let config = Config::parse(&name, &fs::read_to_string(&path).unwrap(), outside)
            .unwrap_or_else(|error| panic!("{error}"));
        config.refuse_unbuilt().unwrap_or_else(|error| panic!("{error}"));
        config.need_kafka().unwrap_or_else(|error| panic!("{error}"));
        assert!(!config.sources.is_empty() || !config.sinks.is_empty(), "{name} has nothing to do");
    }
}
