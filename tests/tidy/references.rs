//! What a document or a comment points to is there: files of this tree, and headings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{each_of, inside, root};

/// Where texts lie, and how the files' names end; "" stands for files without an ending.
const PLACES: &[&str] = &[
    "ARCHITECTURE.md",
    "Cargo.toml",
    "README.md",
    "benches",
    "cli",
    "deploy",
    "docs",
    "fuzz/targets",
    "python",
    "scripts",
    "src",
    "tests",
];
const ENDINGS: &[&str] = &["conf", "md", "py", "pyi", "rs", "service", "sh", "toml", "yml"];
/// Folders that a path from the root on begins with.
const FOLDERS: &[&str] = &["benches", "cli", "deploy", "docs", "fuzz", "python", "scripts", "src", "tests"];

#[test]
fn paths_lead_to_files() {
    let (mut dead, mut count) = (Vec::new(), 0);
    for place in PLACES {
        each_of(&root().join(place), ENDINGS, &mut |path, text| {
            let is_code = path.extension().is_some_and(|ending| ending == "rs");
            for (line, text) in text.lines().enumerate().filter(|(_, text)| !is_code || is_comment(text)) {
                for named in paths(text) {
                    count += 1;
                    if !is_there(path, named) {
                        dead.push(format!("{}:{}: {named}", inside(path), line + 1));
                    }
                }
            }
        });
    }
    assert!(dead.is_empty(), "no such files:\n{}", dead.join("\n"));
    assert!(count > 100, "only {count} paths were found");
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The paths of documents and sources in a line: `docs/….md`, `src/….rs`, `kafka/member.rs`.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let is_of_path = |letter: char| letter.is_alphanumeric() || "_-./:*".contains(letter);
    let words = line.split(move |letter| !is_of_path(letter));
    words.map(|word| word.trim_end_matches(['.', ':'])).filter(|word| {
        let ends = [".md", ".rs"].iter().any(|ending| word.ends_with(ending));
        ends && word.contains('/') && !word.contains([':', '*']) && !word.starts_with('/')
    })
}

/// From the root on, from the folder of the file on, or, in sources, from a folder above it on.
fn is_there(file: &Path, named: &str) -> bool {
    let root = root();
    if root.join(named).exists() || file.with_file_name(named).exists() {
        return true;
    }
    let begins = named.split('/').next().unwrap_or_default();
    if FOLDERS.contains(&begins) && !named.starts_with("tests/") {
        return false;
    }
    let above = file.ancestors().skip(1).take_while(|folder| **folder != root);
    above.chain([root.join("src").as_path()]).any(|folder| folder.join(named).exists())
}

#[test]
fn links_lead_to_files_and_headings() {
    let (mut dead, mut count) = (Vec::new(), 0);
    for place in PLACES.iter().chain(&["CHANGELOG.md"]) {
        each_of(&root().join(place), &["md"], &mut |path, text| {
            for (line, target) in links(text) {
                count += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
                if !file.exists() {
                    dead.push(format!("{}:{line}: {target}: no such file", inside(path)));
                } else if !anchor.is_empty() && !anchors(&file).contains(anchor) {
                    dead.push(format!("{}:{line}: {target}: no such heading", inside(path)));
                }
            }
        });
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert!(count > 50, "only {count} links were found");
}

/// The targets of the links to files, outside of code, with the line of each.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, text) in outside_code(text) {
        for (place, _) in text.match_indices("](") {
            let Some((target, _)) = text[place + 2..].split_once(')') else { continue };
            if !["http://", "https://", "mailto:"].iter().any(|begins| target.starts_with(begins)) {
                found.push((line, target.split(' ').next().unwrap_or_default()));
            }
        }
    }
    found
}

/// Lines that are not between fences, with their numbers.
fn outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(place, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((place + 1, line))
    })
}

/// What the headings of a page are linked by, as GitHub makes them.
fn anchors(file: &PathBuf) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut found = BTreeSet::new();
    for (_, line) in outside_code(&text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor = anchor(title.trim());
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = [anchor.clone()].into_iter().chain(numbered).find(|anchor| !found.contains(anchor));
        found.extend(free);
    }
    found
}

/// Small letters, `-` for spaces, nothing for other signs.
fn anchor(title: &str) -> String {
    let letters = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    letters.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn references_are_recognized() {
    let line = "see docs/a.md, `src/b/c.rs`. <https://example.org/x/y.md> [x](kafka/d.rs) tests/*.rs e.md";
    assert_eq!(paths(line).collect::<Vec<_>>(), ["docs/a.md", "src/b/c.rs", "kafka/d.rs"]);
    let page = "# A\n[x](b.md#c \"d\") [y](https://e) `f`\n```\n[no](z.md)\n# no\n```\n[w](#a)\n";
    assert_eq!(links(page), [(2, "b.md#c"), (7, "#a")]);
    assert_eq!(anchor("What `--set` does, and why"), "what---set-does-and-why");
    assert!(is_there(&root().join("src/kafka/mod.rs"), "kafka/member.rs"));
    assert!(!is_there(&root().join("src/kafka/mod.rs"), "src/kafka/no_such_file.rs"));
}
