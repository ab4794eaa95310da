//! What is wrong with a configuration file: every fault with its place, all told together.

use std::ops::Range;

use crate::Error;

/// Faults found so far, by byte offset in the file.
#[derive(Debug, Default)]
pub struct Faults(Vec<(usize, String)>);

impl Faults {
    /// Notes that what stands at `span` is not as expected.
    pub fn add(&mut self, span: &Range<usize>, what: impl Into<String>) {
        self.0.push((span.start, what.into()));
    }

    /// One [`crate::error::Kind::Usage`] error whose fact has a line `file:line:column: what` for each fault, in the file's order.
    pub fn into_error(mut self, file: &str, text: &str) -> Option<Error> {
        self.0.sort();
        let lines: Vec<_> = self.0.iter().map(|(offset, what)| format!("{}: {what}", place(file, text, *offset))).collect();
        let hint = "nothing was started; each line names the place and what belongs there";
        (!lines.is_empty()).then(|| Error::usage(lines.join("\n")).hint(hint))
    }

    /// The same for flags, which have no place in a file.
    pub fn into_flag_error(self) -> Option<Error> {
        let lines: Vec<_> = self.0.into_iter().map(|(_, what)| what).collect();
        (!lines.is_empty()).then(|| Error::usage(lines.join("\n")).hint("the flags are told with --help"))
    }
}

/// `file:line:column`, both from 1, the column in characters.
pub fn place(file: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{file}:{line}:{column}")
}

/// `; did you mean "…"?` for the valid name nearest to `written`, or the list of all if none is near.
pub fn suggestion(written: &str, valid: &[&str]) -> String {
    let distance = |name: &&&str| strsim::damerau_levenshtein(&written.to_lowercase(), name);
    let nearest = valid.iter().min_by_key(distance).filter(|name| distance(name) <= name.len().max(4) / 2);
    match nearest {
        Some(name) => format!("; did you mean {name:?}?"),
        None => format!("; expected {}", super::declaration::one_of(valid)),
    }
}
