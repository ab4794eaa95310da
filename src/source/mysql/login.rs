//! Connecting and logging in: TLS as `ssl-mode` asks, then the proof of a password by the plugin that the
//! server chooses.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use std::time::Duration;

use super::super::{Address, Dialect};
use super::failure::{Fault, explain};
use super::packet::{DONE, END, ERROR, Greeting, ServerError, ability, parse_switch};
use super::password::{Plugin, answer_salt, masked};
use super::rsa::PublicKey;
use super::tls::{self, Mode};
use super::wire::Wire;
use crate::Result;

/// A server that does not answer the connection for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Packets of a log-in; a server that asks for more goes on for ever.
const STEPS_MAX: usize = 10;
/// Seconds that the server waits for us to take a packet, or to ask: as long as the slowest sink may block.
const SERVER_WAIT_SECONDS: u32 = 24 * 3600;
/// `utf8mb4_general_ci`, which every server knows.
const COLLATION: u8 = 45;
/// What a server is told of the longest packet of ours, bytes.
const PACKET_BYTES_MAX: u32 = 1 << 30;

/// The first byte of what a plugin asks for.
const MORE: u8 = 1;
/// `caching_sha2_password`: the proof is right.
const SHA2_KNOWN: u8 = 3;
/// `caching_sha2_password`: the server wants the password itself.
const SHA2_WHOLE: u8 = 4;
/// `caching_sha2_password`: the client wants the server's public key.
const SHA2_ASK_KEY: u8 = 2;

/// What our statements rely on, whatever the server's defaults are: how text is written and read, and that no
/// limit ends a long read.
pub(super) fn session_settings(dialect: Dialect) -> Vec<String> {
    let limits = match dialect {
        Dialect::Mariadb => {
            "max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0"
        }
        _ => "max_execution_time = 0, information_schema_stats_expiry = 0, cte_max_recursion_depth = 1000",
    };
    vec![
        "SET NAMES utf8mb4".to_owned(),
        "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
         autocommit = 1"
            .to_owned(),
        "SET SESSION sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_safe_updates = 0"
            .to_owned(),
        format!(
            "SET SESSION wait_timeout = {SERVER_WAIT_SECONDS}, net_write_timeout = \
            {SERVER_WAIT_SECONDS}, net_read_timeout = 600"
        ),
        format!("SET SESSION {limits}"),
    ]
}

/// Connects and logs in.
pub(super) fn log_in(address: &Address) -> Result<Wire> {
    tls::options_are_known(address)?;
    let mode = Mode::of(address)?;
    let terms =
        if mode == Mode::Disabled || address.is_socket() { None } else { Some(tls::terms(address, mode)?) };
    let explained = |fault| explain(address, fault);
    let mut wire = Wire::open(address, CONNECT_TIMEOUT).map_err(explained)?;
    let greeting = greeted(&mut wire).map_err(explained)?;
    let mut abilities = abilities(address, &greeting);
    match terms {
        Some(terms) if greeting.abilities & ability::SSL != 0 => {
            abilities |= ability::SSL;
            wire.send(&head(abilities)).map_err(explained)?;
            wire = wire.encrypted(terms.client(&address.host)?).map_err(explained)?;
        }
        Some(_) if mode != Mode::Preferred => return Err(explained(Fault::NoTls)),
        _ => {}
    }
    introduce(&mut wire, address, &greeting, abilities).map_err(explained)?;
    Ok(wire)
}

fn greeted(wire: &mut Wire) -> Result<Greeting, Fault> {
    let packet = wire.receive()?;
    let packet = wire.body(packet);
    if packet.first() == Some(&ERROR) {
        return Err(Fault::Server(ServerError::parse(packet)?));
    }
    if packet.first() != Some(&Greeting::VERSION) {
        return Err(Fault::Protocol("the other side does not speak version 10 of MySQL's protocol"));
    }
    let greeting = Greeting::parse(packet)?;
    if greeting.abilities & ability::PROTOCOL_41 == 0 {
        return Err(Fault::Protocol("the server is older than version 4.1"));
    }
    Ok(greeting)
}

/// What we use of what the server is able to do. Not LOCAL INFILE, by which a server asks for our files.
fn abilities(address: &Address, greeting: &Greeting) -> u32 {
    let mut wanted = ability::LONG_PASSWORD
        | ability::LONG_FLAG
        | ability::PROTOCOL_41
        | ability::TRANSACTIONS
        | ability::SECURE_CONNECTION
        | ability::MULTI_STATEMENTS
        | ability::MULTI_RESULTS
        | ability::PLUGIN_AUTH
        | ability::CONNECT_ATTRS;
    if !address.database.is_empty() {
        wanted |= ability::CONNECT_WITH_DB;
    }
    wanted & greeting.abilities
}

/// What a log-in and the wish for TLS begin with.
fn head(abilities: u32) -> Vec<u8> {
    let mut head = abilities.to_le_bytes().to_vec();
    head.extend(PACKET_BYTES_MAX.to_le_bytes());
    head.push(COLLATION);
    head.extend([0; 23]);
    head
}

/// Says who we are, and proves it.
fn introduce(wire: &mut Wire, address: &Address, greeting: &Greeting, abilities: u32) -> Result<(), Fault> {
    let plugin = Plugin::of(greeting);
    let proof = plugin.proof(address.password.reveal().as_bytes());
    let mut answer = head(abilities);
    push_text(&address.user, &mut answer);
    answer.push(proof.len() as u8); // 32 at most
    answer.extend(proof);
    if abilities & ability::CONNECT_WITH_DB != 0 {
        push_text(&address.database, &mut answer);
    }
    if abilities & ability::PLUGIN_AUTH != 0 {
        push_text(plugin.name(), &mut answer);
    }
    if abilities & ability::CONNECT_ATTRS != 0 {
        push_attributes(&mut answer);
    }
    wire.send(&answer)?;
    prove(wire, address.password.reveal().as_bytes(), plugin)
}

/// A text that a zero byte ends.
fn push_text(text: &str, out: &mut Vec<u8>) {
    out.extend(text.bytes().filter(|&byte| byte != 0));
    out.push(0);
}

/// Who we are, for `performance_schema.session_connect_attrs`. All is shorter than 251 bytes.
fn push_attributes(out: &mut Vec<u8>) {
    let process = std::process::id().to_string();
    let mut attributes = Vec::new();
    for text in [
        ["_client_name", "list_sync"],
        ["_client_version", env!("CARGO_PKG_VERSION")],
        ["_os", std::env::consts::OS],
        ["_platform", std::env::consts::ARCH],
        ["_pid", &process],
        ["program_name", "list_sync"],
    ]
    .as_flattened()
    {
        attributes.push(text.len() as u8);
        attributes.extend(text.bytes());
    }
    out.push(attributes.len() as u8);
    out.extend(attributes);
}

/// Answers what the server asks for until it lets us in.
fn prove(wire: &mut Wire, password: &[u8], mut plugin: Plugin) -> Result<(), Fault> {
    let mut is_changed = false;
    for _ in 0..STEPS_MAX {
        let packet = wire.receive()?;
        let packet = wire.body(packet).to_vec();
        match packet.split_first() {
            Some((&DONE, _)) => return Ok(()),
            Some((&ERROR, _)) => return Err(Fault::Server(ServerError::parse(&packet)?)),
            Some((&END, _)) if !is_changed => {
                let (name, data) = parse_switch(&packet)?;
                plugin = Plugin::named(&name, data)?.ok_or(Fault::Plugin(name))?;
                is_changed = true;
                wire.send(&plugin.proof(password))?;
            }
            Some((&first, rest)) => {
                // Early servers with parsec leave out the first byte.
                let asked = if first == MORE { rest } else { &packet[..] };
                go_on(wire, password, &plugin, asked)?;
            }
            None => return Err(Fault::Protocol("an empty packet")),
        }
    }
    Err(Fault::Protocol("the log-in does not end"))
}

/// What a plugin asks for beyond the first proof.
fn go_on(wire: &mut Wire, password: &[u8], plugin: &Plugin, asked: &[u8]) -> Result<(), Fault> {
    match (plugin, asked) {
        (Plugin::Sha2(_), [SHA2_KNOWN]) => Ok(()),
        (Plugin::Sha2(nonce), [SHA2_WHOLE]) => {
            if wire.is_private() {
                return wire.send(&[password, &[0]].concat());
            }
            wire.send(&[SHA2_ASK_KEY])?;
            let key = wire.receive()?;
            let key = match wire.body(key).split_first() {
                Some((&MORE, pem)) => PublicKey::from_pem(pem)?,
                Some((&ERROR, _)) => return Err(Fault::Protocol("the server has no public key")),
                _ => return Err(Fault::Protocol("a packet that was not expected")),
            };
            let encrypted = key.encrypt(&masked(password, nonce));
            wire.send(&encrypted.ok_or(Fault::Protocol("the server's public key is too short"))?)
        }
        (Plugin::Parsec(nonce), salt) => {
            let answer = answer_salt(salt, password, nonce)?;
            wire.send(&answer.ok_or(Fault::Protocol("this machine has no randomness"))?)
        }
        _ => Err(Fault::Protocol("a packet that was not expected")),
    }
}
