//! What the server's errors mean for us: which kind, which words, and the statement that mends them.

use std::io;

use super::super::Address;
use super::message::{Fields, Malformed};
use super::tls;
use crate::{Code, Error, error};

/// Sends all rows of a table again: the truncate voids what the files hold, and the rows follow. It was
/// tried.
macro_rules! refill {
    () => {
        "BEGIN; CREATE TEMPORARY TABLE copy ON COMMIT DROP AS SELECT * FROM t; TRUNCATE t; INSERT INTO t \
         OVERRIDING SYSTEM VALUE SELECT * FROM \
         copy; COMMIT (of a table with generated columns, name the other columns in both lists; a table \
         with a foreign key to it goes into the \
         same TRUNCATE, and is filled after it)"
    };
}

/// What makes the files right again after changes of a table were missing.
pub(super) const FILL_AGAIN: &str = concat!(
    "`list_sync verify` shows what is missing; to send all its rows again once the table is captured: ",
    refill!()
);

/// The way out where the log that a source needs is not to be had any more. It was tried.
pub(super) const ANOTHER_NAME: &str = concat!(
    "give the source another name, with snapshot = \"never\"; changes up to its start are in no message: \
     send the rows of each table t again \
     once it streams: ",
    refill!()
);

/// Another session's lock was waited for as long as we wait.
pub(super) fn is_lock_time_out(error: &Error) -> bool {
    error.to_string().contains("SQLSTATE 55P03")
}

/// The way past a row whose bytes are in no known character set: nothing of the other tables is lost.
pub(super) fn no_character_set(table: &str) -> String {
    format!(
        "a database in SQL_ASCII takes any bytes; correct the row, leave the table out of `tables` \
         (\"!{table}\") until the source has read past this \
         place, then put it back; {FILL_AGAIN}"
    )
}

/// The way out where the log cannot be read because the publication was missing when it was written.
pub(super) fn publication_was_gone() -> String {
    format!(
        "the publication was dropped for a while, and the server cannot read the changes of that time; drop \
         the old slot (SELECT \
         pg_drop_replication_slot('…')), and {ANOTHER_NAME}"
    )
}

/// The server's error message, taken apart (protocol page "Error and Notice Message Fields").
#[derive(Debug, Default)]
pub(super) struct ServerError {
    /// SQLSTATE.
    pub code: String,
    /// The primary message; it may quote identifiers.
    pub message: String,
    /// `ERROR`, `WARNING`, `NOTICE`…, in English whatever the server speaks.
    severity: String,
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
                b'V' => error.severity = text,
                b'M' => error.message = text,
                b'H' => error.hint = text,
                _ => {}
            }
        }
    }

    /// Worse than a notice; a severity that is not known counts as one.
    pub fn is_warning(&self) -> bool {
        !(self.severity.starts_with("DEBUG") || ["LOG", "INFO", "NOTICE"].contains(&self.severity.as_str()))
    }

    /// The failure of ours that this one is.
    pub fn into_error(self, address: &Address) -> Error {
        let (code, kind) = self.meaning();
        let hint = self.own_hint(address);
        let failure =
            Error::new(code, kind, format!("PostgreSQL says: {} (SQLSTATE {})", self.message, self.code));
        match hint.unwrap_or(self.hint) {
            hint if hint.is_empty() => failure,
            hint => failure.hint(hint),
        }
    }

    /// What it is, and whether another try may help; by SQLSTATE.
    fn meaning(&self) -> (Code, error::ErrorKind) {
        use error::ErrorKind::{Link, Stop};
        match self.code.as_str() {
            "28000" if self.message.contains("no pg_hba.conf entry") => (Code::HostRefused, Stop),
            "28P01" | "28000" => (Code::LoginRefused, Stop),
            "42704" if self.is_of_publication() => (Code::PublicationIncomplete, Stop),
            "42501" => (Code::PrivilegeMissing, Stop),
            "55P03" | "53300" => (Code::DatabaseBusy, Link),
            "3D000" => (Code::DatabaseMissing, Stop),
            "53400" => (Code::SlotsUsedUp, Stop),
            "55006" => (Code::SlotBusy, Link),
            "42P01" | "3F000" => (Code::TableMissing, Stop),
            "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "25P03" => (Code::DatabaseDisconnected, Link),
            code if ["08", "40", "53"].contains(&code.get(..2).unwrap_or_default()) => {
                (Code::DatabaseDisconnected, Link)
            }
            _ => (Code::StatementRefused, Stop),
        }
    }

    fn is_of_publication(&self) -> bool {
        self.message.starts_with("publication ")
    }

    /// What a person can do, where the server's own hint does not say it.
    fn own_hint(&self, address: &Address) -> Option<String> {
        let (role, database) = (quote_identifier(&address.user), quote_identifier(&address.database));
        let says = |words: &str| self.message.contains(words);
        Some(match self.code.as_str() {
            "28P01" | "28000" => self.login_hint(address, &role),
            "42704" if self.is_of_publication() => publication_was_gone(),
            "42501" if says("row-level security") => {
                format!("a policy hides rows from role {role}: ALTER ROLE {role} BYPASSRLS")
            }
            "42501" if says("replication") || says("walsender") || says("WAL sender") => {
                format!("ALTER ROLE {role} REPLICATION")
            }
            "42501" => format!(
                "let role {role} own the captured tables, or grant it what is missing: GRANT SELECT ON \
                 TABLE … TO {role}; GRANT CREATE ON DATABASE {database} TO {role}"
            ),
            "55P03" => "somebody holds a lock on the table: SELECT pid, query FROM pg_stat_activity WHERE \
                        pid IN (SELECT pid FROM pg_locks WHERE relation = 'TABLE'::regclass AND granted)"
                .to_owned(),
            "3D000" => format!("check the database's name in the URL, or CREATE DATABASE {database}"),
            "53300" => {
                "raise max_connections or max_wal_senders on the server, or end other connections".to_owned()
            }
            "53400" => "drop slots that nobody reads, or raise max_replication_slots (ALTER SYSTEM SET \
                        max_replication_slots = …) and restart the server"
                .to_owned(),
            "55006" => "another connection reads from this slot: stop the other copy, or wait until the \
                        server has noticed that it is gone"
                .to_owned(),
            _ => return None,
        })
    }

    /// How the role `role` (quoted) gets in that the server does not let in.
    fn login_hint(&self, address: &Address, role: &str) -> String {
        let says = |words: &str| self.message.contains(words);
        if self.code == "28P01" {
            format!("check the password, or set it: ALTER ROLE {role} PASSWORD '…'")
        } else if says("client certificate") {
            format!("add sslcert=FILE&sslkey=FILE to the URL: a certificate whose CN is {}", address.user)
        } else if says("certificate authentication failed") {
            format!(
                "connect with a certificate whose CN is {}, or map its CN to that role in pg_ident.conf",
                address.user
            )
        } else if says("does not exist") {
            format!("CREATE ROLE {role} LOGIN REPLICATION PASSWORD '…'")
        } else if says("log in") {
            format!("ALTER ROLE {role} LOGIN")
        } else {
            format!(
                "add `host {} {} samenet scram-sha-256` to pg_hba.conf (or the client's own address), then \
                 SELECT pg_reload_conf()",
                address.database, address.user
            )
        }
    }
}

/// A connection that stood broke. What TLS cannot read any more was damaged on its way: the same bytes come
/// again.
pub(super) fn lost(what: &str, address: &Address, cause: io::Error) -> Error {
    let failure = cause.get_ref().and_then(|failure| failure.downcast_ref::<rustls::Error>());
    let is_damage = matches!(failure, Some(rustls::Error::DecryptError | rustls::Error::InvalidMessage(_)))
        || matches!(failure, Some(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    if is_damage {
        Error::link(Code::DatabaseDisconnected, format!("{what} {address}")).cause(cause)
    } else {
        broken(Code::DatabaseDisconnected, what, address, cause)
    }
}

/// No connection comes about.
pub(super) fn link(what: &str, address: &Address, cause: io::Error) -> Error {
    broken(Code::DatabaseUnreachable, what, address, cause)
}

/// A failure of the connection itself: worth another try, unless one of the two sides does not take the
/// other's certificate.
fn broken(code: Code, what: &str, address: &Address, cause: io::Error) -> Error {
    if let Some(explained) = tls::explained(address, &cause) {
        return explained;
    }
    if cause.kind() == io::ErrorKind::InvalidData {
        return Error::stop(Code::ProtocolUnknown, format!("{what} {address}"))
            .cause(cause)
            .hint("check the port, and the server's log");
    }
    let hint = match cause.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Some(format!(
            "check that PostgreSQL runs, and listens at {}:{} (listen_addresses, port)",
            address.host, address.port
        )),
        io::ErrorKind::TimedOut => Some(format!(
            "check that {}:{} can be reached from here (firewall, address)",
            address.host, address.port
        )),
        _ => None,
    };
    let failure = Error::link(code, format!("{what} {address}")).cause(cause);
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
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
