//! TLS, client certificates, PLAIN and SCRAM to the brokers, and every way in which they fail.

use super::{certificate, expect};
use crate::rig::{Counts, Pipeline, Program, Run, Scratch, Server, together};

/// A listener and the properties for it.
pub struct Login {
    /// What `scripts/services env` calls the listener.
    pub listener: &'static str,
    pub properties: Vec<(&'static str, String)>,
}

impl Login {
    pub fn sasl(mechanism: &str, user: &str, password: &str) -> Self {
        let properties = vec![
            ("security.protocol", "sasl_ssl".to_owned()),
            ("ssl.ca.location", certificate("ca.pem")),
            ("sasl.mechanisms", mechanism.to_owned()),
            ("sasl.username", user.to_owned()),
            ("sasl.password", password.to_owned()),
        ];
        Self { listener: "LIST_SYNC_KAFKA_SASL", properties }
    }

    /// With a client certificate of `target/services/tls`, if one is named.
    pub fn tls(listener: &'static str, client: Option<&str>) -> Self {
        let mut properties =
            vec![("security.protocol", "ssl".to_owned()), ("ssl.ca.location", certificate("ca.pem"))];
        if let Some(client) = client {
            properties.push(("ssl.certificate.location", certificate(&format!("{client}.pem"))));
            properties.push(("ssl.key.location", certificate(&format!("{client}.key"))));
        }
        Self { listener, properties }
    }

    /// The same with one property changed, added, or, if `value` is empty, left out.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.properties.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.properties.push((name, value.to_owned()));
        }
        self
    }

    pub fn brokers(&self) -> String {
        crate::rig::variable(self.listener)
    }

    /// `[kafka]` of a configuration.
    pub fn section(&self) -> String {
        let brokers: Vec<String> = self.brokers().split(',').map(|broker| format!("{broker:?}")).collect();
        let properties: Vec<String> =
            self.properties.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
        format!("[kafka]\nbrokers = [{}]\nproperties = {{ {} }}\n", brokers.join(", "), properties.join(", "))
    }

    /// Changes the configuration of a pipeline to this login.
    pub fn apply(&self, scratch: &Scratch) {
        let text = scratch.read("list_sync.toml");
        let (_, rest) = text.split_once("[[source]]").unwrap();
        scratch.write("list_sync.toml", &format!("{}[[source]]{rest}", self.section()));
    }
}

#[test]
fn every_mechanism_carries_the_load() {
    let pipeline = Pipeline::new("mechanism", Server::postgres(), false);
    let mut counts = Counts::default();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        Login::sasl(mechanism, "secret_user", "secret").apply(&pipeline.scratch);
        counts += pipeline.seed(400);
        pipeline.run(&["connect", "--once"]);
        pipeline.run(&["consume", "--once"]);
    }
    pipeline.prove(counts);
}

/// Runs `consume` with this login: it needs nothing else.
fn consume(login: &Login) -> Run {
    let _together = together();
    let scratch = Scratch::new("login");
    let sink = "[[sink]]\nname = \"files\"\ntopics = [\"nothing.*\"]\npath = \"out/{table}\"\n";
    scratch.write("list_sync.toml", &format!("{}{sink}", login.section()));
    Program::run(&scratch.folder, &["consume", "--once"])
}

#[test]
fn wrong_passwords_and_mechanisms() {
    let scram = |password| Login::sasl("SCRAM-SHA-256", "secret_user", password);
    expect(
        &consume(&scram("geheim")),
        1,
        &["refuses the login of user \"secret_user\"", "invalid credentials"],
        &["sasl.password", "kafka-configs", "'SCRAM-SHA-256="],
    );
    expect(
        &consume(&scram("secret").with("sasl.username", "nobody")),
        1,
        &["refuses the login of user \"nobody\""],
        &["sasl.username"],
    );
    let plain = Login::sasl("PLAIN", "secret_user", "geheim");
    expect(&consume(&plain), 1, &["refuses the login", "invalid username or password"], &["jaas"]);
    expect(
        &consume(&scram("geheim").with("sasl.mechanisms", "GSSAPI")),
        2,
        &["GSSAPI", "not built in"],
        &["SCRAM-SHA-512"],
    );
    expect(
        &consume(&scram("geheim").with("sasl.mechanisms", "")),
        2,
        &["sasl.mechanisms", "not set"],
        &["PLAIN"],
    );
    expect(&consume(&scram("")), 2, &["sasl.password", "not set"], &["${file:"]);
    expect(
        &consume(&scram("geheim").with("security.protocol", "")),
        2,
        &["\"plaintext\", which has no login"],
        &["sasl_ssl"],
    );
    expect(
        &consume(&scram("geheim").with("security.protocol", "tls")),
        2,
        &["security.protocol"],
        &["sasl_ssl"],
    );
}

#[test]
fn wrong_certificates_of_brokers() {
    let sasl = || Login::sasl("PLAIN", "secret_user", "geheim");
    let other = sasl().with("ssl.ca.location", &certificate("other-ca.pem"));
    expect(
        &consume(&other),
        1,
        &["certificate of broker", "authority that is not trusted"],
        &["ssl.ca.location"],
    );
    expect(
        &consume(&Login::tls("LIST_SYNC_KAFKA_EXPIRED", None)),
        1,
        &["certificate of broker", "expired"],
        &["renew"],
    );
    expect(
        &consume(&Login::tls("LIST_SYNC_KAFKA_ELSEWHERE", None)),
        1,
        &["does not name \"127.0.0.1\"", "db.example"],
        &["subjectAltName"],
    );
    expect(
        &consume(&sasl().with("ssl.ca.location", "/no/such.pem")),
        2,
        &["/no/such.pem", "ssl.ca.location", "no such file"],
        &["path"],
    );
    expect(
        &consume(&sasl().with("ssl.ca.location", &certificate("server.csr"))),
        2,
        &["ssl.ca.location"],
        &["docs/security.md"],
    );
}

#[test]
fn wrong_certificates_of_ours() {
    let with = |client| Login::tls("LIST_SYNC_KAFKA_SSL", client);
    expect(
        &consume(&with(None)),
        1,
        &["wants a client certificate"],
        &["ssl.certificate.location", "ssl.key.location"],
    );
    for client in ["client-expired", "client-stranger"] {
        expect(
            &consume(&with(Some(client))),
            1,
            &["refuses the client certificate"],
            &["openssl x509", "ssl.certificate.location"],
        );
    }
    let unpaired = with(Some("client")).with("ssl.key.location", &certificate("client-expired.key"));
    expect(&consume(&unpaired), 2, &["ssl.key.location", "mismatch"], &["docs/security.md"]);
    expect(&consume(&with(Some("client")).with("ssl.key.location", "")), 2, &["go together"], &["both"]);
}

#[test]
fn another_protocol_than_the_listener() {
    let plain = Login { listener: "LIST_SYNC_KAFKA_SASL", properties: vec![] };
    expect(
        &consume(&plain),
        1,
        &["closes the connection"],
        &["security.protocol", "\"ssl\" or \"sasl_ssl\""],
    );
    expect(
        &consume(&Login::tls("LIST_SYNC_KAFKA_SASL", None)),
        1,
        &["closes the connection"],
        &["want a login", "sasl_ssl"],
    );
    expect(
        &consume(&Login::tls("LIST_SYNC_KAFKA", None)),
        1,
        &["does not speak TLS"],
        &["security.protocol"],
    );
    let mut login = Login::sasl("SCRAM-SHA-512", "secret_user", "geheim")
        .with("security.protocol", "sasl_plaintext")
        .with("ssl.ca.location", "");
    login.listener = "LIST_SYNC_KAFKA";
    expect(&consume(&login), 1, &["takes no login"], &["security.protocol"]);
}
