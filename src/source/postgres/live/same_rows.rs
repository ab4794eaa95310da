//! pgoutput, wal2json and scans carry the same rows.

use super::*;

const TYPES: &str = include_str!("same_rows/types.sql");

const VALUES: &str = include_str!("same_rows/values.sql");

const OTHERS: &str = include_str!("same_rows/others.sql");

/// Everything that creates, apart from what changes rows: the publication needs the tables to be there.
fn split(script: &str) -> (Vec<&str>, Vec<&str>) {
    let statements = script.split([';', '\n']).map(str::trim).filter(|statement| !statement.is_empty());
    statements.partition(|statement| {
        statement.starts_with("CREATE")
            || (statement.starts_with("ALTER TABLE") && !statement.contains("two_keys"))
    })
}

#[test]
fn live_both_plugins_give_the_same_rows() {
    let mut stage = Stage::new("same_rows");
    stage.run(TYPES);
    let (creating, changing) = split(OTHERS);
    for statement in creating {
        stage.run(statement);
    }
    let sources = [Plugin::Pgoutput, Plugin::Wal2json].map(|plugin| {
        let mut source = PostgresSource::new(stage.settings(plugin));
        source.start(None).unwrap();
        source
    });
    for statement in VALUES.split(";\n") {
        stage.run(statement);
    }
    for statement in changing {
        stage.run(statement);
    }
    let [pgoutput, wal2json] = sources.map(|mut source| read_to_head(&mut source));
    let mut different = 0;
    for (a, b) in pgoutput.lines.iter().zip(&wal2json.lines) {
        if a != b {
            different += 1;
            let place = a.bytes().zip(b.bytes()).position(|(a, b)| a != b).unwrap_or(0);
            let part = |line: &str| {
                String::from_utf8_lossy(
                    &line.as_bytes()[place.saturating_sub(60)..line.len().min(place + 100)],
                )
                .into_owned()
            };
            eprintln!("{}\n  pgoutput …{}\n  wal2json …{}", &a[..100], part(a), part(b));
        }
    }
    assert_eq!((different, pgoutput.lines.len()), (0, wal2json.lines.len()));
    assert_eq!(pgoutput.lines.len(), 74, "{:#?}", pgoutput.lines);
}

#[test]
fn live_a_scan_gives_what_the_stream_gave() {
    let mut stage = Stage::new("scan");
    stage.run(TYPES);
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    for statement in VALUES.split(";\n").filter(|statement| statement.contains("INSERT")) {
        stage.run(statement);
    }
    let streamed = read_to_head(&mut source).lines;
    let mut scanned = Vec::new();
    let schema = stage.schema.clone();
    let scan = stage.database.scan(&schema, "types", &mut |batch| {
        scanned.extend(batch.rows().iter().map(|row| line(batch, row)));
        Ok(())
    });
    scan.unwrap();
    assert_eq!(without_place(&streamed), without_place(&scanned));
    assert_eq!(scanned.len(), 4);
}
