//! A member of a consumer group: it is given partitions, reads their messages, and gives them back after a
//! last commit.
//!
//! A commit says two things: the offset to go on from, and a text of the caller's that belongs to it. Both
//! are one record in the group's log, so they hold or fail together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};

use super::assignment::assigned;
use super::client::Settings;
use super::complaints::Complaints;
use super::failure::refused_for_good;
use super::group_commit::{MemberInfo, OffsetCommit, Stopping, commit};
use super::inbox::{Fetched, Inbox};
use super::librdkafka::{first_offset, waiting};
use super::lock;
use super::revive::revive;
use crate::glob::Glob;
use crate::{Code, Error, Result};

/// How long the group's coordinator may take to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// How long the last rebalance may take before the client is closed all the same, and how often it is looked
/// for.
const LEAVING: Duration = Duration::from_secs(30);
const LEAVING_LOOK: Duration = Duration::from_millis(5);

/// How long brokers that refused us are asked whether they still do.
const ASKING: Duration = Duration::from_secs(3);

/// What holds the partitions. Called on the thread that polls.
pub trait Holder: Send + 'static {
    /// All partitions are about to be taken away: finish what was read and answer what is to be committed.
    /// After an error nothing is committed.
    fn finish(&mut self) -> Result<Vec<OffsetCommit>>;

    /// The partitions are gone; `committed` tells whether the last commit held. Nothing more may be written
    /// for them.
    fn release(&mut self, committed: Result<()>);
}

/// Topics and partition numbers.
pub type Partitions = Vec<(String, u32)>;

/// What a poll brought.
pub enum Event<'a> {
    /// Nothing within the time.
    Nothing,
    /// The group gave these partitions, and no others. The commits hold what is committed for them.
    Given(Partitions),
    /// Messages of the partitions, at least one.
    Messages(Fetched<'a>),
}

struct Context<H> {
    info: MemberInfo,
    holder: Arc<Mutex<H>>,
    given: Arc<Mutex<Option<Partitions>>>,
    inbox: Arc<Inbox>,
}

impl<H: Holder> ClientContext for Context<H> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.info.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.info.complaints.error(error, reason);
    }
}

impl<H: Holder> ConsumerContext for Context<H> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                list.elements()
                    .iter()
                    .for_each(|found| self.inbox.feed(consumer.client(), found.topic(), found.partition()));
            }
            Rebalance::Revoke(_) => {
                self.inbox.starve();
                let mut holder = lock(&self.holder);
                // A lost assignment (the session lapsed) belongs to somebody else already: a commit would be
                // refused.
                let committed = if consumer.assignment_lost() {
                    Err(Error::link(
                        Code::PartitionLost,
                        "the group gave the partitions to another member: this one was silent for too long",
                    ))
                } else {
                    holder.finish().and_then(|commits| commit(&self.info, consumer, &commits))
                };
                holder.release(committed);
            }
            Rebalance::Error(_) => {}
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            let given = list
                .elements()
                .iter()
                .map(|found| (found.topic().to_owned(), found.partition() as u32))
                .collect();
            *lock(&self.given) = Some(given);
        }
    }
}

/// A consumer in a group.
pub struct Member<H: Holder> {
    consumer: BaseConsumer<Context<H>>,
    info: MemberInfo,
    given: Arc<Mutex<Option<Partitions>>>,
    inbox: Arc<Inbox>,
}

impl<H: Holder> Drop for Member<H> {
    /// Leaves the group before the client is closed. While it closes, the library drops the answer to a
    /// rebalance that is handled too late, and whoever handles it waits for ever
    /// (docs/decisions/0005-clients-without-brokers.md).
    fn drop(&mut self) {
        self.inbox.close();
        self.consumer.unsubscribe();
        let began = Instant::now();
        // Without a subscription no other rebalance comes.
        while (self.inbox.is_fed() || waiting(self.consumer.client()) > 0) && began.elapsed() < LEAVING {
            let _ = self.consumer.poll(LEAVING_LOOK);
        }
    }
}

impl<H: Holder> Member<H> {
    /// Joins `group` for `topics` (names, or patterns with `*` and `?`). From when on `is_stopping`, commits
    /// that nobody answers are given up.
    pub fn join(
        settings: &Settings,
        group: &str,
        topics: &[String],
        is_far: bool,
        holder: Arc<Mutex<H>>,
        is_stopping: Stopping,
    ) -> Result<Self> {
        let (complaints, given, inbox) = (Complaints::default(), Arc::default(), Arc::<Inbox>::default());
        let info = MemberInfo {
            settings: settings.clone(),
            complaints,
            group: group.to_owned(),
            topics: topics.to_vec(),
            is_stopping,
        };
        let context =
            Context { info: info.clone(), holder, given: Arc::clone(&given), inbox: Arc::clone(&inbox) };
        let fail = |cause| info.failed(&format!("join group {group:?}"), None, &cause);
        let config = if is_far { settings.consumer_far(group) } else { settings.consumer(group) };
        let consumer: BaseConsumer<Context<H>> = config.create_with_context(context).map_err(fail)?;
        inbox.open(consumer.client());
        let patterns: Vec<String> = topics.iter().map(|topic| Glob::new(topic).to_regex()).collect();
        consumer.subscribe(&patterns.iter().map(String::as_str).collect::<Vec<_>>()).map_err(fail)?;
        Ok(Self { consumer, info, given, inbox })
    }

    /// Waits for something to happen. Partitions are taken away within this call, through [`Holder`].
    pub fn poll(&self, wait: Duration) -> Result<Event<'_>> {
        let asks = || self.consumer.fetch_metadata(None, ASKING).is_ok();
        refused_for_good(|| self.reading(), &self.info.settings, &self.info.complaints, asks)?;
        revive(self.consumer.client(), &self.info.settings, &self.info.complaints);
        let told = self.consumer.poll(if self.inbox.is_fed() { Duration::ZERO } else { wait });
        if let Some(given) = lock(&self.given).take() {
            return Ok(Event::Given(given));
        }
        match told {
            None => {}
            Some(Ok(_)) => {
                return Err(Error::link(
                    Code::PartitionLost,
                    "a message came outside the partitions that the group gave",
                ));
            }
            Some(Err(KafkaError::MessageConsumption(code))) => {
                self.pass_by(code)?;
                return Ok(Event::Nothing);
            }
            Some(Err(cause)) => return Err(self.failed_to_read(&cause)),
        }
        if !self.inbox.is_fed() {
            return Ok(Event::Nothing);
        }
        let fetched = self.inbox.fetch(wait);
        // After an error all is read again from the last commit, the messages beside it too.
        fetched.errors.iter().try_for_each(|code| self.pass_by(*code))?;
        if fetched.is_empty() {
            return Ok(Event::Nothing);
        }
        self.info.complaints.went_well();
        Ok(Event::Messages(fetched))
    }

    /// A pattern that matches nothing yet, a broker on its way back: the library goes on by itself. Fails for
    /// anything else.
    fn pass_by(&self, code: RDKafkaErrorCode) -> Result<()> {
        if passes_by(code) {
            tracing::debug!(%code, "group member");
            return Ok(());
        }
        Err(self.failed_to_read(&KafkaError::MessageConsumption(code)))
    }

    fn failed_to_read(&self, cause: &KafkaError) -> Error {
        self.info.failed(&self.reading(), self.only_topic().as_deref(), cause)
    }

    fn reading(&self) -> String {
        format!("read as a member of group {:?}", self.info.group)
    }

    /// The topic that is read, if it is a single one.
    fn only_topic(&self) -> Option<String> {
        let assigned = self.consumer.assignment().ok()?;
        let mut topics: Vec<String> =
            assigned.elements().iter().map(|found| found.topic().to_owned()).collect();
        topics.dedup();
        if topics.len() == 1 { topics.pop() } else { None }
    }

    /// Commits; on success the group holds every entry, after an error possibly none.
    pub fn commit(&self, commits: &[OffsetCommit]) -> Result<()> {
        commit(&self.info, &self.consumer, commits)
    }

    /// What the group has committed for these partitions.
    pub fn committed(&self, partitions: &[(String, u32)]) -> Result<Vec<OffsetCommit>> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition as i32);
        }
        let fail = |cause| {
            self.info.failed(&format!("ask group {:?} for its offsets", self.info.group), None, &cause)
        };
        let list = self.consumer.committed_offsets(list, ANSWER).map_err(fail)?;
        let entry = |found: &TopicPartitionListElem<'_>| {
            found.error()?;
            let offset = match found.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            Ok(OffsetCommit {
                topic: found.topic().to_owned(),
                partition: found.partition() as u32,
                offset,
                text: found.metadata().to_owned(),
            })
        };
        list.elements().iter().map(entry).collect::<std::result::Result<_, _>>().map_err(fail)
    }

    /// Which of these partitions no member of the group holds; `None` while they are shared out.
    pub fn unheld(&self, all: &[(String, u32)]) -> Result<Option<BTreeSet<(String, u32)>>> {
        let name = &self.info.group;
        let fail = |cause| self.info.failed(&format!("ask group {name:?} for its members"), None, &cause);
        let groups = self.consumer.fetch_group_list(Some(name.as_str()), ASKING).map_err(fail)?;
        let mut unheld: BTreeSet<_> = all.iter().cloned().collect();
        let Some(group) = groups.groups().iter().find(|group| group.name() == name) else {
            return Ok(Some(unheld));
        };
        // A client that knows no topic of its patterns does not even join.
        if matches!(group.state(), "Empty" | "Dead") {
            return Ok(Some(unheld));
        }
        if group.state() != "Stable" {
            return Ok(None);
        }
        for member in group.members() {
            let Some(held) = member.assignment().and_then(assigned) else { return Ok(None) };
            for partition in held {
                unheld.remove(&partition);
            }
        }
        Ok(Some(unheld))
    }

    /// The first offset that the partition still has, as the last fetch of it told. Asks nobody.
    pub fn first_kept(&self, topic: &str, partition: u32) -> Option<i64> {
        first_offset(self.consumer.client(), topic, partition)
    }

    /// Messages that the brokers hold for this member behind what it has read.
    pub fn unread(&self) -> Result<u64> {
        let fail =
            |cause| self.info.failed("ask how much is to be read", self.only_topic().as_deref(), &cause);
        let assigned = self.consumer.assignment().map_err(fail)?;
        let committed = self.consumer.committed_offsets(assigned, ANSWER).map_err(fail)?;
        let read = self.consumer.position().map_err(fail)?;
        let mut unread = 0;
        for found in committed.elements() {
            let (first, end) =
                self.consumer.fetch_watermarks(found.topic(), found.partition(), ANSWER).map_err(fail)?;
            let offsets = [
                read.find_partition(found.topic(), found.partition()).map(|read| read.offset()),
                Some(found.offset()),
            ];
            let offset =
                offsets.into_iter().flatten().find_map(|offset| offset.to_raw().filter(|raw| *raw >= 0));
            unread += u64::try_from(end - offset.unwrap_or(first).max(first)).unwrap_or(0);
        }
        Ok(unread)
    }
}

fn passes_by(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::Resolve
            // One broker of several may refuse us while its settings change; if it lasts, it is no longer
            // passed by.
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SSL
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::kafka::Topics;

    struct Nothing;

    impl Holder for Nothing {
        fn finish(&mut self) -> Result<Vec<OffsetCommit>> {
            Ok(Vec::new())
        }

        fn release(&mut self, _: Result<()>) {}
    }

    fn wait_for_an_event(member: &Member<Nothing>) {
        let began = Instant::now();
        while waiting(member.consumer.client()) == 0 {
            assert!(began.elapsed() < Duration::from_mins(1), "no rebalance came");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sooner than the limit that [`Drop`] has. Dropped elsewhere: one that waits for ever must not hold up
    /// the test.
    fn must_leave(member: Member<Nothing>) {
        let (left, leaves) = mpsc::channel();
        thread::spawn(move || {
            drop(member);
            left.send(()).unwrap();
        });
        leaves.recv_timeout(LEAVING / 2).expect("a member that leaves waits");
    }

    #[test]
    fn live_a_member_leaves_with_a_rebalance_unhandled() {
        // First the partitions it is given, then those it is to give back.
        let brokers = crate::live::brokers();
        let settings = Settings { brokers, properties: BTreeMap::new(), partitions: 3, replication: None };
        let name = format!("list_sync.test.leave.{}", std::process::id());
        Topics::connect(&settings).unwrap().ensure(&name, false).unwrap();
        let join = || {
            let holder = Arc::new(Mutex::new(Nothing));
            Member::join(&settings, &name, std::slice::from_ref(&name), false, holder, Arc::new(|| false))
                .unwrap()
        };
        let first = join();
        wait_for_an_event(&first);
        must_leave(first);

        let first = join();
        while !matches!(first.poll(Duration::from_millis(100)).unwrap(), Event::Given(_)) {}
        let second = join();
        wait_for_an_event(&first);
        must_leave(first);
        must_leave(second);
    }
}
