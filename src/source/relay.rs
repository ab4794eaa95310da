//! For tests: a link to a server that damages what passes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Address;
use crate::threads::spawn;

/// Passes bytes on to a server, and changes one of those that come back when it is asked to.
pub struct Relay {
    /// Where to connect instead.
    pub port: u16,
    damages: Arc<AtomicBool>,
}

impl Relay {
    /// Before the server at `address`.
    pub fn to(address: &Address) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), damages: Arc::default() };
        let (upstream, damages) = ((address.host.clone(), address.port), Arc::clone(&relay.damages));
        spawn("relay", move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&upstream).unwrap());
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                spawn("relay", move || pass(from, to, &AtomicBool::default())).unwrap();
                let damages = Arc::clone(&damages);
                spawn("relay", move || pass(server, client, &damages)).unwrap();
            }
        })
        .unwrap();
        relay
    }

    /// One bit of what comes next from the server is turned.
    pub fn damage(&self) {
        self.damages.store(true, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, damages: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if damages.swap(false, Ordering::Relaxed) {
            bytes[length - 1] ^= 1;
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
}
