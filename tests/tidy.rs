//! Habits of the tree that a reader would otherwise have to watch for.

mod functions;
mod live_tests;
mod references;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a source file may have, tests included.
const LINES_MAX: usize = 500;
/// Characters that a line of a source file may have.
const WIDTH_MAX: usize = 110;

/// The files that may hold `unsafe`: each does one thing that the standard library does not offer.
const UNSAFE: &[&str] = &[
    "cli/src/bin/list_sync/allocator.rs",
    "scripts/lab.d/wire/src/tap.rs",
    "src/fuzzing/memory.rs",
    "src/kafka/librdkafka.rs",
    "src/threads.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The path of a file from the root on, as messages name it.
fn inside(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// Visits all Rust files below a folder.
fn each(folder: &Path, visit: &mut dyn FnMut(&Path, &str)) {
    each_of(folder, &["rs"], visit);
}

/// Visits all files below a folder, or the file itself, whose names end so.
fn each_of(place: &Path, endings: &[&str], visit: &mut dyn FnMut(&Path, &str)) {
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            // What a build leaves behind is not ours.
            if !["target", "node_modules", "__pycache__"].iter().any(|name| path.ends_with(name)) {
                each_of(&path, endings, visit);
            }
        }
    } else if place.extension().is_some_and(|found| endings.iter().any(|ending| found == *ending)) {
        visit(place, &fs::read_to_string(place).unwrap());
    }
}

#[test]
fn unsafe_stands_in_few_files() {
    let mut found = Vec::new();
    for folder in ["src", "cli", "python/src", "benches", "fuzz", "scripts"] {
        each(&root().join(folder), &mut |path, text| {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let mut words = code.flat_map(|line| line.split(|letter: char| !is_of_word(letter)));
            if words.any(|word| word == "unsafe") {
                found.push(inside(path));
            }
        });
    }
    found.sort();
    assert_eq!(found, UNSAFE);
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// src/threads.rs says why.
#[test]
fn threads_are_started_with_signals_blocked() {
    let mut count = 0;
    for folder in ["src", "cli/src", "python/src"] {
        each(&root().join(folder), &mut |path, text| {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_test =
                path.components().any(|part| ["live", "tests"].iter().any(|name| part.as_os_str() == *name));
            count += code.matches("threads::spawn").count();
            if path.ends_with("src/threads.rs") || is_test {
                return;
            }
            for way in ["thread::spawn", "thread::Builder", "scope.spawn"] {
                assert!(
                    !code.contains(way),
                    "{} starts a thread by {way}; use crate::threads",
                    path.display()
                );
            }
        });
    }
    assert!(count > 10, "only {count} threads are started");
}

/// docs/decisions/0009-a-runtime-for-the-monitor.md says why there is one, and only there.
#[test]
fn the_runtime_stays_in_the_monitor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    for folder in ["src", "cli/src", "python/src"] {
        each(&root.join(folder), &mut |path, text| {
            if text.contains("tokio::") {
                count += 1;
                assert!(path.ends_with("src/monitor/http.rs"), "{} names tokio", path.display());
            }
        });
    }
    assert_eq!(count, 1);
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut count = 0;
    for folder in ["src", "cli/src", "python/src", "tests"] {
        each(&root().join(folder), &mut |path, text| {
            count += 1;
            assert!(text.starts_with("//!"), "{} does not open with what it owns", path.display());
            assert!(text.lines().count() <= LINES_MAX, "{} has more than {LINES_MAX} lines", path.display());
        });
    }
    assert!(count > 30, "only {count} files were read");
}

/// Only what cannot be broken is wider: a text literal, a table, a link. rustfmt leaves code alone that holds
/// a long literal, and macros.
#[test]
fn lines_are_narrow() {
    let mut wide = Vec::new();
    for folder in ["src", "cli", "python/src", "tests", "benches", "fuzz", "scripts"] {
        each(&root().join(folder), &mut |path, text| {
            let mut in_literal = false;
            for (number, line) in text.lines().enumerate() {
                let trimmed = line.trim_start();
                let is_whole = if trimmed.starts_with("//") {
                    ["|", "─", "<https://", "br#\""].iter().any(|sign| trimmed.contains(sign))
                } else {
                    in_literal || holds_literal(line)
                };
                if line.chars().count() > WIDTH_MAX && !is_whole {
                    wide.push(format!("{}:{}", path.display(), number + 1));
                }
                if !trimmed.starts_with("//") && quotes(line) % 2 == 1 {
                    in_literal = !in_literal;
                }
            }
        });
    }
    assert!(wide.is_empty(), "lines of more than {WIDTH_MAX} characters:\n{}", wide.join("\n"));
}

/// Whether most of a line lies between two quotes.
fn holds_literal(line: &str) -> bool {
    let (Some(first), Some(last)) = (line.find('"'), line.rfind('"')) else { return false };
    last - first > 40
}

/// Quotes that begin or end a text.
fn quotes(line: &str) -> usize {
    line.replace("\\\\", "").replace("\\\"", "").replace("'\"'", "").matches('"').count()
}
