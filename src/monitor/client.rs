//! Asks the monitor of a running process what it is doing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;

use super::Verdict;

/// For each step.
const TIME_OUT: Duration = Duration::from_secs(2);
/// Bytes of an answer: thousands of sources and sinks.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Status {
    stages: Vec<Verdict>,
}

/// What the process that listens at `host:port` says of its sources and sinks; nothing if none listens there.
pub fn live(listen: &str) -> Vec<Verdict> {
    let addresses = listen.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    addresses.into_iter().find_map(ask).unwrap_or_default()
}

fn ask(address: SocketAddr) -> Option<Vec<Verdict>> {
    let mut stream = TcpStream::connect_timeout(&reachable(address), TIME_OUT).ok()?;
    stream.set_read_timeout(Some(TIME_OUT)).ok()?;
    stream.set_write_timeout(Some(TIME_OUT)).ok()?;
    stream.write_all(b"GET /api/status HTTP/1.1\r\nHost: list_sync\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).ok()?;
    parse(&answer)
}

/// Where to connect to reach who listens at `address`: what listens everywhere is reached here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// Whatever else listens there has nothing to say.
fn parse(answer: &[u8]) -> Option<Vec<Verdict>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer).ok()? else { return None };
    if response.code != Some(200) {
        return None;
    }
    serde_json::from_slice::<Status>(&answer[head..]).ok().map(|status| status.stages)
}

#[cfg(test)]
mod tests {
    use super::{live, parse};

    #[test]
    fn what_is_no_monitor_has_nothing_to_say() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n{\"stages\":[]}",
            "\u{0}\u{1}",
            "HTTP/1.1 200 OK\r\n\r\n[]",
        ] {
            assert!(parse(answer.as_bytes()).is_none(), "{answer}");
        }
        assert_eq!(
            parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"stages\":[]}").map(|stages| stages.len()),
            Some(0)
        );
        assert!(live("127.0.0.1:1").is_empty() && live("nonsense").is_empty());
    }
}
