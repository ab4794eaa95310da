//! What `[kafka] properties` say of encryption and login: what cannot work is refused before anything is
//! connected.

use std::fs::File;

use super::client::Settings;
use crate::{Code, Error, Result};

/// Mechanisms of the login that are built in.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
/// Properties that name a file.
const FILES: &[&str] = &[
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
];
/// Properties that count only with a login.
const OF_LOGIN: &[&str] = &["sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password"];

impl Settings {
    /// The value of a property that the user set, by its own name or the library's other one.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let other = if name == "sasl.mechanisms" { "sasl.mechanism" } else { name };
        self.properties.get(name).or_else(|| self.properties.get(other)).map(crate::secret::Secret::reveal)
    }

    fn protocol(&self) -> String {
        self.property("security.protocol").unwrap_or("plaintext").to_ascii_lowercase()
    }

    /// Whether connections are encrypted.
    pub(super) fn uses_tls(&self) -> bool {
        self.protocol().ends_with("ssl")
    }

    /// Whether the client logs in by SASL.
    pub(super) fn uses_login(&self) -> bool {
        self.protocol().starts_with("sasl_")
    }

    /// Refuses settings that would be ignored, or could only fail.
    pub(super) fn check_security(&self) -> Result<()> {
        let refused =
            |fact: String| Error::usage(Code::KafkaPropertyInvalid, format!("[kafka] properties: {fact}"));
        let set =
            |names: &[&'static str]| names.iter().copied().find(|name| self.properties.contains_key(*name));
        if let Some(name) = set(OF_LOGIN).filter(|_| !self.uses_login()) {
            let fact = format!(
                "{name:?} is set, and \"security.protocol\" is {:?}, which has no login",
                self.protocol()
            );
            return Err(refused(fact).hint(
                "set \"security.protocol\" = \"sasl_ssl\" (or sasl_plaintext, which \
                    sends everything in the clear)",
            ));
        }
        if let Some(name) = set(FILES).filter(|_| !self.uses_tls()) {
            let fact = format!(
                "{name:?} is set, and \"security.protocol\" is {:?}, which is not encrypted",
                self.protocol()
            );
            return Err(
                refused(fact).hint("set \"security.protocol\" = \"ssl\", or \"sasl_ssl\" with a login")
            );
        }
        for name in FILES {
            let unreadable = |path: &str| File::open(path).err();
            if let Some((path, cause)) =
                self.property(name).and_then(|path| unreadable(path).map(|cause| (path, cause)))
            {
                return Err(refused(format!("the file {path:?} of {name:?} cannot be read: {cause}"))
                    .hint("check the path, and that this user may read it"));
            }
        }
        if self.properties.contains_key("ssl.certificate.location")
            != self.properties.contains_key("ssl.key.location")
        {
            return Err(refused(
                "\"ssl.certificate.location\" and \"ssl.key.location\" go together".to_owned(),
            )
            .hint("name both files, of the certificate and of its key, or neither"));
        }
        if self.uses_login() { self.check_login() } else { Ok(()) }
    }

    fn check_login(&self) -> Result<()> {
        let refused =
            |fact: String| Error::usage(Code::KafkaPropertyInvalid, format!("[kafka] properties: {fact}"));
        match self.property("sasl.mechanisms") {
            Some(mechanism) if MECHANISMS.contains(&mechanism) => {}
            Some(mechanism) => {
                let fact = format!("the mechanism {mechanism:?} of \"sasl.mechanisms\" is not built in");
                return Err(refused(fact).hint(format!("take {}", MECHANISMS.join(", "))));
            }
            None => {
                return Err(refused("\"sasl.mechanisms\" is not set".to_owned())
                    .hint(format!("set it to the one that the brokers take: {}", MECHANISMS.join(", "))));
            }
        }
        for name in ["sasl.username", "sasl.password"] {
            if self.property(name).is_none_or(str::is_empty) {
                return Err(refused(format!("{name:?} is not set")).hint(
                    "the password may stand in a file, \"${file:/run/secrets/kafka}\", or a \
                        variable, \"${NAME}\"",
                ));
            }
        }
        if !self.uses_tls() && self.property("sasl.mechanisms") == Some("PLAIN") {
            tracing::warn!(
                "the Kafka password goes over the network in the clear: security.protocol is \
                 sasl_plaintext, and the mechanism PLAIN"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::secret::Secret;

    fn check(properties: &[(&str, &str)]) -> String {
        let properties: BTreeMap<_, _> =
            properties.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let settings =
            Settings { brokers: vec!["b:9092".to_owned()], properties, partitions: 1, replication: None };
        settings.check().map_or_else(
            |error| format!("{error}; {}", error.hint_text().unwrap_or_default()),
            |()| String::new(),
        )
    }

    #[test]
    fn what_would_be_ignored_or_fail_is_refused() {
        let login = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "me"),
            ("sasl.password", "geheim"),
        ];
        assert_eq!(
            (check(&[]).as_str(), check(&login).as_str(), check(&[("security.protocol", "ssl")]).as_str()),
            ("", "", "")
        );
        for (properties, expected) in [
            (&login[1..], "\"sasl.mechanism\" is set, and \"security.protocol\" is \"plaintext\""),
            (&login[..1], "\"sasl.mechanisms\" is not set; set it to"),
            (&login[..3], "\"sasl.password\" is not set"),
            (
                &[("security.protocol", "sasl_ssl"), ("sasl.mechanisms", "GSSAPI")],
                "\"GSSAPI\" of \"sasl.mechanisms\" is not built in; take PLAIN",
            ),
            (&[("ssl.ca.location", "/x")], "which is not encrypted; set \"security.protocol\" = \"ssl\""),
            (
                &[("security.protocol", "ssl"), ("ssl.ca.location", "/no/such")],
                "the file \"/no/such\" of \"ssl.ca.location\" cannot be read: No such file",
            ),
            (&[("security.protocol", "ssl"), ("ssl.key.location", "Cargo.toml")], "go together"),
        ] {
            let found = check(properties);
            assert!(found.contains(expected) && !found.contains("geheim"), "{found}");
        }
    }
}
