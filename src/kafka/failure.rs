//! What the library's errors mean for us: one cause, one hint, and what must happen next.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::acl::{Acl, Resource};
use super::client::Settings;
use super::complaints::Complaints;
use super::refusal;
use crate::{Code, Error, Result};

/// Turns a failure of the library into ours. `what` says what was being done, `needs` which rights it takes.
pub(super) fn failure(
    what: &str,
    needs: &[Acl<'_>],
    settings: &Settings,
    complaints: &Complaints,
    cause: &KafkaError,
) -> Error {
    match cause {
        KafkaError::ClientConfig(_, reason, name, value) => return bad_property(name, value, reason),
        KafkaError::ClientCreation(reason) => {
            return Error::usage(
                Code::KafkaPropertyInvalid,
                format!("[kafka] properties: {}", reason.trim()),
            )
            .hint("see docs/security.md for what each mechanism needs");
        }
        _ => {}
    }
    let code = match cause {
        // The library's own look-up leaves these out.
        KafkaError::AdminOp(code) => Some(*code),
        cause => cause.rdkafka_error_code(),
    };
    match code {
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::SSL,
        ) => unreachable(what, settings, complaints),
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            denied(what, needs, settings, |acl| matches!(acl.resource, Resource::Topic(_)))
        }
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
            denied(what, needs, settings, |acl| matches!(acl.resource, Resource::Group(_)))
        }
        Some(RDKafkaErrorCode::ClusterAuthorizationFailed) => denied_to_write(what, needs, settings),
        // The producer has ended; why was told before.
        Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
            if complaints.last().is_some_and(|said| said.contains("Cluster authorization failed")) =>
        {
            denied_to_write(what, needs, settings)
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Error::stop(Code::MessageTooLarge, format!("cannot {what}: a message is larger than Kafka takes"))
                .hint(
                    "raise max.message.bytes of the topic (or message.max.bytes of the brokers), and \
            message.max.bytes under [kafka] properties",
                )
        }
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition,
        ) => Error::stop(Code::TopicMissing, format!("cannot {what}: the topic is not there"))
            .cause(cause.to_string())
            .hint("was it deleted? restart to have it made again"),
        _ => Error::link(Code::KafkaFailed, format!("cannot {what}")).cause(cause.to_string()),
    }
}

/// A refusal that has lasted, as a failure; `ask` asks the brokers something. Called for each message, so
/// `what` is put into words only then.
pub(super) fn refused_for_good(
    what: impl FnOnce() -> String,
    settings: &Settings,
    complaints: &Complaints,
    ask: impl FnOnce() -> bool,
) -> Result<()> {
    let refusal = complaints
        .refused_for_good(ask)
        .and_then(|complaint| refusal::explain(&what(), settings, &complaint));
    refusal.map_or(Ok(()), Err)
}

fn bad_property(name: &str, value: &str, reason: &str) -> Error {
    // The library quotes the value, and that may be a password in the wrong place.
    let reason = if value.is_empty() { reason.to_owned() } else { reason.replace(value, "***") };
    let hint = if name == "security.protocol" {
        "write plaintext, ssl, sasl_plaintext or sasl_ssl"
    } else {
        "see [kafka] properties in the configuration; names are librdkafka's"
    };
    Error::usage(
        Code::KafkaPropertyInvalid,
        format!("Kafka property {name:?} cannot be set: {}", reason.trim()),
    )
    .hint(hint)
}

/// No broker answers as it should: it refuses us, or cannot be reached.
fn unreachable(what: &str, settings: &Settings, complaints: &Complaints) -> Error {
    let complaint = complaints.refused().or_else(|| complaints.last());
    if let Some(refused) =
        complaint.as_deref().and_then(|complaint| refusal::explain(what, settings, complaint))
    {
        return refused;
    }
    let reason = complaint.unwrap_or_else(|| "no answer".to_owned());
    Error::link(
        Code::KafkaUnreachable,
        format!("cannot {what}: no broker of {} can be reached: {reason}", settings.address()),
    )
    .hint("check [kafka] brokers, and that the brokers run and can be reached from here")
}

fn denied(what: &str, needs: &[Acl<'_>], settings: &Settings, is_meant: impl Fn(&Acl<'_>) -> bool) -> Error {
    let Some(acl) = needs.iter().find(|acl| is_meant(acl)) else {
        return Error::stop(Code::AclMissing, format!("cannot {what}: an ACL is missing"))
            .hint("docs/security.md lists those that are needed");
    };
    Error::stop(Code::AclMissing, format!("cannot {what}: the ACL {} is missing", acl.name()))
        .hint(format!("run as an administrator: {}", acl.command(settings)))
}

/// An idempotent producer must be allowed to write to some topic, or, before Kafka 2.8, to be one at all.
fn denied_to_write(what: &str, needs: &[Acl<'_>], settings: &Settings) -> Error {
    let Some(acl) = needs.iter().find(|acl| acl.operation == "Write") else {
        return denied(what, &[], settings, |_| true);
    };
    let command = acl.command(settings);
    Error::stop(Code::AclMissing, format!("cannot {what}: the ACL {} is missing", acl.name())).hint(format!(
        "run as an administrator: {command} (a cluster older than Kafka 2.8 wants --operation \
         IdempotentWrite --cluster too)"
    ))
}
