//! `[monitor] listen`: `/metrics`, `/healthz`, `/readyz` and `/api/status` of a running process.
//!
//! ```text
//! stages ─► metrics (counters, once a batch) ◄── questions: each server: the end of its log; Kafka: ends of topics
//!                    │
//!                    └─► http ─► pages, which judge by `watch`
//! ```
//! Nothing here is in the way of a row: what stands still here stands still alone.

mod client;
mod http;
mod pages;
mod questions;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use crate::Result;
use crate::config::{Config, Sink, Source};
use crate::control::Control;
use crate::source;
pub use client::live;
use pages::Pages;
pub use watch::Verdict;
use watch::Watched;

/// Listens until it is dropped.
pub struct Monitor {
    server: http::Server,
    /// Dropped with the monitor, which ends the threads that ask.
    _stop: Vec<Sender<()>>,
}

impl Monitor {
    /// Begins to watch these sources and sinks, if the configuration has a `[monitor]`.
    pub fn start(
        config: &Config,
        sources: &[&Source],
        sinks: &[&Sink],
        control: &Control,
    ) -> Result<Option<Self>> {
        let Some(settings) = &config.monitor else { return Ok(None) };
        let through_kafka = config.kafka.is_some();
        let watched_sources: Vec<_> = sources
            .iter()
            .map(|source| Arc::new(Watched::new(&source.name, control.progress.source(&source.name))))
            .collect();
        let watched_sinks: Vec<_> = sinks
            .iter()
            .map(|sink| Arc::new(Watched::new(&sink.name, control.progress.sink(&sink.name))))
            .collect();
        let pages = Pages {
            progress: Arc::clone(&control.progress),
            sources: watched_sources.clone(),
            sinks: watched_sinks.clone(),
            through_kafka,
            stalled_after: settings.stalled_after,
        };
        let route: Arc<http::Route> = Arc::new(move |request: &http::Request| pages.answer(request));
        let server = http::Server::start(&settings.listen, &route)?;
        let mut stop = Vec::new();
        for (source, watched) in sources.iter().zip(watched_sources) {
            let (stopping, stopped) = mpsc::channel();
            stop.push(stopping);
            questions::ask_server(
                watched,
                source::measure(&source.address, &source.slot, questions::ANSWER_TIME),
                settings.stalled_after,
                stopped,
            )?;
        }
        if through_kafka && !watched_sinks.is_empty() {
            let (stopping, stopped) = mpsc::channel();
            stop.push(stopping);
            questions::ask_kafka(
                watched_sinks,
                crate::assembly::kafka(config)?,
                settings.stalled_after,
                stopped,
            )?;
        }
        tracing::info!(address = %server.address, "monitor listening");
        Ok(Some(Self { server, _stop: stop }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
}
