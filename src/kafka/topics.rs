//! Topics: which are there, how many partitions they have, and making those that are missing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::acl::Acl;
use super::client::Settings;
use super::complaints::Complaints;
use super::failure::failure;
use crate::glob::{Glob, is_pattern};
use crate::{Code, Error, Result, threads};

/// How long a broker may take to answer a question about topics.
const ANSWER: Duration = Duration::from_secs(10);

/// The same in attempts: after each is heard whether the brokers refuse us, which waiting does not mend.
const ATTEMPTS: [Duration; 3] =
    [Duration::from_millis(1500), Duration::from_millis(2500), Duration::from_secs(6)];

/// How long each single broker may take to tell what it knows of a topic.
const EACH_BROKER: Duration = Duration::from_secs(2);

/// From this round trip on, brokers are far: with 512 KB in flight for each of them, 10 MB/s are the most
/// that could be read.
const FAR: Duration = Duration::from_millis(50);

/// Complaints of the library that are heard before a failure is reported.
const COMPLAINTS_MAX: usize = 100;

/// Asks about topics and makes them.
pub struct Topics {
    settings: Settings,
    complaints: Complaints,
    /// Made anew after it failed: see [`super::revive`], which is for clients that are polled.
    reader: Mutex<Arc<BaseConsumer<Complaints>>>,
}

impl rdkafka::consumer::ConsumerContext for Complaints {}

impl Topics {
    /// Connects; fails with the cause if no broker answers.
    pub fn connect(settings: &Settings) -> Result<Self> {
        let complaints = Complaints::default();
        let reader = Mutex::new(Arc::new(new_reader(settings, &complaints)?));
        let topics = Self { settings: settings.clone(), complaints, reader };
        topics.metadata(None)?;
        Ok(topics)
    }

    /// Whether an answer takes so long that the defaults for near brokers would leave the link idle.
    pub fn is_far(&self) -> Result<bool> {
        let mut shortest = ANSWER;
        // The first question may open a connection.
        for _ in 0..2 {
            let asked_at = Instant::now();
            self.metadata(None)?;
            shortest = shortest.min(asked_at.elapsed());
        }
        tracing::debug!(round_trip_ms = shortest.as_millis(), "distance to the brokers");
        Ok(shortest >= FAR)
    }

    /// Names of all topics, sorted, without the broker's own.
    pub fn names(&self) -> Result<Vec<String>> {
        let metadata = self.metadata(None)?;
        let mut names: Vec<String> = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned())
            .filter(|name| !name.starts_with("__"))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The number of partitions of a topic; 0 if it is not there.
    pub fn partitions(&self, topic: &str) -> Result<u32> {
        let metadata = self.metadata(Some(topic))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(0) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(found.partitions().len() as u32),
            Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                let (what, needs) = (format!("look at topic {topic:?}"), [Acl::topic("Describe", topic)]);
                Err(failure(
                    &what,
                    &needs,
                    &self.settings,
                    &self.complaints,
                    &KafkaError::MetadataFetch(code),
                ))
            }
            Some(_) => Ok(0),
        }
    }

    /// Fails if a topic that is named is hidden from this user, or must be there (`now`) and is not; says so
    /// if a pattern matches none, since hidden ones are not listed.
    pub fn look_for(&self, patterns: &[String], now: bool) -> Result<()> {
        let names = self.names()?;
        for pattern in patterns {
            if !is_pattern(pattern) {
                if self.partitions(pattern)? == 0 {
                    if now && !self.is_there(pattern)? {
                        return Err(Error::stop(
                            Code::TopicMissing,
                            format!("there is no topic {pattern:?}"),
                        )
                        .hint("check the name; without --once the sink waits for the topic"));
                    }
                    tracing::warn!("there is no topic {pattern:?} yet: the sink waits for it");
                }
                continue;
            }
            let glob = Glob::new(pattern);
            if names.iter().any(|name| glob.matches(name)) {
                continue;
            }
            if self.settings.uses_login() || self.settings.uses_tls() {
                let command = Acl::topic("Read", pattern).command(&self.settings);
                tracing::warn!(
                    "no topic matches {pattern:?} yet; one that is there but not shown to this user needs \
                     an ACL: {command}"
                );
            } else {
                tracing::info!("no topic matches {pattern:?} yet");
            }
        }
        Ok(())
    }

    /// Makes the topic if it is not there, and waits until every broker knows it; answers its number of
    /// partitions. `compacted` topics have one partition and keep the newest message of each key.
    pub fn ensure(&self, topic: &str, compacted: bool) -> Result<u32> {
        if self.partitions(topic)? == 0 {
            let (partitions, replication) = self.size(compacted)?;
            if self.create(&new_topic(topic, compacted, partitions, replication), false)? {
                tracing::info!(topic, partitions, replication, "topic created");
            }
        }
        // Another connector may be creating it at this moment, with another count of partitions, and the
        // broker that was asked may be the first one to know.
        self.wait_until_known(topic)
    }

    /// All topics but the broker's own, by name, with their number of partitions.
    pub fn sizes(&self) -> Result<BTreeMap<String, u32>> {
        Ok(sizes_in(&self.metadata(None)?))
    }

    /// The same as the broker says that knows most: one may not have heard yet of a new topic, or of
    /// partitions that were added.
    pub fn sizes_everywhere(&self) -> Result<BTreeMap<String, u32>> {
        let metadata = self.metadata(None)?;
        let mut sizes = sizes_in(&metadata);
        let told = self.of_each_broker(&metadata, |client| {
            client.fetch_metadata(None, EACH_BROKER).ok().map(|told| sizes_in(&told))
        });
        for (topic, partitions) in told.into_iter().flatten() {
            let known = sizes.entry(topic).or_insert(0);
            *known = partitions.max(*known);
        }
        Ok(sizes)
    }

    /// Whether any broker knows the topic: the brokers hear of a new one, one after the other.
    pub fn is_there(&self, topic: &str) -> Result<bool> {
        Ok(self.partitions(topic)? > 0 || self.by_broker(topic)?.iter().any(|found| found.partitions > 0))
    }

    /// Asks whether [`Topics::ensure`] could make this topic, and makes nothing.
    pub(super) fn try_create(&self, topic: &str, compacted: bool) -> Result<()> {
        let (partitions, replication) = self.size(compacted)?;
        self.create(&new_topic(topic, compacted, partitions, replication), true).map(drop)
    }

    /// How many brokers the cluster has now.
    pub(super) fn brokers(&self) -> Result<usize> {
        Ok(self.metadata(None)?.brokers().len())
    }

    /// Partitions and replicas of a topic that is created.
    fn size(&self, compacted: bool) -> Result<(u32, i32)> {
        let replication = match self.settings.replication {
            Some(wanted) => wanted as usize,
            None => self.brokers()?.clamp(1, 3),
        };
        Ok((if compacted { 1 } else { self.settings.partitions }, replication as i32))
    }

    /// False: it was there.
    fn create(&self, new: &NewTopic<'_>, only_try: bool) -> Result<bool> {
        let needs = [Acl::topic("Create", new.name)];
        let fail = |cause| {
            failure(&format!("create topic {:?}", new.name), &needs, &self.settings, &self.complaints, &cause)
        };
        let admin: AdminClient<DefaultClientContext> = self.settings.admin().create().map_err(fail)?;
        let options = AdminOptions::new()
            .operation_timeout(Some(ANSWER))
            .request_timeout(Some(ANSWER))
            .validate_only(only_try);
        let answers = futures_executor::block_on(admin.create_topics([new], &options)).map_err(fail)?;
        match answers.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code @ RDKafkaErrorCode::TopicAuthorizationFailed))) => {
                Err(fail(KafkaError::AdminOp(code)))
            }
            Some(Err((name, code))) => {
                let fact = format!("cannot create topic {name:?}: {code}");
                Err(Error::stop(Code::TopicRefused, fact)
                    .hint("create it by hand, or correct [kafka] topic = { partitions, replication }"))
            }
            None => Err(Error::link(Code::KafkaTimeout, format!("no answer about topic {:?}", new.name))),
        }
    }

    /// A new topic can be used once every broker that answers knows the same partitions, each with a leader:
    /// until then a client that asks the wrong broker takes the topic for missing, and a group gives its
    /// partitions to nobody.
    fn wait_until_known(&self, topic: &str) -> Result<u32> {
        let began = Instant::now();
        loop {
            let found = self.by_broker(topic)?;
            let first = found.first().copied().unwrap_or_default();
            if first.partitions > 0
                && found.iter().all(|other| *other == first && other.led == other.partitions)
            {
                return Ok(first.partitions);
            }
            if began.elapsed() > ANSWER {
                return Err(Error::link(
                    Code::TopicNotReady,
                    format!(
                        "topic {topic:?} is not known to every broker, or has partitions without a leader"
                    ),
                )
                .hint("are enough brokers up?"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What each broker that answers says of a topic.
    fn by_broker(&self, topic: &str) -> Result<Vec<Seen>> {
        let metadata = self.metadata(None)?;
        Ok(self.of_each_broker(&metadata, |client| seen_by(client, topic)))
    }

    /// Asks each broker through a new client, which knows no other one yet. Those that do not answer are left
    /// out.
    fn of_each_broker<T: Send>(
        &self,
        known: &Metadata,
        ask: impl Fn(&BaseConsumer<Complaints>) -> Option<T> + Sync,
    ) -> Vec<T> {
        let brokers: Vec<String> =
            known.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
        let ask = |broker| {
            let settings = Settings { brokers: vec![broker], ..self.settings.clone() };
            ask(&new_reader(&settings, &Complaints::default()).ok()?)
        };
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                brokers.into_iter().map(|broker| threads::spawn_scoped(scope, || ask(broker))).collect();
            asked.into_iter().filter_map(|broker| broker.join().ok().flatten()).collect()
        })
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata> {
        let reader = Arc::clone(&self.reader());
        let mut attempts = ATTEMPTS.into_iter().peekable();
        while let Some(patience) = attempts.next() {
            match reader.fetch_metadata(topic, patience) {
                Ok(metadata) => {
                    self.complaints.went_well();
                    return Ok(metadata);
                }
                Err(cause) => {
                    self.hear(&reader);
                    let is_silence = matches!(
                        cause.rdkafka_error_code(),
                        Some(
                            RDKafkaErrorCode::BrokerTransportFailure
                                | RDKafkaErrorCode::OperationTimedOut
                                | RDKafkaErrorCode::DestroyBroker
                        )
                    );
                    if attempts.peek().is_none() || !is_silence || self.complaints.refused().is_some() {
                        if is_silence && let Ok(new) = new_reader(&self.settings, &self.complaints) {
                            *self.reader() = Arc::new(new);
                        }
                        return Err(failure(
                            "ask Kafka for its topics",
                            &[],
                            &self.settings,
                            &self.complaints,
                            &cause,
                        ));
                    }
                }
            }
        }
        Err(Error::link(Code::KafkaTimeout, "Kafka does not answer"))
    }

    fn reader(&self) -> MutexGuard<'_, Arc<BaseConsumer<Complaints>>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library tells its complaints to who polls.
    fn hear(&self, reader: &BaseConsumer<Complaints>) {
        for _ in 0..COMPLAINTS_MAX {
            if reader.poll(Duration::ZERO).is_none() && self.complaints.last().is_some() {
                break;
            }
        }
    }
}

/// What one broker knows of a topic; nothing of one that is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    partitions: u32,
    led: u32,
}

/// What a client is told of a topic. `None`: its broker does not answer.
fn seen_by(client: &BaseConsumer<Complaints>, topic: &str) -> Option<Seen> {
    let metadata = client.fetch_metadata(Some(topic), EACH_BROKER).ok()?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Some(Seen::default());
    };
    let led = found.partitions().iter().filter(|partition| partition.leader() >= 0).count() as u32;
    Some(Seen { partitions: found.partitions().len() as u32, led })
}

fn sizes_in(metadata: &Metadata) -> BTreeMap<String, u32> {
    let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    topics.map(|topic| (topic.name().to_owned(), topic.partitions().len() as u32)).collect()
}

fn new_reader(settings: &Settings, complaints: &Complaints) -> Result<BaseConsumer<Complaints>> {
    let fail = |cause| failure("connect to Kafka", &[], settings, complaints, &cause);
    settings.asker().create_with_context(complaints.clone()).map_err(fail)
}

fn new_topic(topic: &str, compacted: bool, partitions: u32, replication: i32) -> NewTopic<'_> {
    let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(replication));
    if !compacted {
        return new;
    }
    // Small and young segments, so that old states really go.
    new.set("cleanup.policy", "compact").set("segment.ms", "600000").set("segment.bytes", "10485760")
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn settings(partitions: u32) -> Settings {
        Settings {
            brokers: crate::live::brokers(),
            properties: BTreeMap::new(),
            partitions,
            replication: None,
        }
    }

    /// Several connectors make one topic at once, each with another count of partitions: all go on with that
    /// of the topic, and from then on every broker knows it.
    #[test]
    fn live_who_makes_a_topic_beside_others_takes_its_partitions() {
        let name = format!("list_sync.test.made.{}", std::process::id());
        let together = Barrier::new(4);
        let made: Vec<(u32, Vec<Seen>)> = std::thread::scope(|scope| {
            let make = |partitions| {
                let (name, together) = (&name, &together);
                scope.spawn(move || {
                    let topics = Topics::connect(&settings(partitions)).unwrap();
                    together.wait();
                    let count = topics.ensure(name, false).unwrap();
                    (count, topics.by_broker(name).unwrap())
                })
            };
            let running: Vec<_> = (1..=4).map(make).collect();
            running.into_iter().map(|made| made.join().unwrap()).collect()
        });
        let count = Topics::connect(&settings(1)).unwrap().partitions(&name).unwrap();
        for (said, brokers) in made {
            assert_eq!(said, count);
            assert!(
                brokers.len() == 3
                    && brokers.iter().all(|seen| seen.partitions == count && seen.led == count),
                "{brokers:?}"
            );
        }
    }
}
