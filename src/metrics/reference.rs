//! The table of all metrics in `docs/monitoring.md`, made from their declarations. The test holds the page
//! against them; with `LIST_SYNC_BLESS=1` it writes the table.

use std::fmt::Write as _;

use super::{METRICS, Progress};

const BEGIN: &str = "<!-- the table below is made from src/metrics/declared.rs by LIST_SYNC_BLESS=1 cargo \
    test -p list_sync --lib metrics:: -->\n";
const END: &str = "<!-- end of the table -->\n";

fn table() -> String {
    let mut table = "\n| metric | kind | labels | what it says |\n|---|---|---|---|\n".to_owned();
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.word(),
            labels.join(", "),
            metric.help
        );
    }
    table.push('\n');
    table
}

#[test]
fn the_page_lists_what_is_declared() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("LIST_SYNC_BLESS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "docs/monitoring.md is not what src/metrics/declared.rs declares; write it again with \
         LIST_SYNC_BLESS=1"
    );
}

/// What is declared is registered, and nothing else but the process's own figures.
#[test]
fn every_metric_is_named_by_the_conventions() {
    for metric in METRICS {
        let is_counter = metric.kind == super::Kind::Counter;
        assert_eq!(is_counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(metric.name.starts_with("list_sync_") && metric.help.ends_with('.'), "{}", metric.name);
        if let super::Kind::Histogram(bounds) = metric.kind {
            assert!(metric.name.ends_with("_seconds") && bounds.is_sorted(), "{}", metric.name);
        }
    }
    let progress = Progress::default();
    progress.source("s").set_lag(super::Lag { bytes: 1, seconds: 0.5, retained_bytes: Some(1) });
    progress.sink("s").wrote("t", 1);
    let text = String::from_utf8(progress.render().unwrap()).unwrap();
    let shown: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(
        shown
            .iter()
            .all(|name| name.starts_with("process_") || METRICS.iter().any(|metric| metric.name == *name)),
        "{shown:?}"
    );
    assert!(
        text.contains("list_sync_build_info{version=") && text.contains("process_resident_memory_bytes "),
        "{text}"
    );
}
