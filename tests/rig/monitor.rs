//! The monitor of a running program, asked over HTTP as Prometheus and a supervisor do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Program;

/// For something to show.
const LONGEST: Duration = Duration::from_secs(90);

/// Where a program's monitor listens.
pub struct Monitor {
    pub address: String,
}

/// One scrape.
pub struct Metrics(String);

impl Monitor {
    /// The section of a configuration that takes a free port.
    pub const SECTION: &str = "[monitor]\nlisten = \"127.0.0.1:0\"\nstalled_after_secs = 5\n";

    /// Waits until the program says where it listens.
    #[track_caller]
    pub fn of(program: &mut Program) -> Self {
        program.wait_for("monitor listening");
        let log = program.log();
        let line = log.lines().rfind(|line| line.contains("monitor listening")).unwrap();
        let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
        Self { address: address.to_owned() }
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // Version 1.0: who answers then closes, and sends the body in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: monitor\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub fn metrics(&self) -> Metrics {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200, "{body}");
        Metrics(body)
    }

    /// Waits until the metrics are as they should be.
    #[track_caller]
    pub fn wait_for_metrics(&self, what: &str, is_so: impl Fn(&Metrics) -> bool) -> Metrics {
        let began = Instant::now();
        loop {
            let metrics = self.metrics();
            if is_so(&metrics) {
                return metrics;
            }
            assert!(began.elapsed() < LONGEST, "never {what}:\n{}", metrics.0);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until `/readyz` answers with this status; answers its body.
    #[track_caller]
    pub fn wait_for_ready(&self, status: u16) -> String {
        let began = Instant::now();
        loop {
            let (came, body) = self.get("/readyz");
            if came == status {
                return body;
            }
            assert!(began.elapsed() < LONGEST, "/readyz never said {status}, but {came}:\n{body}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Metrics {
    /// The sum over the samples of this name that carry all of these labels; `None` if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        let is_meant = |series: &str| {
            series.split('{').next() == Some(name)
                && wanted.iter().all(|label| series.contains(label.as_str()))
        };
        let samples =
            self.0.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let values: Vec<f64> =
            samples.filter(|(series, _)| is_meant(series)).map(|(_, value)| value.parse().unwrap()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    #[track_caller]
    pub fn is(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        let came = self.sum(name, labels);
        assert_eq!(came, Some(expected), "{name} {labels:?} in\n{}", self.0);
    }
}
