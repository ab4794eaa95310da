//! Looks at a broker's TLS once more, by ourselves, after the library failed: it says only that a certificate
//! does not verify, not whether it is the date, the name or the authority.

use std::io::{ErrorKind, Read as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::client::Settings;
use crate::tls::{Names, Terms, authorities, explain, identity, system_authorities};
use crate::{Error, Result};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a user writes for the files.
const NAMES: Names =
    Names { authority: "ssl.ca.location", certificate: "ssl.certificate.location", key: "ssl.key.location" };

/// What is wrong with TLS at this broker, as far as it can be seen from here.
pub(super) fn probe(settings: &Settings, broker: &str) -> Option<Error> {
    let (host, port) = broker.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let port = port.parse().ok()?;
    let shows_certificate = settings.property(NAMES.certificate).is_some()
        || settings.property("ssl.keystore.location").is_some();
    let client = match terms(settings).and_then(|terms| terms.client(host)) {
        Ok(client) => client,
        Err(error) => return Some(error),
    };
    let failure = shake_hands(client, host, port)?;
    explain(&failure, &format!("broker {broker}"), host, NAMES, shows_certificate)
}

fn terms(settings: &Settings) -> Result<Terms> {
    let file = |name| settings.property(name).map(Path::new);
    let looks =
        settings.property("enable.ssl.certificate.verification").is_none_or(|wanted| wanted != "false");
    let authorities = match file(NAMES.authority) {
        _ if !looks => None,
        Some(path) if path.is_file() => Some(authorities(NAMES.authority, path)?),
        _ => Some(system_authorities()),
    };
    // A key with a password is the library's to read; here the connection then goes without.
    let identity = file(NAMES.certificate)
        .zip(file(NAMES.key))
        .and_then(|(certificate, key)| identity(NAMES, certificate, key).ok());
    let checks_host =
        settings.property("ssl.endpoint.identification.algorithm").is_none_or(|wanted| wanted != "none");
    Ok(Terms { authorities, checks_host, identity })
}

/// The failure of a handshake, or of what the broker says right after it: whether it takes our certificate.
fn shake_hands(client: ClientConnection, host: &str, port: u16) -> Option<rustls::Error> {
    let target = (host, port).to_socket_addrs().ok()?.next()?;
    let socket = TcpStream::connect_timeout(&target, PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    match StreamOwned::new(client, socket).read(&mut [0]) {
        Err(cause) if cause.kind() == ErrorKind::InvalidData => {
            cause.get_ref()?.downcast_ref::<rustls::Error>().cloned()
        }
        _ => None,
    }
}
