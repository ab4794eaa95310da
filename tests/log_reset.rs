//! MySQL and MariaDB: a log that is begun again under the names of before, and a log that does not hold all
//! rows. Each check has a server of its own.

use std::time::{Duration, Instant};

use crate::rig::{OwnMysql, Program};

const PATIENCE: Duration = Duration::from_secs(60);

/// A pipeline of table `d.t` without Kafka, under a name of its own.
fn write_pipeline(own: &OwnMysql, name: &str) {
    own.scratch.write(
        &format!("{name}.toml"),
        &format!(
            "[[source]]\nname = {name:?}\nurl = {:?}\ntables = [\"d.t\"]\nsnapshot = \"never\"\n\
             [[sink]]\nname = {name:?}\ntopics = [\"{name}.*\"]\npath = \"{name}/{{table}}\"\n",
            own.server.url
        ),
    );
}

#[track_caller]
fn run_once(own: &OwnMysql, name: &str) {
    Program::run(&own.scratch.folder, &["-c", &format!("{name}.toml"), "run", "--once"]).ok();
}

/// The source ends and names the cause; its files are as they were.
#[track_caller]
fn is_refused(own: &OwnMysql, name: &str) {
    let run = Program::run(&own.scratch.folder, &["-c", &format!("{name}.toml"), "run", "--once"]);
    assert!(run.code == Some(1) && run.err.contains("reset"), "{name}: {}", run.err);
    assert!(
        run.err.contains("position set SOURCE latest") && run.err.contains("another name"),
        "{}",
        run.err
    );
}

const INSERT: &str = "INSERT INTO t (v) VALUES (1);\n";

fn wait_for_row(own: &OwnMysql, name: &str) {
    let file = own.scratch.path(&format!("{name}/t_insert.csv"));
    let began = Instant::now();
    while std::fs::read_to_string(&file).unwrap_or_default().lines().count() < 2 {
        assert!(began.elapsed() < PATIENCE, "no row comes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// After a reset the log may have as many transactions and files as before: they are not the ones that were
/// read.
fn a_reset_is_noticed(own: &OwnMysql, mark: &str) {
    let flush = "FLUSH BINARY LOGS;\n";
    let names = ["before", "moved", "first", "later", "next"].map(|name| format!("{name}_{mark}"));
    let [before, moved, first, later, next] = names.each_ref().map(String::as_str);
    for name in &names {
        write_pipeline(own, name);
    }
    // While nothing runs. One source has not moved since it began, the other has.
    run_once(own, moved);
    own.server.execute(&format!("{INSERT}{flush}{INSERT}"));
    run_once(own, moved);
    run_once(own, before);
    // The time of a file is counted in seconds.
    std::thread::sleep(Duration::from_millis(1100));
    own.reset_log();
    own.server.execute(&[INSERT, flush].concat().repeat(4));
    is_refused(own, before);
    is_refused(own, moved);
    // While it runs, in the first file of the log, and in a later one.
    for (name, more_files) in [(first, ""), (later, flush)] {
        own.reset_log();
        own.server.execute(&format!("DO 0;\n{more_files}"));
        run_once(own, name);
        let mut run = Program::start(&own.scratch.folder, name, &["-c", &format!("{name}.toml"), "run"]);
        own.server.execute(INSERT);
        wait_for_row(own, name);
        std::thread::sleep(Duration::from_millis(1100));
        own.reset_log();
        // The server ends the stream when it comes to what is no longer there.
        own.server.execute(&INSERT.repeat(4));
        let ended = run.wait(PATIENCE);
        assert!(ended.code() == Some(1) && run.log().contains("reset"), "{}", run.log());
        is_refused(own, name);
    }
    // The ways out.
    Program::run(
        &own.scratch.folder,
        &["-c", &format!("{later}.toml"), "position", "set", later, "latest", "--yes"],
    )
    .ok();
    own.server.execute(INSERT);
    run_once(own, later);
    assert_eq!(own.scratch.read(format!("{later}/t_insert.csv")).lines().count(), 3);
    run_once(own, next);
    own.server.execute(INSERT);
    run_once(own, next);
    assert_eq!(own.scratch.read(format!("{next}/t_insert.csv")).lines().count(), 2);
}

/// What the log does not hold is told by `check` and by the start, with the name of the option.
fn rows_that_are_not_logged(own: &mut OwnMysql) {
    let is_mariadb = own.is_mariadb();
    let updates = if is_mariadb { "log_slave_updates" } else { "log_replica_updates" };
    write_pipeline(own, "left_out");
    let said = |own: &OwnMysql, arguments: &[&str]| {
        Program::run(&own.scratch.folder, &[&["-c", "left_out.toml"], arguments].concat())
    };
    for option in ["binlog-do-db", "binlog-ignore-db"] {
        own.restart(&[&format!("--{option}={}", if option == "binlog-do-db" { "elsewhere" } else { "d" })]);
        let check = said(own, &["check"]);
        assert!(
            check.code == Some(1) && check.out.contains("log filter") && check.out.contains(option),
            "{}",
            check.out
        );
        let run = said(own, &["run", "--once"]);
        assert!(run.code == Some(1) && run.err.contains(option), "{}", run.err);
    }
    own.restart(&[&format!("--{updates}=OFF")]);
    assert_eq!(said(own, &["check"]).code, Some(0), "a server that replicates from nobody logs all there is");
    own.server.execute(if is_mariadb {
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'nobody';\n"
    } else {
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_USER = 'nobody';\n"
    });
    let check = said(own, &["check"]);
    assert!(check.code == Some(1) && check.out.contains(updates), "{}", check.out);
    let run = said(own, &["run", "--once"]);
    assert!(run.err.contains(updates), "{}", run.err);
    // As the hint says.
    own.restart(&[&format!("--{updates}=ON")]);
    assert_eq!(said(own, &["check"]).code, Some(0));
}

/// The log does not tell a UUID from BINARY(16), and the catalog is younger than the log.
fn a_column_that_changed_is_told_of(own: &OwnMysql) {
    write_pipeline(own, "uuid");
    own.server.execute("ALTER TABLE t ADD u UUID;\n");
    run_once(own, "uuid");
    own.server.execute(
        "INSERT INTO t (u) VALUES ('123e4567-e89b-12d3-a456-426655440000');\nALTER TABLE t \
        RENAME COLUMN u TO w;\n",
    );
    let run = Program::run(&own.scratch.folder, &["-c", "uuid.toml", "run", "--once"]).ok();
    let line = run
        .err
        .lines()
        .find(|line| line.contains("renamed or dropped after these rows were logged"))
        .unwrap_or_default();
    assert!(
        line.contains("WARN") && line.contains("column=\"u\"") && line.contains("taken_for=\"uuid\""),
        "{}",
        run.err
    );
    assert!(own.scratch.read("uuid/t_insert.csv").contains("123e4567-e89b-12d3-a456-426655440000"));
    own.server.execute("ALTER TABLE t DROP w;\n");
}

/// MariaDB adds the end of a row to the key of a versioned table; it is no column of the files.
fn a_versioned_table_is_proven(own: &OwnMysql) {
    own.server.execute("CREATE TABLE v (id INT PRIMARY KEY, x INT) WITH SYSTEM VERSIONING;\n");
    write_pipeline(own, "versioned");
    let text = own.scratch.read("versioned.toml").replace("d.t", "d.v");
    own.scratch.write("versioned.toml", &text);
    run_once(own, "versioned");
    own.server.execute(
        "INSERT INTO v VALUES (1, 1), (2, 2);\nUPDATE v SET x = 3 WHERE id = 1;\nDELETE FROM \
        v WHERE id = 2;\n",
    );
    run_once(own, "versioned");
    let proof = Program::run(&own.scratch.folder, &["-c", "versioned.toml", "verify"]).ok();
    assert!(proof.out.contains("d.v: 1 rows, 0 missing, 0 extra, 0 different"), "{}", proof.out);
}

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT);\n";

#[test]
fn of_mysql() {
    let mut own = OwnMysql::start("mysql", "log_mysql", &[]);
    own.server.execute(TABLE);
    a_reset_is_noticed(&own, "gtid");
    own.restart(&["--gtid-mode=OFF"]);
    a_reset_is_noticed(&own, "file");
    rows_that_are_not_logged(&mut own);
}

#[test]
fn of_mariadb() {
    let mut own = OwnMysql::start("mariadb", "log_mariadb", &[]);
    own.server.execute(TABLE);
    a_column_that_changed_is_told_of(&own);
    a_versioned_table_is_proven(&own);
    a_reset_is_noticed(&own, "gtid");
    rows_that_are_not_logged(&mut own);
}
