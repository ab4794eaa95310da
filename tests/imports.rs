//! The flow is the tree: a stage may import only what stands before it (ARCHITECTURE.md). A new edge fails here first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Stage or file -> what of this crate it may name. `error` (with its `Error` and `Result`), `finding` and `secret` are open to all.
const MAY_USE: &[(&str, &[&str])] = &[
    ("change", &[]),
    ("source", &["change", "tls"]),
    ("format", &["change"]),
    ("kafka", &["tls"]),
    ("sink", &["change"]),
    ("check", &["config", "connector", "kafka", "sink", "source"]),
    ("config", &["source"]),
    ("control", &["metrics"]),
    ("metrics", &["change"]),
    ("error", &[]),
    ("finding", &[]),
    ("secret", &[]),
    ("tls", &[]),
    ("connector", &["change", "config", "consumer", "control", "format", "kafka", "metrics", "source"]),
    ("consumer", &["change", "config", "connector", "control", "format", "kafka", "metrics", "sink"]),
    ("direct", &["change", "config", "connector", "consumer", "control", "metrics", "sink", "source"]),
    ("monitor", &["change", "config", "connector", "control", "kafka", "metrics", "source"]),
    ("seed", &["change", "config", "control", "metrics", "source"]),
    ("status", &["change", "config", "connector", "direct", "kafka", "metrics", "monitor", "source"]),
    ("verify", &["change", "config", "control", "sink", "source"]),
];
const OPEN: &[&str] = &["Error", "Result", "error", "finding", "secret"];

#[test]
fn no_stage_imports_its_neighbour() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let allowed: BTreeMap<&str, BTreeSet<&str>> = MAY_USE.iter().map(|(place, uses)| (*place, uses.iter().copied().collect())).collect();
    let mut faults = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let place = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if place == "lib" {
            continue;
        }
        let Some(allowed) = allowed.get(place.as_str()) else {
            faults.push(format!("src/{place} is not in the list of stages"));
            continue;
        };
        each_source(&path, &mut |file, text| {
            for name in names_of_crate(text) {
                seen += 1;
                if name != place && !allowed.contains(name.as_str()) && !OPEN.contains(&name.as_str()) {
                    faults.push(format!("{}: {place} may not use crate::{name}", file.display()));
                }
            }
        });
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 50, "the check found only {seen} imports: it no longer reads them");
}

/// Sources of one database may not use the other's.
#[test]
fn databases_know_nothing_of_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/source");
    for (own, other) in [("postgres", "mysql"), ("mysql", "postgres")] {
        each_source(&root.join(own), &mut |file, text| {
            // Live tests may ask the other server how it prints a value.
            let is_live_test = file.components().any(|part| part.as_os_str() == "live");
            let is_named = text.contains(&format!("source::{other}")) || text.contains(&format!("super::super::{other}"));
            assert!(is_live_test || !is_named, "{}", file.display());
        });
    }
}

fn each_source(path: &Path, each: &mut dyn FnMut(&Path, &str)) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            each_source(&entry.unwrap().path(), each);
        }
    } else if path.extension().is_some_and(|ending| ending == "rs") {
        each(path, &fs::read_to_string(path).unwrap());
    }
}

/// The first names behind `crate::`, also those in braces.
fn names_of_crate(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut names = Vec::new();
    for (place, _) in code.match_indices("crate::") {
        let rest = &code[place + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect::<String>();
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (offset, letter) in group.char_indices() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    letter if start && !letter.is_whitespace() => {
                        names.push(word(&group[offset..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.push(word(rest));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
