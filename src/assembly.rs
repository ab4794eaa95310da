//! Makes what a configuration describes: the stages know no configuration, and it knows no stage's inside.

use crate::config::{self, Config};
use crate::sink::Sink;
use crate::snapshot::Snapshots;
use crate::source::Source;
use crate::{Code, Error, Result, format, kafka, sink, source};

/// `[kafka]` as the stage wants it.
pub fn kafka(config: &Config) -> Result<kafka::Settings> {
    let kafka = config.need_kafka()?;
    let settings = kafka::Settings {
        brokers: kafka.brokers.clone(),
        properties: kafka.properties.clone(),
        partitions: kafka.partitions as u32,
        replication: kafka.replication.map(|replication| replication as u32),
    };
    settings.check()?;
    Ok(settings)
}

/// A source that does nothing before its start. `temporary`: the server forgets the reader with its
/// connection.
pub fn source(source: &config::Source, temporary: bool) -> Box<dyn Source> {
    let kind = source.address.dialect.kind();
    let stream = (kind.build)(source::Settings {
        name: source.name.clone(),
        address: source.address.clone(),
        tables: source.tables.clone(),
        snapshot: source.snapshot,
        plugin: source.plugin,
        slot: source.slot.clone(),
        publication: source.publication.clone(),
        server_id: source.server_id,
        temporary,
    });
    Box::new(Snapshots::new(&source.name, stream, source.snapshot))
}

/// What writes the messages of a source.
pub fn encoder(source: &config::Source) -> format::Encoder {
    format::Encoder::new(encoding(source), format_options(source))
}

/// The format of a source's messages.
pub fn encoding(source: &config::Source) -> format::Encoding {
    match source.format {
        config::Format::Protobuf => format::Encoding::Protobuf,
        // The other two are refused at the start, until they are built.
        config::Format::Json | config::Format::Debezium | config::Format::Avro => format::Encoding::Json,
    }
}

/// What the messages of a source hold.
pub fn format_options(source: &config::Source) -> format::Options {
    let config::Include { xid, timestamp, lsn, schema, types } = source.include;
    let identity_key_only = source.identity == config::RowIdentity::Key;
    format::Options { include: format::Include { xid, timestamp, lsn, schema, types }, identity_key_only }
}

/// A sink that has not recovered yet. `id` tells its files from those of other members of its group.
pub fn sink(sink: &config::Sink, id: Option<&str>) -> Result<Box<dyn Sink>> {
    let Some(build) = sink.kind.build else {
        return Err(Error::usage(
            Code::SinkUnknown,
            format!("sink {:?}: kind = {:?} is not built yet", sink.name, sink.kind.name),
        ));
    };
    build(&sink_settings(sink, id))
}

/// The options of a sink that all kinds share.
pub fn sink_settings(sink: &config::Sink, id: Option<&str>) -> sink::Settings {
    sink::Settings {
        path: sink.path.clone(),
        id: id.map(str::to_owned),
        split: sink.split,
        position: sink.position,
        unchanged: sink.unchanged.clone(),
        rotate_bytes: sink.rotate_bytes,
        rotate_rows: sink.rotate_rows,
        rotate_secs: sink.rotate_after.map(|age| age.as_secs()),
    }
}
