//! Which format a message is in: what a source writes, and what a consumer recognises by a header.

use std::sync::Arc;

use super::{Options, Records, json, protobuf};
use crate::Result;
use crate::change::{Batch, Position, Table};

/// How a change is written as a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// What a message without the header is in.
    #[default]
    Json,
    /// Protocol buffers.
    Protobuf,
}

impl Encoding {
    /// The record header that names the format of a message.
    pub const HEADER: &str = "format";

    /// The header's value; JSON, which is the rule, goes without.
    pub fn header(self) -> Option<&'static [u8]> {
        match self {
            Self::Json => None,
            Self::Protobuf => Some(b"protobuf"),
        }
    }

    /// What the header of a message says; `None` for a format that is not known.
    pub fn of_header(value: Option<&[u8]>) -> Option<Self> {
        match value {
            None | Some(b"json") => Some(Self::Json),
            Some(b"protobuf") => Some(Self::Protobuf),
            Some(_) => None,
        }
    }
}

/// Writes messages in the format of a source.
#[derive(Debug)]
pub enum Encoder {
    /// See [`json::Encoder`].
    Json(json::Encoder),
    /// See [`protobuf::Encoder`].
    Protobuf(protobuf::Encoder),
}

impl Encoder {
    /// An encoder that knows no table yet.
    pub fn new(encoding: Encoding, options: Options) -> Self {
        match encoding {
            Encoding::Json => Self::Json(json::Encoder::new(options)),
            Encoding::Protobuf => Self::Protobuf(protobuf::Encoder::new(options)),
        }
    }

    /// Appends one message for each row of `batch`.
    pub fn encode(&mut self, batch: &Batch, records: &mut Records) {
        match self {
            Self::Json(encoder) => encoder.encode(batch, 0, records),
            Self::Protobuf(encoder) => encoder.encode(batch, records),
        }
    }
}

/// Reads messages in whatever format their header names.
#[derive(Debug, Default)]
pub struct Decoder {
    json: json::Decoder,
    protobuf: protobuf::Decoder,
}

impl Decoder {
    /// The messages that follow are of this table, which their shape names.
    #[inline]
    pub fn of_table(&mut self, encoding: Encoding, table: &Arc<Table>) {
        match encoding {
            Encoding::Json => self.json.of_table(table),
            Encoding::Protobuf => self.protobuf.of_table(table),
        }
    }

    /// The messages that follow are of this topic and name no shape: their tables are guessed from their
    /// names.
    pub fn of_topic(&mut self, encoding: Encoding, topic: &str) {
        match encoding {
            Encoding::Json => self.json.of_topic(topic),
            Encoding::Protobuf => self.protobuf.of_topic(topic),
        }
    }

    /// What it learned of the bytes of messages.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn forget_templates(&mut self) {
        self.json.forget_templates();
        self.protobuf.forget_templates();
    }

    /// Adds the row of a message to `batch`, at `position`. A message that is no row change is a `Stop` and
    /// leaves the batch's rows as they were.
    pub fn decode(
        &mut self,
        encoding: Encoding,
        message: &[u8],
        position: Position,
        batch: &mut Batch,
    ) -> Result<()> {
        match encoding {
            Encoding::Json => self.json.decode(message, position, batch),
            Encoding::Protobuf => self.protobuf.decode(message, position, batch),
        }
    }

    /// The JSON text of a message: itself, unread, if that is what it is in; else what JSON says of the same
    /// row, in `space`.
    pub fn text<'a>(
        &mut self,
        encoding: Encoding,
        message: &'a [u8],
        space: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        match encoding {
            Encoding::Json => Ok(message),
            Encoding::Protobuf => {
                space.clear();
                // One huge message does not keep its memory.
                space.shrink_to(4 * Batch::BYTES_FULL);
                self.protobuf.to_json(message, space)?;
                Ok(space)
            }
        }
    }
}
