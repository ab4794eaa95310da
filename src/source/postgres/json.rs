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

/// Appends the text that a JSON string stands for.
pub(super) fn unescape(mut raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    while let Some(found) = memchr::memchr(b'\\', raw) {
        out.extend_from_slice(&raw[..found]);
        let (&escape, rest) = raw[found + 1..].split_first().ok_or(Malformed)?;
        raw = rest;
        match escape {
            b'"' | b'\\' | b'/' => out.push(escape),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut code = hex4(&mut raw)?;
                if (0xD800..0xDC00).contains(&code) {
                    raw = raw.strip_prefix(b"\\u").ok_or(Malformed)?;
                    let low =
                        hex4(&mut raw)?.checked_sub(0xDC00).filter(|&low| low < 0x400).ok_or(Malformed)?;
                    code = 0x10000 + ((code - 0xD800) << 10) + low;
                }
                let letter = char::from_u32(code).ok_or(Malformed)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err(Malformed),
        }
    }
    out.extend_from_slice(raw);
    Ok(())
}

fn hex4(raw: &mut &[u8]) -> Result<u32, Malformed> {
    let (digits, rest) = raw.split_at_checked(4).ok_or(Malformed)?;
    *raw = rest;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    u32::from_str_radix(digits, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::{Scalar, Scanner, unescape};
    use proptest::prelude::*;

    #[test]
    fn escapes_of_the_server() {
        let mut out = Vec::new();
        unescape(br#"a\"\\\/\b\f\n\r\t\u0001\u00e9\ud83d\ude00"#, &mut out).unwrap();
        assert_eq!(out, "a\"\\/\u{8}\u{c}\n\r\t\u{1}é😀".as_bytes());
        for bad in [&br"\"[..], br"\x", br"\u12", br"\ud83d", br"\ud83d\u0041", br"\udc00", br"\u+123"] {
            assert!(unescape(bad, &mut Vec::new()).is_err());
        }
    }

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
