//! `list_sync check` on real servers: what is wrong is one line with the statement that mends it, and what
//! `--fix` mends then runs.

use std::process::Command;

use serde_json::Value;

use crate::rig::{
    Leftovers, OwnPostgres, Program, Run, Scratch, Server, all_servers, alone, kafka, together,
};

/// A table, a source of it, Kafka and files; dropped at the end.
struct Bench {
    scratch: Scratch,
    server: Server,
    table: String,
    _leftovers: Leftovers,
}

impl Bench {
    fn new(check: &str, server: &Server, columns: &str) -> Self {
        let scratch = Scratch::new(check);
        let table = format!("t_{}", scratch.name);
        let leftovers = server.leftovers(&scratch.name, &[&table]);
        server.execute(&format!("CREATE TABLE {table} ({columns});\n"));
        let bench = Self { scratch, server: server.clone(), table, _leftovers: leftovers };
        bench.write(|text| text);
        bench
    }

    /// Writes the configuration with a change.
    fn write(&self, change: impl Fn(String) -> String) {
        let name = &self.scratch.name;
        let brokers: Vec<_> = kafka().split(',').map(|broker| format!("{broker:?}")).collect();
        let text = format!(
            "[kafka]\nbrokers = [{}]\n[[source]]\nname = {name:?}\nurl = {:?}\ntables = [{:?}]\nsnapshot \
             = \"never\"\n\
             [[sink]]\nname = \"files\"\ngroup = {name:?}\npath = \"out/{{table}}\"\ncommit_interval_ms = \
             200\n",
            brokers.join(", "),
            self.server.url,
            self.table
        );
        self.scratch.write("list_sync.toml", &change(text));
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Program::run(&self.scratch.folder, arguments)
    }

    fn topic(&self) -> String {
        format!("{}.{}.{}", self.scratch.name, self.server.schema(), self.table)
    }

    /// Rows go the whole way: what is written after the source has marked its place is in the files.
    #[track_caller]
    fn prove_that_it_runs(&self) {
        self.run(&["connect", "--once"]).ok();
        let table = &self.table;
        self.server.execute(&format!(
            "INSERT INTO {table} VALUES (1), (2), (3);\nUPDATE {table} SET id = 4 WHERE id = 1;\nDELETE \
             FROM {table} WHERE id = 2;\n"
        ));
        self.run(&["connect", "--once"]).ok();
        self.run(&["consume", "--once"]).ok();
        let proof = self.run(&["verify"]).ok();
        assert!(proof.out.contains(": 2 rows, 0 missing, 0 extra, 0 different"), "{}", proof.out);
    }
}

/// The first line of this check (`wal_level`, `kafka: connection`) has this status and these words.
#[track_caller]
fn expect(run: &Run, status: &str, check: &str, words: &[&str]) {
    let named = format!(" {check}: ");
    let line = run
        .out
        .lines()
        .find(|line| line.contains(&named))
        .unwrap_or_else(|| panic!("no {check:?} in:\n{}\n{}", run.out, run.err));
    assert!(line.starts_with(&format!("{status:<4}  ")), "{line}");
    for word in words {
        assert!(line.contains(word), "lacks {word:?}: {line}");
    }
    assert!(status != "fail" || line.contains("; fix: "), "{line}");
}

#[track_caller]
fn expect_code(run: &Run, code: i32) {
    assert_eq!(run.code, Some(code), "{}\n{}", run.out, run.err);
}

#[test]
fn a_good_set_up_is_good_and_nothing_is_changed() {
    let _together = together();
    for server in all_servers() {
        let bench = Bench::new("check_good", &server, "id INT PRIMARY KEY");
        let run = bench.run(&["check"]);
        expect_code(&run, 0);
        assert!(
            run.out.lines().all(|line| line.starts_with("ok    ") || line.starts_with("warn  ")),
            "{}",
            run.out
        );
        let own: &[&str] = if server.name == "postgres" {
            &[
                "version",
                "wal_level",
                "replication slot",
                "wal senders",
                "plugin",
                "replica identity",
                "publication",
            ]
        } else {
            &[
                "log_bin",
                "binlog_format",
                "binlog_row_image",
                "binlog_row_metadata",
                "binlog_row_value_options",
                "gtid",
                "server id",
                "keys",
            ]
        };
        for check in [
            "connection",
            "tls",
            "replication privilege",
            "tables",
            "select privilege",
            "positions",
            "group",
            "folder",
        ]
        .iter()
        .chain(own)
        {
            expect(&run, "ok", check, &[]);
        }
        expect(&run, "ok", "topic", &[&bench.topic(), "will be made"]);
        assert!(!bench.scratch.path("out").exists());
        let topics = Command::new("kcat").args(["-L", "-b", &kafka()]).output().unwrap().stdout;
        assert!(!String::from_utf8_lossy(&topics).contains(&bench.topic()));
        if server.name == "postgres" {
            let left = "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'list_sync_check%' \
                UNION SELECT pubname FROM pg_publication WHERE pubname LIKE 'list_sync_check%'";
            assert_eq!(server.connect().query(left).unwrap().len(), 0);
        }
    }
}

#[test]
fn wal2json_is_tried() {
    let _together = together();
    let bench = Bench::new("check_wal2json", &Server::postgres(), "id INT PRIMARY KEY");
    let run = bench.run(&["check", "--set", "source.0.plugin=wal2json"]);
    expect_code(&run, 0);
    expect(&run, "ok", "plugin", &["wal2json can be loaded"]);
}

#[test]
fn each_fault_has_its_line_and_its_mend() {
    let _together = together();
    let server = Server::postgres();
    let bench = Bench::new("check_faults", &server, "id INT PRIMARY KEY");
    bench.write(|text| text.replace("tables = [\"t_", "tables = [\"no_such_t_"));
    let run = bench.run(&["check"]);
    expect_code(&run, 1);
    expect(&run, "fail", "tables", &["no_such_t_", "did you mean", &bench.table]);
    bench.write(|text| text.replace("postgres@", "secret_user:wrong@"));
    let run = bench.run(&["check"]);
    expect_code(&run, 1);
    expect(
        &run,
        "fail",
        "connection",
        &["password authentication failed", "ALTER ROLE \"secret_user\" PASSWORD"],
    );
    assert!(!run.out.contains("wrong") && !run.err.contains("wrong"), "the password is printed: {}", run.out);
    bench.write(|text| text.replace("[[source]]", "topic = { replication = 9 }\n[[source]]"));
    let run = bench.run(&["check"]);
    expect_code(&run, 1);
    expect(
        &run,
        "fail",
        "replication",
        &["replication is 9", "3 brokers", "[kafka] topic = { replication = 3 }"],
    );
    let run = bench.run(&["check", "--set", "kafka.brokers=127.0.0.1:1"]);
    expect_code(&run, 1);
    expect(&run, "ok", "wal_level", &[]);
    expect(&run, "fail", "kafka: connection", &["127.0.0.1:1", "refused", "[kafka] brokers"]);
}

#[test]
fn a_wrong_password_of_mysql() {
    let _together = together();
    for server in [Server::mysql(), Server::mariadb()] {
        let bench = Bench::new("check_password", &server, "id INT PRIMARY KEY");
        bench.write(|text| text.replace("repl:repl@", "repl:wrong@"));
        let run = bench.run(&["check"]);
        expect_code(&run, 1);
        expect(
            &run,
            "fail",
            "connection",
            &["refuses the password of user \"repl\"", "ALTER USER 'repl'@'%' IDENTIFIED BY"],
        );
        assert!(!run.out.contains("wrong"), "{}", run.out);
    }
}

/// A server whose settings want a restart: told all together, and not touched by `--fix`.
#[test]
fn settings_that_want_a_restart() {
    let _together = together();
    let own = OwnPostgres::start(
        "check_wal",
        "-c wal_level=replica -c max_wal_senders=0 -c max_replication_slots=0",
    );
    let bench = Bench::new("check_restart", &own.server, "id INT PRIMARY KEY");
    let run = bench.run(&["check"]);
    expect_code(&run, 1);
    expect(&run, "fail", "wal_level", &["ALTER SYSTEM SET wal_level = logical; then restart the server"]);
    expect(
        &run,
        "fail",
        "replication slot",
        &["ALTER SYSTEM SET max_replication_slots = 10; then restart the server"],
    );
    expect(&run, "fail", "wal senders", &["ALTER SYSTEM SET max_wal_senders = 10; then restart the server"]);
    let run = bench.run(&["check", "--fix"]);
    expect_code(&run, 1);
    expect(&run, "fail", "wal_level", &[]);
}

#[test]
fn a_role_without_privileges_is_given_them_by_an_admin() {
    let _together = together();
    let server = Server::postgres();
    let bench = Bench::new("check_role", &server, "id INT PRIMARY KEY");
    let role = format!("r_{}", bench.scratch.name);
    server.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x';\n"));
    bench
        .write(|text| text.replace("postgres@", &format!("{role}:x@")).replace("snapshot = \"never\"\n", ""));
    let run = bench.run(&["check"]);
    expect_code(&run, 1);
    expect(&run, "fail", "replication privilege", &[&format!("ALTER ROLE \"{role}\" REPLICATION")]);
    expect(
        &run,
        "fail",
        "select privilege",
        &[&format!("GRANT SELECT ON \"public\".\"{}\" TO \"{role}\"", bench.table)],
    );
    expect(&run, "fail", "publication", &["does not own", "CREATE PUBLICATION"]);
    let run = bench.run(&["check", "--fix"]);
    expect_code(&run, 1);
    assert!(run.err.contains("not done: ALTER ROLE"), "{}", run.err);
    let run = bench.run(&["check", "--fix", "--admin", &server.url]);
    expect_code(&run, 0);
    bench.prove_that_it_runs();
    server.execute(&format!(
        "DROP PUBLICATION list_sync_{};\nDROP OWNED BY {role};\nDROP ROLE {role};\n",
        bench.scratch.name
    ));
}

#[test]
fn a_user_without_privileges_is_given_them_by_an_admin() {
    let _together = together();
    for server in [Server::mysql(), Server::mariadb()] {
        let bench = Bench::new("check_user", &server, "id INT PRIMARY KEY");
        let user = format!("u{}", bench.scratch.name.trim_start_matches("check_user"));
        server.execute(&format!(
            "CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'x';\nGRANT SELECT ON {}.* TO \
             '{user}'@'127.0.0.1';\n",
            server.schema()
        ));
        bench.write(|text| text.replace("repl:repl@", &format!("{user}:x@")));
        let run = bench.run(&["check"]);
        expect_code(&run, 1);
        expect(
            &run,
            "fail",
            "replication privilege",
            &["GRANT SELECT, REPLICATION SLAVE", &format!("TO '{user}'@'127.0.0.1'")],
        );
        let run = bench.run(&["check", "--fix", "--admin", &server.url]);
        expect_code(&run, 0);
        bench.prove_that_it_runs();
        server.execute(&format!("DROP USER '{user}'@'127.0.0.1';\n"));
    }
}

/// Without a key PostgreSQL refuses updates; `--fix` makes identity, publication, topics and folder, and the
/// pipeline runs.
#[test]
fn fix_makes_what_is_missing() {
    let _together = together();
    let server = Server::postgres();
    let bench = Bench::new("check_fix", &server, "id INT");
    let run = bench.run(&["check"]);
    expect_code(&run, 1);
    expect(
        &run,
        "fail",
        "replica identity",
        &[&format!("ALTER TABLE \"public\".\"{}\" REPLICA IDENTITY FULL", bench.table)],
    );
    let run = bench.run(&["check", "--fix"]);
    expect_code(&run, 0);
    expect(&run, "ok", "publication", &["is there"]);
    expect(&run, "ok", "topic", &[&bench.topic(), "is there, 3 partitions"]);
    assert!(bench.scratch.path("out").is_dir());
    assert!(run.err.contains("done: CREATE PUBLICATION"), "{}", run.err);
    bench.prove_that_it_runs();
    // A table with a key keeps its own identity.
    let keyed = Bench::new("check_keyed", &server, "id INT PRIMARY KEY");
    expect_code(&keyed.run(&["check", "--fix"]), 0);
    let identity = server
        .connect()
        .query(&format!("SELECT relreplident FROM pg_class WHERE relname = '{}'", keyed.table))
        .unwrap();
    assert_eq!(identity, [[Some("d".to_owned())]]);
}

#[test]
fn settings_of_the_binary_log_are_mended() {
    let _alone = alone();
    for server in [Server::mysql(), Server::mariadb()] {
        let bench = Bench::new("check_binlog", &server, "id INT PRIMARY KEY");
        server.execute(
            "SET GLOBAL binlog_format = 'STATEMENT';\nSET GLOBAL binlog_row_image = 'MINIMAL';\nSET GLOBAL \
             binlog_row_metadata = 'MINIMAL';\n",
        );
        let run = bench.run(&["check"]);
        let mended = bench.run(&["check", "--fix"]);
        // Whatever comes of it, the other checks want the server as it was.
        server.execute(
            "SET GLOBAL binlog_format = 'ROW';\nSET GLOBAL binlog_row_image = 'FULL';\nSET GLOBAL \
             binlog_row_metadata = 'FULL';\n",
        );
        let scope = if server.name == "mysql" { "PERSIST" } else { "GLOBAL" };
        expect_code(&run, 1);
        for (check, value) in
            [("binlog_format", "ROW"), ("binlog_row_image", "FULL"), ("binlog_row_metadata", "FULL")]
        {
            expect(&run, "fail", check, &[&format!("SET {scope} {check} = {value}")]);
            expect(&mended, "ok", check, &[]);
        }
        expect_code(&mended, 0);
        bench.prove_that_it_runs();
        if server.name == "mysql" {
            server.execute(
                "RESET PERSIST IF EXISTS binlog_format;\nRESET PERSIST IF EXISTS \
                binlog_row_image;\nRESET PERSIST IF EXISTS binlog_row_metadata;\n",
            );
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written() {
    let _together = together();
    let bench = Bench::new("check_folder", &Server::postgres(), "id INT PRIMARY KEY");
    std::fs::create_dir_all(bench.scratch.path("out")).unwrap();
    let folder = bench.scratch.path("out").display().to_string();
    let command = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
    };
    assert!(
        command("mount", &["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", &folder]),
        "this check mounts a small file system and needs root"
    );
    let run = bench.run(&["check"]);
    let remounted = command("mount", &["-o", "remount,rw,size=1m", &folder]);
    let full = bench.run(&["check"]);
    command("umount", &[&folder]);
    expect_code(&run, 1);
    expect(&run, "fail", "folder", &["out", "install -d"]);
    assert!(remounted);
    expect(&full, "ok", "folder", &[]);
    expect(&full, "fail", "free space", &["1 MB free", "make room"]);
}

#[test]
fn the_json_form_is_what_its_page_says() {
    let _together = together();
    let bench = Bench::new("check_json", &Server::postgres(), "id INT");
    let run = bench.run(&["check", "--json"]);
    expect_code(&run, 1);
    let said: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((said["status"].as_str(), said["done"].as_array().map(Vec::len)), (Some("fail"), Some(0)));
    let checks = said["checks"].as_array().unwrap();
    let identity = checks.iter().find(|check| check["check"] == "replica identity").unwrap();
    assert_eq!(
        (identity["status"].as_str(), identity["subject"].as_str()),
        (Some("fail"), Some(format!("source {}", bench.scratch.name).as_str()))
    );
    let statement = format!("ALTER TABLE \"public\".\"{}\" REPLICA IDENTITY FULL", bench.table);
    assert_eq!(identity["fix"]["statements"], serde_json::json!([statement]));
    assert!(identity["mend"].as_str().unwrap().contains(&statement));
    let run = bench.run(&["check", "--json", "--fix"]);
    expect_code(&run, 0);
    let said: Value = serde_json::from_str(&run.out).unwrap();
    assert!(
        said["done"]
            .as_array()
            .unwrap()
            .iter()
            .any(|done| done["what"] == statement.as_str() && done["error"].is_null()),
        "{said}"
    );
}

#[test]
fn what_init_writes_is_checked_and_runs() {
    let _together = together();
    for server in all_servers() {
        let bench = Bench::new("check_init", &server, "id INT PRIMARY KEY");
        let url = match server.address().password.reveal() {
            "" => server.url.clone(),
            password => {
                server.url.replace(&format!(":{password}@"), &format!(":${{{}}}@", "LIST_SYNC_TEST_WORD"))
            }
        };
        let word = server.address().password.reveal().to_owned();
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_list_sync"));
            let output = command
                .args(arguments)
                .env("LIST_SYNC_TEST_WORD", &word)
                .current_dir(&bench.scratch.folder)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{arguments:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let name = bench.scratch.name.clone();
        run(&[
            "init",
            "--force",
            "--from",
            &url,
            "--table",
            &bench.table,
            "--name",
            &name,
            "--kafka",
            &kafka(),
            "--to",
            "csv:out",
        ]);
        run(&["check"]);
        run(&["connect", "--once"]);
        server.execute(&format!("INSERT INTO {} VALUES (1), (2);\n", bench.table));
        run(&["connect", "--once"]);
        run(&["consume", "--once", "--set", &format!("sink.files.group={name}")]);
        run(&["verify"]);
    }
}

#[test]
fn a_bad_configuration_is_2() {
    let _together = together();
    let bench = Bench::new("check_bad", &Server::postgres(), "id INT PRIMARY KEY");
    bench.write(|text| text.replace("snapshot =", "snapshots ="));
    let run = bench.run(&["check"]);
    expect_code(&run, 2);
    assert!(run.out.is_empty() && run.err.contains("did you mean \"snapshot\"?"), "{}", run.err);
}
