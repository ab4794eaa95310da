//! The stream: restarts, truncates, compression, refusals.

use std::time::{Duration, Instant};

use super::super::super::{Address, Database as _, Snapshot, Source as _, Tables};
use super::super::connection::quote;
use super::{Bench, both, is_mariadb, print_cells, read_all, read_failure};
use crate::change::{Batch, Checkpoint, Operation, Position, Restart};
use crate::error::ErrorKind;
use crate::secret::Secret;

const COLUMNS: &str = "id INT PRIMARY KEY, v VARCHAR(200), w INT UNSIGNED";

#[test]
fn live_changes_in_order() {
    for address in both() {
        let mut bench = Bench::new(&address, "order", COLUMNS);
        let mut other = Bench::new(&address, "order_other", COLUMNS);
        let mut source = bench.source(Snapshot::Initial);
        let start = source.start(None).unwrap();
        assert!(start.position <= source.head().unwrap());
        bench.run("INSERT INTO {t} VALUES (1, 'a', 1), (2, NULL, 4294967295)");
        other.run("INSERT INTO {t} VALUES (1, 'not captured', 1)");
        bench.run("UPDATE {t} SET v = 'ä' WHERE id = 1");
        bench.run("UPDATE {t} SET id = 3 WHERE id = 2");
        bench.run("DELETE FROM {t} WHERE id = 1");
        bench.run("TRUNCATE TABLE {t}");
        bench.run("ALTER TABLE {t} ADD x INT DEFAULT 7 FIRST");
        bench.run("INSERT INTO {t} (id) VALUES (9)");
        let (rows, positions, checkpoint) = read_all(&mut source);
        let expected = [
            "Insert 1|\"a\"|1 <- ",
            "Insert 2|NULL|4294967295 <- ",
            "Update 1|\"ä\"|1 <- 1|\"a\"|1",
            "Delete  <- 2|NULL|4294967295",
            "Insert 3|NULL|4294967295 <- ",
            "Delete  <- 1|\"ä\"|1",
            "Truncate  <- ",
            "Insert 7|9|NULL|NULL <- ",
        ];
        assert_eq!(rows, expected, "{}", address.dialect.product());
        assert!(positions[0] >= start.position && *positions.last().unwrap() < checkpoint.position);
        assert_eq!(positions[0].ordinal + 1, positions[1].ordinal);
    }
}

#[test]
fn live_transactions_carry_gtid_and_time() {
    for address in both() {
        let mut bench = Bench::new(&address, "gtid", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1, 'a', 1)");
        if !is_mariadb(&address) {
            bench.run("SET gtid_next = 'AUTOMATIC:tagged'");
        }
        bench.run("INSERT INTO {t} VALUES (2, 'b', 1)");
        let mut batch = Batch::default();
        let started = Instant::now();
        let is_whole = |batch: &Batch| batch.rows().len() == 2 && batch.rows()[1].position < batch.read_to;
        while !is_whole(&batch) && started.elapsed() < Duration::from_secs(20) {
            source.read(&mut batch, Duration::from_secs(1)).unwrap();
        }
        let now_us =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
        for (row, tag) in batch.rows().iter().zip(["", ":tagged:"]) {
            let transaction = batch.transaction(row);
            let separator = if is_mariadb(&address) { "-" } else { ":" };
            assert!(transaction.xid.contains(separator), "{transaction:?}");
            assert!(is_mariadb(&address) || transaction.xid.contains(tag), "{transaction:?}");
            assert!(transaction.log_file.starts_with("binlog."), "{transaction:?}");
            assert!((now_us - transaction.committed_us).abs() < 30_000_000, "{transaction:?} {now_us}");
            assert!(row.lsn > row.position.commit & 0xffff_ffff);
        }
        // A set with a tag in it can be resumed from.
        let Some(checkpoint) = batch.checkpoint else { panic!("no checkpoint") };
        bench.run("INSERT INTO {t} VALUES (3, 'c', 1)");
        let mut again = bench.source(Snapshot::Never);
        again.start(Some(&checkpoint)).unwrap();
        assert_eq!(read_all(&mut again).0, ["Insert 3|\"c\"|1 <- "]);
    }
}

/// Position, byte in the file, new row.
type ReadRow = (Position, u64, String);

/// Reads all rows with batches of the source's own size, and each checkpoint with the number of rows before
/// it.
fn read_rows(source: &mut super::MysqlSource, count: usize) -> (Vec<ReadRow>, Vec<(usize, Checkpoint)>) {
    let (mut rows, mut checkpoints) = (Vec::new(), Vec::new());
    let started = Instant::now();
    let mut batch = Batch::default();
    while rows.len() < count {
        assert!(started.elapsed() < Duration::from_mins(1), "{} of {count} rows", rows.len());
        batch.clear();
        source.read(&mut batch, Duration::from_secs(1)).unwrap();
        for row in batch.rows() {
            rows.push((row.position, row.lsn, print_cells(&batch, batch.columns(row))));
        }
        if let Some(checkpoint) = batch.checkpoint.take() {
            let before = rows.iter().filter(|(position, ..)| *position < checkpoint.position).count();
            checkpoints.push((before, checkpoint));
        }
    }
    (rows, checkpoints)
}

#[test]
fn live_restart_repeats_the_same_positions() {
    for address in both() {
        let mut bench = Bench::new(&address, "restart", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        let start = source.start(None).unwrap();
        let numbers = |from: i32, to: i32| {
            (from..to).map(|id| format!("({id},REPEAT('v',100),{id})")).collect::<Vec<_>>().join(",")
        };
        for transaction in 0..20 {
            bench.run(&format!(
                "INSERT INTO {{t}} VALUES {}",
                numbers(transaction * 10, transaction * 10 + 10)
            ));
        }
        // more than one batch, so that a batch ends within it
        bench.run(&format!("INSERT INTO {{t}} VALUES {}", numbers(1000, 21_000)));
        bench.run(&format!("INSERT INTO {{t}} VALUES {}", numbers(50_000, 50_005)));
        let (all, mut checkpoints) = read_rows(&mut source, 20_205);
        assert_eq!(all.len(), 20_205);
        checkpoints.insert(0, (0, start));
        for (before, checkpoint) in &checkpoints {
            let mut again = bench.source(Snapshot::Never);
            let began = again.start(Some(checkpoint)).unwrap();
            assert_eq!(&began, checkpoint);
            assert_eq!(
                read_rows(&mut again, all.len() - before).0,
                all[*before..],
                "{} {checkpoint:?}",
                address.dialect.product()
            );
        }
        // Without GTIDs, by file and offset.
        let (before, mut checkpoint) = checkpoints[checkpoints.len() / 2].clone();
        if let Restart::Binlog { gtid, .. } = &mut checkpoint.restart {
            *gtid = None;
        }
        let mut again = bench.source(Snapshot::Never);
        again.start(Some(&checkpoint)).unwrap();
        assert_eq!(read_rows(&mut again, all.len() - before).0, all[before..]);
        // On another server (here: the same one under another name) by GTID, in the next epoch.
        let (before, mut checkpoint) = checkpoints[checkpoints.len() / 2].clone();
        for mark in ["server_uuid", "server_id"] {
            checkpoint.identity.entry(mark.to_owned()).and_modify(|value| *value = "another".to_owned());
        }
        let mut again = bench.source(Snapshot::Never);
        let began = again.start(Some(&checkpoint)).unwrap();
        assert_eq!(began.position, Position::first_of(1, 0));
        let elsewhere = read_rows(&mut again, all.len() - before).0;
        assert!(
            elsewhere
                .iter()
                .zip(&all[before..])
                .all(|(one, other)| one.0 == Position { epoch: 1, ..other.0 } && one.2 == other.2)
        );
    }
}

#[test]
fn live_compressed_transactions() {
    let [mysql, _] = both();
    let mut bench = Bench::new(&mysql, "compressed", "id INT PRIMARY KEY, v VARCHAR(200)");
    let mut source = bench.source(Snapshot::Never);
    let start = source.start(None).unwrap();
    bench.run("SET SESSION binlog_transaction_compression = ON");
    let values: Vec<String> = (0..5000).map(|id| format!("({id},REPEAT('x',150))")).collect();
    bench.run(&format!("INSERT INTO {{t}} VALUES {}", values.join(",")));
    bench.run("UPDATE {t} SET v = 'y' WHERE id = 7");
    let (rows, checkpoints) = read_rows(&mut source, 5001);
    assert_eq!(rows[5000].2, "7|\"y\"");
    assert_eq!(rows[4999].0.ordinal, 4999);
    assert_eq!(checkpoints.last().unwrap().0, 5001);
    let mut again = bench.source(Snapshot::Never);
    again.start(Some(&start)).unwrap();
    assert_eq!(read_rows(&mut again, 5001).0, rows);
    let mut again = bench.source(Snapshot::Never);
    again.start(Some(&checkpoints.last().unwrap().1)).unwrap();
    bench.run("DELETE FROM {t} WHERE id = 8");
    assert_eq!(read_all(&mut again).0, [format!("Delete  <- 8|\"{}\"", "x".repeat(150))]);
}

#[test]
fn live_an_idle_source_reaches_the_head() {
    for address in both() {
        let mut bench = Bench::new(&address, "idle", COLUMNS);
        let mut other = Bench::new(&address, "idle_other", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        let start = source.start(None).unwrap();
        bench.run("CREATE TABLE IF NOT EXISTS {t} (id INT)");
        other.run("INSERT INTO {t} VALUES (1, 'a', 1)");
        let (rows, _, checkpoint) = read_all(&mut source);
        assert!(rows.is_empty() && checkpoint.position > start.position);
        source.start(Some(&checkpoint)).unwrap();
        let started = Instant::now();
        let mut batch = Batch::default();
        source.read(&mut batch, Duration::from_millis(1500)).unwrap();
        assert!(batch.read_to >= checkpoint.position && started.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn live_truncate_is_found_in_any_writing() {
    for address in both() {
        let mut bench = Bench::new(&address, "truncate", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        let database = address.database.clone();
        bench.run("TRUNCATE {t}");
        bench.run(&format!("/* a */ truncate /* b */ table `{database}` . `{{t}}` -- c"));
        bench.run("CREATE TABLE {t}_copy AS SELECT 1 AS id");
        bench.run("DROP TABLE {t}_copy");
        bench.run("START TRANSACTION");
        bench.run("INSERT INTO {t} VALUES (1, 'a', 1)");
        bench.run("SAVEPOINT s");
        bench.run("INSERT INTO {t} VALUES (2, 'b', 1)");
        bench.run("ROLLBACK TO s");
        bench.run("COMMIT");
        let mut batch = Batch::default();
        let started = Instant::now();
        while batch.rows().len() < 3 && started.elapsed() < Duration::from_secs(20) {
            source.read(&mut batch, Duration::from_secs(1)).unwrap();
        }
        let operations: Vec<_> = batch.rows().iter().map(|row| row.operation).collect();
        assert_eq!(
            operations,
            [Operation::Truncate, Operation::Truncate, Operation::Insert],
            "{}",
            address.dialect.product()
        );
        assert_eq!(batch.table(&batch.rows()[0]).columns.len(), 3);
    }
}

#[test]
fn live_refusals_say_the_way_out() {
    for address in both() {
        let mut bench = Bench::new(&address, "refused", COLUMNS);
        bench.run("INSERT INTO {t} VALUES (1, 'a', 1)");
        let start = bench.source(Snapshot::Never).start(None).unwrap();

        let mut wrong = super::super::Settings {
            name: "w".into(),
            address: address.clone(),
            tables: Tables::parse(&["my_live_refuse".to_owned()], &address.database).unwrap(),
            snapshot: Snapshot::Never,
            server_id: None,
        };
        let error = super::MysqlSource::new(wrong.clone()).start(None).unwrap_err();
        assert!(error.hint_text().unwrap().contains("my_live_refused"), "{error} {:?}", error.hint_text());
        assert_eq!(error.kind(), ErrorKind::Stop);

        let url = |change: &dyn Fn(&mut Address)| {
            let mut address = address.clone();
            change(&mut address);
            address
        };
        for (changed, kind, word) in [
            (url(&|address| address.password = Secret::new("wrong")), ErrorKind::Stop, "password"),
            (url(&|address| address.database = "no_such".into()), ErrorKind::Stop, "does not exist"),
            (url(&|address| address.port = 1), ErrorKind::Link, "cannot be reached"),
            (
                url(&|address| _ = address.options.insert("ssl-mode".into(), "sometimes".into())),
                ErrorKind::Usage,
                "unknown ssl-mode",
            ),
        ] {
            wrong.address = changed;
            let error = super::MysqlSource::new(wrong.clone()).start(None).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(word) && error.hint_text().is_some(), "{error}");
            assert!(!error.to_string().contains("wrong"), "{error}");
        }

        let ahead = |gtid: &str| {
            let mut saved = start.clone();
            saved.restart = Restart::Binlog {
                gtid: Some(gtid.to_owned()),
                file: "binlog.000001".into(),
                offset: 4,
                begun: None,
            };
            bench.source(Snapshot::Never).start(Some(&saved)).unwrap_err()
        };
        let unknown =
            if is_mariadb(&address) { "0-9-999999999" } else { "00000000-0000-0000-0000-000000000001:1-7" };
        let error = ahead(unknown);
        assert_eq!(error.kind(), ErrorKind::Stop);
        assert!(error.to_string().contains("reset or restored"), "{error}");
        let mut gone = start.clone();
        gone.restart = Restart::Binlog { gtid: None, file: "binlog.999999".into(), offset: 4, begun: None };
        let error = bench.source(Snapshot::Never).start(Some(&gone)).unwrap_err();
        assert!(error.to_string().contains("no longer has binary log \"binlog.999999\""), "{error}");
    }
}

#[test]
fn live_what_was_finished_before_a_failure_is_handed_out() {
    for address in both() {
        let mut bench = Bench::new(&address, "failing", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1, 'a', 1)");
        bench.run("INSERT INTO {t} VALUES (2, 'b', 1)");
        bench.run("SET SESSION binlog_format = STATEMENT");
        bench.run("INSERT INTO {t} VALUES (3, 'c', 1)");
        let (rows, error) = read_failure(&mut source);
        assert_eq!(rows, ["Insert 1|\"a\"|1", "Insert 2|\"b\"|1"], "{error}");
        assert_eq!(error.kind(), ErrorKind::Stop);
    }
}

/// RESET BINARY LOGS, or a restored server, begins a file of a known name at another time.
#[test]
fn live_another_file_of_the_same_name_is_refused() {
    for address in both() {
        let mut bench = Bench::new(&address, "another_file", COLUMNS);
        let mut source = bench.source(Snapshot::Never);
        let start = source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1, 'a', 1)");
        let (_, _, saved) = read_all(&mut source);
        let Restart::Binlog { begun: Some(begun), .. } = saved.restart else { panic!("{saved:?}") };
        source.start(Some(&saved)).unwrap();
        bench.run("INSERT INTO {t} VALUES (2, 'b', 1)");
        assert_eq!(read_all(&mut source).0, ["Insert 2|\"b\"|1 <- "]);
        for change_gtid in [false, true] {
            let mut other = saved.clone();
            if let Restart::Binlog { begun: time, gtid, .. } = &mut other.restart {
                *time = Some(begun - 1);
                *gtid = gtid.take().filter(|_| change_gtid);
            }
            let error = source.start(Some(&other)).unwrap_err();
            assert!(
                error.kind() == ErrorKind::Stop
                    && error.to_string().contains("is not the one that was read before"),
                "{error}"
            );
        }
        // By GTID the stream begins in a later file than the one that is named.
        bench.run("FLUSH BINARY LOGS");
        bench.run("INSERT INTO {t} VALUES (3, 'c', 1)");
        source.start(Some(&saved)).unwrap();
        let (_, _, mut later) = read_all(&mut source);
        let Restart::Binlog { file, begun: time, .. } = &mut later.restart else { panic!("{later:?}") };
        let Restart::Binlog { file: before, .. } = &saved.restart else { panic!("{saved:?}") };
        assert_ne!(file, before);
        file.clone_from(before);
        *time = Some(begun - 1);
        let error = source.start(Some(&later)).unwrap_err();
        assert!(error.to_string().contains("is not the one that was read before"), "{error}");
        // A file that is gone was purged, and then all that was read stands before the oldest one.
        let Restart::Binlog { file, .. } = &mut later.restart else { panic!("{later:?}") };
        file.insert_str(file.len() - 6, "0000");
        let error = source.start(Some(&later)).unwrap_err();
        assert!(error.to_string().contains("does not go on from there"), "{error}");
        // A source that has not read anything knows it, too; what earlier versions saved has no time.
        let mut early = start.clone();
        let Restart::Binlog { begun: time, .. } = &mut early.restart else { panic!("{early:?}") };
        assert_eq!(time.replace(begun - 1), Some(begun));
        let error = source.start(Some(&early)).unwrap_err();
        assert!(error.to_string().contains("is not the one that was read before"), "{error}");
        let Restart::Binlog { begun: time, .. } = &mut early.restart else { panic!("{early:?}") };
        *time = None;
        let text = serde_json::to_string(&early).unwrap();
        assert!(!text.contains("begun"), "{text}");
        source.start(Some(&serde_json::from_str(&text).unwrap())).unwrap();
        assert_eq!(read_all(&mut source).0.len(), 3);
    }
}

#[test]
fn live_accounts_that_cannot_log_in_say_why() {
    for address in both() {
        let mut admin = super::open(&address).unwrap();
        admin.execute("DROP USER IF EXISTS my_live_locked, my_live_expired").unwrap();
        admin.execute("CREATE USER my_live_locked IDENTIFIED BY 'secret' ACCOUNT LOCK").unwrap();
        admin.execute("CREATE USER my_live_expired IDENTIFIED BY 'secret' PASSWORD EXPIRE").unwrap();
        admin
            .execute(&format!("GRANT SELECT ON {}.* TO my_live_locked, my_live_expired", address.database))
            .unwrap();
        for (user, said, way_out) in [
            ("my_live_locked", "is locked", "ACCOUNT UNLOCK"),
            ("my_live_expired", "has expired", "PASSWORD EXPIRE NEVER"),
            ("my_live_nobody", "my_live_nobody", "check the"),
        ] {
            let mut address = address.clone();
            address.user = user.into();
            address.password = Secret::new("secret");
            let error =
                super::open(&address).and_then(|mut database| database.query("SELECT 1")).unwrap_err();
            assert!(error.kind() == ErrorKind::Stop && error.to_string().contains(said), "{user}: {error}");
            assert!(error.hint_text().unwrap().contains(way_out), "{user}: {:?}", error.hint_text());
        }
        admin.execute("DROP USER my_live_locked, my_live_expired").unwrap();
    }
}

/// Server-wide defaults do not reach the sessions.
#[test]
fn live_sessions_have_settings_of_their_own() {
    for address in both() {
        let mut database = super::open(&address).unwrap();
        let limit = if is_mariadb(&address) { "@@max_statement_time" } else { "@@max_execution_time" };
        let asked = format!(
            "SELECT @@sql_mode, @@time_zone, @@wait_timeout, @@sql_select_limit, @@character_set_results, \
             FLOOR({limit})"
        );
        let expected = [
            "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
            "+00:00",
            "86400",
            "18446744073709551615",
            "utf8mb4",
            "0",
        ];
        assert_eq!(database.query(&asked).unwrap(), [expected.map(|value| Some(value.to_owned()))]);
    }
}

#[test]
fn live_a_user_without_privileges_is_told_the_grant() {
    for address in both() {
        let bench = Bench::new(&address, "grants", COLUMNS);
        let mut admin = super::open(&address).unwrap();
        admin.execute("DROP USER IF EXISTS my_live_user").unwrap();
        admin.execute("CREATE USER my_live_user IDENTIFIED BY 'secret'").unwrap();
        admin.execute(&format!("GRANT SELECT ON {}.* TO my_live_user", address.database)).unwrap();
        let mut source = bench.source(Snapshot::Never);
        source.settings.address.user = "my_live_user".into();
        source.settings.address.password = Secret::new("secret");
        let refused = source.start(None).unwrap_err();
        assert!(refused.hint_text().unwrap().contains("REPLICATION SLAVE"), "{refused}");
        assert!(!refused.statements().is_empty(), "{refused}");
        for statement in refused.statements() {
            admin.execute(statement).unwrap();
        }
        source.start(None).unwrap();
        drop(source);
        admin.execute("DROP USER my_live_user").unwrap();
    }
}

#[test]
fn live_tls_and_socket() {
    for address in both() {
        for mode in ["disabled", "preferred", "required", "verify_ca", "verify_identity"] {
            let mut address = address.clone();
            address.options.insert("ssl-mode".into(), mode.into());
            if mode.starts_with("verify") {
                let authority = crate::live::variable("LIST_SYNC_CA");
                address.options.insert("ssl-ca".into(), authority);
            }
            let cipher =
                super::open(&address).unwrap().query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").unwrap();
            let is_encrypted = cipher[0][1].as_deref().is_some_and(|name| !name.is_empty());
            assert_eq!(is_encrypted, mode != "disabled", "{mode}");
        }
    }
}

#[test]
fn live_big_packets() {
    for address in both() {
        let mut bench = Bench::new(&address, "big", "id INT PRIMARY KEY, v LONGTEXT");
        let mut source = bench.source(Snapshot::Never);
        source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1, REPEAT('x', 12000000)), (2, REPEAT('y', 10000000)), (3, 'z')");
        let (rows, _, _) = read_all(&mut source);
        assert_eq!(rows.iter().map(String::len).collect::<Vec<_>>(), [12_000_015, 10_000_015, 16]);
        assert_eq!(quote("a'b\\"), r"'a''b\\'");
    }
}
