//! Stand-ins for the stages that are written beside this branch; the real ones replace this file.

/// Databases to Kafka.
pub mod connector {
    use crate::config::Config;
    use crate::control::Control;
    use crate::{Error, Result};

    /// Runs the named sources, or all.
    pub fn run(config: &Config, sources: &[String], control: &Control) -> Result<()> {
        let _ = (config, sources, control);
        Err(Error::stop("the connector is not built yet").hint("merge it"))
    }

    /// Runs all sources and all sinks in one process.
    pub fn run_with_consumers(config: &Config, control: &Control) -> Result<()> {
        run(config, &[], control)
    }
}

/// Kafka to files.
pub mod consumer {
    use crate::config::Config;
    use crate::control::Control;
    use crate::{Error, Result};

    /// Runs so many members of the named sinks' groups, or of all.
    pub fn run(config: &Config, sinks: &[String], instances: u32, control: &Control) -> Result<()> {
        let _ = (config, sinks, instances, control);
        Err(Error::stop("the consumer is not built yet").hint("merge it"))
    }
}

/// Databases to files.
pub mod direct {
    use crate::config::Config;
    use crate::control::Control;
    use crate::{Error, Result};

    /// Runs all sources and sinks without Kafka.
    pub fn run(config: &Config, control: &Control) -> Result<()> {
        let _ = (config, control);
        Err(Error::stop("direct mode is not built yet").hint("merge it"))
    }
}
