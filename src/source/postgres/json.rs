//! A strict scanner for wal2json's messages: objects of known shape, values left where they stand. Pure.

use std::ops::Range;

use super::message::Malformed;
use super::values::is_number;

/// A string's place in the message, without its quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub place: Range<usize>,
    /// It holds a backslash.
    pub escaped: bool,
}

/// A value's place in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    /// A number, `true` or `false`.
    Literal(Range<usize>),
    Text(Text),
}

/// Reads a message from front to back.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn skip_spaces(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether this character comes next; if so it is taken.
    pub fn takes(&mut self, wanted: u8) -> bool {
        self.skip_spaces();
        let comes = self.text.get(self.at) == Some(&wanted);
        self.at += usize::from(comes);
        comes
    }

    pub fn expect(&mut self, wanted: u8) -> Result<(), Malformed> {
        if self.takes(wanted) { Ok(()) } else { Err(Malformed) }
    }

    /// Nothing is left.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.skip_spaces();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    pub fn string(&mut self) -> Result<Text, Malformed> {
        self.expect(b'"')?;
        let (start, mut escaped) = (self.at, false);
        loop {
            let found =
                memchr::memchr2(b'"', b'\\', self.text.get(self.at..).ok_or(Malformed)?).ok_or(Malformed)?;
            self.at += found + 1;
            if self.text[self.at - 1] == b'"' {
                return Ok(Text { place: start..self.at - 1, escaped });
            }
            escaped = true;
            self.at += 1;
        }
    }

    pub fn scalar(&mut self) -> Result<Scalar, Malformed> {
        self.skip_spaces();
        if self.text.get(self.at) == Some(&b'"') {
            return self.string().map(Scalar::Text);
        }
        let start = self.at;
        while matches!(
            self.text.get(self.at),
            Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.')
        ) {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            b"" => Err(Malformed),
            b"null" => Ok(Scalar::Null),
            b"true" | b"false" => Ok(Scalar::Literal(start..self.at)),
            number if is_number(number) => Ok(Scalar::Literal(start..self.at)),
            _ => Err(Malformed),
        }
    }

    /// Calls `each` with every key of the object that comes next; it must take the value.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            each(self, &self.text[key.place])?;
            if !self.takes(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// Calls `each` at every element of the array that comes next; it must take the element.
    pub fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'[')?;
        if self.takes(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if !self.takes(b',') {
                return self.expect(b']');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Scalar, Scanner};
    use crate::json_string::unescape;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_come_back(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let mut scanner = Scanner::new(json.as_bytes());
            let Ok(Scalar::Text(found)) = scanner.scalar() else { panic!("no string") };
            let mut out = Vec::new();
            unescape(&json.as_bytes()[found.place], &mut out).unwrap();
            prop_assert_eq!(out, text.into_bytes());
            prop_assert!(scanner.end().is_ok());
        }
    }
}
