//! One table on its way: database -> Kafka -> files, with the load of `seed`, and the proof that nothing is
//! lost or twice.

use std::collections::BTreeSet;
use std::ops::{Add, AddAssign};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::server::Leftovers;
use super::{Program, Scratch, Server, consume_topic, kafka};

/// Changes that no check waits for.
const ENDLESS: u64 = 10_000_000;
/// For rows to flow, and for a load to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows that a load inserted, updated and deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

impl Counts {
    /// As `seed` prints them.
    pub fn parse(out: &str) -> Self {
        let number = |name: &str| {
            let line = out
                .lines()
                .find(|line| line.to_lowercase().starts_with(name))
                .unwrap_or_else(|| panic!("no {name:?} in {out:?}"));
            line.rsplit(' ').next().unwrap().replace([',', '_'], "").parse::<u64>().unwrap()
        };
        Self {
            inserted: number("inserted rows"),
            updated: number("updated rows"),
            deleted: number("deleted rows"),
        }
    }

    /// Ends a load after its current transaction; it must have lasted until now.
    #[track_caller]
    pub fn of_ended(mut load: Program) -> Self {
        assert!(load.is_running(), "the load ended too early:\n{}", load.log());
        load.signal("TERM");
        assert!(load.wait(PATIENCE).success(), "{}", load.log());
        Self::parse(&load.log())
    }

    pub fn changes(self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.inserted += more.inserted;
        self.updated += more.updated;
        self.deleted += more.deleted;
    }
}

/// Checks that need the servers as they are hold it together; one that kills a broker or changes a server's
/// setting holds it alone.
static SERVERS: RwLock<()> = RwLock::new(());

/// While it is held, no other check's pipeline runs. `tests/alone.txt` lists the checks that call it:
/// `scripts/test-parallel` runs them on servers that nothing else uses.
#[track_caller]
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    let is_shared = std::env::var_os("LIST_SYNC_TOGETHER").is_some();
    assert!(!is_shared, "other checks use these servers meanwhile: add this one to tests/alone.txt");
    SERVERS.write().unwrap_or_else(PoisonError::into_inner)
}

/// While it is held, no check changes what all of them share.
pub fn together() -> RwLockReadGuard<'static, ()> {
    SERVERS.read().unwrap_or_else(PoisonError::into_inner)
}

pub struct Pipeline {
    _brokers: Option<RwLockReadGuard<'static, ()>>,
    pub server: Server,
    pub scratch: Scratch,
    pub table: String,
    _leftovers: Leftovers,
}

impl Pipeline {
    /// An empty test table of its own, a configuration with one source and one sink, and a stream that begins
    /// now.
    pub fn new(check: &str, server: Server, direct: bool) -> Self {
        Self::with(Some(together()), check, server, direct)
    }

    /// For a check that holds [`alone`], and for its second pipeline.
    pub fn new_alone(check: &str, server: Server) -> Self {
        Self::with(None, check, server, false)
    }

    /// The same without Kafka.
    pub fn new_direct_alone(check: &str, server: Server) -> Self {
        Self::with(None, check, server, true)
    }

    fn with(
        brokers: Option<RwLockReadGuard<'static, ()>>,
        check: &str,
        server: Server,
        direct: bool,
    ) -> Self {
        let scratch = Scratch::new(&format!("{check}_{}", server.name));
        let table = format!("t_{}", scratch.name);
        let leftovers = server.leftovers(&scratch.name, &[&table]);
        let pipeline = Self { _brokers: brokers, server, scratch, table, _leftovers: leftovers };
        // No changes: seed makes the table and stops.
        pipeline.seed(0);
        pipeline.scratch.write("list_sync.toml", &pipeline.configuration(direct));
        if !direct {
            pipeline.run(&["connect", "--once"]);
        }
        pipeline
    }

    fn configuration(&self, direct: bool) -> String {
        let Scratch { name, .. } = &self.scratch;
        let brokers: Vec<String> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
        let carried =
            if direct { String::new() } else { format!("[kafka]\nbrokers = [{}]\n", brokers.join(", ")) };
        format!(
            "{carried}[[source]]\nname = {name:?}\nurl = {:?}\ntables = [{:?}]\nsnapshot = \"never\"\n\
             [[sink]]\nname = {name:?}\ntopics = [\"{name}.*\"]\npath \
             = \"out/{{table}}\"\ncommit_interval_ms = 200\n",
            self.server.least(name, &self.table),
            self.table
        )
    }

    /// A configuration in which sources log in as the tables' owner, who makes publications by itself: the
    /// least rights are for the one made here.
    pub fn as_owner(&self, text: &str) -> String {
        let url = format!("url = {:?}", self.server.url);
        let lines: Vec<&str> =
            text.lines().map(|line| if line.starts_with("url = ") { &url } else { line }).collect();
        lines.join("\n") + "\n"
    }

    pub fn topic(&self) -> String {
        format!("{}.{}.{}", self.scratch.name, self.server.schema(), self.table)
    }

    /// Runs a command to its end, which must be a good one.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> super::Run {
        Program::run(&self.scratch.folder, arguments).ok()
    }

    pub fn start(&self, name: &str, arguments: &[&str]) -> Program {
        Program::start(&self.scratch.folder, name, arguments)
    }

    #[track_caller]
    pub fn seed(&self, rows: u64) -> Counts {
        Counts::parse(
            &self
                .run(&[
                    "seed",
                    "--url",
                    &self.server.url,
                    "--rows",
                    &rows.to_string(),
                    "--batch",
                    "100",
                    "--table",
                    &self.table,
                ])
                .out,
        )
    }

    /// The load as a process beside the check, at a steady rate of changes a second.
    pub fn start_seed(&self, rows: u64, rate: u64) -> Program {
        let (rows, rate) = (rows.to_string(), rate.to_string());
        self.start(
            "seed",
            &[
                "seed",
                "--url",
                &self.server.url,
                "--rows",
                &rows,
                "--rate",
                &rate,
                "--batch",
                "100",
                "--table",
                &self.table,
            ],
        )
    }

    /// The load in transactions of `batch` changes, as fast as the database goes.
    pub fn start_transactions(&self, rows: u64, batch: u64) -> Program {
        let (rows, batch) = (rows.to_string(), batch.to_string());
        self.start(
            "seed",
            &["seed", "--url", &self.server.url, "--rows", &rows, "--batch", &batch, "--table", &self.table],
        )
    }

    /// A load that goes on until [`Counts::of_ended`], so that every kill meets rows in flight.
    pub fn start_load(&self, rate: u64) -> Program {
        self.start_seed(ENDLESS, rate)
    }

    /// The group notices a killed member as soon as brokers allow by default, rather than after 10 s.
    pub fn shorten_sessions(&self) {
        let short = "[kafka]\nproperties = { \"session.timeout.ms\" = \"6000\" }\n";
        let text = self.scratch.read("list_sync.toml");
        assert!(text.contains("[kafka]\n"), "{text}");
        self.scratch.write("list_sync.toml", &text.replace("[kafka]\n", short));
    }

    /// Waits until the files of a kind (see [`Pipeline::files`]) grow: rows flow right now, and what was
    /// written last is not committed yet.
    #[track_caller]
    pub fn wait_for_growth(&self, kind: &str) {
        let bytes =
            || self.files(kind).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum::<u64>();
        let (began, before) = (Instant::now(), bytes());
        while bytes() <= before {
            assert!(began.elapsed() < PATIENCE, "files {kind:?} do not grow: {:?}", self.files(""));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// CSV files of all members and generations whose names contain `_KIND`.
    pub fn files(&self, kind: &str) -> Vec<PathBuf> {
        let Ok(folder) = std::fs::read_dir(self.scratch.path("out")) else { return Vec::new() };
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| {
            path.extension().is_some_and(|ending| ending == "csv")
                && path.to_str().unwrap().contains(&format!("_{kind}"))
        });
        files.sort();
        files
    }

    /// Records of these files that begin with the action's letter; fields of the load hold no line ends.
    pub fn rows(&self, kind: &str, action: &str) -> u64 {
        let begins = format!("{action},{},", self.table);
        let count = |path: &PathBuf| {
            std::fs::read_to_string(path).unwrap().lines().filter(|line| line.starts_with(&begins)).count()
                as u64
        };
        self.files(kind).iter().map(count).sum()
    }

    /// Each change is in the files exactly once, and the files fold to the table.
    #[track_caller]
    pub fn prove(&self, counts: Counts) {
        assert_eq!(self.rows("insert", "I"), counts.inserted + counts.updated, "rows in the insert files");
        assert_eq!(self.rows("delete", "D"), counts.deleted + counts.updated, "rows in the delete files");
        let proof = self.run(&["verify"]);
        assert!(
            proof.out.contains(&format!(
                "{} rows, 0 missing, 0 extra, 0 different",
                counts.inserted - counts.deleted
            )),
            "{}",
            proof.out
        );
    }

    /// The topic holds each change; what it holds twice after a kill is the same change at the same position,
    /// which is how consumers know it. Answers how many messages there are.
    #[track_caller]
    pub fn prove_topic(&self, counts: Counts) -> u64 {
        let (mut messages, mut changes) = (0_u64, BTreeSet::new());
        consume_topic(&self.topic(), |partition, key, value, position| {
            messages += 1;
            changes.insert((position.to_vec(), partition, key.to_vec(), value.to_vec()));
        });
        let positions: BTreeSet<&Vec<u8>> = changes.iter().map(|(position, ..)| position).collect();
        assert_eq!(
            (changes.len() as u64, positions.len() as u64),
            (counts.changes(), counts.changes()),
            "changes and positions in the topic"
        );
        println!("{messages} messages for {} changes", counts.changes());
        messages
    }

    /// After stops that were all clean, the topic holds each change once.
    #[track_caller]
    pub fn prove_topic_has_each_once(&self, counts: Counts) {
        assert_eq!(self.prove_topic(counts), counts.changes(), "messages in the topic, some changes twice");
    }
}
