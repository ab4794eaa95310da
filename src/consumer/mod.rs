//! Kafka -> files. Runs kafka -> format -> sink, and is the only place that commits an offset.
//!
//! Each member is one thread with its own client, writer and files. Exactly once comes from three things
//! together: the `position` header (what was read before is dropped), the commit's text (offset and file
//! lengths hold or fail as one), and the cut at each new assignment (what no commit vouches for is removed).
//! See `commit_text`.

mod commit_text;
mod figures;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod long_texts;
mod partition;
mod rejected;
mod relay;
mod shapes;
mod stall;
mod timer;
mod unassigned;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{self, Config};
use crate::control::{Control, Part};
use crate::glob::Glob;
use crate::kafka::{Event, Member, Settings, Topics, watermarks};
use crate::metrics::SinkFigures;
use crate::supervisor::{Job, supervise};
use crate::{Code, Error, Result, assembly, threads};
use figures::MemberFigures;
use long_texts::LongTexts;
use rejected::Rejected;
use relay::Relay;
pub use relay::{Messages, Receiver};
use shapes::Shapes;
use stall::StallCheck;
use timer::Timer;
use unassigned::Unassigned;
use writer::Writer;

/// How long a member waits for the next message before it writes what it has.
const WAIT: Duration = Duration::from_millis(100);
/// The longest pause before a member that lost the group joins again.
const PAUSE: Duration = Duration::from_secs(1);
/// With `once`: how often the group's offsets are compared with the end.
const LOOK: Duration = Duration::from_millis(500);

/// Runs `instances` members for each of the sinks of these names, or all, until they are stopped or,
/// with `once`, have caught up.
pub fn run(config: &Config, names: &[String], instances: u32, control: &Control) -> Result<()> {
    run_beside(config, names, instances, control, None)
}

/// The same, beside a connector in this process: with `once`, the end is where the topics end after
/// `producing` has become false.
pub(crate) fn run_beside(
    config: &Config,
    names: &[String],
    instances: u32,
    control: &Control,
    producing: Option<&AtomicBool>,
) -> Result<()> {
    let settings = assembly::kafka(config)?;
    let sinks = config.need_sinks(names)?;
    let connect = || {
        let topics = Arc::new(Topics::connect(&settings)?);
        // A connector in this process makes its topics itself.
        for sink in sinks.iter().filter(|_| producing.is_none()) {
            topics
                .look_for(&sink.topics, control.once)
                .map_err(|error| error.context(format!("sink {:?}", sink.name)))?;
        }
        Common::new(settings.clone(), topics, control, producing)
    };
    let begun = control.begin(connect, |error| {
        tracing::warn!(code = error.code().slug(), hint = error.hint_text(), "{error}; trying again");
        for sink in &sinks {
            control.progress.sink(&sink.name).life.wait_for("waiting for Kafka", error);
        }
    })?;
    let Some(common) = begun else { return Ok(()) };
    // As before the wait: each member says itself what it does.
    for sink in &sinks {
        control.progress.sink(&sink.name).life.set_state("");
    }
    let members: Vec<Membership<'_>> = sinks
        .into_iter()
        .flat_map(|sink| (1..=instances).map(move |number| (sink, number)))
        .map(|(sink, number)| Membership::new(sink, (number, member_id(sink, number, instances)), &common))
        .collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        let running: Vec<_> = members
            .into_iter()
            .map(|mut member| threads::spawn_scoped(scope, move || run_supervised(&mut member)))
            .collect();
        let ended = running.into_iter().map(|member| {
            member.join().unwrap_or_else(|_| Err(Error::stop(Code::Internal, "a consumer's thread died")))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Runs one member of the only sink's group, whose messages go to `receiver` instead of files, until it is
/// stopped, the receiver wants no more or, with `once`, it has caught up. Calls the receiver on this
/// thread.
pub fn relay(config: &Config, receiver: Box<dyn Receiver>, control: &Control) -> Result<()> {
    let settings = assembly::kafka(config)?;
    let sinks = config.need_sinks(&[])?;
    let topics = Arc::new(Topics::connect(&settings)?);
    let common = Common::new(settings, topics, control, None)?;
    let mut member = Membership::new(sinks[0], (1, None), &common)?;
    member.writer().relay = Some(Relay::new(receiver));
    run_supervised(&mut member)
}

/// One member, over all the times it joins.
fn run_supervised(member: &mut Membership<'_>) -> Result<()> {
    let (control, figures) = (member.control.clone(), Arc::clone(&member.figures));
    supervise(member, &control, &figures.life)
}

/// What distinguishes the files of the members of one process: the sink's id, the member's number, or both.
fn member_id(sink: &config::Sink, number: u32, instances: u32) -> Option<String> {
    match (&sink.id, instances) {
        (id, 1) => id.clone(),
        (None, _) => Some(number.to_string()),
        (Some(id), _) => Some(format!("{id}_{number}")),
    }
}

/// What all members of the process share.
struct Common<'a> {
    settings: Settings,
    topics: Arc<Topics>,
    shapes: Arc<Shapes>,
    is_far: bool,
    control: &'a Control,
    producing: Option<&'a AtomicBool>,
    /// With `once`: where the partitions of each topic ended when the run began; asked by the first member
    /// for all.
    ends: Mutex<BTreeMap<String, Vec<(i64, i64)>>>,
}

impl<'a> Common<'a> {
    fn new(
        settings: Settings,
        topics: Arc<Topics>,
        control: &'a Control,
        producing: Option<&'a AtomicBool>,
    ) -> Result<Self> {
        let (is_far, shapes) = (topics.is_far()?, Arc::new(Shapes::new(&settings, &topics)));
        Ok(Self { settings, topics, shapes, is_far, control, producing, ends: Mutex::default() })
    }
}

/// One member's place in its group, over all the times it joins.
struct Membership<'a> {
    sink: &'a config::Sink,
    common: &'a Common<'a>,
    /// That of its sink.
    control: Control,
    figures: Arc<SinkFigures>,
    patterns: Vec<Glob>,
    writer: Arc<Mutex<Writer>>,
    /// With `once`: where each partition ends that it is to read.
    ends: Option<BTreeMap<(String, u32), i64>>,
    stall: StallCheck,
    unassigned: Unassigned,
}

impl Job for Membership<'_> {
    fn run(&mut self) -> Result<()> {
        self.attend()
    }

    /// A group that cannot be joined yet is as one that was left.
    fn has_begun(&self) -> bool {
        true
    }

    fn part(&self) -> Part {
        Part::Sink(self.sink.name.clone())
    }

    fn is_done(&self) -> bool {
        self.writer().has_ended()
    }

    fn failed(&mut self, error: &Error) {
        self.writer().failed(error.kind());
    }

    fn restarted(&mut self) {
        self.figures.restarts.inc();
    }

    /// The other members would take over and meet the same.
    fn ends_all(&self) -> bool {
        true
    }

    fn longest_pause(&self) -> Duration {
        PAUSE
    }
}

impl<'a> Membership<'a> {
    fn new(
        sink: &'a config::Sink,
        (number, id): (u32, Option<String>),
        common: &'a Common<'a>,
    ) -> Result<Self> {
        let patterns = sink.topics.iter().map(Glob::new).collect();
        let rejected = Rejected::new(&sink.path, id.as_deref(), &sink.name);
        let owned = sink.clone();
        let make_sink = Box::new(move || assembly::sink(&owned, id.as_deref()));
        let control = common.control.of(Part::Sink(sink.name.clone()));
        let figures = control.progress.sink(&sink.name);
        let own_figures = MemberFigures::new(Arc::clone(&figures), number);
        let writer = Arc::new(Mutex::new(Writer::new(
            make_sink,
            rejected,
            own_figures,
            Arc::clone(&common.shapes),
            LongTexts::new(&sink.path, &sink.group),
        )?));
        Ok(Self {
            sink,
            common,
            control,
            figures,
            patterns,
            writer,
            ends: None,
            stall: StallCheck::new(),
            unassigned: Unassigned::new(),
        })
    }

    /// From joining the group to leaving it. Whatever fails: nothing that was not committed counts.
    fn attend(&mut self) -> Result<()> {
        self.writer().spoil();
        if self.control.once && self.ends.is_none() && !self.is_producing() {
            self.ends = Some(self.ends_now()?);
        }
        if self.figures.life.state().is_empty() {
            let is_there =
                self.common.topics.names().is_ok_and(|names| names.iter().any(|name| self.sink.takes(name)));
            self.figures.life.set_state(if is_there { "joining" } else { SinkFigures::WAITING });
        }
        let control = self.control.clone();
        let stopping = Arc::new(move || control.is_stopping());
        let member = Member::join(
            &self.common.settings,
            &self.sink.group,
            &self.sink.topics,
            self.common.is_far,
            Arc::clone(&self.writer),
            stopping,
        )?;
        let served = self.serve(&member);
        if served.is_err() {
            self.writer().spoil();
        }
        drop(member);
        let stopped = self.writer().stopped.take();
        let stopped = stopped.or_else(|| self.writer().take_unreadable());
        served.and(stopped.map_or(Ok(()), Err))
    }

    fn serve(&mut self, member: &Member<Writer>) -> Result<()> {
        let (mut commits, mut looks) = (Timer::every(self.sink.commit_interval), Timer::every(LOOK));
        let relays = self.writer().relay.is_some();
        // With `once`: the end was reached and has been looked at.
        let mut has_seen_end = false;
        while !self.control.is_stopping() {
            let event = member.poll(WAIT)?;
            let come = matches!(event, Event::Messages(_));
            if let Some(stopped) = self.writer().stopped.take() {
                return Err(stopped);
            }
            match event {
                Event::Given(partitions) => {
                    self.begin(member, &partitions)?;
                    commits = Timer::every(self.sink.commit_interval);
                    has_seen_end = false;
                }
                Event::Messages(mut fetched) => {
                    self.stall.broken();
                    let mut writer = self.writer();
                    while let Some(message) = fetched.read() {
                        if !writer.fits(message.topic()) {
                            writer.write(|commits| member.commit(commits))?;
                        }
                        if writer.take(&message, |topic, partition| member.first_kept(topic, partition))? {
                            writer.write(|commits| member.commit(commits))?;
                        }
                    }
                    for (topic, partition, end) in std::mem::take(&mut fetched.ends) {
                        writer.reached(&topic, partition, end, |topic, partition| {
                            member.first_kept(topic, partition)
                        });
                    }
                    // A program gets what is here rather than wait for a full batch.
                    if relays && !fetched.is_full {
                        writer.write(|commits| member.commit(commits))?;
                    }
                }
                Event::Nothing => {
                    self.writer().write(|commits| member.commit(commits))?;
                    self.stall.go_on(member)?;
                }
            }
            if relays && self.writer().has_ended() {
                break;
            }
            let now = Instant::now();
            self.look_for_unheld(member, now)?;
            if commits.is_due(now, come) {
                self.commit(member)?;
                commits.done(now, Instant::now());
            }
            let is_at_end = self.control.once
                && !has_seen_end
                && self.ends.as_ref().is_some_and(|ends| self.writer().has_read_to(ends));
            has_seen_end |= is_at_end;
            if self.control.once && (is_at_end || looks.is_due(now, come)) {
                // What the commit took has nothing to do with it.
                let began = Instant::now();
                if self.has_caught_up(member)? {
                    break;
                }
                looks.done(began, Instant::now());
            }
        }
        self.commit(member)
    }

    /// Whether the group gives all partitions to somebody. A `Link` if it does not, for too long.
    fn look_for_unheld(&mut self, member: &Member<Writer>, now: Instant) -> Result<()> {
        let has_some = !self.writer().holds_nothing();
        if !self.unassigned.is_due(now, has_some) {
            return Ok(());
        }
        let all = self.common.topics.sizes().map(|sizes| self.matching(sizes));
        let unheld = all.and_then(|all| member.unheld(&all));
        let unheld =
            unheld.inspect_err(|error| tracing::debug!(sink = self.sink.name, "{error}")).ok().flatten();
        self.figures.set_unheld(unheld.as_ref().map_or(0, BTreeSet::len));
        self.unassigned.looked(Instant::now(), unheld)
    }

    /// Whether a connector in this process may still send.
    fn is_producing(&self) -> bool {
        self.common.producing.is_some_and(|producing| producing.load(Ordering::SeqCst))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, member: &Member<Writer>, given: &[(String, u32)]) -> Result<()> {
        let mut all = self.partitions()?;
        all.extend(given.iter().filter(|partition| !all.contains(partition)).cloned().collect::<Vec<_>>());
        let own = member.committed(given)?;
        // Said again by this generation of the group: a commit of an older one whose outcome nobody knows can
        // no longer land behind it. Refused only while the next hand-over is under way, and that begins anew.
        if let Err(error) = member.commit(&own) {
            tracing::debug!(sink = self.sink.name, "{error}");
        }
        let commits = member.committed(&all)?;
        self.writer().begin(&own, &commits)?;
        self.figures.life.set_state("consuming");
        tracing::info!(sink = self.sink.name, partitions = given.len(), "partitions assigned");
        Ok(())
    }

    fn commit(&self, member: &Member<Writer>) -> Result<()> {
        let mut writer = self.writer();
        if writer.is_spoilt() {
            return Ok(());
        }
        writer.write(|commits| member.commit(commits))?;
        if writer.is_ahead() {
            writer.commit(|commits| member.commit(commits))?;
        }
        Ok(())
    }

    /// All partitions of the topics that the sink reads, as the broker says that knows most: of one that is
    /// overlooked here the files would be cut at a length that is too old.
    fn partitions(&self) -> Result<Vec<(String, u32)>> {
        Ok(self.matching(self.common.topics.sizes_everywhere()?))
    }

    fn matching(&self, sizes: BTreeMap<String, u32>) -> Vec<(String, u32)> {
        let mut partitions = Vec::new();
        for (topic, count) in sizes {
            if self.patterns.iter().any(|pattern| pattern.matches(&topic)) {
                partitions.extend((0..count).map(|partition| (topic.clone(), partition)));
            }
        }
        partitions
    }

    /// Whether the group has committed all that was there when the run began.
    fn has_caught_up(&mut self, member: &Member<Writer>) -> Result<bool> {
        if self.is_producing() {
            return Ok(false);
        }
        let ends = match self.ends.take() {
            Some(ends) => ends,
            None => self.ends_now()?,
        };
        self.commit(member)?;
        let asked: Vec<(String, u32)> = ends.keys().cloned().collect();
        let commits = member.committed(&asked)?;
        let behind = commits.iter().any(|entry| {
            let end = ends.get(&(entry.topic.clone(), entry.partition)).copied().unwrap_or(0);
            entry.offset.unwrap_or(0) < end
        });
        self.ends = Some(ends);
        Ok(!behind)
    }

    /// The end of each partition; 0 for an empty one.
    fn ends_now(&self) -> Result<BTreeMap<(String, u32), i64>> {
        let mut ends = BTreeMap::new();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for (topic, _) in self.partitions()? {
            *counts.entry(topic).or_default() += 1;
        }
        let mut known = self.common.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, count) in counts {
            if known.get(&topic).is_none_or(|marks| marks.len() < count as usize) {
                known.insert(topic.clone(), watermarks(&self.common.settings, &topic, count)?);
            }
            for (partition, &(first, end)) in known[&topic].iter().enumerate() {
                ends.insert((topic.clone(), partition as u32), if first == end { 0 } else { end });
            }
        }
        Ok(ends)
    }
}
