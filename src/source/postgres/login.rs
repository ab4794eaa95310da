//! Connecting and logging in (protocol page "Start-up"): TLS as `sslmode` asks, then password, MD5 or SCRAM.

use std::io;
use std::time::Duration;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

use super::super::Address;
use super::super::socket::{Socket, Stream, Wait};
use super::connection::{Connection, Purpose};
use super::failure::link;
use super::message::{Fields, Malformed};
use super::tls::{self, Mode};
use crate::{Code, Error, Result};

/// How long each step of the log-in may take.
pub(super) const TIME_OUT: Duration = Duration::from_secs(15);
/// The URL's options that are understood.
const OPTIONS: [&str; 7] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "application_name",
    super::notice::PASS,
];
/// Everything that a session's answers depend on and that a server, database or role may have set otherwise:
/// the printed form of values, names and types, what a statement may wait for, and whether rows are hidden. A
/// blank in a value is written `\ `.
const SESSION: [&str; 19] = [
    "datestyle=ISO",
    "intervalstyle=postgres",
    "timezone=UTC",
    "extra_float_digits=1",
    "bytea_output=hex",
    "lc_monetary=C",
    "quote_all_identifiers=off",
    "search_path=public",
    "client_min_messages=notice",
    "statement_timeout=0",
    "lock_timeout=0",
    "idle_in_transaction_session_timeout=0",
    "default_transaction_isolation=read\\ committed",
    "default_transaction_read_only=off",
    "default_transaction_deferrable=off",
    // A policy that hides rows makes a scan fail, instead of shortening it.
    "row_security=off",
    // Half of it without a word from us, and the server hangs up; 0, and a client that is gone keeps its
    // slot.
    "wal_sender_timeout=60s",
    "tcp_keepalives_idle=60",
    "standard_conforming_strings=on",
];
/// The same for settings that older servers do not know: an unknown one would end the log-in.
const SESSION_SINCE: [(u32, &str); 3] = [
    (14, "idle_session_timeout = 0"),
    (14, "client_connection_check_interval = '10s'"),
    (17, "transaction_timeout = 0"),
];
const SSL_REQUEST: u32 = 80_877_103;
const PROTOCOL_3_0: u32 = 0x0003_0000;

/// Connects, with TLS where `sslmode` wants it and the server can.
pub(super) fn connect(address: &Address) -> Result<Stream> {
    if let Some(unknown) = address.options.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
        return Err(Error::usage(
            Code::UrlInvalid,
            format!("unknown option {unknown:?} in the PostgreSQL URL"),
        )
        .hint(format!("known are {}", OPTIONS.join(", "))));
    }
    let mode = Mode::of(address)?;
    let time_out = match address.options.get("connect_timeout").map(|text| text.parse::<u64>()) {
        None | Some(Ok(0)) => TIME_OUT,
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        Some(Err(cause)) => {
            return Err(Error::usage(Code::UrlInvalid, "connect_timeout is a number of seconds").cause(cause));
        }
    };
    let open =
        || Socket::connect(address, time_out).map_err(|cause| link("cannot connect to", address, cause));
    let mut socket = open()?;
    if mode == Mode::Disable {
        return Ok(Stream::Plain(socket));
    }
    if !ask_for_tls(&mut socket, time_out).map_err(|cause| link("cannot connect to", address, cause))? {
        if mode == Mode::Prefer {
            return Ok(Stream::Plain(socket));
        }
        return Err(Error::stop(
            Code::TlsNotOffered,
            format!("the server {}:{} offers no TLS", address.host, address.port),
        )
        .hint("ALTER SYSTEM SET ssl = on (with ssl_cert_file and ssl_key_file), or write sslmode=prefer"));
    }
    match shake_hands(socket, address, mode, time_out)? {
        Ok(stream) => Ok(stream),
        Err(_) if mode == Mode::Prefer => Ok(Stream::Plain(open()?)),
        Err(cause) => Err(link("TLS fails with", address, cause)),
    }
}

fn ask_for_tls(socket: &mut Socket, time_out: Duration) -> io::Result<bool> {
    socket.write_all(&[8_u32.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat())?;
    // Exactly one byte may come: more would be someone else's words before the encryption (CVE-2021-23222).
    let mut answer = [0; 2];
    match (socket.read(&mut answer, Wait::For(time_out))?, answer[0]) {
        (Some(1), b'S') => Ok(true),
        (Some(1), b'N') => Ok(false),
        (None, _) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to the question for TLS")),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the other side does not speak PostgreSQL's protocol",
        )),
    }
}

fn shake_hands(
    socket: Socket,
    address: &Address,
    mode: Mode,
    time_out: Duration,
) -> Result<io::Result<Stream>> {
    Ok(Stream::encrypted(socket, tls::client(address, mode)?, time_out))
}

/// Sends the start-up message, proves who we are, and reads on until the server is ready.
pub(super) fn log_in(connection: &mut Connection, address: &Address, purpose: Purpose) -> Result<()> {
    let name = address.options.get("application_name").map_or("list_sync", String::as_str);
    let session = SESSION.map(|setting| format!("-c {setting}")).join(" ");
    let mut parameters = vec![
        ("user", address.user.as_str()),
        ("database", address.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", name),
        ("options", session.as_str()),
    ];
    if purpose == Purpose::Replication {
        parameters.push(("replication", "database"));
    }
    let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        body.extend(text.bytes().filter(|&byte| byte != 0));
        body.push(0);
    }
    body.push(0);
    connection.send(None, &body)?;
    let mut scram = None;
    loop {
        let (tag, body) = connection.receive()?;
        match tag {
            b'R' => {
                let request = connection.body(body).to_vec();
                if let Some(answer) = answer(&request, address, &mut scram)? {
                    connection.send(Some(b'p'), &answer)?;
                }
            }
            b'S' => {
                let mut fields = Fields(connection.body(body));
                if let ("server_version", version) = (fields.text()?, fields.text()?) {
                    let digits =
                        version.split(|digit: char| !digit.is_ascii_digit()).next().unwrap_or_default();
                    connection.version = digits.parse().map_err(|_| Malformed)?;
                }
            }
            b'E' => return Err(connection.server_error(body).context(format!("cannot log in to {address}"))),
            b'Z' => return set_newer(connection),
            b'K' | b'N' => {}
            b'v' => {
                return Err(Error::stop(
                    Code::ProtocolUnknown,
                    "the server does not speak version 3 of PostgreSQL's protocol",
                ));
            }
            _ => return Err(Malformed.into()),
        }
    }
}

fn set_newer(connection: &mut Connection) -> Result<()> {
    let version = connection.version;
    let known = SESSION_SINCE.iter().filter(|(since, _)| *since <= version);
    let settings: Vec<_> = known.map(|(_, setting)| format!("SET {setting}")).collect();
    if settings.is_empty() { Ok(()) } else { connection.execute(&settings.join("; ")).map(|_| ()) }
}

/// The answer to one authentication request (protocol page "Message Formats", `Authentication…`).
fn answer(request: &[u8], address: &Address, scram: &mut Option<ScramSha256>) -> Result<Option<Vec<u8>>> {
    let mut fields = Fields(request);
    let password = address.password.reveal();
    let failed = |cause: io::Error| {
        Error::stop(Code::LoginRefused, "the log-in by SCRAM fails").cause(cause).hint("check the password")
    };
    let method = fields.u32()?;
    if matches!(method, 3 | 5 | 10) && password.is_empty() {
        return Err(Error::stop(
            Code::PasswordMissing,
            format!("the server asks for the password of role {:?}, and none is set", address.user),
        )
        .hint("set `password_file`, or write the password into the URL as ${ENV}"));
    }
    match method {
        0 => Ok(None),
        3 => Ok(Some([password.as_bytes(), &[0]].concat())),
        5 => {
            let salt = fields.u32()?.to_be_bytes();
            Ok(Some([md5_hash(address.user.as_bytes(), password.as_bytes(), salt).as_bytes(), &[0]].concat()))
        }
        10 => {
            let mut offered = false;
            while let Ok(mechanism) = fields.text() {
                offered |= mechanism == SCRAM_SHA_256;
            }
            if !offered {
                return Err(Error::stop(Code::LoginUnsupported, "the server offers no log-in that is understood")
                    .hint("use password_encryption = 'scram-sha-256'"));
            }
            let exchange = scram.insert(ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported()));
            let first = exchange.message();
            let length = (first.len() as u32).to_be_bytes();
            Ok(Some([SCRAM_SHA_256.as_bytes(), &[0], &length, first].concat()))
        }
        11 => {
            let exchange = scram.as_mut().ok_or(Malformed)?;
            exchange.update(fields.0).map_err(failed)?;
            Ok(Some(exchange.message().to_vec()))
        }
        12 => {
            scram.as_mut().ok_or(Malformed)?.finish(fields.0).map_err(failed)?;
            Ok(None)
        }
        other => Err(Error::stop(Code::LoginUnsupported, format!(
            "the server asks for a log-in that is not supported (method {other}: Kerberos, GSSAPI or SSPI)"
        ))
        .hint("use scram-sha-256 in pg_hba.conf")),
    }
}
