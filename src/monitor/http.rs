//! A small HTTP/1.1 server for GET: a fixed number of threads, each with one connection at a time, and a
//! limit for everything a client may send. Knows no page.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result, threads};

/// Connections at once; more wait in the kernel's queue.
const THREADS: usize = 4;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;
/// From the connection to the end of the request's head.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// For each step of sending the answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// After a failure to take a connection, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Of the body.
    pub media_type: &'static str,
    /// All of it.
    pub body: Vec<u8>,
}

impl Answer {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, media_type: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }
}

/// Answers a path, without its query.
pub type Route = dyn Fn(&str) -> Answer + Send + Sync;

/// Listens until it is dropped.
pub struct Server {
    /// Where; with the port that the kernel chose if 0 was asked for.
    pub address: SocketAddr,
    stopping: Arc<AtomicBool>,
}

impl Server {
    /// Begins to listen at `host:port`.
    pub fn start(listen: &str, route: &Arc<Route>) -> Result<Self> {
        let fail = |cause: io::Error| {
            let hint = match cause.kind() {
                io::ErrorKind::AddrInUse => {
                    "another process listens there: stop it, or choose another [monitor] listen"
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 are for root: choose a higher one in [monitor] listen"
                }
                _ => "choose an address of this machine in [monitor] listen",
            };
            Error::stop(format!("the monitor cannot listen on {listen:?}")).cause(cause).hint(hint)
        };
        let listener = TcpListener::bind(listen).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let stopping = Arc::new(AtomicBool::new(false));
        for number in 1..=THREADS {
            let (listener, route, stopping) =
                (listener.try_clone().map_err(fail)?, Arc::clone(route), Arc::clone(&stopping));
            let work = move || accept(&listener, &*route, &stopping);
            threads::spawn(format!("monitor-{number}"), work).map_err(fail)?;
        }
        Ok(Self { address, stopping })
    }
}

/// The threads are not waited for: one may be serving a slow client.
impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let address = reachable(self.address);
        // Each connection wakes one thread.
        for _ in 0..THREADS {
            let _ = TcpStream::connect_timeout(&address, PAUSE);
        }
    }
}

/// Where to connect to reach who listens at `address`: what listens everywhere is reached here.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

fn accept(listener: &TcpListener, route: &Route, stopping: &AtomicBool) {
    while !stopping.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) if !stopping.load(Ordering::SeqCst) => {
                // A client that goes away is its own business.
                if let Err(cause) = serve(stream, route) {
                    tracing::debug!("monitor: {cause}");
                }
            }
            Ok(_) => {}
            Err(cause) => {
                tracing::debug!("monitor: {cause}");
                thread::sleep(PAUSE);
            }
        }
    }
}

fn serve(mut stream: TcpStream, route: &Route) -> io::Result<()> {
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    let (answer, head_only) = match read_request(&mut stream)? {
        Ok(request) if matches!(request.method.as_str(), "GET" | "HEAD") => {
            (route(&request.path), request.method == "HEAD")
        }
        Ok(_) => (Answer::text(405, "only GET and HEAD\n"), false),
        Err(answer) => (answer, false),
    };
    stream.write_all(head(&answer).as_bytes())?;
    if !head_only {
        stream.write_all(&answer.body)?;
    }
    // Closed from our side first; what the client still sends is read, or else the kernel would take the
    // answer back from it.
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(PAUSE))?;
    let mut rest = [0; 1024];
    for _ in 0..HEAD_BYTES_MAX / rest.len() {
        if !matches!(stream.read(&mut rest), Ok(1..)) {
            break;
        }
    }
    Ok(())
}

fn head(answer: &Answer) -> String {
    let reason = match answer.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let allow = if answer.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let (status, media_type, length) = (answer.status, answer.media_type, answer.body.len());
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n{allow}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
}

struct Request {
    method: String,
    path: String,
}

/// Reads the head of a request; the answer to one that is none.
fn read_request(stream: &mut TcpStream) -> io::Result<std::result::Result<Request, Answer>> {
    let (began, mut head) = (Instant::now(), Vec::new());
    loop {
        let left = REQUEST_TIME.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(Err(Answer::text(408, "the request took too long\n")));
        }
        stream.set_read_timeout(Some(left))?;
        let mut part = [0; 1024];
        match stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => head.extend_from_slice(&part[..count]),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        }
        match parse(&head) {
            Ok(Some(request)) => return Ok(Ok(request)),
            Ok(None) if head.len() < HEAD_BYTES_MAX => {}
            Ok(None) => return Ok(Err(Answer::text(431, "the request's head is too long\n"))),
            Err(answer) => return Ok(Err(answer)),
        }
    }
}

/// `None`: more is to come.
fn parse(head: &[u8]) -> std::result::Result<Option<Request>, Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Answer::text(431, "too many headers\n")),
        Err(cause) => return Err(Answer::text(400, format!("this is no HTTP request: {cause}\n"))),
    }
    let path = request.path.unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Ok(Some(Request { method: request.method.unwrap_or_default().to_owned(), path: path.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Route, Server};
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::sync::Arc;

    fn server() -> Server {
        let route: Arc<Route> = Arc::new(|path: &str| Answer::text(200, format!("you asked for {path}")));
        Server::start("127.0.0.1:0", &route).unwrap()
    }

    fn ask(server: &Server, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(server.address).unwrap();
        // A server that has heard enough may close before all is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn each_request_has_its_answer() {
        let server = server();
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        for (request, status) in [
            ("GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "200 OK"),
            ("HEAD / HTTP/1.0\r\n\r\n", "200 OK"),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
            ("\u{0}\u{1}\u{2}\r\n\r\n", "400 Bad Request"),
            ("GET\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/9.9\r\n\r\n", "400 Bad Request"),
            (&long, "431 Request Header Fields Too Large"),
            (&many, "431 Request Header Fields Too Large"),
        ] {
            let answer = ask(&server, request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:.40}: {answer}");
        }
        assert!(
            ask(&server, b"GET /metrics?x=1 HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nyou asked for /metrics")
        );
        assert!(ask(&server, b"HEAD /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
    }

    /// Clients that say nothing or go away in the middle take no thread for good.
    #[test]
    fn bad_clients_pass_by() {
        let server = server();
        let silent: Vec<_> =
            (0..super::THREADS).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        for stream in &silent {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        let mut broken = TcpStream::connect(server.address).unwrap();
        broken.write_all(b"GET /").unwrap();
        drop(broken);
        assert!(ask(&server, b"GET /still HTTP/1.1\r\n\r\n").ends_with("/still"));
    }

    #[test]
    fn an_address_in_use_is_said() {
        let server = server();
        let route: Arc<Route> = Arc::new(|_: &str| Answer::text(200, ""));
        let error = Server::start(&server.address.to_string(), &route).err().unwrap();
        assert!(
            error.to_string().contains("cannot listen on")
                && error.hint_text().unwrap().contains("another process")
        );
    }

    #[test]
    fn a_dropped_server_listens_no_more() {
        let server = server();
        let address = server.address;
        drop(server);
        let gone = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            TcpStream::connect(address).is_err()
        });
        assert!(gone);
    }
}
