//! What Kafka deletes before a group has read it is told, not passed over.

use crate::rig::{Monitor, Pipeline, Server, delete_before, ends_of};

#[test]
fn messages_deleted_unread_are_told_and_counted() {
    let pipeline = Pipeline::new("unread", Server::postgres(), false);
    let send = |rows| {
        pipeline.seed(rows);
        pipeline.run(&["connect", "--once"]);
    };
    send(300);
    pipeline.run(&["consume", "--once"]);
    let read = ends_of(&pipeline.topic());
    send(300);
    let deleted = ends_of(&pipeline.topic());
    delete_before(&pipeline.scratch, &pipeline.topic(), &deleted);
    send(300);
    let missed: i64 = deleted.iter().zip(&read).map(|(deleted, read)| deleted - read).sum();
    assert_eq!(missed, 300);

    let text = pipeline.scratch.read("list_sync.toml");
    pipeline.scratch.write("list_sync.toml", &format!("{text}{}", Monitor::SECTION));
    let mut consume = pipeline.start("consume", &["consume"]);
    let monitor = Monitor::of(&mut consume);
    let sink = [("sink", pipeline.scratch.name.as_str())];
    let metrics = monitor.wait_for_metrics("the rest was written", |metrics| {
        metrics.sum("list_sync_sink_rows_total", &sink) == Some(300.0)
    });
    metrics.is("list_sync_sink_unread_total", &sink, 300.0);
    let log = consume.log();
    for (partition, (read, deleted)) in read.iter().zip(&deleted).enumerate() {
        let told = format!("partition={partition} from={read} to={}", deleted - 1);
        assert!(log.contains(&told), "{told:?} is missing:\n{log}");
    }
    assert_eq!(consume.stop(), Some(0));

    // All is read, and a restart tells nothing of it again.
    send(30);
    let again = pipeline.run(&["consume", "--once"]);
    assert!(!again.err.contains("deleted"), "{}", again.err);
}
