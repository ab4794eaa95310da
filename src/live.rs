//! Where live tests find their servers. A test on a real server is named `live_…`, asks here, and fails
//! without the server: `scripts/services up`, then `eval "$(scripts/services env)"`. `tests/tidy.rs` keeps
//! every other way out of the tree.

/// The value of a variable that `scripts/services env` prints.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: scripts/services up, then eval \"$(scripts/services env)\"")
    })
}

/// The Kafka brokers, `host:port` each.
pub fn brokers() -> Vec<String> {
    variable("LIST_SYNC_KAFKA").split(',').map(str::to_owned).collect()
}

/// The URL of the PostgreSQL server.
pub fn postgres() -> String {
    variable("LIST_SYNC_POSTGRES_URL")
}
