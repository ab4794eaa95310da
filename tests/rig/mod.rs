//! What the checks stand on: the real servers, the real binary, scratch folders, and the proof that files
//! fold to the table.

mod least;
mod monitor;
mod own_mysql;
mod own_postgres;
mod pipeline;
mod program;
mod proxy;
mod scratch;
mod server;
mod topic;

pub use monitor::{Metrics, Monitor};
pub use own_mysql::OwnMysql;
pub use own_postgres::OwnPostgres;
pub use pipeline::{Counts, Pipeline, alone, together};
pub use program::{Program, Run, run_on_terminal};
pub use proxy::Link;
pub use scratch::Scratch;
pub use server::{Leftovers, Server, all_servers, kafka, services, variable};
pub use topic::{
    Record, brokers_alive, consume_topic, delete_before, ends_of, headers_in, messages_in, records_in,
    replicas_of,
};
