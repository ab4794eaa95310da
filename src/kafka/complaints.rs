//! What the library complains about while it goes on trying: the cause behind its bare "timed out", and
//! whether the brokers refuse us.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::refusal;

/// The same complaint is logged again after this long.
const AGAIN: Duration = Duration::from_secs(10);
/// A refusal may pass within this time: a broker that starts, settings that change from broker to broker.
const MAY_PASS: Duration = Duration::from_secs(10);

/// The library tells again and again that all brokers are down, as long as it knows any. When it has been
/// silent for this long, either they are back or it knows none; see [`super::revive`]. Doubled each time.
const SILENT: Duration = Duration::from_secs(3);
/// How often a client is given its brokers again after one outage: the last time after a minute and a half.
const REVIVALS: u32 = 6;

/// Complaints of one client; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaints(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether `refused` is set: asked for each message, so without a lock.
    is_refused: AtomicBool,
    /// Whether `outage` is set.
    was_down: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    last: Option<(String, Instant)>,
    refused: Option<Refused>,
    /// When the library last said that all brokers are down, and how often they were given to it again since.
    outage: Option<(Instant, u32)>,
}

#[derive(Debug)]
struct Refused {
    complaint: String,
    since: Instant,
}

impl Complaints {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last complaint.
    pub fn last(&self) -> Option<String> {
        self.heard().last.clone().map(|(complaint, _)| complaint)
    }

    /// A refusal by the brokers, if nothing went well since.
    pub fn refused(&self) -> Option<String> {
        self.heard().refused.as_ref().map(|refused| refused.complaint.clone())
    }

    /// The same, if it has lasted for so long that it will not pass, and the brokers refuse us still when
    /// they are asked. The library itself would go on trying for ever, and repeats itself only now and then.
    pub fn refused_for_good(&self, ask: impl FnOnce() -> bool) -> Option<String> {
        let is_due = self.is_refused()
            && self.heard().refused.as_ref().is_some_and(|refused| refused.since.elapsed() >= MAY_PASS);
        if !is_due {
            return None;
        }
        if ask() {
            self.went_well();
            return None;
        }
        let mut heard = self.heard();
        // Brokers that have gone away meanwhile are another matter.
        let is_refusal = heard.last.as_ref().is_some_and(|(complaint, _)| refusal::is_definite(complaint));
        match &mut heard.refused {
            Some(refused) if is_refusal => Some(refused.complaint.clone()),
            Some(refused) => {
                refused.since = Instant::now();
                None
            }
            None => None,
        }
    }

    /// The brokers did what was asked of them: earlier refusals have passed.
    pub fn went_well(&self) {
        if self.is_refused() {
            self.heard().refused = None;
            self.0.is_refused.store(false, Ordering::Release);
        }
    }

    /// The library said that all brokers are down.
    fn all_down(&self) {
        self.heard().outage = Some((Instant::now(), 0));
        self.0.was_down.store(true, Ordering::Release);
    }

    /// Whether the client is to be given its brokers again now. Asked at each poll.
    pub fn is_to_be_revived(&self) -> bool {
        if !self.0.was_down.load(Ordering::Acquire) {
            return false;
        }
        let mut heard = self.heard();
        let Some((said, times)) =
            heard.outage.filter(|(said, times)| said.elapsed() >= SILENT * (1 << times))
        else {
            return false;
        };
        heard.outage = (times + 1 < REVIVALS).then_some((said, times + 1));
        self.0.was_down.store(heard.outage.is_some(), Ordering::Release);
        true
    }

    fn is_refused(&self) -> bool {
        self.0.is_refused.load(Ordering::Acquire)
    }

    /// Keeps a complaint; true if it is worth a line in the log.
    fn note(&self, complaint: &str) -> bool {
        // The library adds how often it suppressed the same, and counts brokers that are down: neither is a
        // cause.
        let cause = complaint.split(" (after ").next().unwrap_or(complaint);
        if cause.ends_with("brokers are down") {
            return false;
        }
        let (mut heard, now) = (self.heard(), Instant::now());
        if refusal::is_definite(cause) {
            let since = heard.refused.as_ref().map_or(now, |refused| refused.since);
            heard.refused = Some(Refused { complaint: cause.to_owned(), since });
            self.0.is_refused.store(true, Ordering::Release);
        }
        if heard.last.as_ref().is_some_and(|(known, said)| known == cause && said.elapsed() < AGAIN) {
            return false;
        }
        heard.last = Some((cause.to_owned(), now));
        true
    }
}

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Broken connections are reported through `error` as well, but not to a client that nobody polls; as
        // a line of their own they would be noise.
        if facility == "FAIL" {
            let said = without_thread(message);
            match level {
                // Told nowhere else, and mostly an idle connection's end. A broker that does so at once does
                // not understand us.
                RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug
                    if !said.contains("in state APIVERSION_QUERY") => {}
                RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                    self.note(&format!(
                        "{}{}",
                        said.split(" (after ").next().unwrap_or(said),
                        refusal::NOT_UNDERSTOOD
                    ));
                }
                _ => {
                    self.note(said);
                }
            }
        }
        if matches!(level, RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical) {
            tracing::error!(target: "kafka", "{facility} {message}");
        } else {
            tracing::debug!(target: "kafka", "{facility} {message}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{
            AllBrokersDown, GroupAuthorizationFailed, UnknownTopic, UnknownTopicOrPartition,
        };
        if error.rdkafka_error_code() == Some(AllBrokersDown) {
            self.all_down();
        }
        // A pattern of topics that matches none yet is not worth a warning at every start. A member hears of
        // its group's rights as a failure, and a reader has no use for its group.
        let is_quiet = matches!(
            error.rdkafka_error_code(),
            Some(UnknownTopicOrPartition | UnknownTopic | GroupAuthorizationFailed)
        );
        if is_quiet {
            tracing::debug!(target: "kafka", "{reason}");
        } else if self.note(reason) {
            tracing::warn!(target: "kafka", code = ?error.rdkafka_error_code(), "{reason}");
        }
    }
}

/// The library's log has its thread's name in front, its errors have not.
fn without_thread(message: &str) -> &str {
    if message.starts_with("[thrd:") {
        message.split_once("]: ").map_or(message, |(_, text)| text)
    } else {
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "sasl_ssl://b:1/bootstrap: SASL authentication error: invalid credentials (after \
        1ms in state AUTH_REQ)";

    #[test]
    fn a_refusal_passes_when_something_goes_well() {
        let complaints = Complaints::default();
        assert!(complaints.note(REFUSAL) && !complaints.note(REFUSAL));
        assert!(complaints.refused().is_some_and(|said| said.ends_with("invalid credentials")));
        assert_eq!(complaints.refused_for_good(|| false), None);
        let long_ago = Instant::now().checked_sub(MAY_PASS).unwrap();
        complaints.heard().refused.as_mut().unwrap().since = long_ago;
        assert!(complaints.refused_for_good(|| false).is_some());
        complaints.note("b:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused");
        assert_eq!(complaints.refused_for_good(|| false), None, "the brokers are away, which may pass");
        complaints.heard().refused.as_mut().unwrap().since = long_ago;
        assert_eq!((complaints.refused_for_good(|| true), complaints.refused()), (None, None));
    }

    #[test]
    fn brokers_are_given_again_ever_more_rarely_after_an_outage() {
        let complaints = Complaints::default();
        assert!(!complaints.is_to_be_revived());
        complaints.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "3/3 brokers are down");
        assert!(!complaints.is_to_be_revived(), "the library still tries them");
        let mut waits = Vec::new();
        let silence = |complaints: &Complaints, seconds| {
            if let Some((said, _)) = &mut complaints.heard().outage {
                *said = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            }
        };
        for seconds in 0..200 {
            silence(&complaints, seconds);
            if complaints.is_to_be_revived() {
                waits.push(seconds);
            }
        }
        assert_eq!(waits, [3, 6, 12, 24, 48, 96]);
        complaints.all_down();
        silence(&complaints, 3);
        assert!(complaints.is_to_be_revived(), "each outage anew");
    }

    #[test]
    fn other_complaints_are_no_refusal() {
        let complaints = Complaints::default();
        complaints.log(
            RDKafkaLogLevel::Error,
            "FAIL",
            "[thrd:x]: b:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state \
             CONNECT)",
        );
        assert_eq!(
            complaints.last().as_deref(),
            Some("b:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused")
        );
        assert!(!complaints.note("3/3 brokers are down"));
        assert_eq!(complaints.refused(), None);
    }
}
