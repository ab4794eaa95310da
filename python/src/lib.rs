//! `list_sync._native`: the engine for Python. Thin: arguments in, the library's calls, exceptions out; what
//! users see is written in Python, in `package/list_sync`.
//!
//! **Threads.** Calls that block let other Python threads run, and may be made from any of them; `stop` may
//! be called from any, too. **Forks.** An object belongs to the process that made it; in a child of a fork
//! its methods raise `ForkError`.

mod changes;
mod consumer;
mod control;
mod errors;
mod logs;
mod producer;
mod rows;
mod settings;
mod values;
mod waiting;

use pyo3::prelude::*;

/// The native half of `list_sync`; use the names of `list_sync` itself.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::changes::Stream;
    #[pymodule_export]
    use super::consumer::{consume, hand_over};
    #[pymodule_export]
    use super::control::{Control, after_fork, connect, run, run_command};
    #[pymodule_export]
    use super::producer::Producer;
    #[pymodule_export]
    use super::rows::Rows;
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
