//! The byte stream to the server: TCP with keep-alive, Unix socket, or TLS over TCP. Knows no message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{RecvFlags, sockopt};
use rustls::{ClientConnection, StreamOwned};

use super::{Address, Dialect};

/// Silence on a TCP connection after which the kernel asks whether the other side is there.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);
/// Pause between such questions; after three without an answer the connection is dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The longest that a write waits for room in the kernel's buffer.
const WRITE_TIME_OUT: Duration = Duration::from_mins(1);

/// How long a read may wait for the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Not at all.
    Now,
    /// Up to so long.
    For(Duration),
}

/// A connected socket without encryption.
#[derive(Debug)]
pub(super) struct Socket {
    kind: SocketKind,
    /// What the kernel was last told, to spare the call.
    time_out: Option<Duration>,
}

#[derive(Debug)]
enum SocketKind {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub fn connect(address: &Address, time_out: Duration) -> io::Result<Self> {
        let kind = if address.is_socket() {
            let stream = UnixStream::connect(match address.dialect {
                Dialect::Postgres => format!("{}/.s.PGSQL.{}", address.host, address.port),
                Dialect::Mysql | Dialect::Mariadb => address.host.clone(),
            })?;
            stream.set_write_timeout(Some(WRITE_TIME_OUT))?;
            SocketKind::Unix(stream)
        } else {
            SocketKind::Tcp(connect_tcp(address, time_out)?)
        };
        Ok(Self { kind, time_out: None })
    }

    /// Reads what is there; `None` if nothing came in time, 0 at the end of the stream.
    pub fn read(&mut self, room: &mut [u8], wait: Wait) -> io::Result<Option<usize>> {
        let answer = match (&mut self.kind, wait) {
            (SocketKind::Tcp(stream), Wait::Now) => rustix::net::recv(stream, room, RecvFlags::DONTWAIT)
                .map(|(_, count)| count)
                .map_err(Into::into),
            (SocketKind::Unix(stream), Wait::Now) => rustix::net::recv(stream, room, RecvFlags::DONTWAIT)
                .map(|(_, count)| count)
                .map_err(Into::into),
            (kind, Wait::For(time_out)) => {
                let time_out = Some(time_out.max(Duration::from_millis(1)));
                if self.time_out != time_out {
                    match kind {
                        SocketKind::Tcp(stream) => stream.set_read_timeout(time_out)?,
                        SocketKind::Unix(stream) => stream.set_read_timeout(time_out)?,
                    }
                    self.time_out = time_out;
                }
                match kind {
                    SocketKind::Tcp(stream) => stream.read(room),
                    SocketKind::Unix(stream) => stream.read(room),
                }
            }
        };
        nothing_is_none(answer)
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.kind {
            SocketKind::Tcp(stream) => stream.write_all(bytes),
            SocketKind::Unix(stream) => stream.write_all(bytes),
        }
    }
}

fn connect_tcp(address: &Address, time_out: Duration) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host name has no address");
    for target in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&target, time_out) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(WRITE_TIME_OUT))?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE_IDLE)?;
                sockopt::set_tcp_keepintvl(&stream, KEEP_ALIVE_INTERVAL)?;
                sockopt::set_tcp_keepcnt(&stream, 3)?;
                return Ok(stream);
            }
            Err(cause) => failure = cause,
        }
    }
    Err(failure)
}

/// A signal and a time-out are no failures of a read.
fn nothing_is_none(answer: io::Result<usize>) -> io::Result<Option<usize>> {
    match answer {
        Ok(count) => Ok(Some(count)),
        Err(cause)
            if matches!(
                cause.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ) =>
        {
            Ok(None)
        }
        Err(cause) => Err(cause),
    }
}

/// A socket as the TLS library sees it. It reads in large pieces, where the library itself would ask the
/// kernel for a few kilobytes at a time.
#[derive(Debug)]
pub(super) struct Buffered {
    socket: Socket,
    wait: Wait,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffered {
    const BYTES: usize = 256 * 1024;

    fn new(socket: Socket, wait: Wait) -> Self {
        Self { socket, wait, bytes: vec![0; Self::BYTES], start: 0, end: 0 }
    }
}

impl Read for Buffered {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.end = self.socket.read(&mut self.bytes, self.wait)?.ok_or(ErrorKind::WouldBlock)?;
        }
        let count = room.len().min(self.end - self.start);
        room[..count].copy_from_slice(&self.bytes[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The stream that messages travel on.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Buffered>>),
}

impl Stream {
    /// Shakes hands over a socket. Each read may wait for `time_out`.
    pub fn encrypted(socket: Socket, mut client: ClientConnection, time_out: Duration) -> io::Result<Self> {
        let mut socket = Buffered::new(socket, Wait::For(time_out));
        while client.is_handshaking() {
            client.complete_io(&mut socket)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(client, socket))))
    }

    /// As [`Socket::read`].
    pub fn read(&mut self, room: &mut [u8], wait: Wait) -> io::Result<Option<usize>> {
        let stream = match self {
            Self::Plain(socket) => return socket.read(room, wait),
            Self::Tls(stream) => stream,
        };
        stream.sock.wait = wait;
        let mut count = 0;
        loop {
            match nothing_is_none(stream.read(&mut room[count..]))? {
                None => return Ok((count > 0).then_some(count)),
                Some(0) => return Ok(Some(count)),
                Some(more) => count += more,
            }
            if count == room.len() || stream.sock.start == stream.sock.end {
                return Ok(Some(count));
            }
            stream.sock.wait = Wait::Now;
        }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => {
                // A write of the library may have to read first.
                stream.sock.wait = Wait::For(WRITE_TIME_OUT);
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether nobody on the network can read along.
    pub fn is_private(&self) -> bool {
        !matches!(self, Self::Plain(Socket { kind: SocketKind::Tcp(_), .. }))
    }
}
