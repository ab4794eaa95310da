//! What is wrong with a configuration: every fault with its place, all told together.

use std::ops::Range;

use crate::template;
use crate::{Code, Error};

/// Faults found so far, by their offset in [`Places`].
#[derive(Debug, Default)]
pub struct Faults(Vec<(usize, String)>);

impl Faults {
    /// Notes that what stands at `span` is not as expected.
    pub fn add(&mut self, span: &Range<usize>, what: impl Into<String>) {
        self.0.push((span.start, what.into()));
    }

    /// One [`crate::error::ErrorKind::Usage`] error whose fact has a line `place: what` for each fault: the
    /// file's in its order, then the variables', then the flags'.
    pub fn into_error(mut self, places: &Places<'_>) -> Option<Error> {
        self.0.sort();
        self.0.dedup();
        let in_file = self.0.iter().any(|(offset, _)| !places.is_outside(*offset));
        let hint = if in_file || places.has_file() {
            "nothing was started; each line names the place and what belongs there"
        } else {
            "nothing was started; --help lists the flags"
        };
        let lines: Vec<_> =
            self.0.iter().map(|(offset, what)| format!("{}: {what}", places.of(*offset))).collect();
        (!lines.is_empty()).then(|| Error::usage(Code::ConfigInvalid, lines.join("\n")).hint(hint))
    }
}

/// What an offset means: a byte of the file, or behind its end a flag or an environment variable.
#[derive(Debug, Clone)]
pub struct Places<'a> {
    file: &'a str,
    text: &'a str,
    outside: Vec<String>,
}

impl<'a> Places<'a> {
    /// The places of a file; `file` is empty where there is none.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, outside: Vec::new() }
    }

    /// A flag or variable of this name, as a span of its own.
    pub fn add(&mut self, name: &str) -> Range<usize> {
        let at = self.text.len() + 1 + self.outside.len();
        self.outside.push(name.to_owned());
        at..at + 1
    }

    /// Where all came from, for messages.
    pub fn origin(&self) -> String {
        match (self.file, self.outside.iter().any(|name| name.starts_with("--"))) {
            ("", true) => "the command line".to_owned(),
            ("", false) => "the environment".to_owned(),
            (file, _) => file.to_owned(),
        }
    }

    fn is_outside(&self, offset: usize) -> bool {
        offset > self.text.len()
    }

    fn has_file(&self) -> bool {
        !self.file.is_empty()
    }

    /// `file:line:column`, both from 1, the column in characters; or the name of the flag or variable.
    pub fn of(&self, offset: usize) -> String {
        if let Some(name) = offset.checked_sub(self.text.len() + 1).and_then(|index| self.outside.get(index))
        {
            return name.clone();
        }
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", self.file)
    }
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

/// Why a text is no template with placeholders of these names; completes `"…: "`.
pub fn template_fault(text: &str, fault: template::Fault<'_>, names: &[&str]) -> String {
    match fault {
        template::Fault::Unclosed => format!("{text:?} has \"{{\" without \"}}\""),
        template::Fault::Unknown(name) => {
            format!("unknown part \"{{{name}}}\"{}", suggestion(name, names))
        }
    }
}
