//! Brokers that refuse us: by their certificate or ours, by the mechanism, by the password. Which complaints
//! of the library say so, and the sentence and the mend for each.

use super::acl::for_shell;
use super::client::Settings;
use super::probe::probe;
use crate::{Code, Error};

/// What is added to the library's words where a broker closed the connection on our first question.
pub(super) const NOT_UNDERSTOOD: &str = " at the first question";

/// Whether a complaint is a refusal that trying again does not mend. A login that broke off with its
/// connection is none.
pub(super) fn is_definite(complaint: &str) -> bool {
    complaint.contains("SASL authentication error: ")
        || complaint.contains("Unsupported SASL mechanism")
        || complaint.contains("certificate verify failed")
        || complaint.contains("SSL alert number")
}

/// The failure that a complaint stands for, if it is about TLS or the login. `what` says what was being done.
pub(super) fn explain(what: &str, settings: &Settings, complaint: &str) -> Option<Error> {
    let failed = |fact: String| Error::stop(Code::KafkaLoginRefused, format!("cannot {what}: {fact}"));
    let user = settings.property("sasl.username").unwrap_or_default();
    if let Some((_, reason)) = complaint.split_once("SASL authentication error: ") {
        return Some(
            failed(format!("Kafka refuses the login of user {user:?}: {reason}"))
                .hint(password_hint(settings, user)),
        );
    }
    if let Some((_, offered)) =
        complaint.split_once("Unsupported SASL mechanism: broker's supported mechanisms: ")
    {
        let mechanism = settings.property("sasl.mechanisms").unwrap_or_default();
        return Some(
            failed(format!(
                "the broker does not take the mechanism {mechanism:?}; it takes {}",
                offered.replace(',', ", ")
            ))
            .hint("set \"sasl.mechanisms\" under [kafka] properties to one of them"),
        );
    }
    if settings.uses_tls()
        && let Some(found) = probe(settings, broker_of(complaint, settings))
    {
        return Some(found.context(format!("cannot {what}")));
    }
    let (fact, hint) = if complaint.contains("PLAINTEXT broker listener") {
        (
            "the broker's port does not speak TLS".to_owned(),
            "set \"security.protocol\" under [kafka] properties to \"plaintext\" or \"sasl_plaintext\", or \
             name the port of a TLS listener",
        )
    } else if complaint.ends_with(NOT_UNDERSTOOD) && !settings.uses_tls() {
        (
            "the broker closes the connection".to_owned(),
            "the listener may want TLS: set \"security.protocol\" under [kafka] properties to \"ssl\" \
             or \"sasl_ssl\"",
        )
    } else if complaint.contains("might require SASL") || complaint.contains("SSL connection closed by peer")
    {
        (
            "the broker closes the connection".to_owned(),
            "the listener may want a login: set \"security.protocol\" under [kafka] properties \
             to \"sasl_ssl\" or \"sasl_plaintext\", with \"sasl.mechanisms\"",
        )
    } else if complaint.contains("current SASL state") {
        (
            "the broker takes no login".to_owned(),
            "set \"security.protocol\" under [kafka] properties to \"plaintext\" or \"ssl\", or name the \
             port of a listener with SASL",
        )
    } else if is_definite(complaint) {
        (format!("TLS fails: {complaint}"), "check ssl.* under [kafka] properties, and the broker's log")
    } else {
        return None;
    };
    let failure = failed(format!("{fact} ({})", broker_of(complaint, settings))).hint(hint);
    // A connection that is closed may be a broker that goes down.
    Some(if is_definite(complaint) {
        failure
    } else {
        Error::link(Code::KafkaLoginRefused, failure.to_string()).hint(hint)
    })
}

/// How a password is set depends on the mechanism.
fn password_hint(settings: &Settings, user: &str) -> String {
    let mechanism = settings.property("sasl.mechanisms").unwrap_or_default();
    let check = "check \"sasl.username\" and \"sasl.password\" under [kafka] properties";
    if mechanism.starts_with("SCRAM") {
        let admin = settings.admin_flags();
        format!(
            "{check}, or set it: kafka-configs {admin} --alter --entity-type users --entity-name {} \
             --add-config '{mechanism}=[password=…]'",
            for_shell(user)
        )
    } else {
        format!("{check}; the brokers' users of PLAIN stand in their sasl.jaas.config")
    }
}

/// `host:port` of the broker that a complaint is about, else the first of the settings.
fn broker_of<'a>(complaint: &'a str, settings: &'a Settings) -> &'a str {
    let named =
        complaint.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(broker, _)| broker);
    named.or_else(|| settings.brokers.first().map(String::as_str)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::is_definite;

    #[test]
    fn a_login_that_broke_off_is_no_refusal() {
        assert!(!is_definite(
            "SASL PLAIN mechanism handshake failed: Local: Broker transport failure: broker's supported \
             mechanisms: (n/a)"
        ));
        assert!(!is_definite("ssl://b:1/1: Disconnected: SSL connection closed by peer"));
        assert!(is_definite(
            "ssl://b:1/1: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL \
             alert number 42"
        ));
    }
}
