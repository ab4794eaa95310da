//! The flow is the tree: a stage may import only what stands before it (ARCHITECTURE.md). A new edge fails
//! here first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Stage or file -> what of this crate it may name. `error` (with its `Error` and `Result`) and the other
/// names in [`OPEN`] are open to all.
const MAY_USE: &[(&str, &[&str])] = &[
    ("change", &[]),
    ("source", &["change", "tls"]),
    ("format", &["change"]),
    ("snapshot", &["change", "format", "metrics", "source"]),
    ("kafka", &["tls"]),
    ("sink", &["change", "format"]),
    ("config", &["sink", "source"]),
    ("assembly", &["config", "format", "kafka", "sink", "snapshot", "source"]),
    (
        "connector",
        &["assembly", "change", "config", "control", "format", "kafka", "metrics", "source", "supervisor"],
    ),
    (
        "consumer",
        &["assembly", "change", "config", "control", "format", "kafka", "metrics", "sink", "supervisor"],
    ),
    ("direct", &["assembly", "change", "config", "control", "metrics", "sink", "source", "supervisor"]),
    ("supervisor", &["change", "control", "metrics", "source"]),
    ("pipeline", &["config", "connector", "consumer", "control", "direct"]),
    ("check", &["assembly", "config", "kafka", "sink", "source"]),
    ("control", &["metrics"]),
    ("metrics", &["change"]),
    ("monitor", &["assembly", "change", "config", "control", "kafka", "metrics", "source"]),
    ("position", &["assembly", "change", "config", "connector", "direct", "kafka", "monitor", "source"]),
    ("seed", &["change", "control", "metrics", "source"]),
    (
        "status",
        &["assembly", "change", "config", "connector", "direct", "kafka", "metrics", "monitor", "source"],
    ),
    ("verify", &["change", "config", "sink", "source"]),
    ("fuzzing", &["change", "connector", "consumer", "direct", "format", "sink", "source"]),
    ("error", &[]),
    ("finding", &[]),
    ("calendar", &[]),
    ("glob", &[]),
    ("hex", &[]),
    ("json_string", &[]),
    ("live", &[]),
    ("secret", &[]),
    ("template", &[]),
    ("threads", &[]),
    ("tls", &[]),
];
const OPEN: &[&str] = &[
    "Code",
    "Error",
    "Result",
    "calendar",
    "error",
    "finding",
    "glob",
    "hex",
    "json_string",
    "live",
    "secret",
    "template",
    "threads",
];

#[test]
fn no_stage_imports_its_neighbour() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(place, uses)| (*place, uses.iter().copied().collect())).collect();
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
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
            for path in paths(&module_of(&root, file), text) {
                let Some(name) = path.first() else { continue };
                seen += 1;
                used.insert((place.clone(), name.clone()));
                if *name != place && !allowed.contains(name.as_str()) && !OPEN.contains(&name.as_str()) {
                    faults.push(format!("{}: {place} may not use crate::{name}", file.display()));
                }
            }
        });
    }
    for (place, names) in MAY_USE {
        for name in names.iter().filter(|name| !used.contains(&((*place).to_owned(), (**name).to_owned()))) {
            faults.push(format!("{place} uses nothing of crate::{name}: take it off the list"));
        }
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 50, "the check found only {seen} imports: it no longer reads them");
}

/// ARCHITECTURE.md shows the list; `LIST_SYNC_BLESS=1` writes it there.
#[test]
fn the_map_shows_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- may use: written by tests/imports.rs -->\n", "<!-- end -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let rows: Vec<String> = MAY_USE
        .iter()
        .filter(|(_, uses)| !uses.is_empty())
        .map(|(place, uses)| format!("| `{place}` | {} |\n", uses.join(", ")))
        .collect();
    let shown = format!("{before}{begin}| place | may use |\n|---|---|\n{}{end}{after}", rows.concat());
    if std::env::var_os("LIST_SYNC_BLESS").is_some() {
        fs::write(&path, &shown).unwrap();
    }
    assert!(text == shown || std::env::var_os("LIST_SYNC_BLESS").is_some(), "ARCHITECTURE.md is out of date");
}

/// Sources of one database may not use the other's.
#[test]
fn databases_know_nothing_of_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut seen = 0;
    for (own, other) in [("postgres", "mysql"), ("mysql", "postgres")] {
        each_source(&root.join("source").join(own), &mut |file, text| {
            // Live tests may ask the other server how it prints a value.
            let is_live_test = file.components().any(|part| part.as_os_str() == "live");
            let paths = paths(&module_of(&root, file), text);
            let is_named =
                paths.iter().any(|path| path.starts_with(&["source".to_owned(), other.to_owned()]));
            assert!(is_live_test || !is_named, "{}", file.display());
            seen += paths.iter().filter(|path| path.len() > 1 && path[0] == "source").count();
        });
    }
    assert!(seen > 50, "the check found only {seen} paths: it no longer reads them");
}

/// However a path is written, it is read as the place that it leads to.
#[test]
fn relative_paths_are_followed() {
    #[track_caller]
    fn check(module: &str, text: &str, expected: &str) {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let came: Vec<String> = paths(&module, text).iter().map(|path| path.join("::")).collect();
        assert_eq!(came.join(" "), expected);
    }
    check("sink::csv::fold", "use crate::change::{Batch, Row};", "change::Batch change::Row");
    check("sink::csv::fold", "use super::super::super::kafka::Sender;", "kafka::Sender");
    check("sink::csv::fold", "use super::super::{Sink, super::kafka};", "sink::Sink kafka");
    check("sink::csv::fold", "let it = super::super::super::kafka::settings();", "kafka::settings");
    check("sink", "pub use super::{Error, kafka::{client, Sender}};", "Error kafka::client kafka::Sender");
    check(
        "sink",
        "use crate::{Result, source::{self, mysql::Tables}};",
        "Result source source::mysql::Tables",
    );
    check("sink", "use crate::{config as settings, Result as Answer};", "config Result");
    check(
        "sink",
        "// use crate::kafka;\nuse csv::Writer; use hyper::super_user; use self::csv::Csv;",
        "sink::csv::Csv",
    );
    check(
        "source::mysql::gtid",
        "x();\n#[cfg(test)]\nmod tests {\n    use super::super::postgres;\n}\n",
        "source::mysql::postgres",
    );
    check(
        "source::mysql::gtid",
        "mod tests {\n    use super::super::super::postgres;\n}\nuse super::place;\n",
        "source::postgres source::mysql::place",
    );
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

/// `["sink", "csv", "fold"]` for `src/sink/csv/fold.rs`.
fn module_of(root: &Path, file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(root).unwrap().with_extension("");
    let names = inside.components().map(|part| part.as_os_str().to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

/// Where the paths of a file lead that begin with `crate`, `super` or `self`, from the crate's root on, and
/// one by one those in braces.
fn paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let (mut module, mut inner_end) = (module.to_vec(), None);
    let lines =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]);
    let code: String = lines.collect();
    let mut place = 0;
    while let Some(letter) = code[place..].chars().next() {
        let rest = &code[place..];
        // rustfmt puts the end of a module that stands in a file at the beginning of a line.
        if inner_end.is_none() && (place == 0 || code[..place].ends_with('\n')) && is_inner_module(rest) {
            inner_end = rest.find("\n}").map(|length| place + length);
            module.push("inner".to_owned());
        } else if inner_end == Some(place) {
            inner_end = None;
            module.pop();
        }
        let begins_word = !code[..place].ends_with(|before: char| is_of_word(before) || before == ':');
        let begins_path = ["crate::", "super::", "self::"].iter().any(|begins| rest.starts_with(begins));
        if begins_word && begins_path {
            place += follow(&module, rest, &mut found);
        } else {
            place += letter.len_utf8();
        }
    }
    found
}

fn is_inner_module(code: &str) -> bool {
    let line = code.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    !line.starts_with(' ') && line.ends_with('{') && words.contains(&"mod")
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Follows the path that `code` begins with from the module `from`; answers its length.
fn follow(from: &[String], code: &str, found: &mut Vec<Vec<String>>) -> usize {
    let (mut at, mut place) = (from.to_vec(), 0);
    loop {
        let rest = &code[place..];
        if rest.starts_with('{') {
            return place + follow_each(&at, rest, found);
        }
        let word: String = rest.chars().take_while(|letter| is_of_word(*letter)).collect();
        place += word.len();
        match word.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" | "" => {}
            _ => at.push(word),
        }
        if !code[place..].starts_with("::") {
            found.push(at);
            return place;
        }
        place += 2;
    }
}

/// The same for each path of a list in braces.
fn follow_each(from: &[String], code: &str, found: &mut Vec<Vec<String>>) -> usize {
    let mut place = 1;
    while let Some(letter) = code[place..].chars().next() {
        match letter {
            '}' => return place + 1,
            letter if is_of_word(letter) => {
                place += follow(from, &code[place..], found);
                // What follows is `as name`, or nothing.
                place += code[place..].find([',', '}']).unwrap_or(0);
            }
            // `*`, commas and white space.
            letter => place += letter.len_utf8(),
        }
    }
    place
}
