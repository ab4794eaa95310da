//! Functions are short enough to be read at once.

use super::{each, inside, root};

/// Lines that a function may have, from `fn` to its closing brace.
const LINES_MAX: usize = 70;

#[test]
fn functions_are_short() {
    let (mut count, mut long) = (0, Vec::new());
    for folder in ["src", "cli/src", "python/src"] {
        each(&root().join(folder), &mut |path, text| {
            for (name, line, length) in functions(text) {
                count += 1;
                if length > LINES_MAX {
                    long.push(format!("{}:{line}: {name} has {length} lines", inside(path)));
                }
            }
        });
    }
    assert!(long.is_empty(), "functions of more than {LINES_MAX} lines:\n{}", long.join("\n"));
    assert!(count > 2_000, "only {count} functions were found");
}

/// Name, line (from 1) and number of lines of each function, as rustfmt lays them out: the closing brace
/// stands below the first letter of the line that the function begins in.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let Some(name) = declared(line) else { continue };
        let indent = lines[place].len() - lines[place].trim_start().len();
        let ends = |line: &&str| {
            let behind = line.get(indent..).filter(|_| line[..indent].trim().is_empty());
            behind.is_some_and(|rest| rest.starts_with('}') || !rest.starts_with(' ') && rest.ends_with(';'))
        };
        let is_one_line = lines[place].ends_with('}') || lines[place].ends_with(';');
        let length = if is_one_line { 0 } else { lines[place + 1..].iter().position(ends).unwrap() + 1 };
        found.push((name, place + 1, length + 1));
    }
    found
}

/// The name of the function that is declared in this line.
fn declared(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        let (word, behind) = rest.split_once(' ')?;
        match word {
            "fn" => return behind.split(['(', '<']).next(),
            "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" => rest = behind,
            _ if word.starts_with("pub(") => rest = rest.split_once(") ")?.1,
            _ => return None,
        }
    }
}

#[test]
fn functions_are_measured() {
    let text = "\
fn one() { 1 }

impl It {
    /// fn no()
    pub(in super::super) unsafe fn two<'a>(
        x: u8,
    ) -> u8
    where
        u8: Copy,
    {
        if x {
        }
    }

    fn three(
        &self,
    );
}
";
    assert_eq!(functions(text), [("one", 1, 1), ("two", 5, 9), ("three", 15, 3)]);
}
