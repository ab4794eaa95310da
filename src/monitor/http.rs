//! An HTTP/1.1 server on hyper: one thread carries all connections, a few more run the routes. Everything a
//! client may send, hold or delay has a limit. Knows no page.
//!
//! A route may block (it reads counters behind locks), so it never runs on the thread of the connections. The
//! runtime stays inside this file: docs/decisions/0009-a-runtime-for-the-monitor.md.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::{Code, Error, Result, threads};

/// Bytes of a request's head. No less: it is the smallest buffer that hyper takes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;
/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// After a failure to take a connection, such as too many open files. And how long the rest of what a client
/// sends is read once its last answer is out.
const PAUSE: Duration = Duration::from_millis(100);
/// Written by hand: hyper closes a connection whose head is too slow without an answer.
const TOO_SLOW: &str = "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\n\
                        Content-Length: 26\r\nConnection: close\r\n\r\nthe request took too long\n";

/// What a client may hold, and for how long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    connections: usize,
    /// Routes that run at once; more wait, at most one a connection.
    routes: usize,
    /// For a request's head, from the connection or from the answer before it; then the same for its body.
    request_time: Duration,
    /// For a connection, with all its requests. After it the answer under way is the last one.
    connection_time: Duration,
    /// For that last answer.
    answer_time: Duration,
}

const LIMITS: Limits = Limits {
    connections: 32,
    routes: 4,
    request_time: Duration::from_secs(5),
    connection_time: Duration::from_secs(30),
    answer_time: Duration::from_secs(5),
};

/// A request with all of its body.
pub type Request = hyper::Request<Bytes>;

/// What is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Of the body.
    pub media_type: &'static str,
    /// All of it; not sent to HEAD.
    pub body: Vec<u8>,
    /// The methods that the path has, for status 405.
    pub allow: Option<&'static str>,
}

impl Answer {
    /// A body of this media type.
    pub fn new(status: u16, media_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, media_type, body: body.into(), allow: None }
    }

    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }
}

/// Answers a request. May block.
pub type Route = dyn Fn(&Request) -> Answer + Send + Sync;

/// Listens until it is dropped.
pub struct Server {
    /// Where; with the port that the kernel chose if 0 was asked for.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to listen at `host:port`.
    pub fn start(listen: &str, route: &Arc<Route>) -> Result<Self> {
        Self::start_within(listen, route, LIMITS)
    }

    fn start_within(listen: &str, route: &Arc<Route>, limits: Limits) -> Result<Self> {
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
            Error::stop(Code::PortUnavailable, format!("the monitor cannot listen on {listen:?}"))
                .cause(cause)
                .hint(hint)
        };
        let listener = TcpListener::bind(listen).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let runtime = runtime(limits.routes).map_err(fail)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(fail)?
        };
        runtime.spawn(accept(listener, Arc::clone(route), limits));
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let work = move || {
            // The error is that the server was dropped.
            let _ = runtime.block_on(stopped);
            // Drops all connections; a route that still runs is not waited for.
            runtime.shutdown_background();
        };
        let thread = threads::spawn("monitor", work).map_err(fail)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

/// Nothing listens any more when this returns. Nothing on that thread blocks, so it is not waited for long.
impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All of it on the thread that drives it, but for the routes. Their threads are started by that thread, so
/// they have signals blocked as it has (src/threads.rs).
fn runtime(routes: usize) -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_io().enable_time().max_blocking_threads(routes).thread_name("monitor-route").build()
}

async fn accept(listener: tokio::net::TcpListener, route: Arc<Route>, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let exchange = Exchange {
                    route: Arc::clone(&route),
                    places: Arc::clone(&places),
                    request_time: limits.request_time,
                    has_begun: Cell::new(false),
                };
                tokio::spawn(async move {
                    // A client that goes away is its own business.
                    if let Err(cause) = serve(stream, exchange, limits).await {
                        tracing::debug!("monitor: {cause}");
                    }
                    drop(place);
                });
            }
            Err(cause) => {
                tracing::debug!("monitor: {cause}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, exchange: Exchange, limits: Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_time)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .title_case_headers(true)
        // A client may say that it sends no more, and wait for its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), exchange);
    let mut ended = timeout(limits.connection_time, poll_fn(|cx| connection.poll_without_shutdown(cx))).await;
    if ended.is_err() {
        Pin::new(&mut connection).graceful_shutdown();
        ended = timeout(limits.answer_time, poll_fn(|cx| connection.poll_without_shutdown(cx))).await;
    }
    let ended = ended?;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let is_idle = parts.service.has_begun.get() && parts.read_buf.is_empty();
    match ended {
        Err(cause) if cause.is_timeout() && !is_idle => stream.write_all(TOO_SLOW.as_bytes()).await?,
        Err(cause) => tracing::debug!("monitor: {cause}"),
        Ok(()) => {}
    }
    close(stream).await
}

/// Closes from our side first. What the client still sends is read, or else the kernel would take the answer
/// back from it.
async fn close(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    let read = async {
        for _ in 0..BODY_BYTES_MAX / rest.len() {
            if !matches!(stream.read(&mut rest).await, Ok(1..)) {
                break;
            }
        }
    };
    // Whoever sends more, or nothing and stays, has had its time.
    let _ = timeout(PAUSE, read).await;
    Ok(())
}

/// What each request of a connection gets.
struct Exchange {
    route: Arc<Route>,
    places: Arc<Semaphore>,
    request_time: Duration,
    /// Whether a whole head has come.
    has_begun: Cell<bool>,
}

impl Service<hyper::Request<Incoming>> for Exchange {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        self.has_begun.set(true);
        let (route, places, time) = (Arc::clone(&self.route), Arc::clone(&self.places), self.request_time);
        Box::pin(async move {
            let answer = match whole(request, time).await {
                Ok(request) => {
                    tokio::task::spawn_blocking(move || route(&request)).await.unwrap_or_else(|cause| {
                        tracing::error!("a page of the monitor failed: {cause}");
                        Answer::text(500, "this page failed; the log says why\n")
                    })
                }
                Err(answer) => answer,
            };
            // Connections that are kept must not keep others out: one place is left, for whoever comes next.
            Ok(response(answer, places.available_permits() == 0))
        })
    }
}

/// Reads a request's body; the answer if it is too much, or takes too long.
async fn whole<B>(request: hyper::Request<B>, time: Duration) -> std::result::Result<Request, Answer>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    match timeout(time, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(Request::from_parts(head, body.to_bytes())),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            Err(Answer::text(413, format!("the request's body has more than {BODY_BYTES_MAX} bytes\n")))
        }
        Ok(Err(cause)) => Err(Answer::text(400, format!("the request's body cannot be read: {cause}\n"))),
        Err(_) => Err(Answer::text(408, "the request took too long\n")),
    }
}

fn response(answer: Answer, is_last: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(methods) = answer.allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests;
