//! A link that can be cut and held: toxiproxy between a program and a server. `scripts/services up proxy`
//! starts it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One proxied address; removed with its connections when it is dropped.
pub struct Link {
    control: String,
    path: String,
    /// Where to connect instead, `127.0.0.1:port`.
    pub address: String,
}

impl Link {
    /// A link to `upstream` (`host:port`) that is whole.
    pub fn to(name: &str, upstream: &str) -> Self {
        let control = super::variable("LIST_SYNC_PROXY");
        let wanted = format!("{{\"name\":{name:?},\"listen\":\"127.0.0.1:0\",\"upstream\":{upstream:?}}}");
        let said = ask(&control, "POST", "", &wanted);
        let listen = said.split("\"listen\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let address = listen.unwrap_or_else(|| panic!("toxiproxy says {said}")).to_owned();
        Self { control, path: format!("/{name}"), address }
    }

    /// Closes every connection and refuses new ones, for as long as `while_cut` takes.
    pub fn cut(&self, while_cut: impl FnOnce()) {
        ask(&self.control, "POST", &self.path, "{\"enabled\":false}");
        while_cut();
        ask(&self.control, "POST", &self.path, "{\"enabled\":true}");
    }

    /// Connections stay open, but what the server sends does not arrive, for as long as `while_held` takes.
    pub fn hold(&self, while_held: impl FnOnce()) {
        let toxics = format!("{}/toxics", self.path);
        ask(
            &self.control,
            "POST",
            &toxics,
            "{\"name\":\"hold\",\"type\":\"timeout\",\"stream\":\"downstream\",\"attributes\":{\"timeout\":0}}",
        );
        while_held();
        ask(&self.control, "DELETE", &format!("{toxics}/hold"), "");
    }
}

fn ask(control: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(control).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} /proxies{path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Type: \
         application/json\r\n"
    );
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "toxiproxy says to {method} {path} {body}: {answer}");
    answer
}

impl Drop for Link {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            ask(&self.control, "DELETE", &self.path, "");
        }
    }
}
