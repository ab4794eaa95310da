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
/// The largest packet that the protocol knows, bytes: a row event can be this long whatever the server's
/// `max_allowed_packet` says.
const PACKET_BYTES_MAX: usize = 1 << 30;

/// Seconds that the server waits for us to take a packet, or to ask: as long as the slowest sink may block.
const SERVER_WAIT_SECONDS: u32 = 24 * 3600;

/// How long the server may think about an answer of plain SQL.
pub(super) const SQL_TIMEOUT: Duration = Duration::from_mins(10);

/// Opens a session in UTC and utf8mb4. `read_timeout`: the longest silence once it is open; until then a
/// server has the time of a connection.
pub(super) fn connect(address: &Address, read_timeout: Duration) -> Result<Conn> {
    tls::options_are_known(address)?;
    let mode = Mode::of(address)?;
    let ssl =
        if mode == Mode::Disabled || address.is_socket() { None } else { Some(tls::options(address, mode)?) };
    let wanted = ssl.is_some();
    let mut opened = tls::guarded(address, mode, || Conn::new(options(address, ssl)))?;
    if wanted
        && mode == Mode::Preferred
        && matches!(opened, Err(mysql::Error::DriverError(DriverError::TlsNotSupported)))
    {
        opened = Conn::new(options(address, None));
    }
    let conn = opened.map_err(|error| explain(address, error))?;
    be_patient(&conn, read_timeout).map_err(|cause| unreachable_server(address).cause(cause))?;
    Ok(conn)
}

/// What our statements rely on, whatever the server's defaults are: how text is written and read, and that no
/// limit ends a long read.
fn session_settings(dialect: Dialect) -> Vec<String> {
    let limits = match dialect {
        Dialect::Mariadb => {
            "max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0"
        }
        _ => "max_execution_time = 0, information_schema_stats_expiry = 0, cte_max_recursion_depth = 1000",
    };
    vec![
        "SET NAMES utf8mb4".to_owned(),
        "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
         autocommit = 1"
            .to_owned(),
        "SET SESSION sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_safe_updates = 0"
            .to_owned(),
        format!(
            "SET SESSION wait_timeout = {SERVER_WAIT_SECONDS}, net_write_timeout = \
            {SERVER_WAIT_SECONDS}, net_read_timeout = 600"
        ),
        format!("SET SESSION {limits}"),
    ]
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
        .init(session_settings(address.dialect));
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
        return Error::link(format!("{product} at \"{address}\" does not answer")).hint(format!(
            "check that it is {product} that listens there, and that the network between lets answers through"
        ));
    }
    match error {
        mysql::Error::MySqlError(server) => explain_server(address, &server),
        mysql::Error::IoError(cause) => unreachable_server(address).cause(cause),
        mysql::Error::DriverError(
            cause @ (DriverError::CouldNotConnect(_) | DriverError::ConnectTimeout),
        ) => unreachable_server(address).cause(cause),
        mysql::Error::DriverError(DriverError::UnknownAuthPlugin(plugin)) => refused_plugin(address, &plugin),
        mysql::Error::DriverError(DriverError::TlsNotSupported) => Error::stop(format!(
            "{product} at \"{address}\" offers no TLS"
        ))
        .hint("set ssl-ca, ssl-cert and ssl-key on the server, or write ?ssl-mode=preferred in the URL"),
        other => Error::link(format!("the connection to {product} at \"{address}\" broke"))
            .cause(other.to_string()),
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

pub(super) fn tls_failure(error: &mysql::Error) -> Option<&rustls::Error> {
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
    Error::link(format!("{product} at \"{address}\" cannot be reached")).hint(format!(
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
    Error::stop(format!(
        "{product} does not know user {user:?}, or asks it for the plugin {plugin:?}, and \
        list_sync knows {known}"
    ))
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
        return Error::stop("the server's binary log no longer holds what comes next")
            .hint(format!("{PURGED}; next time keep the log longer: {}", keep_longer(address.dialect)))
            .cause(said);
    }
    if says(&["impossible position", "position > file size"]) {
        return Error::stop(
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
    Error::stop("the server cannot send its binary log").hint(hint).cause(said)
}

/// Errors by the server's number: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>
fn explain_server(address: &Address, server: &mysql::MySqlError) -> Error {
    let user = &address.user;
    let said = format!("{} says: {}", address.dialect.product(), server.message);
    // MySQL says it under the number of all that ends its log, MariaDB under one of its own.
    if server.message.contains("same server_uuid/server_id") {
        return Error::stop("another reader has the same server id")
            .hint("give each [[source]] its own name or server_id")
            .cause(said);
    }
    match server.code {
        1045 | 1698 => Error::stop(format!(
            "{} refuses the password of user {user:?}",
            address.dialect.product()
        ))
        .hint(format!(
            "check the URL or password_file; to set it: ALTER USER '{user}'@'%' IDENTIFIED BY '…'; SHOW \
                 CREATE USER '{user}'@'%' tells whether \
                 it must come with TLS or a certificate (ssl-cert, ssl-key)"
        ))
        .cause(said),
        1049 => Error::stop(format!("database {:?} does not exist", address.database))
            .hint(format!("CREATE DATABASE `{}`, or name another one in the URL", address.database)),
        1044 | 1142 | 1143 | 1227 => Error::stop(format!("user {user:?} lacks a privilege"))
            .hint(privileges(address, &format!("{}@'%'", quote(user))))
            .cause(said),
        1146 => Error::stop("a table does not exist").cause(said),
        LOG_REFUSED => explain_log(address, &server.message, said),
        // The password has expired; the account is locked.
        1820 | 1862 => Error::stop(format!("the password of user {user:?} has expired"))
            .hint(format!("ALTER USER '{user}'@'%' IDENTIFIED BY '…' PASSWORD EXPIRE NEVER"))
            .cause(said),
        3118 | 4151 => Error::stop(format!("the account of user {user:?} is locked"))
            .hint(format!("ALTER USER '{user}'@'%' ACCOUNT UNLOCK"))
            .cause(said),
        1129 | 1130 => Error::stop(format!("{} lets nobody in from this host", address.dialect.product()))
            .hint(if server.code == 1129 {
                "FLUSH HOSTS (MySQL 8.4 and later: TRUNCATE performance_schema.host_cache)".to_owned()
            } else {
                format!("create the user for this host: CREATE USER '{user}'@'%' IDENTIFIED BY '…'")
            })
            .cause(said),
        // Too many connections, shutdown, killed, lock wait, deadlock, lost packets.
        1040 | 1053 | 1077 | 1152..=1161 | 1203 | 1205 | 1213 | 1317 | 3169 | 4031 => {
            Error::link("the server ended the connection").cause(said)
        }
        _ => Error::stop(format!("{} refuses a statement", address.dialect.product())).cause(said),
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
        mysql::Value::Bytes(bytes) => Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ),
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
    use std::io::{Read as _, Write as _};
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
        assert!(
            error.kind() == crate::error::ErrorKind::Link && error.to_string().contains("does not answer"),
            "{error}"
        );
    }

    /// What a client answers to a server that asks for a plugin of MariaDB's with these packets, one after
    /// the other. The server then refuses it.
    fn answers_to(asked: &'static [&'static [u8]]) -> Vec<usize> {
        const ABILITIES: [u8; 4] = 0x0008_8208_u32.to_le_bytes();
        let packet =
            |number: u8, body: &[u8]| [&(body.len() as u32).to_le_bytes()[..3], &[number], body].concat();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("mariadb://x:secret@{}/db?ssl-mode=disabled", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut reader = socket.try_clone().unwrap();
            let mut read = || {
                let mut head = [0; 4];
                reader.read_exact(&mut head).unwrap();
                let mut body = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
                reader.read_exact(&mut body).unwrap();
                body.len()
            };
            let greeting = [
                &b"\x0a5.5.5-11.8.3-MariaDB\0\x01\0\0\0saltsalt\0"[..],
                &ABILITIES[..2],
                &[45, 2, 0],
                &ABILITIES[2..],
                &[21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                b"saltsaltsalt\0mysql_native_password\0",
            ];
            socket.write_all(&packet(0, &greeting.concat())).unwrap();
            read();
            let mut number = 2;
            let mut answers = Vec::new();
            for body in asked {
                socket.write_all(&packet(number, body)).unwrap();
                answers.push(read());
                number += 2;
            }
            socket.write_all(&packet(number, b"\xff\x15\x04#28000Access denied")).unwrap();
            answers
        });
        let error = connect(&Address::parse(&url).unwrap(), SQL_TIMEOUT).unwrap_err();
        assert!(error.to_string().contains("refuses the password"), "{error}");
        server.join().unwrap()
    }

    /// The answer is a signature, and no panic.
    #[test]
    fn a_server_may_ask_for_a_signature() {
        assert_eq!(answers_to(&[b"\xfeclient_ed25519\0nonce_of_thirty_two_bytes_______"]), [64]);
        // An empty packet asks for the salt; the signature follows the client's own nonce.
        assert_eq!(
            answers_to(&[b"\xfeparsec\0nonce_of_thirty_two_bytes_______", b"\x01P\x00salt_of_18_bytes__"]),
            [0, 96]
        );
    }
}
