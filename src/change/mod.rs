//! The vocabulary of all stages: what a change, a table and a position are. Plain data; no I/O, no clock, no
//! async.

mod batch;
mod position;
mod snapshot;
mod table;

pub use batch::{Batch, Cell, CellKind, Operation, Origin, Row, RowHead, Transaction};
pub use position::{Checkpoint, Identity, Landmark, Position, Restart};
pub use snapshot::{Key, Known, Reading, Sight, Snapshot, Standing, TableName, View, Window, full_xid};
pub use table::{Column, Table};
