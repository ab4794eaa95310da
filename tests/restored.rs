//! PostgreSQL: a server that was set back to an older copy of its folder has another log than the one that
//! was read, whatever it wrote since.

use crate::rig::{OwnPostgres, Program};

const PLUGINS: [&str; 2] = ["pgoutput", "wal2json"];

/// Nothing moves the slots' own log on while a check runs: only what was read tells the copies apart.
fn start(check: &str) -> OwnPostgres {
    let own =
        OwnPostgres::start(check, "-c wal_level=logical -c bgwriter_delay=10s -c checkpoint_timeout=1h");
    own.server.execute("CREATE TABLE t (id int PRIMARY KEY, v text);\n");
    for plugin in PLUGINS {
        own.scratch.write(
            &format!("{plugin}.toml"),
            &format!(
                "[[source]]\nname = {plugin:?}\nurl = {:?}\ntables = [\"t\"]\nplugin = {plugin:?}\nsnapshot \
                 = \"never\"\n\
                 [[sink]]\nname = {plugin:?}\ntopics = [\"{plugin}.*\"]\npath = \"{plugin}/{{table}}\"\n",
                own.server.url
            ),
        );
    }
    run_once(&own);
    own
}

#[track_caller]
fn run_once(own: &OwnPostgres) {
    for plugin in PLUGINS {
        Program::run(&own.scratch.folder, &["-c", &format!("{plugin}.toml"), "run", "--once"]).ok();
    }
}

#[track_caller]
fn files_have(own: &OwnPostgres, ids: &[u32]) {
    for plugin in PLUGINS {
        let text = own.scratch.read(format!("{plugin}/t_insert.csv"));
        let found: Vec<u32> =
            text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect();
        assert_eq!(found, ids, "{plugin}");
    }
}

fn insert(own: &OwnPostgres, id: u32) {
    own.server.execute(&format!("INSERT INTO t VALUES ({id}, repeat('v', 300));\n"));
}

fn ask(own: &OwnPostgres, question: &str) -> String {
    own.server.connect().query(question).unwrap()[0][0].clone().unwrap()
}

#[test]
fn a_copy_that_wrote_past_the_saved_place_is_refused() {
    let own = start("restored");
    insert(&own, 1);
    run_once(&own);
    own.stop("fast");
    own.copy_folder(false);
    own.start_again();
    insert(&own, 2);
    run_once(&own);
    let read_to = ask(&own, "SELECT pg_current_wal_lsn()");
    own.stop("fast");
    own.copy_folder(true);
    own.start_again();
    let is_past = format!("SELECT pg_current_wal_lsn() > '{read_to}'");
    for id in 10.. {
        insert(&own, id);
        if ask(&own, &is_past).starts_with('t') {
            break;
        }
    }
    // However often it is tried: nothing is confirmed that would hide it from the next start.
    for plugin in PLUGINS.repeat(2) {
        let run = Program::run(&own.scratch.folder, &["-c", &format!("{plugin}.toml"), "run", "--once"]);
        assert!(run.code == Some(1) && run.err.contains("in an older one"), "{plugin}: {}", run.err);
        assert!(run.err.contains("another name"), "{}", run.err);
    }
    files_have(&own, &[1, 2]);
    // The way out.
    let text = own
        .scratch
        .read("pgoutput.toml")
        .replace("\"pgoutput", "\"next")
        .replace("plugin = \"next\"", "plugin = \"pgoutput\"");
    own.scratch.write("next.toml", &text);
    let next = ["-c", "next.toml", "run", "--once"];
    Program::run(&own.scratch.folder, &next).ok();
    own.server.execute(
        "BEGIN;\nCREATE TEMPORARY TABLE copy ON COMMIT DROP AS SELECT * FROM t;\nTRUNCATE t;\nINSERT INTO t \
         OVERRIDING SYSTEM VALUE SELECT * FROM \
         copy;\nCOMMIT;\n",
    );
    Program::run(&own.scratch.folder, &next).ok();
    let proof = Program::run(&own.scratch.folder, &["-c", "next.toml", "verify"]).ok();
    assert!(proof.out.contains(" 0 missing, 0 extra, 0 different"), "{}", proof.out);
}

/// A server that crashed has forgotten what was confirmed to it since its last checkpoint: all that comes
/// again is recognised, and left out.
#[test]
fn a_server_that_crashed_is_the_same() {
    let own = start("crashed");
    for id in 1..4 {
        insert(&own, id);
        run_once(&own);
    }
    let behind = "SELECT min(confirmed_flush_lsn) < pg_current_wal_lsn() - 300 FROM pg_replication_slots";
    assert!(ask(&own, behind).starts_with('f'), "all is confirmed");
    own.stop("immediate");
    own.start_again();
    assert!(ask(&own, behind).starts_with('t'), "the crash took nothing back");
    run_once(&own);
    insert(&own, 4);
    run_once(&own);
    files_have(&own, &[1, 2, 3, 4]);
    // The server knows again what was confirmed.
    assert!(ask(&own, behind).starts_with('f'));
}
