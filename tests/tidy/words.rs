//! What users read is in plain words: errors, log lines and help, and the pages of [`PAGES`].

use std::path::Path;

use super::{each, each_of, inside, is_of_word, root};

/// Words that messages do without, in small letters, and what to write instead.
const WORDS: &[(&str, &str)] = &[
    ("anew", "again"),
    ("heard", "received"),
    ("hears", "receives"),
    ("is told", "gets, is given"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("thereof", "of it"),
    ("told", "reported, printed, listed"),
    ("vouch", "needs, covers"),
    ("vouched", "needed, covered"),
    ("vouches", "needs, covers"),
    ("who has", "the one with"),
    ("whoever", "the one that"),
];

/// Folders and files of prose that are held to the same words.
const PAGES: &[&str] = &[];

/// A text that other programs read: `list_sync check --json` (docs/check.md).
const KEYS: &[&str] = &["mend"];

#[test]
fn messages_are_in_plain_words() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for folder in ["src", "cli/src", "python/src"] {
        each(&root().join(folder), &mut |path, text| {
            let file = inside(path);
            let is_test = ["tests", "live", "fuzz", "fuzzing"];
            if file.split(['/', '.']).any(|part| is_test.contains(&part)) {
                return;
            }
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (line, literal) in
                literals(code).into_iter().filter(|(_, literal)| !KEYS.contains(&&**literal))
            {
                count += 1;
                faults.extend(faults_of(&literal).map(|fault| format!("{file}:{line}: {fault}")));
            }
            // What --help prints.
            let help = |line: &str| line.trim_start().strip_prefix("/// ").map(str::to_owned);
            for (place, text) in code.lines().enumerate().filter(|_| file == "cli/src/args.rs") {
                let found = help(text).unwrap_or_default();
                faults.extend(faults_of(&found).map(|fault| format!("{file}:{}: {fault}", place + 1)));
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 2_000, "only {count} texts were found");
}

#[test]
fn pages_are_in_plain_words() {
    let mut faults = Vec::new();
    for page in PAGES {
        assert!(root().join(page).exists(), "{page} is not there");
        each_of(&root().join(page), &["md"], &mut |path: &Path, text| {
            for (place, line) in text.lines().enumerate() {
                faults
                    .extend(faults_of(line).map(|fault| format!("{}:{}: {fault}", inside(path), place + 1)));
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn faults_of(text: &str) -> impl Iterator<Item = String> {
    // Names of variables between braces are not printed.
    let pieces: String = text.split('{').enumerate().fold(String::new(), |out, (place, piece)| {
        out + " " + if place == 0 { piece } else { piece.split_once('}').map_or(piece, |(_, behind)| behind) }
    });
    let words: Vec<String> = pieces
        .split(|letter| !is_of_word(letter))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let padded = format!(" {} ", words.join(" "));
    let found = WORDS.iter().filter(move |(word, _)| padded.contains(&format!(" {word} ")));
    found.map(|(word, instead)| format!("{word:?}; write: {instead}"))
}

/// The texts between quotes in code, with the line in which each begins, without the breaks in them.
fn literals(code: &str) -> Vec<(usize, String)> {
    let (mut found, mut rest) = (Vec::new(), code);
    while let Some(start) = rest.find(['"', '/', '\'']) {
        let begins = &rest[start..];
        let at = code.len() - begins.len();
        let length = if begins.starts_with("//") {
            begins.find('\n').unwrap_or(begins.len())
        } else if let Some(inner) = begins.strip_prefix('\'') {
            // A letter, or the name of a lifetime.
            let mut letters = inner.char_indices();
            let first = letters.next().map_or(' ', |(_, letter)| letter);
            let is_letter = first == '\\' || letters.next().is_some_and(|(_, letter)| letter == '\'');
            if is_letter { 2 + inner[1..].find('\'').map_or(0, |end| end + 1) } else { 1 }
        } else if let Some(inner) = begins.strip_prefix('"') {
            let hashes = code[..at].len() - code[..at].trim_end_matches('#').len();
            let is_raw = code[..at - hashes].ends_with('r');
            let length = if is_raw {
                inner.find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(inner.len())
            } else {
                end_of_text(inner)
            };
            let line = code[..at].matches('\n').count() + 1;
            found.push((line, whole(&inner[..length])));
            length + 2
        } else {
            1
        };
        rest = begins.get(length..).unwrap_or_default();
    }
    found
}

/// Bytes before the quote that is not escaped.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, letter)| {
        let ends = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(place, _)| place)
}

/// A text without the breaks that a `\\` at the end of a line makes.
fn whole(text: &str) -> String {
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.trim_start())
}

#[test]
fn texts_are_found_and_words_are_whole() {
    let code = "fn f<'a>(x: &'a str) { // \"no\"\n  let q = ['\"', '\\'', '\\\\']; g(\"a \\\"b\\\" \\\n     \
        c\", r#\"d\"e\"#);\n}";
    assert_eq!(literals(code), [(2, r#"a \"b\" c"#.to_owned()), (3, "d\"e".to_owned())]);
    let faults = |text: &str| faults_of(text).collect::<Vec<_>>().join("; ");
    assert_eq!(faults("{told} retold amend mending"), "");
    assert!(faults("to Mend it: {told}").contains("\"mend\"; write: fix"));
    assert!(faults("who  has {x} told").contains("who has") && faults("who  has {x} told").contains("told"));
}
