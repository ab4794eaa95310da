//! The declared metrics as the library keeps them: registered once, then handed out by their labels.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::declaration::{Kind, Metric};
use super::declared::{self, BUILD_INFO};

/// All metrics of one process.
#[derive(Debug)]
pub struct Families {
    pub registry: Registry,
    pub source_up: IntGaugeVec,
    pub source_ready: IntGaugeVec,
    pub source_rows: IntCounterVec,
    pub source_transactions: IntCounterVec,
    pub source_bytes: IntCounterVec,
    pub source_sent_rows: IntCounterVec,
    pub source_sent_bytes: IntCounterVec,
    pub source_repeats: IntCounterVec,
    pub source_acknowledged: IntCounterVec,
    pub source_snapshot_rows: IntGaugeVec,
    pub source_snapshot_tables: IntGaugeVec,
    pub source_queue_bytes: IntGaugeVec,
    pub source_queue_messages: IntGaugeVec,
    pub source_delivery: HistogramVec,
    pub source_lag_bytes: IntGaugeVec,
    pub source_lag_seconds: GaugeVec,
    pub source_log_retained: IntGaugeVec,
    pub source_restarts: IntCounterVec,
    pub source_errors: IntCounterVec,
    pub sink_up: IntGaugeVec,
    pub sink_ready: IntGaugeVec,
    pub sink_members: IntGaugeVec,
    pub sink_rows: IntCounterVec,
    pub sink_repeats: IntCounterVec,
    pub sink_rejected: IntCounterVec,
    pub sink_unread: IntCounterVec,
    pub sink_latency: HistogramVec,
    pub sink_committed: IntGaugeVec,
    pub sink_lag: IntGaugeVec,
    pub sink_file_bytes: IntCounterVec,
    pub sink_files_open: IntGaugeVec,
    pub sink_flush: HistogramVec,
    pub sink_restarts: IntCounterVec,
    pub sink_errors: IntCounterVec,
}

impl Families {
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Self {
            source_up: gauge(&registry, &declared::SOURCE_UP),
            source_ready: gauge(&registry, &declared::SOURCE_READY),
            source_rows: counter(&registry, &declared::SOURCE_ROWS),
            source_transactions: counter(&registry, &declared::SOURCE_TRANSACTIONS),
            source_bytes: counter(&registry, &declared::SOURCE_BYTES),
            source_sent_rows: counter(&registry, &declared::SOURCE_SENT_ROWS),
            source_sent_bytes: counter(&registry, &declared::SOURCE_SENT_BYTES),
            source_repeats: counter(&registry, &declared::SOURCE_REPEATS),
            source_acknowledged: counter(&registry, &declared::SOURCE_ACKNOWLEDGED),
            source_snapshot_rows: gauge(&registry, &declared::SOURCE_SNAPSHOT_ROWS),
            source_snapshot_tables: gauge(&registry, &declared::SOURCE_SNAPSHOT_TABLES),
            source_queue_bytes: gauge(&registry, &declared::SOURCE_QUEUE_BYTES),
            source_queue_messages: gauge(&registry, &declared::SOURCE_QUEUE_MESSAGES),
            source_delivery: histogram(&registry, &declared::SOURCE_DELIVERY),
            source_lag_bytes: gauge(&registry, &declared::SOURCE_LAG_BYTES),
            source_lag_seconds: fraction(&registry, &declared::SOURCE_LAG_SECONDS),
            source_log_retained: gauge(&registry, &declared::SOURCE_LOG_RETAINED),
            source_restarts: counter(&registry, &declared::SOURCE_RESTARTS),
            source_errors: counter(&registry, &declared::SOURCE_ERRORS),
            sink_up: gauge(&registry, &declared::SINK_UP),
            sink_ready: gauge(&registry, &declared::SINK_READY),
            sink_members: gauge(&registry, &declared::SINK_MEMBERS),
            sink_rows: counter(&registry, &declared::SINK_ROWS),
            sink_repeats: counter(&registry, &declared::SINK_REPEATS),
            sink_rejected: counter(&registry, &declared::SINK_REJECTED),
            sink_unread: counter(&registry, &declared::SINK_UNREAD),
            sink_latency: histogram(&registry, &declared::SINK_LATENCY),
            sink_committed: gauge(&registry, &declared::SINK_COMMITTED),
            sink_lag: gauge(&registry, &declared::SINK_LAG),
            sink_file_bytes: counter(&registry, &declared::SINK_FILE_BYTES),
            sink_files_open: gauge(&registry, &declared::SINK_FILES_OPEN),
            sink_flush: histogram(&registry, &declared::SINK_FLUSH),
            sink_restarts: counter(&registry, &declared::SINK_RESTARTS),
            sink_errors: counter(&registry, &declared::SINK_ERRORS),
            registry: registry.clone(),
        };
        gauge(&registry, &BUILD_INFO).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        sound(
            &BUILD_INFO,
            registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self())),
        );
        families
    }
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn counter(registry: &Registry, metric: &Metric) -> IntCounterVec {
    let family = sound(metric, IntCounterVec::new(options(metric), metric.labels));
    sound(metric, registry.register(Box::new(family.clone())));
    family
}

fn gauge(registry: &Registry, metric: &Metric) -> IntGaugeVec {
    let family = sound(metric, IntGaugeVec::new(options(metric), metric.labels));
    sound(metric, registry.register(Box::new(family.clone())));
    family
}

fn fraction(registry: &Registry, metric: &Metric) -> GaugeVec {
    let family = sound(metric, GaugeVec::new(options(metric), metric.labels));
    sound(metric, registry.register(Box::new(family.clone())));
    family
}

fn histogram(registry: &Registry, metric: &Metric) -> HistogramVec {
    let Kind::Histogram(bounds) = metric.kind else { panic!("{} is declared without bounds", metric.name) };
    let family = sound(
        metric,
        HistogramVec::new(HistogramOpts::from(options(metric)).buckets(bounds.to_vec()), metric.labels),
    );
    sound(metric, registry.register(Box::new(family.clone())));
    family
}

/// What is declared in this program is either sound or a fault of it.
fn sound<T>(metric: &Metric, made: prometheus::Result<T>) -> T {
    made.unwrap_or_else(|cause| panic!("metric {} is declared wrongly: {cause}", metric.name))
}
