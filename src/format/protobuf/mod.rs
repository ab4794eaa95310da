//! A row change as protocol buffers: the same content as in JSON, one message type for any table
//! (`docs/change.proto`).
//!
//! Written by hand, since the message is copied together from constant bytes of a table and its values, and
//! read without a copy.

mod decode;
mod encode;
mod wire;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
mod tests;
