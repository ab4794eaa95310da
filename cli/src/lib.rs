//! The program: arguments, configuration, run, exit code. All that it does is done by the library
//! `list_sync`.
//!
//! `bin/list_sync/main.rs` is the binary; the Python package calls [`run`] as its command.

mod args;
mod check;
mod explain;
mod hide;
mod init;
mod logging;
mod position;
mod progress;
mod seed;
mod status;
mod verify;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use indicatif::{MultiProgress, ProgressDrawTarget};
use list_sync::config::{Config, OneLine};
use list_sync::control::Control;
use list_sync::monitor::Monitor;
use list_sync::{Code, Error, Result};
use list_sync::{connector, consumer, pipeline};

use args::{Arguments, Command, Connect, Consume, Everywhere, Run};
use progress::Watch;

pub use hide::hide_passwords;

/// Runs the program with these arguments, the first of which is its name, to its end. Ends the process itself
/// where the arguments are wrong or ask for help.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments { everywhere, command } = Arguments::parse_from(arguments);
    let bars =
        draws_progress(&everywhere).then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
    logging::start(&everywhere, bars.as_ref());
    let session = Session { everywhere, bars };
    match session.run(&command) {
        Ok(code) => code,
        Err(error) => {
            logging::report(&error, session.everywhere.log_format);
            ExitCode::from(error.exit_code())
        }
    }
}

fn draws_progress(flags: &Everywhere) -> bool {
    io::stderr().is_terminal() && !flags.quiet && flags.log_format == args::LogFormat::Text
}

/// What one start of the program runs with.
struct Session {
    everywhere: Everywhere,
    bars: Option<MultiProgress>,
}

impl Session {
    fn run(&self, command: &Command) -> Result<ExitCode> {
        match command {
            Command::Check(flags) => check::run(self, flags),
            Command::Connect(flags) => self.connect(flags),
            Command::Consume(flags) => self.consume(flags),
            Command::Run(flags) => self.both(flags),
            Command::Explain(flags) => explain::run(flags),
            Command::Init(flags) => init::run(self, flags),
            Command::Position(flags) => position::run(self, &flags.action),
            Command::Seed(flags) => seed::run(self, flags),
            Command::Status(flags) => status::run(self, flags),
            Command::Verify(flags) => verify::run(self, flags),
        }
    }

    /// The file that `-c` names.
    fn config_path(&self) -> Option<&str> {
        self.everywhere.config.as_deref()
    }

    /// The configuration: of the flags if they name a database or files, else of the file.
    fn config(&self, flags: &OneLine) -> Result<Config> {
        if flags.is_used() {
            return Config::from_flags(flags, &self.everywhere.set);
        }
        Config::load_with(self.config_path(), &self.everywhere.set)
    }

    /// A handle that signals stop, and who watches it.
    fn control(&self, once: bool) -> Result<(Control, Watch)> {
        // Whoever tries something out at a terminal is told at once what is wrong; a service waits for what
        // may pass.
        let mut control = Control::new(once);
        control.waits_at_start = !once && !io::stderr().is_terminal();
        control.stop_on_signals()?;
        let watch = Watch::start(Arc::clone(&control.progress), self.bars.clone());
        Ok((control, watch))
    }

    fn connect(&self, flags: &Connect) -> Result<ExitCode> {
        let config = self.config(&flags.one_line())?;
        config.refuse_unbuilt()?;
        config.need_kafka()?;
        let sources = config.need_sources(&flags.source)?;
        let (control, _watch) = self.control(flags.until.once)?;
        let _monitor = Monitor::start(&config, &sources, &[], &control)?;
        connector::run(&config, &flags.source, &control)?;
        Ok(ExitCode::SUCCESS)
    }

    fn consume(&self, flags: &Consume) -> Result<ExitCode> {
        let config = self.config(&flags.one_line())?;
        config.refuse_unbuilt()?;
        config.need_kafka()?;
        config.need_sinks(&flags.sink)?;
        let (control, _watch) = self.control(flags.until.once)?;
        let (config, named, instances) = if flags.independent {
            (config.with_independent_sinks(&flags.sink, flags.instances), &[][..], 1)
        } else {
            (config, &flags.sink[..], flags.instances)
        };
        let _monitor = Monitor::start(&config, &[], &config.need_sinks(named)?, &control)?;
        consumer::run(&config, named, instances, &control)?;
        Ok(ExitCode::SUCCESS)
    }

    fn both(&self, flags: &Run) -> Result<ExitCode> {
        let config = self.config(&flags.one_line())?;
        config.refuse_unbuilt()?;
        let (sources, sinks) = (config.need_sources(&[])?, config.need_sinks(&[])?);
        let (control, _watch) = self.control(flags.until.once)?;
        let _monitor = Monitor::start(&config, &sources, &sinks, &control)?;
        pipeline::run(&config, &control)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A line of results. A reader that has gone away (`| head`) is no failure.
fn say(line: &str) -> Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::stop(Code::OutputFailed, "stdout cannot be written").cause(cause))
        }
        _ => Ok(()),
    }
}
