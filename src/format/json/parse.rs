//! One message taken apart, without a copy: which bytes are the action, the names and the values. Strict:
//! what is accepted is valid JSON.

use crate::change::CellKind;
use crate::format::parts::{BYTES_MAX, Field, List, Parts, Reason, Span};
use crate::json_string::{plain_length, unescape};

/// Objects and arrays within one another that are skipped at most.
const DEPTH_MAX: u32 = 64;

/// Scalar values of keys that are not needed.
pub(super) type Skipped = Vec<(CellKind, Span)>;

/// Takes a message apart; answers its action.
pub(super) fn parse(parts: &mut Parts, skipped: &mut Skipped, message: &[u8]) -> Result<Span, Reason> {
    parts.clear();
    skipped.clear();
    let Parts { schema, table, columns, identity, pk } = parts;
    let mut action = Span::default();
    let mut cursor = Cursor::new(message, 0);
    cursor.object("it is no JSON object", |cursor, key| match key {
        b"action" => cursor.string().map(|span| action = span),
        b"schema" => cursor.string().map(|span| *schema = Some(span)),
        b"table" => cursor.string().map(|span| *table = Some(span)),
        b"columns" => list(columns, cursor, true),
        b"identity" => list(identity, cursor, true),
        b"pk" => list(pk, cursor, false),
        _ => {
            cursor.space();
            if let Some(b'{' | b'[') = cursor.peek() {
                cursor.skip(0)
            } else {
                cursor.scalar().map(|scalar| skipped.push(scalar))
            }
        }
    })?;
    cursor.space();
    if cursor.at == message.len() { Ok(action) } else { Err("something follows the JSON object") }
}

/// Refuses what cannot be taken apart at all.
pub(super) fn check(message: &[u8]) -> Result<(), Reason> {
    if message.len() > BYTES_MAX {
        return Err("it is longer than 2 GiB");
    }
    // The first is the faster look, and mostly enough.
    if message.is_ascii() || std::str::from_utf8(message).is_ok() { Ok(()) } else { Err("it is not UTF-8") }
}

/// Whether the bytes are a JSON number, `true` or `false`, and nothing else.
pub(in crate::format) fn is_literal(bytes: &[u8]) -> bool {
    if matches!(bytes, b"true" | b"false") {
        return true;
    }
    let mut cursor = Cursor::new(bytes, 0);
    cursor.number().is_ok() && cursor.at == bytes.len()
}

fn list(list: &mut List, cursor: &mut Cursor, valued: bool) -> Result<(), Reason> {
    list.given = true;
    list.fields.clear();
    cursor.array("a list of columns is no array", |cursor| {
        if let (true, Some(field)) = (valued, cursor.usual_field()) {
            list.fields.push(field);
            return Ok(());
        }
        let (mut name, mut type_name, mut value) = (None, Span::default(), None);
        cursor.object("a column is no object", |cursor, key| match key {
            b"name" => cursor.string().map(|span| name = Some(span)),
            b"type" => cursor.string().map(|span| type_name = span),
            b"value" if valued => cursor.scalar().map(|scalar| value = Some(scalar)),
            _ => cursor.skip(1),
        })?;
        let name = name.ok_or("a column has no name")?;
        let (kind, value) = match value {
            Some(value) => value,
            None if valued => return Err("a column has no value"),
            None => (CellKind::Missing, Span::default()),
        };
        list.fields.push(Field { name, type_name, kind, value });
        Ok(())
    })
}

/// A place in a message.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At a place in a message.
    #[inline]
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// How far it has come.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Passes the bytes, if they are next.
    #[inline]
    fn passes(&mut self, text: &[u8]) -> bool {
        let found = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        self.at += if found { text.len() } else { 0 };
        found
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes the byte, with white space before it.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// `{"key":value,…}`; `each` reads the value.
    #[inline]
    fn object(
        &mut self,
        reason: Reason,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        if !self.take(b'{') {
            return Err(reason);
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            if !self.take(b':') {
                return Err("a colon is missing");
            }
            if key.escaped {
                each(self, key.text(self.bytes).ok_or("a string holds a malformed escape")?.as_bytes())?;
            } else {
                each(self, key.raw(self.bytes))?;
            }
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err("a comma or closing brace is missing");
            }
        }
    }

    /// `[item,…]`; `each` reads the item.
    #[inline]
    fn array(
        &mut self,
        reason: Reason,
        mut each: impl FnMut(&mut Self) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        if !self.take(b'[') {
            return Err(reason);
        }
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err("a comma or closing bracket is missing");
            }
        }
    }

    /// `{"name":"…","value":…}` just as it is usually written, which is most of a message; on anything else
    /// nothing is passed.
    #[inline]
    fn usual_field(&mut self) -> Option<Field> {
        let start = self.at;
        let field = self.try_usual_field();
        if field.is_none() {
            self.at = start;
        }
        field
    }

    #[inline]
    fn try_usual_field(&mut self) -> Option<Field> {
        self.passes(b"{\"name\":").then_some(())?;
        let name = self.string().ok()?;
        self.passes(b",\"value\":").then_some(())?;
        let (kind, value) = self.scalar().ok()?;
        self.passes(b"}").then_some(())?;
        Some(Field { name, type_name: Span::default(), kind, value })
    }

    #[inline]
    fn string(&mut self) -> Result<Span, Reason> {
        if !self.take(b'"') {
            return Err("a string is missing");
        }
        let (bytes, start) = (self.bytes, self.at);
        let mut escaped = false;
        loop {
            self.at += plain_length(bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => return Err("a string holds a control character"),
                None => return Err("a string does not end"),
            }
        }
        let raw = bytes.get(start..self.at).unwrap_or_default();
        self.at += 1;
        if escaped && unescape(raw, &mut Vec::new()).is_none() {
            return Err("a string holds a malformed escape");
        }
        Ok(Span { start: start as u32, end: start as u32 + raw.len() as u32, escaped })
    }

    /// A value that is neither object nor array.
    #[inline]
    pub fn scalar(&mut self) -> Result<(CellKind, Span), Reason> {
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => return Ok((CellKind::Text, self.string()?)),
            Some(b'n') => self.word(b"null").map(|()| CellKind::Null)?,
            Some(b't') => self.word(b"true").map(|()| CellKind::Literal)?,
            Some(b'f') => self.word(b"false").map(|()| CellKind::Literal)?,
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| CellKind::Literal)?,
            Some(b'{' | b'[') => return Err("a column's value is an object or array"),
            _ => return Err("a value is missing"),
        };
        let end = if kind == CellKind::Null { start } else { self.at };
        Ok((kind, Span { start: start as u32, end: end as u32, escaped: false }))
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Reason> {
        if self.passes(word) { Ok(()) } else { Err("a value is no JSON value") }
    }

    /// Passes digits; answers how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<(), Reason> {
        const REASON: Reason = "a number is malformed";
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        match self.digits() {
            0 => return Err(REASON),
            2.. if leading_zero => return Err(REASON),
            _ => {}
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(REASON);
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(REASON);
            }
        }
        Ok(())
    }

    /// Passes any value.
    fn skip(&mut self, depth: u32) -> Result<(), Reason> {
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object("", |cursor, _| cursor.skip(depth + 1)),
            Some(b'[') => self.array("", |cursor| cursor.skip(depth + 1)),
            _ => self.scalar().map(drop),
        }
    }
}
