//! Why a connection gives no answer, and what that means for us.

use std::fmt;
use std::io::{self, ErrorKind};

use super::super::{Address, Dialect};
use super::connection::quote;
use super::cursor::Malformed;
use super::packet::ServerError;
use super::tls;
use crate::{Code, Error};

/// Why a connection gives no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody takes the connection.
    Unreachable(io::Error),
    /// The connection broke, or its other end said nothing for too long.
    Lost(io::Error),
    /// The server refuses.
    Server(ServerError),
    /// The server asks for a log-in by a plugin that is not known here.
    Plugin(String),
    /// The server offers no TLS.
    NoTls,
    /// A packet does not hold what it must.
    Malformed,
    /// The other end does not keep to the protocol.
    Protocol(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) | Self::Lost(cause) => cause.fmt(formatter),
            Self::Server(error) => write!(formatter, "error {}: {}", error.code, error.message),
            Self::Plugin(name) => write!(formatter, "unknown log-in {name:?}"),
            Self::NoTls => formatter.write_str("the server offers no TLS"),
            Self::Malformed => formatter.write_str("a packet cannot be read"),
            Self::Protocol(fault) => formatter.write_str(fault),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Self {
        Self::Lost(cause)
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Fault {
    /// What TLS says of it.
    pub fn tls(&self) -> Option<&rustls::Error> {
        match self {
            Self::Lost(cause) => cause.get_ref()?.downcast_ref(),
            _ => None,
        }
    }

    /// Whether the server said nothing for too long. A socket with a time-out says that it would block.
    pub fn is_time_out(&self) -> bool {
        let Self::Lost(cause) = self else { return false };
        matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }
}

/// What a failure means: a `Link` failure is tried again, a `Stop` needs a person.
pub(super) fn explain(address: &Address, fault: Fault) -> Error {
    if let Some(explained) = fault.tls().and_then(|failure| explain_tls(address, failure)) {
        return explained;
    }
    let product = address.dialect.product();
    if fault.is_time_out() {
        return Error::link(Code::DatabaseSilent, format!("{product} at \"{address}\" does not answer")).hint(format!(
            "check that it is {product} that listens there, and that the network between lets answers through"
        ));
    }
    match fault {
        Fault::Server(server) => explain_server(address, &server),
        Fault::Unreachable(cause) => unreachable_server(Code::DatabaseUnreachable, address).cause(cause),
        Fault::Lost(cause) => unreachable_server(Code::DatabaseDisconnected, address).cause(cause),
        Fault::Plugin(plugin) => refused_plugin(address, &plugin),
        Fault::NoTls => Error::stop(Code::TlsNotOffered, format!("{product} at \"{address}\" offers no TLS"))
            .hint("set ssl-ca, ssl-cert and ssl-key on the server, or write ?ssl-mode=preferred in the URL"),
        fault @ (Fault::Malformed | Fault::Protocol(_)) => Error::link(
            Code::DatabaseDisconnected,
            format!("the connection to {product} at \"{address}\" broke"),
        )
        .cause(fault.to_string()),
    }
}

fn explain_tls(address: &Address, failure: &rustls::Error) -> Option<Error> {
    let peer = format!("{} at {}:{}", address.dialect.product(), address.host, address.port);
    crate::tls::explain(failure, &peer, &address.host, tls::NAMES, tls::shows_certificate(address))
}

fn unreachable_server(code: Code, address: &Address) -> Error {
    let product = address.dialect.product();
    Error::link(code, format!("{product} at \"{address}\" cannot be reached")).hint(format!(
        "check that {product} listens on {}:{} and that no firewall is in between",
        address.host, address.port
    ))
}

/// MySQL asks a user that it does not know for a plugin picked at random, so that nobody learns which users
/// there are.
fn refused_plugin(address: &Address, plugin: &str) -> Error {
    let (product, user) = (address.dialect.product(), &address.user);
    let (wanted, known) = match address.dialect {
        Dialect::Mariadb => ("mysql_native_password", "mysql_native_password, ed25519 or parsec"),
        _ => ("caching_sha2_password", "caching_sha2_password or mysql_native_password"),
    };
    let change = match address.dialect {
        Dialect::Mariadb => format!("ALTER USER '{user}'@'%' IDENTIFIED VIA {wanted} USING PASSWORD('…')"),
        _ => format!("ALTER USER '{user}'@'%' IDENTIFIED WITH {wanted} BY '…'"),
    };
    Error::stop(
        Code::LoginRefused,
        format!(
            "{product} does not know user {user:?}, or asks it for the plugin {plugin:?}, and \
        list_sync knows {known}"
        ),
    )
    .hint(format!(
        "check the user's name in the URL, and SELECT user, host, plugin FROM mysql.user; \
            then: {change}"
    ))
}

/// The error that a server ends a stream of its log with.
pub(super) const LOG_REFUSED: u16 = 1236;

/// What error 1236 says: the server cannot send its log.
fn explain_log(address: &Address, message: &str, said: String) -> Error {
    let says = |words: &[&str]| words.iter().any(|word| message.to_ascii_lowercase().contains(word));
    if says(&[
        "purged",
        "could not find first log",
        "could not find gtid state",
        "not in the master's binlog",
    ]) {
        return Error::stop(Code::LogPurged, "the server's binary log no longer holds what comes next")
            .hint(format!("{PURGED}; next time keep the log longer: {}", keep_longer(address.dialect)))
            .cause(said);
    }
    if says(&["impossible position", "position > file size"]) {
        return Error::stop(
            Code::LogReset,
            "the server's binary log is shorter than the saved position: it was reset, or \
            lost its end in a crash",
        )
        .hint(PURGED)
        .cause(said);
    }
    let hint = if says(&["max_allowed_packet"]) {
        "SET GLOBAL max_allowed_packet = 1073741824 on the server, and start the source again"
    } else if says(&["server_id", "server id"]) {
        "set server_id on the server to another number than 0"
    } else {
        "see the server's error log; mysqlbinlog tells whether the file can be read"
    };
    Error::stop(Code::StatementRefused, "the server cannot send its binary log").hint(hint).cause(said)
}

/// Errors by the server's number: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>
fn explain_server(address: &Address, server: &ServerError) -> Error {
    let user = &address.user;
    let said = format!("{} says: {}", address.dialect.product(), server.message);
    // MySQL says it under the number of all that ends its log, MariaDB under one of its own.
    if server.message.contains("same server_uuid/server_id") {
        return Error::stop(Code::ServerIdInUse, "another reader has the same server id")
            .hint("give each [[source]] its own name or server_id")
            .cause(said);
    }
    match server.code {
        1045 | 1698 => Error::stop(
            Code::LoginRefused,
            format!("{} refuses the password of user {user:?}", address.dialect.product()),
        )
        .hint(format!(
            "check the URL or password_file; to set it: ALTER USER '{user}'@'%' IDENTIFIED BY '…'; SHOW \
                 CREATE USER '{user}'@'%' tells whether \
                 it must come with TLS or a certificate (ssl-cert, ssl-key)"
        ))
        .cause(said),
        1049 => Error::stop(Code::DatabaseMissing, format!("database {:?} does not exist", address.database))
            .hint(format!("CREATE DATABASE `{}`, or name another one in the URL", address.database)),
        1044 | 1142 | 1143 | 1227 => {
            Error::stop(Code::PrivilegeMissing, format!("user {user:?} lacks a privilege"))
                .hint(privileges(address, &format!("{}@'%'", quote(user))))
                .cause(said)
        }
        1146 => Error::stop(Code::TableMissing, "a table does not exist").cause(said),
        LOG_REFUSED => explain_log(address, &server.message, said),
        // The password has expired; the account is locked.
        1820 | 1862 => Error::stop(Code::LoginRefused, format!("the password of user {user:?} has expired"))
            .hint(format!("ALTER USER '{user}'@'%' IDENTIFIED BY '…' PASSWORD EXPIRE NEVER"))
            .cause(said),
        3118 | 4151 => Error::stop(Code::LoginRefused, format!("the account of user {user:?} is locked"))
            .hint(format!("ALTER USER '{user}'@'%' ACCOUNT UNLOCK"))
            .cause(said),
        1129 | 1130 => Error::stop(
            Code::HostRefused,
            format!("{} lets nobody in from this host", address.dialect.product()),
        )
        .hint(if server.code == 1129 {
            "FLUSH HOSTS (MySQL 8.4 and later: TRUNCATE performance_schema.host_cache)".to_owned()
        } else {
            format!("create the user for this host: CREATE USER '{user}'@'%' IDENTIFIED BY '…'")
        })
        .cause(said),
        // Too many connections, shutdown, killed, lock wait, deadlock, lost packets.
        1040 | 1053 | 1077 | 1152..=1161 | 1203 | 1205 | 1213 | 1317 | 3169 | 4031 => {
            Error::link(Code::DatabaseDisconnected, "the server ended the connection").cause(said)
        }
        _ => {
            Error::stop(Code::StatementRefused, format!("{} refuses a statement", address.dialect.product()))
                .cause(said)
        }
    }
}

/// The way out when the log was purged.
pub(super) const PURGED: &str = "what is not in the log is lost to the stream: `list_sync position set \
    SOURCE latest --yes` lets it go on from now on, or \
    give the source another name and set snapshot = \"never\"; the rows that are there must be copied by \
    hand";

/// The way out when rows are missing in the log.
pub(super) const BEGIN_AGAIN: &str = "give the source another name and set snapshot = \"never\": it then \
    streams from now on, and the rows that are there must be copied by hand";

/// The statement that keeps the log longer.
pub(super) fn keep_longer(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Mariadb {
        "SET GLOBAL binlog_expire_logs_seconds = 2592000"
    } else {
        "SET PERSIST binlog_expire_logs_seconds = 2592000"
    }
}

/// The statement that gives a source what it needs, to this account.
pub(super) fn privileges(address: &Address, account: &str) -> String {
    let monitor = if address.dialect == Dialect::Mariadb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
    format!("GRANT SELECT, REPLICATION SLAVE, {monitor} ON *.* TO {account}")
}
