//! `[monitor]`: the figures are what was done, and ready means moving.

use std::time::Duration;

use crate::rig::{Counts, Link, Monitor, Pipeline, Program, Server, all_servers, alone, services};

/// The pipeline's configuration with a monitor.
fn with_monitor(pipeline: &Pipeline) {
    let text = pipeline.scratch.read("list_sync.toml");
    pipeline.scratch.write("list_sync.toml", &format!("{text}{}", Monitor::SECTION));
}

fn start(pipeline: &Pipeline, command: &str) -> (Program, Monitor) {
    let mut program = pipeline.start(command, &[command]);
    let monitor = Monitor::of(&mut program);
    (program, monitor)
}

/// Counts of a source that must be exact.
#[track_caller]
fn source_read(monitor: &Monitor, pipeline: &Pipeline, counts: Counts, transactions: u64) {
    let source = pipeline.scratch.name.as_str();
    let all = counts.changes() as f64;
    let rows = ("list_sync_source_rows_total", [("source", source)]);
    let metrics = monitor.wait_for_metrics("read and acknowledged", |metrics| {
        metrics.sum(rows.0, &rows.1) == Some(all)
            && metrics.sum("list_sync_source_acknowledged_total", &rows.1) == Some(all)
    });
    let table = format!("{}.{}", pipeline.server.schema(), pipeline.table);
    for (operation, count) in
        [("insert", counts.inserted), ("update", counts.updated), ("delete", counts.deleted)]
    {
        metrics.is(rows.0, &[("table", &table), ("operation", operation)], count as f64);
    }
    metrics.is("list_sync_source_transactions_total", &rows.1, transactions as f64);
    metrics.is("list_sync_source_sent_rows_total", &rows.1, all);
    metrics.is("list_sync_source_repeats_total", &rows.1, 0.0);
    metrics.is("list_sync_source_errors_total", &rows.1, 0.0);
    metrics.is("list_sync_source_up", &rows.1, 1.0);
    assert!(metrics.sum("list_sync_source_bytes_total", &rows.1) > Some(all), "bytes of values");
    assert!(metrics.sum("list_sync_source_sent_bytes_total", &rows.1) > Some(all), "bytes of messages");
    monitor.wait_for_metrics("without lag", |metrics| {
        metrics.sum("list_sync_source_lag_bytes", &rows.1) == Some(0.0)
            && metrics.sum("list_sync_source_lag_seconds", &rows.1) == Some(0.0)
    });
}

#[track_caller]
fn sink_wrote(monitor: &Monitor, pipeline: &Pipeline, counts: Counts) {
    let sink = [("sink", pipeline.scratch.name.as_str())];
    let all = Some(counts.changes() as f64);
    let metrics = monitor.wait_for_metrics("written, and without lag", |metrics| {
        metrics.sum("list_sync_sink_rows_total", &sink) == all
            && metrics.sum("list_sync_sink_lag_messages", &sink) == Some(0.0)
    });
    let folder = std::fs::read_dir(pipeline.scratch.path("out")).unwrap().map(|entry| entry.unwrap());
    let on_disk: u64 = folder
        .filter(|file| file.path().extension().is_some_and(|end| end == "csv"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    metrics.is("list_sync_sink_file_bytes_total", &sink, on_disk as f64);
    metrics.is("list_sync_sink_files_open", &sink, 2.0);
    metrics.is("list_sync_sink_rejected_total", &sink, 0.0);
    metrics.is("list_sync_sink_repeats_total", &sink, 0.0);
    metrics.is("list_sync_sink_members", &sink, 1.0);
    metrics.is("list_sync_sink_committed_offset", &sink, counts.changes() as f64);
    for histogram in ["list_sync_sink_latency_seconds", "list_sync_sink_flush_seconds"] {
        let count = metrics.sum(&format!("{histogram}_count"), &sink);
        assert!(count > Some(0.0), "{histogram}_count is {count:?}");
    }
    let latency = metrics.sum("list_sync_sink_latency_seconds_sum", &sink);
    assert!(latency > Some(0.0), "the rows of this test were committed a moment ago: {latency:?}");
}

/// Every count of connector and consumer equals the load, on each database.
#[test]
fn figures_are_what_was_done() {
    // Alone: another check's writes would move the server's log on.
    let _alone = alone();
    for server in all_servers() {
        let pipeline = Pipeline::new_alone("figures", server);
        with_monitor(&pipeline);
        let (connect, source) = start(&pipeline, "connect");
        let (consume, sink) = start(&pipeline, "consume");
        source.wait_for_ready(200);
        let counts = pipeline.seed(5_000);
        source_read(&source, &pipeline, counts, 50);
        sink_wrote(&sink, &pipeline, counts);
        let delivery = source
            .metrics()
            .sum("list_sync_source_delivery_seconds_count", &[("source", &pipeline.scratch.name)]);
        assert!(delivery > Some(0.0), "{delivery:?}");
        for (monitor, stage) in [(&source, "source"), (&sink, "sink")] {
            let ready = monitor.wait_for_ready(200);
            assert!(ready.starts_with(&format!("{stage} {}: ready", pipeline.scratch.name)), "{ready}");
            assert_eq!(monitor.get("/healthz"), (200, "ok\n".to_owned()));
            assert_eq!(monitor.get("/nothing").0, 404);
        }
        assert_eq!((connect.stop(), consume.stop()), (Some(0), Some(0)));
        pipeline.prove(counts);
    }
}

/// Without Kafka the same names tell the same.
#[test]
fn figures_of_direct_mode() {
    let _alone = alone();
    let pipeline = Pipeline::new_direct_alone("monitor", Server::postgres());
    with_monitor(&pipeline);
    pipeline.run(&["run", "--once"]);
    let (run, monitor) = start(&pipeline, "run");
    monitor.wait_for_ready(200);
    let counts = pipeline.seed(5_000);
    source_read(&monitor, &pipeline, counts, 50);
    let sink = [("sink", pipeline.scratch.name.as_str())];
    let metrics = monitor.metrics();
    metrics.is("list_sync_sink_rows_total", &sink, counts.changes() as f64);
    metrics.is("list_sync_sink_files_open", &sink, 2.0);
    assert!(metrics.sum("list_sync_sink_latency_seconds_count", &sink) > Some(0.0));
    assert_eq!(run.stop(), Some(0));
    pipeline.prove(counts);
}

/// A link that is open and brings nothing: not ready, with the reason, and ready again when it is mended.
#[test]
fn a_held_link_is_not_ready() {
    let server = Server::postgres();
    let address = server.address();
    let upstream = format!("{}:{}", address.host, address.port);
    let pipeline = Pipeline::new("held", server, false);
    with_monitor(&pipeline);
    let link = Link::to(&pipeline.scratch.name, &upstream);
    let text = pipeline.scratch.read("list_sync.toml");
    pipeline.scratch.write("list_sync.toml", &text.replace(&upstream, &link.address));
    let (mut connect, monitor) = start(&pipeline, "connect");
    monitor.wait_for_ready(200);
    let name = [("source", pipeline.scratch.name.as_str())];
    monitor.wait_for_metrics("a lag", |metrics| metrics.sum("list_sync_source_lag_bytes", &name).is_some());
    link.hold(|| {
        let body = monitor.wait_for_ready(503);
        assert!(body.contains("its server has not answered for"), "{body}");
        monitor.wait_for_metrics("no lag, as it is not known", |metrics| {
            metrics.sum("list_sync_source_lag_bytes", &name).is_none()
        });
        assert_eq!(monitor.get("/healthz").0, 200, "it lives, and may recover");
        monitor.metrics().is("list_sync_source_ready", &[("source", &pipeline.scratch.name)], 0.0);
    });
    monitor.wait_for_ready(200);
    connect.wait_for("is not ready: its server has not answered");
    connect.wait_for("is ready again");
    assert_eq!(connect.stop(), Some(0));
}

/// Kafka goes away: the source stays connected to its server and falls behind, which is told; and it comes
/// back by itself.
#[test]
fn lag_grows_while_kafka_is_away() {
    let _alone = alone();
    let pipeline = Pipeline::new_alone("lag", Server::mysql());
    with_monitor(&pipeline);
    // The seed has no business with the monitor's port, nor with Kafka.
    let (connect, source) = start(&pipeline, "connect");
    let (consume, sink) = start(&pipeline, "consume");
    let mut counts = pipeline.seed(1_000);
    source_read(&source, &pipeline, counts, 10);
    sink_wrote(&sink, &pipeline, counts);
    sink.wait_for_ready(200);
    services(&["kill", "kafka"]);
    counts += pipeline.seed(5_000);
    let name = [("source", pipeline.scratch.name.as_str())];
    let lag = |metrics: &crate::rig::Metrics| metrics.sum("list_sync_source_lag_bytes", &name).unwrap();
    let first = source.wait_for_metrics("a lag in bytes", |metrics| lag(metrics) > 100_000.0);
    counts += pipeline.seed(5_000);
    source.wait_for_metrics("a growing lag", |metrics| {
        lag(metrics) > lag(&first) && metrics.sum("list_sync_source_lag_seconds", &name) > Some(3.0)
    });
    let queued = source.metrics().sum("list_sync_source_queue_bytes", &name);
    assert!(queued > Some(0.0), "{queued:?} bytes wait for Kafka");
    let body = source.wait_for_ready(503);
    assert!(body.contains("nothing was finished for") && body.contains("bytes of log wait"), "{body}");
    let body = sink.wait_for_ready(503);
    assert!(body.contains("Kafka has not answered for"), "{body}");
    std::thread::sleep(Duration::from_secs(1));
    services(&["up", "kafka"]);
    source.wait_for_ready(200);
    sink.wait_for_ready(200);
    source.wait_for_metrics("no lag", |metrics| {
        lag(metrics) == 0.0 && metrics.sum("list_sync_source_queue_bytes", &name) == Some(0.0)
    });
    sink.wait_for_metrics("all rows", |metrics| {
        metrics.sum("list_sync_sink_rows_total", &[("sink", name[0].1)]) == Some(counts.changes() as f64)
    });
    assert_eq!((connect.stop(), consume.stop()), (Some(0), Some(0)));
    pipeline.prove(counts);
}

/// A source that ended for good is a dead thread in a living process.
#[test]
fn a_source_that_ended_is_not_healthy() {
    let pipeline = Pipeline::new("ended", Server::postgres(), false);
    let text = pipeline.scratch.read("list_sync.toml");
    // A second source keeps the process alive.
    let other = format!("{}_b", pipeline.scratch.name);
    let section = text.split("[[source]]").nth(1).unwrap().split("[[sink]]").next().unwrap();
    let second = pipeline
        .as_owner(section)
        .replace(&format!("name = {:?}", pipeline.scratch.name), &format!("name = {other:?}"));
    let _leftovers = pipeline.server.leftovers(&other, &[]);
    pipeline.scratch.write("list_sync.toml", &format!("{text}[[source]]{second}{}", Monitor::SECTION));
    let (connect, monitor) = start(&pipeline, "connect");
    monitor.wait_for_ready(200);
    let slot = format!("list_sync_{}", pipeline.scratch.name);
    let away = format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}'"
    );
    let drop = format!(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}' \
         AND NOT active"
    );
    let gone = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}'");
    let mut database = pipeline.server.connect();
    while database.query(&gone).unwrap()[0][0].as_deref() != Some("0") {
        // The source comes back between the two until it wins no more.
        let _ = database.query(&away);
        let _ = database.query(&drop);
    }
    let body = monitor.wait_for_ready(503);
    let began = std::time::Instant::now();
    while monitor.get("/healthz").0 != 503 {
        assert!(began.elapsed() < Duration::from_secs(60), "{body}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (_, said) = monitor.get("/healthz");
    assert!(said.contains("it ended") && said.contains(&slot) && !said.contains(&other), "{said}");
    monitor.metrics().is(
        "list_sync_source_errors_total",
        &[("source", &pipeline.scratch.name), ("kind", "stop")],
        1.0,
    );
    assert_eq!(connect.stop(), Some(1), "one of its sources failed");
}

/// The one address is taken: the second start says so.
#[test]
fn a_port_in_use_stops_the_start() {
    let pipeline = Pipeline::new("port", Server::postgres(), false);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = pipeline.scratch.read("list_sync.toml");
    pipeline
        .scratch
        .write("list_sync.toml", &format!("{text}[monitor]\nlisten = \"{}\"\n", taken.local_addr().unwrap()));
    let run = Program::run(&pipeline.scratch.folder, &["connect", "--once"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(
        run.err.contains("error: the monitor cannot listen on")
            && run.err.contains("hint: another process listens there"),
        "{}",
        run.err
    );
}
