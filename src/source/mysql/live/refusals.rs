//! What stops a source, or breaks its stream, and the ways out that its hints tell.

use std::time::Duration;

use super::super::super::relay::Relay;
use super::super::super::{Snapshot, Source as _};
use super::{Bench, both, is_mariadb, read_all, read_failure};
use crate::change::Batch;
use crate::error::ErrorKind;

/// The one that comes later ends the stream of the other. MariaDB may do so without a word: that it was this
/// is then a guess in a hint.
#[test]
fn live_two_readers_of_one_number() {
    for address in both() {
        let bench = Bench::new(&address, "twins", "id INT PRIMARY KEY");
        let [mut first, mut second] = [(), ()].map(|()| {
            let mut source = bench.source(Snapshot::Never);
            source.settings.server_id = Some(1_234_567);
            source
        });
        first.start(None).unwrap();
        first.read(&mut Batch::default(), Duration::from_millis(100)).unwrap();
        second.start(None).unwrap();
        let (_, error) = read_failure(&mut first);
        assert!(error.hint_text().unwrap_or_default().contains("its own name or server_id"), "{error}");
        let is_named = error.kind() == ErrorKind::Stop
            && error.to_string().contains("another reader has the same server id");
        assert!(is_named || is_mariadb(&address) && error.kind() == ErrorKind::Link, "{error}");
        // As the hint says.
        first.settings.server_id = Some(1_234_568);
        first.start(None).unwrap();
        for source in [&mut first, &mut second] {
            source.read(&mut Batch::default(), Duration::from_secs(1)).unwrap();
        }
    }
}

/// What TLS refuses was damaged on its way, and comes again.
#[test]
fn live_a_damaged_record_is_a_broken_link() {
    for mut address in both() {
        let mut bench = Bench::new(&address, "damaged", "id INT PRIMARY KEY");
        let relay = Relay::to(&address);
        address.port = relay.port;
        address.options.insert("ssl-mode".into(), "required".into());
        let mut source = bench.source(Snapshot::Never);
        source.settings.address = address;
        let start = source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1)");
        assert_eq!(read_all(&mut source).0.len(), 1);
        relay.damage();
        bench.run("INSERT INTO {t} VALUES (2)");
        let (_, error) = read_failure(&mut source);
        assert!(error.kind() == ErrorKind::Link && error.to_string().contains("TLS connection"), "{error}");
        relay.heal();
        source.start(Some(&start)).unwrap();
        assert_eq!(read_all(&mut source).0.len(), 2);
    }
}

/// A label that its character set cannot hold: rows that do not have it are read, and the hint's way out
/// loses nothing of other tables.
#[test]
fn live_a_label_outside_its_character_set() {
    for address in both() {
        let mut bench =
            Bench::new(&address, "label", "id INT PRIMARY KEY, e ENUM(0xE4, '1') CHARACTER SET utf8mb4");
        let mut other = Bench::new(&address, "label_other", "id INT PRIMARY KEY");
        let mut source = bench.source_of(&["my_live_label*"]);
        let start = source.start(None).unwrap();
        bench.run("INSERT INTO {t} VALUES (1, 2)");
        bench.run("INSERT INTO {t} VALUES (2, 1)");
        other.run("INSERT INTO {t} VALUES (3)");
        let (rows, error) = read_failure(&mut source);
        assert_eq!(rows, ["Insert 1|\"1\""], "{error}");
        assert!(error.kind() == ErrorKind::Stop && error.to_string().contains("column \"e\""), "{error}");
        let leave_out = "\"!exampledb.my_live_label\"";
        assert!(error.hint_text().unwrap().contains(leave_out), "{:?}", error.hint_text());
        let mut source = bench.source_of(&["my_live_label*", leave_out.trim_matches('"')]);
        source.start(Some(&start)).unwrap();
        assert_eq!(read_all(&mut source).0, ["Insert 3 <- "]);
    }
}

/// The log has the statements of such a table, whatever `binlog_format` says.
#[test]
fn live_versions_by_transaction_number() {
    let [_, mariadb] = both();
    let mut bench = Bench::new(&mariadb, "numbered", "id INT PRIMARY KEY, v INT");
    let mut source = bench.source(Snapshot::Never);
    let start = source.start(None).unwrap();
    bench.run(
        "ALTER TABLE {t} ADD s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, ADD e BIGINT UNSIGNED \
         GENERATED ALWAYS AS ROW END, \
         ADD PERIOD FOR SYSTEM_TIME (s, e), ADD SYSTEM VERSIONING",
    );
    bench.run("INSERT INTO {t} (id, v) VALUES (1, 1)");
    let (_, error) = read_failure(&mut source);
    let first = source.start(None).unwrap_err();
    for error in [error, first] {
        assert!(
            error.kind() == ErrorKind::Stop && error.to_string().contains("versioned by transaction numbers"),
            "{error}"
        );
        let hint = error.hint_text().unwrap();
        let (_, statements) = hint.split_once("removes the earlier rows: ").unwrap();
        assert!(hint.contains("\"!exampledb.my_live_numbered\""), "{hint}");
        if error.to_string().starts_with("table") {
            statements.split("; ").for_each(|statement| bench.run(statement));
        }
    }
    bench.run("UPDATE {t} SET v = 2");
    // What was logged before the change is left out, and then the table is taken in again.
    let mut source = bench.source_of(&["my_live_numbered*", "!my_live_numbered"]);
    source.start(Some(&start)).unwrap();
    let (_, _, past) = read_all(&mut source);
    let mut source = bench.source(Snapshot::Never);
    source.start(Some(&past)).unwrap();
    bench.run("UPDATE {t} SET v = 3");
    let rows = read_all(&mut source).0;
    assert_eq!(rows, ["Update 1|3 <- 1|2"]);
}

/// A type that cannot be read stays in the log: leaving the table out is what helps.
#[test]
fn live_a_type_that_is_not_known() {
    let [_, mariadb] = both();
    let mut bench = Bench::new(&mariadb, "type", "id INT PRIMARY KEY, v VARCHAR(2000) COMPRESSED");
    let mut other = Bench::new(&mariadb, "type_other", "id INT PRIMARY KEY");
    let mut source = bench.source_of(&["my_live_type*"]);
    let start = source.start(None).unwrap();
    bench.run("INSERT INTO {t} VALUES (1, REPEAT('a', 1000))");
    bench.run("ALTER TABLE {t} MODIFY v VARCHAR(2000)");
    other.run("INSERT INTO {t} VALUES (2)");
    let (_, error) = read_failure(&mut source);
    assert!(error.to_string().contains("type COMPRESSED is not supported"), "{error}");
    let leave_out = "\"!exampledb.my_live_type\"";
    assert!(error.hint_text().unwrap().contains(leave_out), "{:?}", error.hint_text());
    let mut source = bench.source_of(&["my_live_type*", leave_out.trim_matches('"')]);
    source.start(Some(&start)).unwrap();
    let (rows, _, past) = read_all(&mut source);
    assert_eq!(rows, ["Insert 2 <- "]);
    let mut source = bench.source_of(&["my_live_type*"]);
    source.start(Some(&past)).unwrap();
    bench.run("UPDATE {t} SET v = 'b'");
    assert_eq!(read_all(&mut source).0.len(), 1, "with the type of now it is taken in again");
}
