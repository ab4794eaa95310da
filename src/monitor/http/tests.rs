//! The server as clients see it: ordinary ones, and those that are slow, broken or many.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Answer, BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, LIMITS, Limits, Request, Route, Server};

/// Short enough for a test to see the end of each time.
const SHORT: Limits = Limits {
    connections: 4,
    routes: 2,
    request_time: Duration::from_millis(400),
    connection_time: Duration::from_secs(1),
    answer_time: Duration::from_millis(200),
};
/// For what comes at once if it comes at all.
const SOON: Duration = Duration::from_secs(20);

fn page(request: &Request) -> Answer {
    match request.uri().path() {
        "/echo" => Answer::new(200, "application/octet-stream", request.body().to_vec()),
        "/large" => Answer::new(200, "application/octet-stream", vec![b'x'; 32 * 1024 * 1024]),
        "/missing" => Answer::text(404, "there is no such page\n"),
        "/panic" => panic!("the page of this test"),
        "/refused" => Answer { allow: Some("GET, HEAD"), ..Answer::text(405, "only GET and HEAD\n") },
        path => Answer::text(200, format!("{} {path}", request.method())),
    }
}

fn server(limits: Limits) -> Server {
    let route: Arc<Route> = Arc::new(page);
    Server::start_within("127.0.0.1:0", &route, limits).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// All that comes back for these bytes, when the client sends no more.
fn ask(server: &Server, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(server);
    stream.write_all(request.as_ref()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    rest(&mut stream)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// A client that keeps its connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(server: &Server) -> Self {
        Self(BufReader::new(connect(server)))
    }

    fn send(&mut self, request: &str) {
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// Head and body of the next answer.
    fn answer(&mut self) -> (String, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "the connection ended: {head:?}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    #[track_caller]
    fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let (head, body) = self.answer();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        body
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

#[test]
fn each_request_has_its_answer() {
    let server = server(LIMITS);
    let head_of = |bytes: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(bytes - 23));
    let with_headers = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    let post =
        |bytes: usize| format!("POST /echo HTTP/1.1\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes));
    assert_eq!(head_of(HEAD_BYTES_MAX).len(), HEAD_BYTES_MAX);
    let path_of = |bytes: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(bytes));
    for (request, status) in [
        ("GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.0\r\n\r\n", "200 OK"),
        ("HEAD / HTTP/1.0\r\n\r\n", "200 OK"),
        ("\r\nGET / HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET http://h/metrics HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "200 OK"),
        ("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 OK"),
        ("GET /missing HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /refused HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
        ("\u{0}\u{1}\u{2}\r\n\r\n", "400 Bad Request"),
        ("GET\r\n\r\n", "400 Bad Request"),
        ("GET /\r\n\r\n", "400 Bad Request"),
        ("GET /a b HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400 Bad Request"),
        ("POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400 Bad Request"),
        ("POST /echo HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400 Bad Request"),
        ("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", "400 Bad Request"),
        ("POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", "400 Bad Request"),
        (&head_of(HEAD_BYTES_MAX), "200 OK"),
        (&head_of(HEAD_BYTES_MAX + 1), "431 Request Header Fields Too Large"),
        (&path_of(20_000), "431 Request Header Fields Too Large"),
        (&with_headers(HEADERS_MAX), "200 OK"),
        (&with_headers(HEADERS_MAX + 1), "431 Request Header Fields Too Large"),
        (&post(BODY_BYTES_MAX), "200 OK"),
        (&post(BODY_BYTES_MAX + 1), "413 Payload Too Large"),
    ] {
        let answer = ask(&server, request);
        let version = if request.contains(" HTTP/1.0\r\n") { "1.0" } else { "1.1" };
        assert!(answer.starts_with(&format!("HTTP/{version} {status}\r\n")), "{request:.60}: {answer:.200}");
    }
}

#[test]
fn an_answer_says_what_it_is() {
    let server = server(LIMITS);
    let answer = ask(&server, "GET /metrics?x=1 HTTP/1.1\r\n\r\n");
    for header in [
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: 12",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ] {
        assert!(answer.contains(&format!("\r\n{header}\r\n")), "{header} is not in {answer}");
    }
    assert!(answer.ends_with("\r\n\r\nGET /metrics"), "{answer}");
    let head = ask(&server, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 13\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let refused = ask(&server, "PUT /refused HTTP/1.1\r\n\r\n");
    assert!(
        refused.contains("\r\nAllow: GET, HEAD\r\n") && refused.ends_with("only GET and HEAD\n"),
        "{refused}"
    );
}

#[test]
fn a_body_arrives_whole() {
    let server = server(LIMITS);
    let mut client = Client::new(&server);
    let body = "0123456789abcdef".repeat(BODY_BYTES_MAX / 16);
    client.send(&format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()));
    for part in body.as_bytes().chunks(10_000) {
        client.0.get_mut().write_all(part).unwrap();
    }
    assert!(client.answer().1 == body);
    client.send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_eq!(client.answer().1, "abc");
    // One that asks before it sends.
    client.send("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let mut line = String::new();
    client.0.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    client.0.read_line(&mut line).unwrap();
    client.send("xyz");
    assert_eq!(client.answer().1, "xyz");
}

#[test]
fn a_connection_is_kept_and_closed_when_idle() {
    let server = server(SHORT);
    let mut client = Client::new(&server);
    client.send("GET /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer().1, "GET /1", "a body that nobody wants is skipped");
    for number in 2..10 {
        assert_eq!(client.get(&format!("/{number}")), format!("GET /{number}"));
    }
    let began = Instant::now();
    assert!(client.has_ended(), "without a byte: no request is under way");
    assert!(began.elapsed() >= SHORT.request_time / 2, "{:?}", began.elapsed());
}

#[test]
fn a_connection_is_not_kept_when_the_client_says_so() {
    let server = server(LIMITS);
    for request in ["GET /a HTTP/1.0\r\n\r\n", "GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(request.as_bytes()).unwrap();
        let began = Instant::now();
        assert!(rest(&mut stream).ends_with("GET /a"));
        assert!(began.elapsed() < LIMITS.request_time);
    }
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let server = server(LIMITS);
    let requests: Vec<_> = (0..50).map(|number| format!("GET /{number} HTTP/1.1\r\n\r\n")).collect();
    let mut client = Client::new(&server);
    client.send(&requests.concat());
    for number in 0..50 {
        assert_eq!(client.answer().1, format!("GET /{number}"));
    }
    // What follows a request that is none is not answered.
    let answer = ask(&server, "GET /a HTTP/1.1\r\n\r\nGET\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
    assert!(
        answer.contains("GET /a") && answer.contains(" 400 Bad Request") && !answer.contains("GET /b"),
        "{answer}"
    );
}

#[test]
fn who_is_too_slow_hears_it() {
    let server = server(SHORT);
    let mut silent = connect(&server);
    let mut half = connect(&server);
    half.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut body = connect(&server);
    body.write_all(b"POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nab").unwrap();
    let mut dripping = connect(&server);
    let began = Instant::now();
    let mut later = dripping.try_clone().unwrap();
    let drip = crate::threads::spawn("drip", move || {
        // A byte now and then does not prolong the time. In the end the server takes no more.
        while later.write_all(b"x").is_ok() && began.elapsed() < SOON {
            thread::sleep(Duration::from_millis(20));
        }
    })
    .unwrap();
    for stream in [&mut silent, &mut half, &mut body, &mut dripping] {
        let mut answer = [0; 32];
        stream.read_exact(&mut answer).unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert!(began.elapsed() >= SHORT.request_time / 2 && began.elapsed() < SOON / 2, "{:?}", began.elapsed());
    assert!(
        rest(&mut half)
            .ends_with("\r\nContent-Length: 26\r\nConnection: close\r\n\r\nthe request took too long\n")
    );
    drip.join().unwrap();
}

/// Clients that say nothing, go away in the middle or break their connection take no place for good.
#[test]
fn bad_clients_pass_by() {
    let server = server(SHORT);
    let mut all = Vec::new();
    for number in 0..50 {
        let mut stream = connect(&server);
        match number % 4 {
            0 => stream.shutdown(Shutdown::Both).unwrap(),
            1 => stream.write_all(b"GET /").unwrap(),
            2 => drop(stream.write_all(b"GET /large HTTP/1.1\r\n\r\n")),
            _ => {}
        }
        if number % 3 != 0 {
            all.push(stream);
        }
    }
    let began = Instant::now();
    assert!(ask(&server, "GET /still HTTP/1.1\r\n\r\n").ends_with("/still"));
    // Each place is taken by one bad client after the other, at most so often and so long.
    let turn = SHORT.connection_time + SHORT.answer_time + SHORT.request_time;
    assert!(began.elapsed() < turn * 15, "{:?}", began.elapsed());
}

/// Clients that ask for much and read nothing.
#[test]
fn who_does_not_read_is_given_up() {
    let server = server(SHORT);
    let deaf: Vec<TcpStream> = (0..SHORT.connections)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"GET /large HTTP/1.1\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    assert!(ask(&server, "GET /next HTTP/1.1\r\n\r\n").ends_with("/next"));
    assert!(began.elapsed() >= SHORT.connection_time / 2, "there was a place: {:?}", began.elapsed());
    drop(deaf);
}

/// A client that asks again and again keeps its connection only so long.
#[test]
fn a_connection_ends_after_its_time() {
    let server = server(SHORT);
    let (mut client, began) = (Client::new(&server), Instant::now());
    let mut count = 0;
    loop {
        // The server may close at any moment, as it may with every client that keeps its connection.
        if client.0.get_mut().write_all(b"GET / HTTP/1.1\r\n\r\n").is_err()
            || client.0.fill_buf().is_ok_and(<[u8]>::is_empty)
        {
            break;
        }
        client.answer();
        count += 1;
        assert!(began.elapsed() < SOON, "after {count} answers");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(
        count > 1 && began.elapsed() >= SHORT.connection_time / 2,
        "{count} answers, {:?}",
        began.elapsed()
    );
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let server = server(LIMITS);
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..8 * LIMITS.connections {
            let (server, count) = (&server, &count);
            crate::threads::spawn_scoped(scope, move || {
                let answer = ask(server, format!("GET /{client} HTTP/1.1\r\n\r\n"));
                assert!(answer.ends_with(&format!("GET /{client}")), "{answer}");
                count.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(count.into_inner(), 8 * LIMITS.connections);
}

/// With one place left, connections are not kept, so that others come to their turn.
#[test]
fn who_takes_the_last_place_does_not_keep_it() {
    let limits = Limits { connections: 4, request_time: SOON, ..LIMITS };
    let server = server(limits);
    let mut kept: Vec<Client> = Vec::new();
    while kept.len() < limits.connections - 2 {
        let mut client = Client::new(&server);
        client.send("GET /kept HTTP/1.1\r\n\r\n");
        let head = client.answer().0;
        assert!(!head.contains("Connection:"), "{head}");
        kept.push(client);
    }
    let mut last = Client::new(&server);
    last.send("GET / HTTP/1.1\r\n\r\n");
    let head = last.answer().0;
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert!(last.has_ended());
    assert!(ask(&server, "GET /next HTTP/1.1\r\n\r\n").ends_with("/next"));
}

/// `/wait` waits for the test; everything else is answered at once.
fn waiting_server(limits: Limits) -> (Server, Sender<()>, Arc<AtomicUsize>) {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let waiting = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waiting);
    let route: Arc<Route> = Arc::new(move |request: &Request| {
        if request.uri().path() == "/wait" {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = wait.lock().unwrap().recv_timeout(SOON);
        }
        page(request)
    });
    (Server::start_within("127.0.0.1:0", &route, limits).unwrap(), go, waiting)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "never {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_slow_route_holds_up_no_other() {
    let (server, go, waiting) = waiting_server(LIMITS);
    let mut slow: Vec<Client> = (1..LIMITS.routes).map(|_| Client::new(&server)).collect();
    for client in &mut slow {
        client.send("GET /wait HTTP/1.1\r\n\r\n");
    }
    wait_until("under way", || waiting.load(Ordering::SeqCst) == slow.len());
    for number in 0..20 {
        assert!(ask(&server, format!("GET /{number} HTTP/1.1\r\n\r\n")).ends_with(&format!("/{number}")));
    }
    for _ in &slow {
        go.send(()).unwrap();
    }
    for client in &mut slow {
        assert_eq!(client.answer().1, "GET /wait");
    }
}

#[test]
fn routes_are_bounded() {
    let limits = Limits { connections: 8, ..LIMITS };
    let (server, go, waiting) = waiting_server(limits);
    let mut slow: Vec<Client> = (0..limits.connections).map(|_| Client::new(&server)).collect();
    for client in &mut slow {
        client.send("GET /wait HTTP/1.1\r\n\r\n");
    }
    wait_until("under way", || waiting.load(Ordering::SeqCst) == limits.routes);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(waiting.load(Ordering::SeqCst), limits.routes);
    for _ in &slow {
        go.send(()).unwrap();
    }
    for client in &mut slow {
        assert_eq!(client.answer().1, "GET /wait");
    }
}

#[test]
fn a_route_that_fails_is_an_answer() {
    let server = server(LIMITS);
    let mut client = Client::new(&server);
    for _ in 0..2 * LIMITS.routes {
        client.send("GET /panic HTTP/1.1\r\n\r\n");
        assert!(client.answer().0.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    }
    assert_eq!(client.get("/next"), "GET /next");
}

/// src/threads.rs says why.
#[test]
fn all_its_threads_block_signals() {
    let route: Arc<Route> = Arc::new(|_: &Request| {
        let mut said = String::new();
        for entry in std::fs::read_dir("/proc/self/task").unwrap() {
            let Ok(status) = std::fs::read_to_string(entry.unwrap().path().join("status")) else { continue };
            let value = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
            };
            said.extend([value("Name:").as_str(), " ", value("SigBlk:").as_str(), "\n"]);
        }
        Answer::text(200, said)
    });
    let server = Server::start("127.0.0.1:0", &route).unwrap();
    let said = Client::new(&server).get("/");
    for name in ["monitor", "monitor-route"] {
        let masks: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect();
        assert!(!masks.is_empty(), "no thread {name} in\n{said}");
        for mask in masks {
            let mask = u64::from_str_radix(mask, 16).unwrap();
            for signal in
                [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGALRM, libc::SIGCHLD]
            {
                assert_ne!(mask & (1 << (signal - 1)), 0, "{name} does not block signal {signal}");
            }
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_is_said() {
    let server = server(LIMITS);
    let route: Arc<Route> = Arc::new(page);
    for (listen, hint) in [
        (server.address.to_string(), "another process"),
        ("192.0.2.1:80".to_owned(), "an address of this machine"),
        ("nonsense".to_owned(), "an address of this machine"),
    ] {
        let error = Server::start(&listen, &route).err().unwrap();
        assert!(error.to_string().contains("cannot listen on"), "{error}");
        assert!(error.hint_text().unwrap().contains(hint), "{listen}: {:?}", error.hint_text());
    }
}

/// At once, and also while clients and a route are under way.
#[test]
fn a_dropped_server_listens_no_more() {
    let (server, go, waiting) = waiting_server(LIMITS);
    let address = server.address;
    let (mut slow, mut idle) = (Client::new(&server), Client::new(&server));
    slow.send("GET /wait HTTP/1.1\r\n\r\n");
    assert_eq!(idle.get("/a"), "GET /a");
    wait_until("under way", || waiting.load(Ordering::SeqCst) == 1);
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).is_err());
    assert!(idle.has_ended() && slow.has_ended());
    go.send(()).unwrap();
}
