//! All checks that need the whole program: one binary, one module a kind of check. The servers are real; `scripts/services up` starts them.

mod rig;

mod bad_input;
mod cases;
mod direct;
mod exactly_once;
mod groups;
mod imports;
mod tidy;
