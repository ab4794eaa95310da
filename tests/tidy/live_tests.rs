//! Tests on real servers are recognized by one mark, and none of them passes without a server.
//!
//! In `src` such a test is named `live_…` and asks src/live.rs for its server, which fails without one. In
//! `tests`, where every check needs the servers, rig/server.rs does the same.

use super::{each, inside, root};

/// The two files that read the variables of `scripts/services env`.
const READERS: &[&str] = &["src/live.rs", "tests/rig/server.rs"];
/// Variables that name no server: they ask for a file to be written again, or for more of something.
const OTHERS: &[&str] = &["LIST_SYNC_BLESS", "LIST_SYNC_TEST_MEMBERS"];

#[test]
fn servers_are_asked_for_in_one_place() {
    let mut faults = Vec::new();
    for folder in ["src", "cli/src", "python/src", "tests"] {
        each(&root().join(folder), &mut |path, text| {
            let file = inside(path);
            if file.starts_with("tests/tidy/") {
                return;
            }
            for (place, line) in text.lines().enumerate() {
                let is_other = OTHERS.iter().any(|other| line.contains(other));
                if line.contains("env::var(\"LIST_SYNC_") && !is_other {
                    faults.push(format!("{file}:{}: reads a server's variable", place + 1));
                }
                // In both files the name of the variable comes as an argument.
                let is_passed = line.contains("env::var(") && !line.contains("env::var(\"");
                if file.starts_with("tests/") && is_passed && !READERS.contains(&file.as_str()) {
                    faults.push(format!("{file}:{}: reads a variable by its name", place + 1));
                }
                if line.trim_start().starts_with("#[ignore") {
                    faults.push(format!("{file}:{}: a test is ignored", place + 1));
                }
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for reader in READERS {
        let text = std::fs::read_to_string(root().join(reader)).unwrap();
        assert!(text.contains("std::env::var(name).unwrap_or_else"), "{reader} reads no variable");
    }
}

#[test]
fn live_tests_are_named_so() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for folder in ["src", "cli/src", "python/src"] {
        each(&root().join(folder), &mut |path, text| {
            let file = inside(path);
            let is_of_live = file.split(['/', '.']).any(|part| part == "live");
            let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
            let tests = lines.iter().enumerate().filter(|(_, line)| **line == "#[test]");
            for name in
                tests.filter_map(|(place, _)| lines[place..].iter().find_map(|line| line.strip_prefix("fn ")))
            {
                let is_live = name.starts_with("live_");
                count += usize::from(is_live);
                if is_of_live && !is_live {
                    faults.push(format!("{file}: a test of a live module is not named live_…: {name}"));
                } else if is_live && !is_of_live && !text.contains("live::") {
                    faults.push(format!("{file}: a live test does not ask src/live.rs: {name}"));
                }
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 50, "only {count} live tests were found");
}
