//! The shape in which a metric is declared.

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// As Prometheus stores it.
    pub name: &'static str,
    /// What may happen to its value.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One or two sentences.
    pub help: &'static str,
}

/// What may happen to a metric's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Counts of observed values up to each of these bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As the exposition format has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

pub(super) const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

pub(super) const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

pub(super) const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [f64],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(bounds), labels, help }
}
