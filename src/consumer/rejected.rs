//! Messages that no format can read are put aside, one JSON line each, in `<path>.rejected.jsonl`: topic,
//! partition, offset, reason and the message itself (`message`, or `message_hex` if it is no UTF-8). The
//! consumer goes on.
//!
//! A message may be met again after a crash; what the file holds already is not added twice.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::kafka::Message;
use crate::template::{self, Piece};
use crate::{Result, hex};

/// Topic, partition and offset of messages.
type Places = HashSet<(String, u32, i64)>;

/// The file of one sink; made when the first message is put aside.
pub struct Rejected {
    path: PathBuf,
    open: Option<(File, Places)>,
    /// Messages put aside by this process.
    pub count: u64,
}

impl Rejected {
    /// For the sink that writes to `template`; `{…}` in it becomes the sink's name.
    pub fn new(template: &str, id: Option<&str>, sink: &str) -> Self {
        let named = template::pieces(template).map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Placeholder(_) | Piece::Unclosed(_) => sink,
        });
        let mut path: String = named.collect();
        if let Some(id) = id {
            path.push('_');
            path.push_str(id);
        }
        path.push_str(".rejected.jsonl");
        Self { path: path.into(), open: None, count: 0 }
    }

    /// Puts a message aside.
    pub fn add(&mut self, message: &Message<'_>, reason: &str) -> Result<()> {
        self.count += 1;
        tracing::warn!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            "message rejected: {reason}"
        );
        let fail = |cause| crate::sink::file_failure("write", &self.path, cause);
        let (file, known) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.path).map_err(fail)?),
        };
        if !known.insert((message.topic().to_owned(), message.partition(), message.offset())) {
            return Ok(());
        }
        let mut line = serde_json::json!({
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp_ms": message.timestamp_ms(),
            "reason": reason,
        });
        // Bytes that are no text would not come back from it.
        match std::str::from_utf8(message.value()) {
            Ok(text) => line["message"] = text.into(),
            Err(_) => line["message_hex"] = hex::text(message.value()).into(),
        }
        let mut line = line.to_string();
        line.push('\n');
        file.write_all(line.as_bytes()).map_err(fail)
    }

    /// Brings the file to the disk.
    pub fn flush(&mut self) -> Result<()> {
        let fail = |cause| crate::sink::file_failure("write", &self.path, cause);
        self.open.as_ref().map_or(Ok(()), |(file, _)| file.sync_data().map_err(fail))
    }
}

/// Opens the file to append, without the torn line of a crash, and reads which messages it holds.
fn open(path: &Path) -> std::io::Result<(File, Places)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let (mut known, mut whole, mut line) = (Places::new(), 0, Vec::new());
    let mut reader = BufReader::new(&mut file);
    // One line at a time: the file may be larger than the memory.
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        whole += line.len() as u64;
        known.extend(place(&line));
        line.clear();
    }
    drop(reader);
    file.set_len(whole)?;
    Ok((file, known))
}

fn place(line: &[u8]) -> Option<(String, u32, i64)> {
    let Place { topic, partition, offset } = serde_json::from_slice(line).ok()?;
    Some((topic.into_owned(), partition, offset))
}

/// What is wanted of a line; the message itself is passed over.
#[derive(serde::Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: u32,
    offset: i64,
}

/// For messages about the file.
impl std::fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.path.display())
    }
}
