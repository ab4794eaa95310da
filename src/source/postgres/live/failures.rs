//! What goes wrong is said in one line with the way out.

use super::*;
use crate::error::ErrorKind;
use crate::secret::Secret;

#[track_caller]
pub(super) fn check(answer: crate::Result<impl Sized>, kind: ErrorKind, fact: &str, hint: &str) {
    let error = answer.err().expect("must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(fact), "{error}");
    assert!(error.hint_text().unwrap_or_default().contains(hint), "{error} hint: {:?}", error.hint_text());
    assert!(!error.to_string().contains('\n'), "{error}");
}

/// What TLS refuses was damaged on its way, and comes again.
#[test]
fn live_a_damaged_record_is_a_broken_link() {
    let mut stage = Stage::new("damaged");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY)");
    let relay = crate::source::relay::Relay::to(&address());
    let mut settings = stage.settings(Plugin::Pgoutput);
    settings.address.port = relay.port;
    settings.address.options.insert("sslmode".into(), "require".into());
    let mut source = PostgresSource::new(settings);
    let start = source.start(None).unwrap();
    stage.run("INSERT INTO SCHEMA_.test VALUES (1)");
    assert_eq!(read_to_head(&mut source).lines.len(), 1);
    relay.damage();
    stage.run("INSERT INTO SCHEMA_.test VALUES (2)");
    let (mut batch, since) = (Batch::default(), Instant::now());
    let error = loop {
        assert!(since.elapsed() < Duration::from_mins(1), "the damage is not noticed");
        if let Err(error) = source.read(&mut batch, Duration::from_millis(200)) {
            break error;
        }
    };
    assert!(error.kind() == ErrorKind::Link && error.to_string().contains("connection lost"), "{error}");
    relay.heal();
    source.start(Some(&start)).unwrap();
    assert_eq!(read_to_head(&mut source).lines.len(), 2);
}

#[test]
fn live_log_in_failures() {
    let mut stage = Stage::new("login");
    let _ = stage.database.execute("DROP ROLE IF EXISTS pgsrc_role");
    stage.run("CREATE ROLE pgsrc_role LOGIN PASSWORD 'right'");
    check(
        open(&Address { database: "no_such".into(), ..address() }),
        ErrorKind::Stop,
        "\"no_such\" does not exist",
        "CREATE DATABASE \"no_such\"",
    );
    check(open(&Address { port: 1, ..address() }), ErrorKind::Link, "cannot connect to", "listen");
    check(open(&Address { user: "no_such".into(), ..address() }), ErrorKind::Stop, "no_such", "");
    let mut options = address().options;
    options.insert("sslmode".into(), "requires".into());
    check(open(&Address { options, ..address() }), ErrorKind::Usage, "unknown sslmode", "sslmode=require");
    let wrong = Address { user: "pgsrc_role".into(), password: Secret::new("wrong"), ..address() };
    check(
        open(&wrong),
        ErrorKind::Stop,
        "password authentication failed for user \"pgsrc_role\"",
        "ALTER ROLE \"pgsrc_role\" PASSWORD",
    );
    check(
        open(&Address { password: Secret::default(), ..wrong }),
        ErrorKind::Stop,
        "asks for the password of role \"pgsrc_role\"",
        "password_file",
    );
    let rolled = Address { user: "pgsrc_role".into(), password: Secret::new("right"), ..address() };
    let settings = Settings { address: rolled, ..stage.settings(Plugin::Pgoutput) };
    check(
        PostgresSource::new(settings).start(None),
        ErrorKind::Stop,
        "may not replicate",
        "ALTER ROLE \"pgsrc_role\" REPLICATION",
    );
    stage.run("DROP ROLE pgsrc_role");
}

#[test]
fn live_tables_that_are_missing() {
    let mut stage = Stage::new("tables");
    stage.run("CREATE TABLE SCHEMA_.orders (id int PRIMARY KEY)");
    let tables = Tables::parse(&["pgsrc_tables.order".to_owned()], DEFAULT_SCHEMA).unwrap();
    let settings = Settings { tables, ..stage.settings(Plugin::Pgoutput) };
    check(
        PostgresSource::new(settings).start(None),
        ErrorKind::Stop,
        "matches \"pgsrc_tables.order\"",
        "pgsrc_tables.orders",
    );
    let slots = stage
        .database
        .query("SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'pgsrc_tables%'")
        .unwrap();
    assert_eq!(slots.len(), 0, "nothing is left behind");
    let scan = stage.database.scan("pgsrc_tables", "no_such", &mut |_| Ok(()));
    check(scan, ErrorKind::Stop, "\"pgsrc_tables.no_such\" does not exist", "");
}

#[test]
fn live_slots_that_cannot_be_read() {
    let mut stage = Stage::new("slots");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY)");
    let mut source =
        PostgresSource::new(Settings { snapshot: Snapshot::Initial, ..stage.settings(Plugin::Pgoutput) });
    let start = source.start(None).unwrap();
    check(
        PostgresSource::new(stage.settings(Plugin::Pgoutput)).start(Some(&start)),
        ErrorKind::Link,
        "is active for PID",
        "pg_terminate_backend(",
    );
    let mut other = start.clone();
    other.identity.insert("system".into(), "1".into());
    check(
        PostgresSource::new(stage.settings(Plugin::Pgoutput)).start(Some(&other)),
        ErrorKind::Stop,
        "belongs to another server",
        "another name",
    );
    let wrong = Settings { plugin: Plugin::Wal2json, ..stage.settings(Plugin::Pgoutput) };
    check(
        PostgresSource::new(wrong).start(Some(&start)),
        ErrorKind::Stop,
        "was made for the plugin \"pgoutput\"",
        "plugin = \"pgoutput\"",
    );
    drop(source);
    stage.run("SELECT pg_drop_replication_slot('pgsrc_slots_pgoutput') FROM pg_sleep(0.5)");
    check(
        PostgresSource::new(stage.settings(Plugin::Pgoutput)).start(Some(&start)),
        ErrorKind::Stop,
        "is gone: changes since",
        "another name",
    );
}

#[test]
fn live_a_server_that_goes_away_is_a_link_failure() {
    let mut stage = Stage::new("killed");
    stage.run("CREATE TABLE SCHEMA_.test (id int PRIMARY KEY)");
    let mut source = PostgresSource::new(stage.settings(Plugin::Pgoutput));
    source.start(None).unwrap();
    stage.run(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = \
        'pgsrc_killed_pgoutput'",
    );
    // What was read before is handed out first.
    let mut batch = Batch::default();
    let answers = (0..5).map(|_| source.read(&mut batch, Duration::from_secs(5)));
    check(answers.collect::<crate::Result<Vec<_>>>(), ErrorKind::Link, "", "");
}

#[test]
fn live_tls_modes() {
    let with = |options: &[(&str, &str)]| {
        let mut address = address();
        address.options =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        open(&address)
    };
    let encrypted = |mut database: PostgresDatabase| {
        database.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").unwrap()[0][0].as_deref()
            == Some("t")
    };
    assert!(!encrypted(with(&[("sslmode", "disable")]).unwrap()));
    let offered = open(&address()).unwrap().query("SHOW ssl").unwrap()[0][0].as_deref() == Some("on");
    if !offered {
        check(with(&[("sslmode", "require")]), ErrorKind::Stop, "offers no TLS", "ssl = on");
        return;
    }
    assert!(encrypted(with(&[]).unwrap()));
    assert!(encrypted(with(&[("sslmode", "require")]).unwrap()));
    check(
        with(&[("sslmode", "verify-ca"), ("sslrootcert", "system")]),
        ErrorKind::Stop,
        "signed by an authority that is not trusted",
        "sslrootcert",
    );
    let authority = crate::live::variable("LIST_SYNC_CA");
    assert!(encrypted(with(&[("sslmode", "verify-ca"), ("sslrootcert", &authority)]).unwrap()));
    assert!(encrypted(with(&[("sslmode", "verify-full"), ("sslrootcert", &authority)]).unwrap()));
}
