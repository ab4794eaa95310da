//! Kafka is away while a load comes that is much larger than all queues: memory keeps its bounds, the
//! database's patience is not lost, and nothing is missing when Kafka is back.

use std::time::{Duration, Instant};

use list_sync::change::Batch;

use crate::rig::{Counts, Metrics, Monitor, OwnPostgres, Pipeline, Program, Server, alone, services};

/// Changes of one transaction, and of small ones behind it: some 40 MB of messages, five times what the
/// producer may hold.
const ROWS_HUGE: u64 = 100_000;
const ROWS_SMALL: u64 = 200_000;
/// While nothing moves, and while all of it moves at once.
const RESIDENT_BYTES_MAX: f64 = 60_000_000.0;
const RESIDENT_BYTES_MAX_MOVING: f64 = 75_000_000.0;
/// `queue.buffering.max.kbytes`, and one batch on top.
const QUEUE_BYTES_MAX: f64 = (8 * 1024 * 1024 + Batch::BYTES_FULL) as f64;
/// What the queue holds at least when it is full: `queue.buffering.max.messages` of this load.
const QUEUE_BYTES_FULL: f64 = 2_000_000.0;
/// What then waits in the database, in its own log.
const LAG_BYTES_MIN: f64 = 10_000_000.0;
/// How long the servers of these checks wait for a sign of life: more than `KEEP_ALIVE`, which is 5 s, and
/// much less than the outage.
const SERVER_PATIENCE_SECS: u64 = 8;
const FULL_FOR: Duration = Duration::from_secs(3 * SERVER_PATIENCE_SECS);

/// One look at the connector, which must be within its bounds.
#[track_caller]
fn within_bounds(metrics: &Metrics, resident_max: f64) -> f64 {
    let resident = metrics.sum("process_resident_memory_bytes", &[]).unwrap();
    let queue = metrics.sum("list_sync_source_queue_bytes", &[]).unwrap();
    assert!(resident < resident_max, "{resident} bytes are resident");
    assert!(queue <= QUEUE_BYTES_MAX, "{queue} bytes wait for Kafka");
    queue
}

/// Waits for the end of a load and looks at the connector meanwhile.
fn watched(monitor: &Monitor, mut load: Program) -> Counts {
    while load.is_running() {
        within_bounds(&monitor.metrics(), RESIDENT_BYTES_MAX);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(load.wait(Duration::from_secs(1)).success(), "{}", load.log());
    Counts::parse(&load.log())
}

/// `prepare` is called before the connector logs in, `started` when it streams.
fn kafka_away(server: Server, prepare: impl Fn(), started: impl Fn()) {
    let pipeline = Pipeline::new_alone("away", server);
    pipeline.scratch.write("list_sync.toml", &(pipeline.scratch.read("list_sync.toml") + Monitor::SECTION));
    prepare();
    let mut connect = pipeline.start("connect", &["connect"]);
    let monitor = Monitor::of(&mut connect);
    connect.wait_for("streaming source=");
    started();
    // The topic is there before the brokers go.
    let mut counts = pipeline.seed(1_000);
    monitor.wait_for_metrics("sent", |metrics| {
        metrics.sum("list_sync_source_acknowledged_total", &[]) == Some(1_000.0)
    });
    services(&["kill", "kafka"]);
    counts += watched(&monitor, pipeline.start_transactions(ROWS_HUGE, ROWS_HUGE));
    counts += watched(&monitor, pipeline.start_transactions(ROWS_SMALL, 1_000));
    monitor.wait_for_metrics("full", |metrics| {
        let lag = metrics.sum("list_sync_source_lag_bytes", &[]);
        within_bounds(metrics, RESIDENT_BYTES_MAX) >= QUEUE_BYTES_FULL && lag >= Some(LAG_BYTES_MIN)
    });
    let full = Instant::now();
    while full.elapsed() < FULL_FOR {
        within_bounds(&monitor.metrics(), RESIDENT_BYTES_MAX);
        std::thread::sleep(Duration::from_millis(500));
    }
    services(&["up", "kafka"]);
    let all = Some(counts.changes() as f64);
    let metrics = monitor.wait_for_metrics("acknowledged", |metrics| {
        within_bounds(metrics, RESIDENT_BYTES_MAX_MOVING);
        metrics.sum("list_sync_source_acknowledged_total", &[]) == all
    });
    // Neither to its server nor to Kafka: the same connections and the same producer lasted.
    metrics.is("list_sync_source_restarts_total", &[], 0.0);
    metrics.is("list_sync_source_repeats_total", &[], 0.0);
    let log = connect.log();
    assert!(!log.contains("connecting again") && !log.contains("starting again"), "{log}");
    assert_eq!(connect.stop(), Some(0));
    pipeline.run(&["consume", "--once"]);
    pipeline.prove(counts);
}

/// A server that gives up a reader which is silent for some seconds.
#[test]
fn kafka_away_on_postgres() {
    let _alone = alone();
    let own = OwnPostgres::start(
        "impatient",
        &format!("-c wal_level=logical -c wal_sender_timeout={SERVER_PATIENCE_SECS}s -c fsync=off"),
    );
    kafka_away(own.server.clone(), || {}, || {});
}

/// A server that gives up a client which takes no packet for some seconds, unless the client asks for more
/// patience.
#[test]
fn kafka_away_on_mysql() {
    let _alone = alone();
    let server = Server::mysql();
    let patience = |seconds| server.execute(&format!("SET GLOBAL net_write_timeout = {seconds};\n"));
    // Connections that are open keep what they began with.
    kafka_away(
        server.clone(),
        || patience(SERVER_PATIENCE_SECS.to_string()),
        || patience("DEFAULT".to_owned()),
    );
}
