//! For tests: a link to a server that damages what passes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Address;
use crate::threads::spawn;

/// Passes bytes on to a server, and damages what comes back for as long as it is asked to.
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

    /// In all that comes from the server, on every connection, bits are turned, until [`Self::heal`].
    pub fn damage(&self) {
        self.damages.store(true, Ordering::Relaxed);
    }

    /// Bytes pass as they are again.
    pub fn heal(&self) {
        self.damages.store(false, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, damages: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if damages.load(Ordering::Relaxed) {
            bytes[length - 1] ^= 1;
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
}
