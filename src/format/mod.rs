//! Formats turn changes into bytes and back. They know no Kafka and no database.
