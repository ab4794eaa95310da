//! A client that has lost all its brokers is given them again.
//!
//! librdkafka (2.10 to 2.13 at least) forgets every broker that an answer about metadata leaves out. A broker that has just come back after all were
//! down knows of none yet and answers so; the client then has no broker to ask, and stays silent for ever
//! (<https://github.com/confluentinc/librdkafka/issues/5301>, docs/decisions/0005-clients-without-brokers.md).

use std::ffi::CString;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;

use super::client::Settings;
use super::complaints::Complaints;

/// Gives the client the configured brokers again if that is due; those that it knows stay as they are.
pub(super) fn revive<C: ClientContext>(client: &Client<C>, settings: &Settings, complaints: &Complaints) {
    if !complaints.is_to_be_revived() {
        return;
    }
    let Ok(brokers) = CString::new(settings.address()) else { return };
    // SAFETY: the handle is valid as long as the client lives, and the library copies the text before it returns.
    #[allow(unsafe_code)]
    let added = unsafe { rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
    tracing::debug!(added, "brokers given to the client again after all were down");
}
