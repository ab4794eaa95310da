//! All checks that need the whole program: one binary, one module a kind of check. The servers are real;
//! `scripts/services up` starts them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a check stops where something is not as it should be"
)]
#![allow(clippy::duration_suboptimal_units, reason = "seconds compare at a glance")]

mod rig;

mod backpressure;
mod bad_input;
mod cases;
mod check;
mod dashboard;
mod deploy;
mod direct;
mod exactly_once;
mod explain;
mod faults;
mod groups;
mod headers;
mod imports;
mod keep_alive;
mod log;
mod log_reset;
mod long_texts;
mod monitor;
mod new_tables;
mod one_line;
mod pause;
mod position;
mod producer;
mod progress;
mod remade;
mod restored;
mod retention;
mod security;
mod shapes;
mod snapshot;
mod start;
mod status;
mod stdout;
mod taken;
mod tidy;
mod unseen;
mod waiting;
