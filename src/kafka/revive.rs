//! A client that has lost all its brokers is given them again.
//!
//! librdkafka (2.10 to 2.13 at least) forgets every broker that an answer about metadata leaves out. A broker
//! that has just come back after all were down knows of none yet and answers so; the client then has no
//! broker to ask, and stays silent for ever (<https://github.com/confluentinc/librdkafka/issues/5301>,
//! docs/decisions/0005-clients-without-brokers.md).

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;

use super::client::Settings;
use super::complaints::Complaints;
use super::librdkafka;

/// How long a commit may take until the client is given its brokers again. Doubled each time, up to the
/// other.
const PATIENCE: Duration = Duration::from_secs(3);
const PATIENCE_MAX: Duration = Duration::from_secs(96);

/// Gives the client the configured brokers again if that is due. For clients that are polled: called at each
/// poll.
pub(super) fn revive<C: ClientContext>(client: &Client<C>, settings: &Settings, complaints: &Complaints) {
    if complaints.is_to_be_revived() {
        give_brokers(client, settings);
    }
}

/// Looks after a client that waits for an answer without being polled.
#[derive(Debug)]
pub(super) struct Patience {
    since: Instant,
    lasts: Duration,
}

impl Patience {
    /// From the moment that it began to wait.
    pub fn new(now: Instant) -> Self {
        Self { since: now, lasts: PATIENCE }
    }

    /// Gives the client the configured brokers again if it has waited for too long.
    pub fn look<C: ClientContext>(&mut self, now: Instant, client: &Client<C>, settings: &Settings) {
        if now.duration_since(self.since) >= self.lasts {
            give_brokers(client, settings);
            (self.since, self.lasts) = (now, PATIENCE_MAX.min(self.lasts * 2));
        }
    }
}

/// Those that it knows stay as they are.
fn give_brokers<C: ClientContext>(client: &Client<C>, settings: &Settings) {
    let named = librdkafka::add_brokers(client, &settings.address());
    tracing::debug!(named, "brokers given to the client again");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    /// On the brokers that run. No broker at all is what the accident leaves behind; a client that was told
    /// of none is in the same state.
    fn without_brokers() -> (BaseConsumer, Settings) {
        let brokers = crate::live::brokers();
        (
            ClientConfig::new().create().unwrap(),
            Settings { brokers, properties: BTreeMap::new(), partitions: 3, replication: None },
        )
    }

    fn asks(client: &BaseConsumer, patience: Duration) -> bool {
        client.fetch_metadata(None, patience).is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    #[test]
    fn live_a_client_without_brokers_finds_them_again() {
        let (client, settings) = without_brokers();
        assert!(!asks(&client, Duration::from_secs(1)), "it knew brokers, so the check proves nothing");
        give_brokers(client.client(), &settings);
        assert!(asks(&client, Duration::from_secs(10)));
    }
}
