//! All of a configuration in one process: the connector and the consumers over Kafka, or sources directly to
//! sinks.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Config;
use crate::control::Control;
use crate::{Code, Error, Result, connector, consumer, direct, threads};

/// Runs it until it is stopped or, with `once`, has caught up.
pub fn run(config: &Config, control: &Control) -> Result<()> {
    match config.kafka {
        Some(_) => over_kafka(config, control),
        None => direct::run(config, control),
    }
}

/// Connector and consumers in one process, over Kafka: they live or end together. With `once`, the consumers
/// end when they have written all that the connector sent.
fn over_kafka(config: &Config, control: &Control) -> Result<()> {
    config.need_sinks(&[])?;
    let producing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let connector = threads::spawn_scoped(scope, || {
            let ended = connector::run(config, &[], control)
                .inspect_err(|error| end_both(control, "the connector", error));
            producing.store(false, Ordering::SeqCst);
            ended
        });
        let consumed = consumer::run_beside(config, &[], 1, control, Some(&producing));
        let consumed = consumed.inspect_err(|error| end_both(control, "the consumer", error));
        let connected = connector
            .join()
            .unwrap_or_else(|_| Err(Error::stop(Code::Internal, "the connector's thread died")));
        connected.and(consumed)
    })
}

/// One half ended with an error, and the other would go on without it for ever.
fn end_both(control: &Control, half: &str, error: &Error) {
    if !control.is_stopping() {
        tracing::error!(
            code = error.code().slug(),
            hint = error.hint_text(),
            "{half} ended, and all ends with it: {error}"
        );
        control.request_stop();
    }
}
