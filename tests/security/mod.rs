//! Encryption, logins and rights, opt-in: that each carries the load on the real servers, and that each wrong
//! one ends with its cause and its mend. What docs/security.md tells a user to type is what these checks
//! type.

mod databases;
mod kafka;
mod rights;
mod secrets;

use crate::rig::Run;

/// The page that users read.
const PAGE: &str = include_str!("../../docs/security.md");

/// The lines of the page's fenced blocks that begin with `word`.
fn documented(word: &str) -> Vec<&'static str> {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let lines: Vec<&str> = blocks.flat_map(str::lines).filter(|line| line.starts_with(word)).collect();
    assert!(!lines.is_empty(), "docs/security.md has no line that begins with {word:?}");
    lines
}

/// A file of `target/services/tls`.
fn certificate(name: &str) -> String {
    crate::rig::variable("LIST_SYNC_CA").replace("ca.pem", name)
}

/// One `error:` line with these words, a `hint:` line with those, the exit code, and no secret.
#[track_caller]
fn expect(run: &Run, code: i32, error: &[&str], hint: &[&str]) {
    assert_eq!(run.code, Some(code), "{}", run.err);
    for (name, words) in [("error:", error), ("hint:", hint)] {
        let found: Vec<&str> = run.err.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(found.len(), 1, "one {name:?} line in:\n{}", run.err);
        for word in words {
            assert!(
                found[0].to_lowercase().contains(&word.to_lowercase()),
                "{name:?} line lacks {word:?}:\n{}",
                run.err
            );
        }
    }
    assert!(!run.err.contains("geheim"), "a password is printed:\n{}", run.err);
}

/// A user that begins with the set-up pages grants the same rights.
#[test]
fn the_set_up_pages_grant_what_the_page_grants() {
    let pages = concat!(include_str!("../../docs/postgresql.md"), include_str!("../../docs/mysql.md"));
    for statement in
        ["CREATE ROLE", "CREATE USER", "CREATE PUBLICATION", "GRANT"].into_iter().flat_map(documented)
    {
        assert!(pages.contains(statement), "docs/postgresql.md and docs/mysql.md lack: {statement}");
    }
}
