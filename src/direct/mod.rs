//! Databases -> files without Kafka. Runs source -> sink; position and files advance together, by one rename
//! of the state file.

mod feed;
mod figures;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::change::{Batch, Checkpoint, Position, Restart};
use crate::config::{self, Config};
use crate::control::{Control, Part};
use crate::error::ErrorKind;
use crate::metrics::SourceFigures;
use crate::sink::{Marks, Sink};
use crate::source::{self, Dialect, Source};
use crate::supervisor::{Job, reconnect, supervise};
use crate::{Code, Error, Result, assembly, threads};
pub use feed::Feed;
use figures::DirectFigures;
use state::{State, StateFile};

/// The longest wait for rows.
const WAIT: Duration = Duration::from_millis(200);
/// How long the server may take to say whether the slot is there.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Runs all sources until they are told to stop or, with `once`, have caught up.
///
/// A source that a person must look after ends alone, loudly; the error is answered when all have ended.
/// Trouble that may pass is waited for. With `once`, and unless [`Control::waits_at_start`] says otherwise
/// for a first start, the first failure ends them all.
pub fn run(config: &Config, control: &Control) -> Result<()> {
    config.need_sources(&[])?;
    config.need_sinks(&[])?;
    std::thread::scope(|scope| {
        let work =
            |source| threads::spawn_scoped(scope, move || run_supervised(source, &config.sinks, control));
        let running: Vec<_> = config.sources.iter().map(work).collect();
        let ended = running.into_iter().map(|source| {
            source.join().unwrap_or_else(|_| Err(Error::stop(Code::Internal, "a source's thread died")))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// One source, over all its lives.
struct Running<'a> {
    source: &'a config::Source,
    sinks: &'a [config::Sink],
    control: Control,
    figures: Arc<SourceFigures>,
    has_begun: bool,
    /// With `once`: where the log ended when the source had begun.
    end: Option<Position>,
}

impl Job for Running<'_> {
    fn run(&mut self) -> Result<()> {
        let mut direct = Direct::open(self.source, self.sinks, &self.control)?;
        self.has_begun = true;
        if self.control.once && self.end.is_none() {
            self.end = Some(direct.source.head()?);
        }
        direct.run(self.end)
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn part(&self) -> Part {
        Part::Source(self.source.name.clone())
    }

    fn failed(&mut self, error: &Error) {
        self.figures.error(error.kind());
        self.figures.up.set(0);
    }

    fn restarted(&mut self) {
        self.figures.restarts.inc();
    }
}

fn run_supervised(source: &config::Source, sinks: &[config::Sink], control: &Control) -> Result<()> {
    let control = control.of(Part::Source(source.name.clone()));
    let figures = control.progress.source(&source.name);
    let own = (control.clone(), Arc::clone(&figures));
    let mut job = Running { source, sinks, control: own.0, figures: own.1, has_begun: false, end: None };
    supervise(&mut job, &control, &figures.life)
}

/// The saved place of a source.
pub(crate) fn saved(config: &Config, source: &config::Source) -> Result<Option<Checkpoint>> {
    let Some(sink) = config.sinks.first() else { return Ok(None) };
    Ok(StateFile::beside(&sink.path, &source.name).load()?.map(|state| state.checkpoint))
}

/// Where the place of a source is saved.
pub(crate) fn state_path(config: &Config, source: &config::Source) -> PathBuf {
    state_file(config, source).path().to_owned()
}

fn state_file(config: &Config, source: &config::Source) -> StateFile {
    StateFile::beside(config.sinks.first().map_or("", |sink| sink.path.as_str()), &source.name)
}

/// Moves the saved place of a source that does not run; the files stay as they are.
pub(crate) fn replace_saved(config: &Config, source: &config::Source, checkpoint: Checkpoint) -> Result<()> {
    let file = state_file(config, source);
    let Some(mut state) = file.load()? else {
        return Err(Error::stop(
            Code::PositionMissing,
            format!("source {:?} has no saved place to move", source.name),
        ));
    };
    state.checkpoint = checkpoint;
    file.save(&state)
}

/// Forgets the saved place of a source that does not run, and with it what its files hold.
pub(crate) fn forget_saved(config: &Config, source: &config::Source) -> Result<()> {
    state_file(config, source).remove()
}

/// Without a saved position, a slot that is there already feeds files in another folder, or a connector.
/// Reading from it here would take its changes away from them, and they could never go on.
fn refuse_the_slot_of_others(config: &config::Source, file: &StateFile) -> Result<()> {
    if config.address.dialect != Dialect::Postgres {
        return Ok(());
    }
    // A server that cannot be asked is told of by the start itself.
    let asked = source::measure(&config.address, &config.slot, ANSWER_TIME)
        .behind(&Restart::Postgres { lsn: 0, last: None });
    if asked.is_ok_and(|distance| distance.is_read.is_some()) {
        let (slot, name) = (&config.slot, &config.name);
        return Err(Error::stop(
            Code::SlotMismatch,
            format!(
                "source {name:?}: slot {slot:?} is there already, but no saved \
            position in \"{file}\""
            ),
        )
        .hint(format!(
            "start in the folder where the slot's files are, or give this source another name; if \
                 nobody needs the slot: \
                 SELECT pg_drop_replication_slot('{slot}')"
        )));
    }
    Ok(())
}

struct Output<'a> {
    settings: &'a config::Sink,
    sink: Box<dyn Sink>,
}

/// One source with all sinks.
struct Direct<'a> {
    config: &'a config::Source,
    source: Box<dyn Source>,
    outputs: Vec<Output<'a>>,
    /// `None`: no sink keeps what it wrote, so there is no place to go on from.
    file: Option<StateFile>,
    state: State,
    /// The newest checkpoint that the source handed out.
    reached: Checkpoint,
    written: Position,
    saved_at: Instant,
    control: &'a Control,
    figures: DirectFigures,
}

impl<'a> Direct<'a> {
    fn open(config: &'a config::Source, sinks: &'a [config::Sink], control: &'a Control) -> Result<Self> {
        let keeps = sinks.iter().any(|sink| sink.kind.keeps);
        let file = keeps.then(|| StateFile::beside(&sinks[0].path, &config.name));
        let saved = file.as_ref().map_or(Ok(None), StateFile::load)?;
        if let (None, Some(file)) = (&saved, &file) {
            refuse_the_slot_of_others(config, file)?;
        }
        let mut source = assembly::source(config, file.is_none());
        let began = source.start(saved.as_ref().map(|saved| &saved.checkpoint))?;
        let is_new = saved.is_none();
        source.go_on_behind(saved.as_ref().map_or(Position::START, |saved| saved.written), None);
        let state = saved.unwrap_or_else(|| State::new(began));
        if let (true, Some(file)) = (is_new, &file) {
            file.save(&state)?;
        }
        let mut outputs = Vec::with_capacity(sinks.len());
        for settings in sinks {
            let mut sink = assembly::sink(settings, settings.id.as_deref())?;
            sink.recover(state.files.get(&settings.name).unwrap_or(&BTreeMap::new()))?;
            outputs.push(Output { settings, sink });
        }
        let (reached, written) = (state.checkpoint.clone(), state.written);
        let mut figures =
            DirectFigures::new(control, &config.name, sinks.iter().map(|sink| sink.name.clone()));
        figures.streaming();
        figures.saved(&reached);
        Ok(Self {
            config,
            source,
            outputs,
            file,
            state,
            reached,
            written,
            saved_at: Instant::now(),
            control,
            figures,
        })
    }

    fn run(&mut self, end: Option<Position>) -> Result<()> {
        let mut batch = Batch::default();
        let mut caught_up = false;
        while !self.control.is_stopping() && !caught_up {
            batch.clear();
            match self.source.read(&mut batch, WAIT) {
                Ok(()) => {
                    self.take(&mut batch)?;
                    caught_up = end.is_some_and(|end| batch.read_to >= end);
                }
                Err(error) if error.kind() == ErrorKind::Link => self.start_again(error)?,
                Err(error) => {
                    // What came before it is good.
                    self.save()?;
                    return Err(error);
                }
            }
            if self.saved_at.elapsed() >= self.outputs[0].settings.commit_interval {
                self.save()?;
            }
        }
        self.save()
    }

    fn take(&mut self, batch: &mut Batch) -> Result<()> {
        if self.config.identity == config::RowIdentity::Key {
            batch.cut_identity_to_key();
        }
        self.write(batch)
    }

    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.figures.read(batch);
        let repeats = batch.rows().partition_point(|row| row.position <= self.written);
        let fresh: Batch;
        let batch = if repeats > 0 {
            self.figures.source.repeats.inc_by(repeats as u64);
            fresh = batch.without_first(repeats);
            &fresh
        } else {
            batch
        };
        if let Some(last) = batch.rows().last() {
            let channels = self.channels(batch);
            let mut new_files = false;
            for (channel, part) in &channels {
                if !self.outputs.iter().any(|output| output.settings.takes(channel)) {
                    return Err(Error::stop(
                        Code::TableWithoutSink,
                        format!("no sink takes the changes of topic {channel:?}"),
                    )
                    .hint("add it to a sink's `topics`, or leave the table out of the source's `tables`"));
                }
                for output in self.outputs.iter_mut().filter(|output| output.settings.takes(channel)) {
                    new_files |= output.sink.prepare(channel, part.as_ref().unwrap_or(batch))?;
                }
            }
            // Before anything of the batch is written: the state may not vouch for a part of it.
            if new_files {
                self.save()?;
            }
            for (channel, part) in &channels {
                let part = part.as_ref().unwrap_or(batch);
                for (place, output) in
                    self.outputs.iter_mut().enumerate().filter(|(_, output)| output.settings.takes(channel))
                {
                    output.sink.write(channel, part)?;
                    self.figures.wrote(place, channel, part.rows().len());
                }
            }
            self.written = last.position;
            self.figures.handed_on(batch);
        }
        if let Some(checkpoint) = &batch.checkpoint {
            self.reached = checkpoint.clone();
        }
        Ok(())
    }

    /// The batch by the topics that its tables would have; `None` stands for the whole batch.
    fn channels(&self, batch: &Batch) -> Vec<(String, Option<Batch>)> {
        let of_table: Vec<String> =
            batch.tables().iter().map(|table| self.config.topic.of(&table.schema, &table.name)).collect();
        let mut names: Vec<&String> = batch.rows().iter().map(|row| &of_table[row.table as usize]).collect();
        names.dedup();
        names.sort();
        names.dedup();
        if let [only] = names[..] {
            return vec![(only.clone(), None)];
        }
        names
            .into_iter()
            .map(|name| (name.clone(), Some(batch.of_tables(|table| of_table[table as usize] == *name))))
            .collect()
    }

    /// Flushes every sink and moves position and lengths as one; then the database may release its log.
    fn save(&mut self) -> Result<()> {
        self.saved_at = Instant::now();
        let files = self.flush()?;
        if self.state.checkpoint == self.reached
            && self.state.written == self.written
            && self.state.files == files
        {
            return Ok(());
        }
        self.state.checkpoint.clone_from(&self.reached);
        (self.state.written, self.state.files) = (self.written, files);
        if let Some(file) = &self.file {
            file.save(&self.state)?;
        }
        self.figures.saved(&self.reached);
        match self.source.confirm(&self.reached) {
            // The files hold it; the database hears of it after the next connection.
            Err(error) if error.kind() == ErrorKind::Link => {
                tracing::warn!(source = self.config.name, code = error.code().slug(), "{error}");
                Ok(())
            }
            confirmed => confirmed,
        }
    }

    /// Flushes every sink, which a slow disk may take long for: the server is told meanwhile that its reader
    /// lives.
    fn flush(&mut self) -> Result<BTreeMap<String, BTreeMap<String, Marks>>> {
        let Self { source, outputs, figures, state, file, .. } = self;
        source::kept_alive(&mut **source, || {
            loop {
                let (mut files, mut names) = (BTreeMap::new(), state.files.clone());
                let mut holds_back = false;
                for (place, output) in outputs.iter_mut().enumerate() {
                    let began = Instant::now();
                    let marks = output.sink.flush()?;
                    figures.flushed(place, began.elapsed(), output.sink.files());
                    if output.sink.holds_back() {
                        holds_back = true;
                        names.insert(output.settings.name.clone(), marks.clone());
                    }
                    files.insert(output.settings.name.clone(), marks);
                }
                if !holds_back {
                    return Ok(files);
                }
                // The next files are named first, with the position that is saved.
                state.files = names;
                if let Some(file) = file {
                    file.save(state)?;
                }
            }
        })
    }

    fn start_again(&mut self, error: Error) -> Result<()> {
        if self.file.is_none() {
            // The server has forgotten the reader, so what was changed meanwhile cannot be had.
            let hint = "start again: the stream begins then, and the changes in between are left out; to \
                lose none, write files, or go through Kafka";
            return Err(error.definite().hint(hint));
        }
        let Self { config, source, state, control, figures, .. } = self;
        let of = (config.name.as_str(), &*figures.source);
        let saved = || state.checkpoint.clone();
        reconnect(&mut **source, of, &error, || control.is_stopping(), saved).map(drop)
    }
}
