//! Texts with named placeholders, such as `{source}.{table}`: names of topics, paths of files.

/// A text with placeholders, taken apart.
///
/// ```
/// use list_sync::template::Template;
///
/// let topic = Template::parse("{source}.{table}", &["source", "table"]).unwrap();
/// assert_eq!(topic.fill(|name| if name == "source" { "shop" } else { "orders" }), "shop.orders");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Stands as it is.
    Text(&'a str),
    /// The name between `{` and `}`.
    Placeholder(&'a str),
    /// What follows a `{` without a `}`: the last piece.
    Unclosed(&'a str),
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault<'a> {
    /// It has a `{` without a `}`.
    Unclosed,
    /// It has a placeholder of this name, which means nothing here.
    Unknown(&'a str),
}

/// The parts of a text in their order, whatever names it has; texts between them may be empty.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let (mut rest, mut is_inside) = (Some(text), false);
    std::iter::from_fn(move || {
        let here = rest?;
        let (piece, behind) = match here.split_once(if is_inside { '}' } else { '{' }) {
            Some((piece, behind)) => (piece, Some(behind)),
            None => (here, None),
        };
        let found = match (is_inside, behind) {
            (false, _) => Piece::Text(piece),
            (true, Some(_)) => Piece::Placeholder(piece),
            (true, None) => Piece::Unclosed(piece),
        };
        (rest, is_inside) = (behind, !is_inside);
        Some(found)
    })
}

/// What stands before the first placeholder.
pub fn fixed_part(text: &str) -> &str {
    text.split('{').next().unwrap_or_default()
}

impl Template {
    /// Takes a text apart whose placeholders have these names.
    pub fn parse<'a>(text: &'a str, names: &[&str]) -> Result<Self, Fault<'a>> {
        for piece in pieces(text) {
            match piece {
                Piece::Placeholder(name) if !names.contains(&name) => return Err(Fault::Unknown(name)),
                Piece::Unclosed(_) => return Err(Fault::Unclosed),
                Piece::Text(_) | Piece::Placeholder(_) => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a placeholder of this name stands in it.
    pub fn has(&self, name: &str) -> bool {
        pieces(&self.0).any(|piece| piece == Piece::Placeholder(name))
    }

    /// The text with each placeholder replaced by what `value` answers for its name.
    pub fn fill<T: AsRef<str>>(&self, mut value: impl FnMut(&str) -> T) -> String {
        let mut out = String::with_capacity(self.0.len());
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Placeholder(name) | Piece::Unclosed(name) => out.push_str(value(name).as_ref()),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fault, Piece, Template, fixed_part, pieces};

    #[test]
    fn placeholders_are_filled_and_faults_are_found() {
        let names = ["table", "schema"];
        let template = Template::parse("out/{schema}/{table}-{table}}", &names).unwrap();
        assert_eq!(template.fill(str::to_uppercase), "out/SCHEMA/TABLE-TABLE}");
        assert!(template.has("schema") && !template.has("out/"));
        assert_eq!(Template::parse("{tabel}{", &names), Err(Fault::Unknown("tabel")));
        assert_eq!(Template::parse("a{}", &names), Err(Fault::Unknown("")));
        assert_eq!(Template::parse("{table}{table", &names), Err(Fault::Unclosed));
        assert_eq!([fixed_part("a/{b}c"), fixed_part("{"), fixed_part("")], ["a/", "", ""]);
    }

    /// As one would do it with a pencil: a letter at a time, and a note whether one is inside.
    fn spelled(text: &str) -> String {
        let (mut out, mut is_inside) = (String::new(), false);
        for letter in text.chars() {
            match letter {
                '{' if !is_inside => is_inside = true,
                '}' if is_inside => (is_inside, out) = (false, out + "|"),
                _ if is_inside => out.extend(letter.to_uppercase()),
                _ => out.push(letter),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn pieces_are_those_between_braces(text in "[ab{}]{0,12}") {
            let (mut written, mut back) = (String::new(), String::new());
            for piece in pieces(&text) {
                match piece {
                    Piece::Text(text) => {
                        written += text;
                        back += text;
                    }
                    Piece::Placeholder(name) => {
                        written.extend([name.to_uppercase().as_str(), "|"]);
                        back.extend(["{", name, "}"]);
                    }
                    Piece::Unclosed(rest) => {
                        written += &rest.to_uppercase();
                        back.extend(["{", rest]);
                    }
                }
            }
            prop_assert_eq!(&written, &spelled(&text));
            prop_assert_eq!(&back, &text);
            prop_assert!(text.starts_with(fixed_part(&text)));
        }
    }
}
