//! The vocabulary of all stages: what a change, a table and a position are. Plain data; no I/O, no clock, no
//! async.

mod batch;
mod position;
mod table;

pub use batch::{Batch, Cell, CellKind, Operation, Row, RowHead, Transaction};
pub use position::{Checkpoint, Identity, Landmark, Position, Restart};
pub use table::{Column, Table};
