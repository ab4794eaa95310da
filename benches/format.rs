//! Rows a second through the encoders, the decoders and the CSV sink: the test table of the contract, half
//! inserts, a quarter updates, a quarter deletes. `cargo bench --bench format`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use list_sync::Result;
use list_sync::change::{Batch, CellKind, Column, Operation, Position, RowHead, Table, Transaction};
use list_sync::format::{Decoder, Encoder, Encoding, Options, Records};
use list_sync::sink::Sink;
use list_sync::sink::csv::{CsvSink, Settings};

const ROWS: usize = 1_000_000;
const RUNS: usize = 5;

fn main() -> Result<()> {
    let batches = batches();
    for (name, encoding) in [("json", Encoding::Json), ("protobuf", Encoding::Protobuf)] {
        report(&format!("{name}, encode"), || {
            let (mut encoder, mut records) = (Encoder::new(encoding, Options::default()), Records::default());
            let started = Instant::now();
            for batch in &batches {
                records.clear();
                encoder.encode(batch, &mut records);
            }
            Ok(started.elapsed())
        })?;
        let messages = messages(&batches, encoding);
        report(&format!("{name}, decode"), || {
            let (mut decoder, mut batch) = (Decoder::default(), Batch::default());
            let started = Instant::now();
            for message in &messages {
                if batch.is_full() {
                    batch.clear();
                }
                decoder.decode(encoding, message, Position::START, &mut batch)?;
            }
            Ok(started.elapsed())
        })?;
        println!(
            "{name:18} {:5.1} bytes a message, {:5.1} after lz4",
            bytes(&messages),
            bytes(&compressed(&messages))
        );
    }
    report("csv, split", || csv(&batches, true))?;
    report("csv, one file", || csv(&batches, false))
}

/// Bytes a row, over all.
fn bytes(pieces: &[Vec<u8>]) -> f64 {
    pieces.iter().map(Vec::len).sum::<usize>() as f64 / ROWS as f64
}

/// As they go to Kafka: compressed together, as many as a producer puts into one batch.
fn compressed(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    messages.chunks(2_000).map(|chunk| lz4_flex::block::compress(&chunk.concat())).collect()
}

fn report(name: &str, mut run: impl FnMut() -> Result<Duration>) -> Result<()> {
    let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    times.sort();
    let rate = |time: &Duration| ROWS as f64 / time.as_secs_f64() / 1e6;
    println!(
        "{name:18} {:5.2} M rows/s (median of {RUNS}; {:.2} to {:.2})",
        rate(&times[RUNS / 2]),
        rate(&times[RUNS - 1]),
        rate(&times[0])
    );
    Ok(())
}

/// Time to write all batches and bring them to the disk once at the end.
fn csv(batches: &[Batch], split: bool) -> Result<Duration> {
    let folder = std::env::temp_dir().join(format!("list_sync-bench-{}", std::process::id()));
    let path = folder.join("{table}").to_string_lossy().into_owned();
    let mut sink = CsvSink::new(Settings { path, split, ..Settings::default() })?;
    sink.recover(&BTreeMap::new())?;
    let started = Instant::now();
    for batch in batches {
        if sink.prepare("bench", batch)? {
            sink.flush()?;
        }
        sink.write("bench", batch)?;
    }
    sink.flush()?;
    let time = started.elapsed();
    drop(sink);
    // What is left in a scratch folder harms nobody.
    let _ = std::fs::remove_dir_all(folder);
    Ok(time)
}

fn messages(batches: &[Batch], encoding: Encoding) -> Vec<Vec<u8>> {
    let (mut encoder, mut records) = (Encoder::new(encoding, Options::default()), Records::default());
    let mut messages = Vec::with_capacity(ROWS);
    for batch in batches {
        records.clear();
        encoder.encode(batch, &mut records);
        messages.extend(records.records.iter().map(|record| records.value(record).to_vec()));
    }
    messages
}

fn batches() -> Vec<Batch> {
    let column = |(name, type_name): (&str, &str)| Column {
        name: name.into(),
        type_name: type_name.into(),
        identity: true,
    };
    let columns = [
        ("id", "bigint"),
        ("category", "character varying"),
        ("domain", "character varying"),
        ("timestamp", "timestamp without time zone"),
    ];
    let columns = columns.map(column).to_vec();
    let table = Arc::new(Table { schema: "public".into(), name: "test".into(), columns, key: vec![0] });
    let (mut batches, mut batch, mut position) = (Vec::new(), Batch::default(), Position::first_of(0, 1));
    for number in 0..ROWS {
        if batch.is_full() {
            batches.push(std::mem::take(&mut batch));
        }
        let index = batch.add_table(&table);
        let transaction =
            if batch.transactions().is_empty() { batch.add_transaction(Transaction::default()) } else { 0 };
        let operation =
            [Operation::Insert, Operation::Update, Operation::Insert, Operation::Delete][number % 4];
        let columns = batch.mark();
        if operation != Operation::Delete {
            row(&mut batch, number, 1);
        }
        let identity = batch.mark();
        if operation != Operation::Insert {
            row(&mut batch, number, 0);
        }
        batch.push(
            RowHead { operation, table: index, transaction, lsn: 0 },
            columns,
            identity,
            &mut position,
        );
    }
    batches.push(batch);
    batches
}

/// A row as it was (`version` 0) or is (1). Domain and time have no pattern, as in a table of the world: lz4
/// must not find what is not there.
fn row(batch: &mut Batch, number: usize, version: u64) {
    let chance = (number as u64 * 2 + version + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let (second, micros) = (chance % 86_400, chance % 999_983);
    batch.add_cell(CellKind::Literal, number.to_string().as_bytes());
    batch.add_cell(CellKind::Text, format!("category-{}", chance % 100).as_bytes());
    batch.add_cell(CellKind::Text, format!("{:x}.example.org", chance % 0xff_ffff_ffff).as_bytes());
    let time =
        format!("2026-11-23 {:02}:{:02}:{:02}.{micros:06}", second / 3600, second / 60 % 60, second % 60);
    batch.add_cell(CellKind::Text, time.as_bytes());
}
