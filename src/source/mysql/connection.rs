//! Connections: address, TLS, session settings, and what the server's errors mean for us.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use mysql::prelude::Queryable as _;
use mysql::{Conn, DriverError, OptsBuilder, SslOpts};
use rustix::net::sockopt;
use rustls::CertificateError;

use super::super::{Address, Dialect};
use super::tls::{self, Mode};
use crate::{Error, Result};

/// A server that does not answer the connection for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A packet that the server does not take for so long is lost.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Idle time before the kernel asks whether the server is still there, milliseconds.
const KEEP_ALIVE_MS: u32 = 30_000;
/// The largest packet that the protocol knows, bytes: a row event can be this long whatever the server's `max_allowed_packet` says.
const PACKET_BYTES_MAX: usize = 1 << 30;

/// How long the server may think about an answer of plain SQL.
pub(super) const SQL_TIMEOUT: Duration = Duration::from_mins(10);

/// Opens a session in UTC and utf8mb4. `read_timeout`: the longest silence once it is open; until then a server has the time of a connection.
pub(super) fn connect(address: &Address, read_timeout: Duration) -> Result<Conn> {
    tls::options_are_known(address)?;
    let mode = Mode::of(address)?;
    let ssl = if mode == Mode::Disabled || address.is_socket() { None } else { Some(tls::options(address, mode)?) };
    let wanted = ssl.is_some();
    let mut opened = tls::guarded(address, mode, || Conn::new(options(address, ssl)))?;
    if wanted && mode == Mode::Preferred && matches!(opened, Err(mysql::Error::DriverError(DriverError::TlsNotSupported))) {
        opened = Conn::new(options(address, None));
    }
    let conn = opened.map_err(|error| explain(address, error))?;
    be_patient(&conn, read_timeout).map_err(|cause| unreachable_server(address).cause(cause))?;
    Ok(conn)
}

/// The driver takes one time-out for its whole life, and offers no other way to its socket.
fn be_patient(conn: &Conn, read_timeout: Duration) -> io::Result<()> {
    // SAFETY: the connection keeps its socket open for as long as it is borrowed here.
    #[allow(unsafe_code)]
    let socket = unsafe { BorrowedFd::borrow_raw(conn.as_raw_fd()) };
    Ok(sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(read_timeout))?)
}

fn options(address: &Address, ssl: Option<SslOpts>) -> OptsBuilder {
    let options = OptsBuilder::new()
        .user(Some(&address.user))
        .pass(Some(address.password.reveal()))
        .db_name(Some(&address.database))
        .prefer_socket(false)
        .tcp_keepalive_time_ms(Some(KEEP_ALIVE_MS))
        .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
        .read_timeout(Some(CONNECT_TIMEOUT))
        .write_timeout(Some(WRITE_TIMEOUT))
        .max_allowed_packet(Some(PACKET_BYTES_MAX))
        .stmt_cache_size(Some(0))
        .ssl_opts(ssl)
        .init(vec!["SET NAMES utf8mb4", "SET time_zone = '+00:00'"]);
    if address.is_socket() {
        options.socket(Some(&address.host))
    } else {
        options.ip_or_hostname(Some(&address.host)).tcp_port(address.port)
    }
}

/// What a failure means: a `Link` failure is tried again, a `Stop` needs a person.
pub(super) fn explain(address: &Address, error: mysql::Error) -> Error {
    if let Some(explained) = tls_failure(&error).and_then(|failure| explain_tls(address, failure)) {
        return explained;
    }
    let product = address.dialect.product();
    if is_time_out(&error) {
        return Error::link(format!("{product} at \"{address}\" does not answer"))
            .hint(format!("check that it is {product} that listens there, and that the network between lets answers through"));
    }
    match error {
        mysql::Error::MySqlError(server) => explain_server(address, &server),
        mysql::Error::IoError(cause) => unreachable_server(address).cause(cause),
        mysql::Error::DriverError(cause @ (DriverError::CouldNotConnect(_) | DriverError::ConnectTimeout)) => {
            unreachable_server(address).cause(cause)
        }
        mysql::Error::DriverError(DriverError::TlsNotSupported) => Error::stop(format!("{product} at \"{address}\" offers no TLS"))
            .hint("set ssl-ca, ssl-cert and ssl-key on the server, or write ?ssl-mode=preferred in the URL"),
        other => Error::link(format!("the connection to {product} at \"{address}\" broke")).cause(other.to_string()),
    }
}

/// The input and output errors behind a failure; the driver wraps them in several ways.
fn io_errors(error: &mysql::Error) -> impl Iterator<Item = &io::Error> {
    let first: Option<&(dyn std::error::Error + 'static)> = match error {
        mysql::Error::CodecError(cause) => Some(cause),
        mysql::Error::IoError(cause) => Some(cause),
        _ => None,
    };
    std::iter::successors(first, |one| one.source()).filter_map(|one| one.downcast_ref())
}

fn tls_failure(error: &mysql::Error) -> Option<&rustls::Error> {
    match error {
        mysql::Error::TlsError(mysql::error::tls::TlsError::Tls(failure)) => Some(failure),
        _ => io_errors(error).find_map(|one| one.get_ref()?.downcast_ref()),
    }
}

/// A time-out of the socket: Linux reports it as if the socket did not wait.
fn is_time_out(error: &mysql::Error) -> bool {
    io_errors(error).any(|one| matches!(one.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
}

fn explain_tls(address: &Address, failure: &rustls::Error) -> Option<Error> {
    let peer = format!("{} at {}:{}", address.dialect.product(), address.host, address.port);
    let foreign = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    // That is how the guard refuses a public authority.
    let is_foreign = matches!(failure, rustls::Error::InvalidCertificate(CertificateError::BadSignature));
    let failure = if is_foreign { &foreign } else { failure };
    crate::tls::explain(failure, &peer, &address.host, tls::NAMES, tls::shows_certificate(address))
}

fn unreachable_server(address: &Address) -> Error {
    let product = address.dialect.product();
    Error::link(format!("{product} at \"{address}\" cannot be reached"))
        .hint(format!("check that {product} listens on {}:{} and that no firewall is in between", address.host, address.port))
}

/// Errors by the server's number: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>
fn explain_server(address: &Address, server: &mysql::MySqlError) -> Error {
    let user = &address.user;
    let said = format!("{} says: {}", address.dialect.product(), server.message);
    match server.code {
        1045 | 1698 => Error::stop(format!("{} refuses the password of user {user:?}", address.dialect.product()))
            .hint(format!(
                "check the URL or password_file; to set it: ALTER USER '{user}'@'%' IDENTIFIED BY '…'; SHOW CREATE USER '{user}'@'%' tells whether \
                 it must come with TLS or a certificate (ssl-cert, ssl-key)"
            ))
            .cause(said),
        1049 => Error::stop(format!("database {:?} does not exist", address.database))
            .hint(format!("CREATE DATABASE `{}`, or name another one in the URL", address.database)),
        1044 | 1142 | 1143 | 1227 => {
            Error::stop(format!("user {user:?} lacks a privilege")).hint(privileges(address, &format!("{}@'%'", quote(user)))).cause(said)
        }
        1146 => Error::stop("a table does not exist").cause(said),
        1236 if server.message.contains("same server_uuid/server_id") => {
            Error::stop("another reader has the same server id").hint("give each [[source]] its own name or server_id").cause(said)
        }
        1236 => Error::stop("the server's binary log no longer holds what comes next")
            .hint(format!("{PURGED}; next time keep the log longer: {}", keep_longer(address.dialect)))
            .cause(said),
        // Too many connections, shutdown, killed, lock wait, deadlock, lost packets.
        1040 | 1053 | 1077 | 1152..=1161 | 1203 | 1205 | 1213 | 1317 | 3169 | 4031 => {
            Error::link("the server ended the connection").cause(said)
        }
        _ => Error::stop(format!("{} refuses a statement", address.dialect.product())).cause(said),
    }
}

/// The way out when the log was purged.
pub(super) const PURGED: &str = "what is not in the log is lost to the stream: give the source another name and set snapshot = \"never\", and it streams \
    from now on; the rows that are there must be copied by hand";

/// The way out when rows are missing in the log.
pub(super) const BEGIN_AGAIN: &str = "give the source another name and set snapshot = \"never\": it then streams from now on, and the rows that are there must be copied by hand";

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

/// Reads a small answer; `None` is NULL.
pub(super) fn query(conn: &mut Conn, address: &Address, query: &str) -> Result<Vec<Vec<Option<String>>>> {
    let explain = |error| explain(address, error);
    let mut answer = conn.query_iter(query).map_err(explain)?;
    let mut rows = Vec::new();
    for row in answer.by_ref() {
        rows.push(row.map_err(explain)?.unwrap().into_iter().map(text).collect());
    }
    Ok(rows)
}

fn text(value: mysql::Value) -> Option<String> {
    match value {
        mysql::Value::NULL => None,
        mysql::Value::Bytes(bytes) => {
            Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
        }
        other => Some(other.as_sql(true)),
    }
}

/// A text as a literal of SQL.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name as SQL writes it.
pub(super) fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_server_that_takes_the_connection_and_stays_silent_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&format!("mysql://x@{}/db", silent.local_addr().unwrap())).unwrap();
        let began = Instant::now();
        let error = connect(&address, SQL_TIMEOUT).unwrap_err();
        assert!(began.elapsed() < SQL_TIMEOUT / 10, "{error}");
        assert!(error.kind() == crate::error::Kind::Link && error.to_string().contains("does not answer"), "{error}");
    }
}
