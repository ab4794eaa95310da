//! All that connectors and consumers need of the cluster, each question with its own answer; nothing is
//! changed: a topic that is missing is asked for with the request to validate only.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::acl::Acl;
use super::client::Settings;
use super::compacted::{Checkpoints, Shapes};
use super::complaints::Complaints;
use super::failure::failure;
use super::topics::Topics;
use crate::finding::{Finding, Fix};
use crate::{Code, Error, Result};

/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What is to be asked.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whether sources save their positions here.
    pub positions: bool,
    /// Topics that sources write to.
    pub topics: Vec<String>,
    /// Groups that consumers join.
    pub groups: Vec<String>,
}

/// Asks all of it.
pub fn inspect(settings: &Settings, wanted: &Wanted) -> Vec<Finding> {
    let connected = settings
        .check()
        .and_then(|()| Topics::connect(settings))
        .and_then(|topics| Ok((topics.brokers()?, topics)));
    let (brokers, topics) = match connected {
        Ok(connected) => connected,
        Err(error) => return vec![Finding::fail("connection", &error)],
    };
    let mut found = vec![
        Finding::ok("connection", format!("{brokers} brokers, asked at {}", settings.address())),
        replication(settings, brokers),
    ];
    if wanted.positions {
        for (check, topic, what) in [
            ("positions", Checkpoints::TOPIC, "saved positions"),
            ("tables", Shapes::TOPIC, "shapes of tables"),
        ] {
            found.push(
                compacted(settings, &topics, check, topic, what)
                    .unwrap_or_else(|error| Finding::fail(check, &error)),
            );
        }
    }
    for topic in &wanted.topics {
        found.push(topic_is_there(&topics, topic).unwrap_or_else(|error| Finding::fail("topic", &error)));
    }
    for group in &wanted.groups {
        found.push(Finding::of(
            "group",
            group_answers(settings, group).map(|()| format!("{group:?} may be joined")),
        ));
    }
    found
}

/// As many copies as are asked for need as many brokers.
fn replication(settings: &Settings, brokers: usize) -> Finding {
    match settings.replication {
        Some(wanted) if wanted as usize > brokers => {
            let error = Error::stop(
                Code::ReplicationTooLarge,
                format!("replication is {wanted}, and the cluster has {brokers} brokers"),
            )
            .hint(format!("set [kafka] topic = {{ replication = {brokers} }}, or start more brokers"));
            Finding::fail("replication", &error)
        }
        None if brokers < 3 => Finding::warn(
            "replication",
            format!("new topics get {brokers} copies: a lost broker may be lost changes"),
            "run three brokers or more",
        ),
        wanted => Finding::ok("replication", format!("new topics get {} copies", wanted.unwrap_or(3))),
    }
}

fn topic_is_there(topics: &Topics, topic: &str) -> Result<Finding> {
    let partitions = topics.partitions(topic)?;
    if partitions > 0 {
        return Ok(Finding::ok("topic", format!("{topic:?} is there, {partitions} partitions")));
    }
    topics.try_create(topic, false)?;
    Ok(Finding::ok("topic", format!("{topic:?} will be made at the start"))
        .fix(Fix::Topic { name: topic.to_owned(), compacted: false }))
}

/// A topic of ours must keep the newest message of each key.
fn compacted(
    settings: &Settings,
    topics: &Topics,
    check: &'static str,
    name: &str,
    what: &str,
) -> Result<Finding> {
    if topics.partitions(name)? == 0 {
        topics.try_create(name, true)?;
        return Ok(Finding::ok(check, format!("topic {name:?} will be made at the start"))
            .fix(Fix::Topic { name: name.to_owned(), compacted: true }));
    }
    match cleanup_policy(settings, name)?.as_deref() {
        Some(policy) if policy != "compact" => Err(Error::stop(
            Code::TopicPolicy,
            format!("topic {name:?} has cleanup.policy {policy:?}: {what} would be deleted"),
        )
        .hint(format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} \
             --add-config cleanup.policy=compact",
            settings.address()
        ))),
        Some(_) => Ok(Finding::ok(check, format!("topic {name:?} is there, compacted"))),
        None => {
            Ok(Finding::ok(check, format!("topic {name:?} is there; this user may not read its settings")))
        }
    }
}

/// `None`: the user may not ask.
fn cleanup_policy(settings: &Settings, topic: &str) -> Result<Option<String>> {
    let complaints = Complaints::default();
    let needs = [Acl::topic("DescribeConfigs", topic)];
    let fail = |cause| {
        failure(&format!("ask for the settings of topic {topic:?}"), &needs, settings, &complaints, &cause)
    };
    let admin: AdminClient<DefaultClientContext> = settings.admin().create().map_err(fail)?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let answers =
        futures_executor::block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))
            .map_err(fail)?;
    let Some(Ok(resource)) = answers.into_iter().next() else { return Ok(None) };
    Ok(resource.get("cleanup.policy").and_then(|entry| entry.value.clone()))
}

/// The group's coordinator tells this user what the group has committed.
fn group_answers(settings: &Settings, group: &str) -> Result<()> {
    let complaints = Complaints::default();
    let needs = [Acl::group("Read", group)];
    let fail = |cause| failure(&format!("ask for group {group:?}"), &needs, settings, &complaints, &cause);
    let member: BaseConsumer<Complaints> =
        settings.consumer(group).create_with_context(complaints.clone()).map_err(fail)?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(Checkpoints::TOPIC, 0);
    let began = Instant::now();
    // The answer itself does not matter: a topic that is not this group's has no offset, and that is no
    // failure of the group.
    while let Err(cause) = member.committed_offsets(asked.clone(), ANSWER) {
        if !is_electing(&cause) || began.elapsed() > ANSWER {
            return Err(fail(cause));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The first group of a new cluster, and each group when a broker has gone, waits for its coordinator.
fn is_electing(cause: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    matches!(
        cause.rdkafka_error_code(),
        Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator)
    )
}
