//! JSON strings: which bytes stand as they are, how the others are written, and how they are read back.

use crate::hex;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The number of bytes before the first that JSON does not let stand in a string: `"`, `\` or a control
/// character below 0x20.
///
/// Eight bytes at a time. In the subtraction a byte that is hit may raise a false alarm in the byte above it,
/// never below, so the lowest alarm is always a true one.
pub fn plain_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(rest.len())
}

/// Writes a string with its quotes, escaped as PostgreSQL's `escape_json` does it: the five short escapes,
/// `\u00XX` for other control characters, all else (DEL, `/`, non-ASCII) as it stands.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let plain = plain_length(rest);
        let (stands, tail) = rest.split_at(plain);
        out.extend_from_slice(stands);
        let Some((&byte, tail)) = tail.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex::pair(byte));
            }
        }
        rest = tail;
    }
    out.push(b'"');
}

/// Appends what the inside of a JSON string stands for. `None` if an escape is malformed or a surrogate
/// stands alone; then `out` holds a part.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = raw;
    loop {
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        out.extend_from_slice(rest.get(..plain)?);
        let Some(escape) = rest.get(plain + 1) else {
            return if plain == rest.len() { Some(()) } else { None };
        };
        rest = rest.get(plain + 2..)?;
        let byte = match escape {
            b'"' | b'\\' | b'/' => *escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (letter, tail) = unicode(rest)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail;
                continue;
            }
            _ => return None,
        };
        out.push(byte);
    }
}

/// The character of the four hexadecimal digits behind a `\u`, or of a pair of surrogates, and what follows.
fn unicode(digits: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = four_digits(digits)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = four_digits(rest.strip_prefix(b"\\u")?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, rest))
}

fn four_digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    let mut number = 0;
    for &digit in digits {
        number = number << 4 | char::from(digit).to_digit(16)?;
    }
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::{plain_length, unescape, write_string};
    use proptest::prelude::*;

    #[test]
    fn escapes_are_those_of_postgresql() {
        let mut out = Vec::new();
        write_string("a\u{8}\u{c}\n\r\t\"\\/\u{1}\u{1f}\u{7f} é€😀".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\b\\f\\n\\r\\t\\\"\\\\/\\u0001\\u001f\u{7f} é€😀\"");
    }

    #[test]
    fn escapes_are_read_and_malformed_ones_refused() {
        let mut out = Vec::new();
        unescape(br#"a\"\\\/\b\f\n\r\t\u0001\u00e9\ud83d\ude00"#, &mut out).unwrap();
        assert_eq!(out, "a\"\\/\u{8}\u{c}\n\r\t\u{1}é😀".as_bytes());
        for bad in [&br"\"[..], br"\x", br"\u12", br"\ud83d", br"\ud83d\u0041", br"\udc00", br"\u+123"] {
            assert!(unescape(bad, &mut Vec::new()).is_none());
        }
    }

    proptest! {
        #[test]
        fn the_word_scan_finds_what_a_byte_scan_finds(text: Vec<u8>, ascii in "[ -~\\x00-\\x22]{0,40}") {
            for text in [&text[..], ascii.as_bytes()] {
                let plain =
                    text.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte)).unwrap_or(text.len());
                prop_assert_eq!(plain_length(text), plain);
            }
        }

        #[test]
        fn strings_are_read_as_serde_reads_them(text: String, raw in "([a-zé\\\\\"/]|\\\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\[bfnrtu\"]){0,12}") {
            let mut written = Vec::new();
            write_string(text.as_bytes(), &mut written);
            prop_assert_eq!(&serde_json::from_slice::<String>(&written).unwrap(), &text);
            let mut back = Vec::new();
            prop_assert!(unescape(&written[1..written.len() - 1], &mut back).is_some());
            prop_assert_eq!(back, text.as_bytes());
            let oracle = serde_json::from_str::<String>(&format!("\"{raw}\""));
            let mut back = Vec::new();
            let ours = unescape(raw.as_bytes(), &mut back);
            if let Ok(text) = oracle {
                prop_assert!(ours.is_some());
                prop_assert_eq!(back, text.as_bytes());
            } else if !raw.contains('"') {
                prop_assert!(ours.is_none());
            }
        }
    }
}
