//! What the server's errors mean for us: which kind, which words, and the statement that mends them.

use std::io;

use super::super::Address;
use super::message::{Fields, Malformed};
use super::tls;
use crate::{Error, error};

/// The server's error message, taken apart (protocol page "Error and Notice Message Fields").
#[derive(Debug, Default)]
pub(super) struct ServerError {
    /// SQLSTATE.
    pub code: String,
    /// The primary message; it may quote identifiers.
    pub message: String,
    /// The server's own advice.
    hint: String,
}

impl ServerError {
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let (mut fields, mut error) = (Fields(body), Self::default());
        loop {
            let kind = fields.u8()?;
            if kind == 0 {
                return Ok(error);
            }
            // Before the log-in the text may be in the server's own encoding.
            let end = memchr::memchr(0, fields.0).ok_or(Malformed)?;
            let text = String::from_utf8_lossy(fields.bytes(end)?).replace('\n', " ");
            fields.u8()?;
            match kind {
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'H' => error.hint = text,
                _ => {}
            }
        }
    }

    /// The failure of ours that this one is.
    pub fn into_error(self, address: &Address) -> Error {
        let (kind, hint) = self.meaning(address);
        let failure = Error::new(kind, format!("PostgreSQL says: {} (SQLSTATE {})", self.message, self.code));
        match hint.unwrap_or(self.hint) {
            hint if hint.is_empty() => failure,
            hint => failure.hint(hint),
        }
    }

    fn meaning(&self, address: &Address) -> (error::Kind, Option<String>) {
        use error::Kind::{Link, Stop};
        let (role, database) = (quote_identifier(&address.user), quote_identifier(&address.database));
        match self.code.as_str() {
            "28P01" => (Stop, Some(format!("check the password, or set it: ALTER ROLE {role} PASSWORD '…'"))),
            "28000" if self.message.contains("client certificate") => {
                (Stop, Some(format!("add sslcert=FILE&sslkey=FILE to the URL: a certificate whose CN is {}", address.user)))
            }
            "28000" if self.message.contains("certificate authentication failed") => (
                Stop,
                Some(format!("connect with a certificate whose CN is {}, or map its CN to that role in pg_ident.conf", address.user)),
            ),
            "28000" if self.message.contains("does not exist") => {
                (Stop, Some(format!("CREATE ROLE {role} LOGIN REPLICATION PASSWORD '…'")))
            }
            "28000" if self.message.contains("log in") => (Stop, Some(format!("ALTER ROLE {role} LOGIN"))),
            "28000" => (
                Stop,
                Some(format!(
                    "add `host {} {} samenet scram-sha-256` to pg_hba.conf (or the client's own address), then SELECT pg_reload_conf()",
                    address.database, address.user
                )),
            ),
            "3D000" => (Stop, Some(format!("check the database's name in the URL, or CREATE DATABASE {database}"))),
            "42501"
                if self.message.contains("replication") || self.message.contains("walsender") || self.message.contains("WAL sender") =>
            {
                (Stop, Some(format!("ALTER ROLE {role} REPLICATION")))
            }
            "42501" => (
                Stop,
                Some(format!(
                    "let role {role} own the captured tables, or grant it what is missing: GRANT SELECT ON TABLE … TO {role}; GRANT CREATE ON DATABASE {database} TO {role}"
                )),
            ),
            "53300" => (Link, Some("raise max_connections or max_wal_senders on the server, or end other connections".to_owned())),
            "53400" => (
                Stop,
                Some("drop slots that nobody reads, or raise max_replication_slots (ALTER SYSTEM SET max_replication_slots = …) and restart the server".to_owned()),
            ),
            "55006" => (
                Link,
                Some(
                    "another connection reads from this slot: stop the other copy, or wait until the server has noticed that it is gone"
                        .to_owned(),
                ),
            ),
            "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "25P03" => (Link, None),
            code if ["08", "40", "53"].contains(&code.get(..2).unwrap_or_default()) => (Link, None),
            _ => (Stop, None),
        }
    }
}

/// A failure of the connection itself: worth another try, unless one of the two sides does not take the other's certificate.
pub(super) fn link(what: &str, address: &Address, cause: io::Error) -> Error {
    if let Some(explained) = tls::explained(address, &cause) {
        return explained;
    }
    if cause.kind() == io::ErrorKind::InvalidData {
        return Error::stop(format!("{what} {address}")).cause(cause).hint("check the port, and the server's log");
    }
    let hint = match cause.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            Some(format!("check that PostgreSQL runs, and listens at {}:{} (listen_addresses, port)", address.host, address.port))
        }
        io::ErrorKind::TimedOut => {
            Some(format!("check that {}:{} can be reached from here (firewall, address)", address.host, address.port))
        }
        _ => None,
    };
    let failure = Error::link(format!("{what} {address}")).cause(cause);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// `name` as SQL writes an identifier.
pub(super) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as SQL writes a string, whatever `standard_conforming_strings` says.
pub(super) fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
