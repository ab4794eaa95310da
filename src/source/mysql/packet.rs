//! What a server's packets say, but for the log's events. Pure: no socket.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>

use super::cursor::{Cursor, Malformed, Parsed};

/// What a client or server is able to do (`CLIENT_…`).
pub(super) mod ability {
    pub const LONG_PASSWORD: u32 = 1;
    pub const LONG_FLAG: u32 = 1 << 2;
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    pub const PROTOCOL_41: u32 = 1 << 9;
    pub const SSL: u32 = 1 << 11;
    pub const TRANSACTIONS: u32 = 1 << 13;
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    pub const MULTI_STATEMENTS: u32 = 1 << 16;
    pub const MULTI_RESULTS: u32 = 1 << 17;
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    pub const CONNECT_ATTRS: u32 = 1 << 20;
}

/// First byte of a packet that says that all went well.
pub(super) const DONE: u8 = 0;
/// First byte of one that ends rows, or asks for another log-in.
pub(super) const END: u8 = 0xfe;
/// First byte of an error.
pub(super) const ERROR: u8 = 0xff;

/// Flag of an answer: another one follows.
const MORE_RESULTS: u16 = 8;
/// A packet that ends rows is shorter; a longer one with the same first byte is a row.
const END_BYTES_MAX: usize = 8;

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerError {
    /// Number: 1045.
    pub code: u16,
    /// In the server's own words.
    pub message: String,
}

impl ServerError {
    pub fn parse(packet: &[u8]) -> Parsed<Self> {
        let mut fields = Cursor::new(packet);
        if fields.u8()? != ERROR {
            return Err(Malformed);
        }
        let code = fields.u16()?;
        // The state is missing in what is said before the log-in.
        if fields.rest().first() == Some(&b'#') {
            fields.take(6)?;
        }
        Ok(Self { code, message: String::from_utf8_lossy(fields.rest()).into_owned() })
    }
}

/// The first packet of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub abilities: u32,
    /// Makes each proof of a password another one.
    pub nonce: [u8; Greeting::NONCE_BYTES],
    /// How the server would like its users to log in.
    pub plugin: String,
}

impl Greeting {
    pub const NONCE_BYTES: usize = 20;
    /// The only version of the protocol that servers still speak.
    pub const VERSION: u8 = 10;

    pub fn parse(packet: &[u8]) -> Parsed<Self> {
        let mut fields = Cursor::new(packet);
        if fields.u8()? != Self::VERSION {
            return Err(Malformed);
        }
        fields.until_zero()?; // the server's version
        fields.take(4)?; // number of the session
        let first = fields.take(8)?;
        fields.take(1)?;
        let low = u32::from(fields.u16()?);
        fields.take(3)?; // collation and state
        let high = u32::from(fields.u16()?);
        let nonce_bytes = usize::from(fields.u8()?);
        fields.take(10)?;
        let second_bytes = nonce_bytes.saturating_sub(8).max(13);
        let second = fields.take(second_bytes.min(fields.rest().len()))?;
        let mut nonce = [0; Self::NONCE_BYTES];
        for (to, from) in nonce.iter_mut().zip(first.iter().chain(second)) {
            *to = *from;
        }
        let plugin = fields.until_zero().unwrap_or(fields.rest());
        Ok(Self { abilities: low | high << 16, nonce, plugin: String::from_utf8_lossy(plugin).into_owned() })
    }
}

/// The server asks for another way to log in: the plugin's name, and what it needs. An empty name is the way
/// of servers before 4.1.
pub(super) fn parse_switch(packet: &[u8]) -> Parsed<(String, &[u8])> {
    let mut fields = Cursor::new(packet);
    if fields.u8()? != END {
        return Err(Malformed);
    }
    if fields.is_empty() {
        return Ok((String::new(), &[]));
    }
    let name = String::from_utf8_lossy(fields.until_zero()?).into_owned();
    Ok((name, fields.rest()))
}

/// The end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// Rows that the statement changed.
    pub changed: u64,
    /// Another answer follows.
    pub has_more: bool,
}

impl Done {
    /// An answer without rows.
    pub fn parse(packet: &[u8]) -> Parsed<Self> {
        let mut fields = Cursor::new(packet);
        if fields.u8()? != DONE {
            return Err(Malformed);
        }
        let changed = fields.packed()?;
        fields.packed()?; // the last number that AUTO_INCREMENT made
        Ok(Self { changed, has_more: fields.u16()? & MORE_RESULTS != 0 })
    }

    /// The end of rows or of their columns; `None` if the packet is not that.
    pub fn parse_end(packet: &[u8]) -> Parsed<Option<Self>> {
        if packet.first() != Some(&END) || packet.len() > END_BYTES_MAX {
            return Ok(None);
        }
        let mut fields = Cursor::new(&packet[1..]);
        fields.take(2)?; // warnings
        Ok(Some(Self { changed: 0, has_more: fields.u16()? & MORE_RESULTS != 0 }))
    }
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    /// Number of its collation.
    pub collation: u16,
    /// Its longest value: bytes, or bits of a BIT.
    pub length: u32,
    /// Number of its type.
    pub kind: u8,
    pub flags: u16,
}

impl Column {
    /// A table has no more columns, in both servers.
    pub const COUNT_MAX: u64 = 4096;

    pub fn parse(packet: &[u8]) -> Parsed<Self> {
        let mut fields = Cursor::new(packet);
        for _ in 0..4 {
            fields.packed_bytes()?; // catalog, schema, table and its own name
        }
        let name = String::from_utf8_lossy(fields.packed_bytes()?).into_owned();
        fields.packed_bytes()?;
        let mut rest = Cursor::new(fields.packed_bytes()?);
        Ok(Self { name, collation: rest.u16()?, length: rest.u32()?, kind: rest.u8()?, flags: rest.u16()? })
    }
}

/// A row of the text protocol; `None` is NULL.
pub(super) fn parse_row(packet: &[u8], columns: usize) -> Parsed<Vec<Option<String>>> {
    const NULL: u8 = 0xfb;
    let mut fields = Cursor::new(packet);
    let mut value = || {
        if fields.rest().first() == Some(&NULL) {
            fields.take(1)?;
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(fields.packed_bytes()?).into_owned()))
    };
    (0..columns).map(|_| value()).collect()
}

/// A statement that the server prepared: its number, and its parameters and columns, whose descriptions
/// follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub number: u32,
    pub columns: u16,
    pub parameters: u16,
}

impl Prepared {
    pub fn parse(packet: &[u8]) -> Parsed<Self> {
        let mut fields = Cursor::new(packet);
        if fields.u8()? != DONE {
            return Err(Malformed);
        }
        Ok(Self { number: fields.u32()?, columns: fields.u16()?, parameters: fields.u16()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_greeting() {
        let packet = [
            &b"\x0a8.4.3\0\x01\0\0\0saltsalt\0\x08\x82\x2d\x02\0\x08\0\x15"[..],
            &[0; 10],
            b"saltsaltsalt\0caching_sha2_password\0",
        ]
        .concat();
        let greeting = Greeting::parse(&packet).unwrap();
        assert_eq!(greeting.abilities, 0x0008_8208);
        assert_eq!(&greeting.nonce, b"saltsaltsaltsaltsalt");
        assert_eq!(greeting.plugin, "caching_sha2_password");
        assert_eq!(Greeting::parse(&packet[..30]), Err(Malformed));
    }

    #[test]
    fn errors_with_and_without_a_state() {
        for packet in [&b"\xff\x15\x04#28000Access denied"[..], b"\xff\x15\x04Access denied"] {
            let error = ServerError::parse(packet).unwrap();
            assert_eq!((error.code, error.message.as_str()), (1045, "Access denied"));
        }
    }

    #[test]
    fn ends_of_answers() {
        let done = Done::parse(&[0, 252, 1, 1, 0, 10, 0, 0, 0]).unwrap();
        assert_eq!(done, Done { changed: 257, has_more: true });
        let end = Done::parse_end(&[0xfe, 0, 0, 2, 0]).unwrap();
        assert_eq!(end, Some(Done { changed: 0, has_more: false }));
        // A row whose first value is longer than 16 MB.
        assert_eq!(Done::parse_end(&[0xfe, 0, 0, 0, 1, 0, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn rows_of_text() {
        let row = parse_row(b"\x01a\xfb\x00", 3).unwrap();
        assert_eq!(row, [Some("a".to_owned()), None, Some(String::new())]);
        assert_eq!(parse_row(b"\x02a", 1), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_a_fault(bytes: Vec<u8>, columns in 0_usize..9) {
            let with = |first: u8| [&[first][..], &bytes].concat();
            let _ = (Greeting::parse(&with(Greeting::VERSION)), ServerError::parse(&with(ERROR)));
            let _ = (Done::parse(&with(DONE)), Done::parse_end(&with(END)), Prepared::parse(&with(DONE)));
            let _ = (parse_switch(&with(END)), Column::parse(&bytes), parse_row(&bytes, columns));
        }
    }
}
