//! The command line. What it says is turned into the library's types here and nowhere else. It cannot be
//! printed, since it may hold passwords.
#![expect(
    clippy::doc_markdown,
    clippy::struct_field_names,
    reason = "the comments are what --help prints, the fields are the flags' names"
)]

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use list_sync::Code;
use list_sync::config::{OneLine, default_of};
use list_sync::seed::Mix;
use list_sync::source::Snapshot;

/// Change data capture: MySQL, MariaDB and PostgreSQL -> Kafka -> files, exactly once into the files.
#[derive(Parser)]
#[command(name = "list_sync", version)]
#[command(after_help = "Example, without a file and without Kafka:
  list_sync run --from postgres://me@localhost/shop --table 'public.*' --to csv:out

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.")]
pub struct Arguments {
    #[command(flatten)]
    pub everywhere: Everywhere,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args)]
pub struct Everywhere {
    /// The configuration file [default: list_sync.toml]
    #[arg(short, long, global = true, help_heading = "Options of every command", value_name = "FILE")]
    pub config: Option<String>,
    /// Sets an option above the file and the environment: kafka.brokers=a:9092,b:9092 or
    /// source.NAME.snapshot=never; may stand several times
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How the log on stderr is written
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// Logs more: -v what is done, -vv every step
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    #[arg(help_heading = "Options of every command")]
    pub verbose: u8,
    /// Logs errors only and draws no progress
    #[arg(short, long, global = true, help_heading = "Options of every command", conflicts_with = "verbose")]
    pub quiet: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// What is to be done.
#[derive(Subcommand)]
pub enum Command {
    /// Writes a commented configuration file, from flags or by asking on a terminal
    #[command(after_help = "Examples:
  list_sync init
  list_sync init --from 'postgres://repl:${PASSWORD}@db/shop' --table 'public.*' --kafka localhost:9092 --to csv:out

A file that is there is not overwritten without --force. What the flags do not say is asked on a terminal; without one, --from, --table and --to are needed.")]
    Init(Init),
    /// Tries everything that the configuration needs: databases, Kafka, folders
    #[command(after_help = "Examples:
  list_sync check
  list_sync check --fix --admin 'postgres://postgres:${ADMIN_PASSWORD}@db/postgres'
  list_sync check --from postgres://me@localhost/shop --table 'public.*' --to csv:out

Exit code 1 if a check fails.")]
    Check(Check),
    /// Reads the changes of databases into Kafka
    #[command(after_help = "Examples:
  list_sync connect --source shop
  list_sync connect --from mysql://me@localhost/shop --table orders --kafka localhost:9092")]
    Connect(Connect),
    /// Writes changes from Kafka to files
    #[command(after_help = "Examples:
  list_sync consume --sink files --instances 3
  list_sync consume --sink files --instances 30 --independent
  list_sync consume --topic 'shop.public.*' --to csv:out --kafka localhost:9092 --group files")]
    Consume(Consume),
    /// Databases to files in one process, through Kafka if there is one
    #[command(after_help = "Examples:
  list_sync run
  list_sync run --once --from 'postgres://me:${PASSWORD}@localhost/shop' --table 'public.*' --to csv:out")]
    Run(Run),
    /// Creates the test table and loads it with inserts, updates and deletes
    #[command(after_help = "Examples:
  list_sync seed --url postgres://me@localhost/shop --rows 100000
  list_sync seed --source shop --rate 5000 --mix 80,10,10")]
    Seed(Seed),
    /// Shows how far each source, group and sink is, asked of the databases and Kafka
    #[command(after_help = "Examples:
  list_sync status
  list_sync status --watch
  list_sync status --json --source shop
  list_sync status --from postgres://me@localhost/shop --table 'public.*' --to csv:out

No process has to run; one whose [monitor] answers adds what it is doing. Exit code 1 if a server could not be asked.")]
    Status(Status),
    /// Shows, moves or removes the place where a source reads on
    #[command(after_help = "Examples:
  list_sync position get shop
  list_sync position set shop latest --yes
  list_sync position forget shop

set and forget show what they would do and change nothing without --yes. Stop the source's process first.")]
    Position(Position),
    /// Proves that the files fold to what the tables hold now
    #[command(after_help = "Example, waiting up to a minute for files that lag:
  list_sync verify --source shop --wait 60

Exit code 1 if a row is missing, extra or different. A table without a primary key is compared by whole rows.")]
    Verify(Verify),
    /// Says what the code of an error means and what to do; without one, lists all codes
    #[command(after_help = "Examples:
  list_sync explain slot-lost
  list_sync explain

docs/errors.md has the same, and says where codes stand.")]
    Explain(Explain),
}

#[derive(Args)]
pub struct Explain {
    /// The code, as it stands behind `code:` in a message
    #[arg(value_name = "CODE", hide_possible_values = true, value_parser = code_words())]
    pub code: Option<String>,
}

#[derive(Default, Args)]
pub struct Init {
    /// The database; '${NAME}' stands for an environment variable and is written as it stands
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// A file that holds the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<String>,
    /// Tables of it, with * and ?; may stand several times
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// The source's name [default: the database's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[arg(long, value_name = "WHEN", value_parser = snapshot_words(), help = snapshot_help())]
    pub snapshot: Option<String>,
    /// Kafka's brokers, HOST:PORT[,HOST:PORT…]; left out: no Kafka
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// Where the files go, csv:FOLDER
    #[arg(long, value_name = "KIND:FOLDER")]
    pub to: Option<String>,
    /// Replaces a file that is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct Check {
    /// Only this source; may stand several times
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only this sink; may stand several times
    #[arg(long, value_name = "NAME")]
    pub sink: Vec<String>,
    /// Applies the fixes that need no restart, then checks again
    #[arg(long)]
    pub fix: bool,
    /// A user for --fix who may do what the source's own may not; '${NAME}' stands for an environment
    /// variable; may stand several times
    #[arg(long, value_name = "URL", requires = "fix")]
    pub admin: Vec<String>,
    /// One JSON object, described in docs/check.md
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: From,
    /// Files without a configuration, csv:FOLDER
    #[arg(long, value_name = "KIND:FOLDER", requires = "from")]
    pub to: Option<String>,
    /// Kafka's brokers, HOST:PORT[,HOST:PORT…]; left out: no Kafka
    #[arg(long, value_name = "BROKERS", requires = "from")]
    pub kafka: Option<String>,
}

#[derive(Args)]
pub struct Connect {
    /// Only this source; may stand several times
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    #[command(flatten)]
    pub until: Until,
    #[command(flatten)]
    pub from: From,
    /// Kafka's brokers, HOST:PORT[,HOST:PORT…]
    #[arg(long, value_name = "BROKERS", requires = "from")]
    pub kafka: Option<String>,
}

#[derive(Args)]
pub struct Consume {
    /// Only this sink; may stand several times
    #[arg(long, value_name = "NAME")]
    pub sink: Vec<String>,
    /// Members of the group in this process
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub instances: u32,
    /// Each instance is a consumer for itself: GROUP_1, GROUP_2, … with files in folders 1, 2, … beside each
    /// other
    #[arg(long)]
    pub independent: bool,
    #[command(flatten)]
    pub until: Until,
    /// Where changes go without a configuration: csv:FOLDER, or - for JSON lines on stdout
    #[arg(long, value_name = "KIND:FOLDER", requires_all = ["kafka", "topic"], conflicts_with = "config")]
    pub to: Option<String>,
    /// Topics to read, with * and ?; may stand several times
    #[arg(long, value_name = "TOPIC", requires = "to")]
    pub topic: Vec<String>,
    /// Kafka's brokers, HOST:PORT[,HOST:PORT…]
    #[arg(long, value_name = "BROKERS", requires = "to")]
    pub kafka: Option<String>,
    /// The consumer group [default: files]
    #[arg(long, value_name = "NAME", requires = "to")]
    pub group: Option<String>,
}

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    pub until: Until,
    #[command(flatten)]
    pub from: From,
    /// Where changes go without a configuration: csv:FOLDER, or - for JSON lines on stdout
    #[arg(long, value_name = "KIND:FOLDER", requires = "from")]
    pub to: Option<String>,
    /// Kafka's brokers, HOST:PORT[,HOST:PORT…]; left out: no Kafka
    #[arg(long, value_name = "BROKERS", requires = "from")]
    pub kafka: Option<String>,
}

/// A database without a configuration.
#[derive(Args)]
pub struct From {
    /// A database without a configuration; '${NAME}' stands for an environment variable
    #[arg(long, value_name = "URL", requires = "table", conflicts_with = "config")]
    pub from: Option<String>,
    /// Tables of it, with * and ?; may stand several times
    #[arg(long, value_name = "TABLE", requires = "from")]
    pub table: Vec<String>,
    #[arg(
        long,
        value_name = "WHEN",
        requires = "from",
        value_parser = snapshot_words(),
        help = snapshot_help()
    )]
    pub snapshot: Option<String>,
}

#[derive(Args)]
pub struct Until {
    /// Catches up with what was there at the start, then ends
    #[arg(long)]
    pub once: bool,
}

#[derive(Args)]
pub struct Seed {
    /// A database, in place of the configuration's sources; '${NAME}' stands for an environment variable
    #[arg(long, value_name = "URL", conflicts_with_all = ["source", "config", "set"])]
    pub url: Option<String>,
    /// Only this source of the configuration; may stand several times
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Changes altogether
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub rows: u64,
    /// Changes a transaction
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub batch: u64,
    /// Changes a second [default: as fast as the database goes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Parts of inserts, updates and deletes
    #[arg(long, value_name = "I,U,D", default_value = "50,25,25", value_parser = Mix::parse)]
    pub mix: Mix,
    /// The table, NAME or SCHEMA.NAME
    #[arg(long, value_name = "TABLE", default_value = "test")]
    pub table: String,
    /// The same number gives the same values
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Args)]
pub struct Status {
    /// Only this source; may stand several times
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only this sink and its group; may stand several times
    #[arg(long, value_name = "NAME")]
    pub sink: Vec<String>,
    /// Looks again every two seconds, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// One JSON object a look
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub from: From,
    /// Files without a configuration, csv:FOLDER
    #[arg(long, value_name = "KIND:FOLDER", requires = "from")]
    pub to: Option<String>,
    /// Kafka's brokers, HOST:PORT[,HOST:PORT…]; left out: no Kafka
    #[arg(long, value_name = "BROKERS", requires = "from")]
    pub kafka: Option<String>,
}

#[derive(Args)]
pub struct Position {
    #[command(subcommand)]
    pub action: PositionAction,
}

/// What is done with a place.
#[derive(Subcommand)]
pub enum PositionAction {
    /// Shows the saved place, and the slot and publication that the source keeps on its server
    Get(PositionOf),
    /// Moves the saved place forward: the changes between are never sent
    Set {
        #[command(flatten)]
        of: PositionOf,
        /// latest, an LSN (PostgreSQL) or FILE:OFFSET (MySQL and MariaDB without GTIDs)
        place: String,
        /// Does it, rather than show what would be done
        #[arg(long)]
        yes: bool,
    },
    /// Drops the source's slot and publication and removes its saved place: its next start begins as a first
    /// one
    Forget {
        #[command(flatten)]
        of: PositionOf,
        /// Does it, rather than show what would be done
        #[arg(long)]
        yes: bool,
    },
}

/// Whose place it is.
#[derive(Args)]
pub struct PositionOf {
    /// The source's name
    #[arg(value_name = "SOURCE")]
    pub source: String,
}

#[derive(Args)]
pub struct Verify {
    /// Only this source; may stand several times
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only this sink; may stand several times
    #[arg(long, value_name = "NAME")]
    pub sink: Vec<String>,
    /// Compares again until all is equal, at most so many seconds
    #[arg(long, value_name = "SECS", default_value_t = 0)]
    pub wait: u64,
    /// Proves each of N independent consumers, as `consume --instances N --independent` made them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub independent: Option<u32>,
    #[command(flatten)]
    pub from: From,
    /// Files without a configuration, csv:FOLDER
    #[arg(long, value_name = "KIND:FOLDER", requires = "from")]
    pub to: Option<String>,
}

impl Check {
    /// The flags that stand for a file.
    pub fn one_line(&self) -> OneLine {
        OneLine { kafka: self.kafka.clone(), to: self.to.clone(), ..self.from.one_line() }
    }
}

impl Status {
    /// The flags that stand for a file.
    pub fn one_line(&self) -> OneLine {
        OneLine { kafka: self.kafka.clone(), to: self.to.clone(), ..self.from.one_line() }
    }
}

impl Connect {
    /// The flags that stand for a file.
    pub fn one_line(&self) -> OneLine {
        OneLine { kafka: self.kafka.clone(), ..self.from.one_line() }
    }
}

impl Consume {
    /// The flags that stand for a file.
    pub fn one_line(&self) -> OneLine {
        let (to, kafka, group) = (self.to.clone(), self.kafka.clone(), self.group.clone());
        OneLine { to, kafka, group, topics: self.topic.clone(), ..OneLine::default() }
    }
}

impl Run {
    /// The flags that stand for a file.
    pub fn one_line(&self) -> OneLine {
        OneLine { kafka: self.kafka.clone(), to: self.to.clone(), ..self.from.one_line() }
    }
}

impl Verify {
    /// The flags that stand for a file.
    pub fn one_line(&self) -> OneLine {
        OneLine { to: self.to.clone(), ..self.from.one_line() }
    }
}

impl From {
    fn one_line(&self) -> OneLine {
        OneLine {
            from: self.from.clone(),
            tables: self.table.clone(),
            snapshot: self.snapshot.clone(),
            ..OneLine::default()
        }
    }
}

/// What `--snapshot` takes: the words of the option that are built.
fn code_words() -> PossibleValuesParser {
    PossibleValuesParser::new(Code::ALL.iter().map(|code| code.slug()))
}

fn snapshot_words() -> PossibleValuesParser {
    PossibleValuesParser::new(Snapshot::WORDS.built())
}

fn snapshot_help() -> String {
    let default = default_of("source", "snapshot");
    format!("Rows that are there already: read first, or left out [default: {default}]")
}
