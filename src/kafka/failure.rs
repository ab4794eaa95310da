//! What the library's errors mean for us: one cause, one hint, and what must happen next.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::client::{Complaints, Settings};
use crate::Error;

/// Turns a failure of the library into ours. `what` says what was being done.
pub(super) fn failure(what: &str, settings: &Settings, complaints: &Complaints, cause: &KafkaError) -> Error {
    let code = cause.rdkafka_error_code();
    let brokers = settings.address();
    if let KafkaError::ClientConfig(_, reason, name, _) = cause {
        let hint = "see [kafka] properties in the configuration; names are librdkafka's";
        return Error::usage(format!("Kafka property {name:?} cannot be set: {}", reason.trim())).hint(hint);
    }
    match code {
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::MessageTimedOut,
        ) => {
            let reason = complaints.last().unwrap_or_else(|| "no answer".to_owned());
            Error::link(format!("cannot {what}: no broker of {brokers} can be reached: {}", shortened(&reason)))
                .hint("check [kafka] brokers, and that the brokers run and can be reached from here")
        }
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
            let reason = complaints.last().unwrap_or_else(|| cause.to_string());
            Error::stop(format!("cannot {what}: Kafka refuses the login: {}", shortened(&reason)))
                .hint("check security.protocol, sasl.* and ssl.* under [kafka] properties")
        }
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            Error::stop(format!("cannot {what}: Kafka denies it to this user"))
                .cause(cause.to_string())
                .hint("grant the ACL that the cause names")
        }
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
            Error::stop(format!("cannot {what}: a message is larger than Kafka takes"))
                .hint("raise message.max.bytes of the topic and the brokers, and under [kafka] properties")
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            Error::stop(format!("cannot {what}: the topic is not there"))
                .cause(cause.to_string())
                .hint("was it deleted? restart to have it made again")
        }
        _ => Error::link(format!("cannot {what}")).cause(cause.to_string()),
    }
}

/// librdkafka's complaint without its thread's name and its advice.
fn shortened(reason: &str) -> &str {
    let text = reason.split_once("]: ").map_or(reason, |(_, text)| text);
    text.split(" (after ").next().unwrap_or(text)
}
