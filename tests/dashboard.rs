//! `deploy/monitoring` on a real Prometheus: it scrapes a pipeline that meets a fault, loads the alert rules,
//! and answers every query of the dashboard.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::rig::{Link, Monitor, Pipeline, Scratch, Server, variable};

/// For Prometheus to have seen enough.
const LONGEST: Duration = Duration::from_secs(90);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

fn promtool(arguments: &[&str]) {
    let output =
        Command::new(variable("LIST_SYNC_PROMTOOL")).args(arguments).current_dir(folder()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn configuration_and_alert_rules_are_sound() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
}

/// A rule that never fires would pass a test that never looks: the rules' own test fails when a threshold is
/// moved away.
#[test]
fn the_rules_test_can_fail() {
    let scratch = Scratch::new("rules");
    let rules = std::fs::read_to_string(folder().join("alerts.yml")).unwrap();
    assert!(rules.contains("list_sync_source_ready == 0"));
    scratch.write("alerts.yml", &rules.replace("list_sync_source_ready == 0", "list_sync_source_ready == 7"));
    std::fs::copy(folder().join("alerts.test.yml"), scratch.path("alerts.test.yml")).unwrap();
    let status = Command::new(variable("LIST_SYNC_PROMTOOL"))
        .args(["test", "rules", "alerts.test.yml"])
        .current_dir(&scratch.folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(!status.unwrap().success());
}

/// The files that name our processes to Prometheus; removed at the end.
struct Targets(PathBuf);

impl Targets {
    fn new(name: &str, monitors: &[&Monitor]) -> Self {
        let file = Path::new(&variable("LIST_SYNC_PROMETHEUS_TARGETS")).join(format!("{name}.json"));
        let addresses: Vec<&str> = monitors.iter().map(|monitor| monitor.address.as_str()).collect();
        std::fs::write(&file, serde_json::json!([{ "targets": addresses }]).to_string()).unwrap();
        Self(file)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn prometheus(path: &str) -> Value {
    let (status, body) = Monitor { address: variable("LIST_SYNC_PROMETHEUS") }.get(path);
    let answer: Value =
        serde_json::from_str(&body).unwrap_or_else(|cause| panic!("{status} {cause}: {body}"));
    assert_eq!((status, &answer["status"]), (200, &Value::from("success")), "{path}: {body}");
    answer["data"].clone()
}

/// Values of a query that are numbers.
fn values(query: &str) -> Vec<f64> {
    let encoded = utf8_percent_encode(query, NON_ALPHANUMERIC);
    let found = prometheus(&format!("/api/v1/query?query={encoded}"));
    let samples = found["result"].as_array().unwrap();
    samples
        .iter()
        .filter_map(|sample| sample["value"][1].as_str()?.parse().ok())
        .filter(|value: &f64| !value.is_nan())
        .collect()
}

/// The expressions of a dashboard, with its variables filled in.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(folder().join("dashboard.json")).unwrap()).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "prometheus", "{panel}");
            let expression = target["expr"]
                .as_str()
                .unwrap()
                .replace("$__rate_interval", "30s")
                .replace("$instance", ".*");
            assert!(!expression.contains('$'), "{expression}");
            queries.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    queries
}

#[test]
fn every_query_of_the_dashboard_is_answered() {
    let server = Server::postgres();
    let address = server.address();
    let pipeline = Pipeline::new("board", server, false);
    let text = format!("{}{}", pipeline.scratch.read("list_sync.toml"), Monitor::SECTION);
    let upstream = format!("{}:{}", address.host, address.port);
    let link = Link::to(&pipeline.scratch.name, &upstream);
    pipeline.scratch.write("list_sync.toml", &text.replace(&upstream, &link.address));
    let mut connect = pipeline.start("connect", &["connect"]);
    let mut consume = pipeline.start("consume", &["consume"]);
    let monitors = [Monitor::of(&mut connect), Monitor::of(&mut consume)];
    let _targets = Targets::new(&pipeline.scratch.name, &[&monitors[0], &monitors[1]]);
    let seed = pipeline.start_seed(1_000_000, 500);
    monitors[0].wait_for_ready(200);
    link.cut(|| std::thread::sleep(Duration::from_secs(1)));
    let began = Instant::now();
    let queries = queries();
    assert!(queries.len() >= 20, "{queries:?}");
    loop {
        let silent: Vec<_> = queries.iter().filter(|(_, query)| values(query).is_empty()).collect();
        if silent.is_empty() {
            break;
        }
        assert!(began.elapsed() < LONGEST, "no answer to {silent:#?}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let errors = values(&format!(
        "sum(list_sync_source_errors_total{{source={:?},kind=\"link\"}})",
        pipeline.scratch.name
    ));
    assert!(errors[0] >= 1.0, "the cut link is an error: {errors:?}");
    rules_are_loaded();
    promtool_reads(&monitors);
    assert_eq!((seed.stop(), connect.stop(), consume.stop()), (Some(0), Some(0), Some(0)));
}

fn rules_are_loaded() {
    let rules = prometheus("/api/v1/rules");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let declared = std::fs::read_to_string(folder().join("alerts.yml")).unwrap().matches("- alert:").count();
    assert!(rules.len() == declared && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
}

/// `promtool check metrics` knows the conventions of names, and the format.
fn promtool_reads(monitors: &[Monitor]) {
    use std::io::Write as _;
    for monitor in monitors {
        let (_, text) = monitor.get("/metrics");
        let mut command = Command::new(variable("LIST_SYNC_PROMTOOL"));
        let mut child = command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
