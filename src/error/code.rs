//! Codes of errors: one table gives the enum, `docs/errors.md` and `list_sync explain`.
//!
//! A code is a slug that scripts and alerts may match on: it does not change, while the words of a message
//! may. Several messages share a code if their cause and the way out are of one kind.

use std::fmt;

/// What stands about a code in the docs, and what `list_sync explain CODE` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The heading it stands under in `docs/errors.md`.
    pub group: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What a person does about it.
    pub way_out: &'static str,
}

/// Writes the enum, the slugs and the explanations.
macro_rules! codes {
    ($($group:literal { $($name:ident $slug:literal $meaning:literal $way_out:literal)* })*) => {
        /// What kind of failure an [`crate::Error`] is, by a name that stays.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = concat!("`", $slug, "`")] $name,)*)*
        }

        impl Code {
            /// All codes, in the order of the docs.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// The name that stands in logs, in `status --json` and in exceptions: `slot-lost`.
            pub fn slug(self) -> &'static str {
                match self {
                    $($(Self::$name => $slug,)*)*
                }
            }

            /// What it means and what to do.
            pub fn explanation(self) -> Explanation {
                match self {
                    $($(Self::$name => {
                        Explanation { group: $group, meaning: $meaning, way_out: $way_out }
                    })*)*
                }
            }
        }
    };
}

codes! {
    "Command line and configuration" {
        ConfigInvalid "config-invalid"
            "The configuration has an option or a value that it cannot have."
            "Each line of the message names the place and what is expected there; docs/configuration.md \
             lists all options."
        ArgumentInvalid "argument-invalid"
            "An argument of the command line or of a call cannot be understood."
            "`list_sync COMMAND --help` shows what the argument takes, with examples."
        UrlInvalid "url-invalid"
            "A database URL cannot be read, or has an option that is not known."
            "Write it as postgres://USER@HOST/DATABASE, mysql://… or mariadb://…; escape special \
             characters of a password as %XX, or keep it in a `password_file`."
        PasswordInFile "password-in-file"
            "`init` would write a password into the configuration file."
            "Write '${NAME}' in its place and set that environment variable, or use --password-file."
        FileExists "file-exists"
            "`init` does not overwrite a file that is there."
            "Write another file with -c FILE, or replace it with --force."
        TerminalMissing "terminal-missing"
            "A command needs to ask, and there is no terminal, or the answers broke off."
            "Give everything by flags: the command's --help lists them."
        NothingToDo "nothing-to-do"
            "The configuration leaves nothing to do for this command."
            "Add a [[source]] or a [[sink]], or let a sink take the topics of these sources."
        PathTemplateInvalid "path-template-invalid"
            "The path of a sink has a placeholder that is not known."
            "Write {table}, {schema}, {topic} or {source}."
        TlsFilesInvalid "tls-files-invalid"
            "A certificate or key that the configuration names cannot be used."
            "Name PEM files that this user can read; the key must be that of the certificate (`openssl \
             x509 -noout -text -in FILE` shows one)."
        KafkaPropertyInvalid "kafka-property-invalid"
            "An entry under [kafka] properties cannot be used."
            "Names and values are librdkafka's; docs/security.md shows those for TLS and each login."
        SinkUnknown "sink-unknown"
            "The configuration asks for a kind of sink or format that this version does not have."
            "docs/configuration.md lists the kinds."
    }
    "The program and its machine" {
        Internal "internal"
            "list_sync itself has a fault: a thread died, or a step was called at the wrong time."
            "Restart it: nothing that was committed is lost. Please report what it printed on stderr."
        SystemRefused "system-refused"
            "The operating system refused a thread or a signal handler."
            "Raise the limits of processes and memory for this user or container."
        OutputFailed "output-failed"
            "What the program prints cannot be written."
            "Look at what reads its stdout: it ended, or its disk is full."
        PortUnavailable "port-unavailable"
            "The address of the monitor cannot be listened on."
            "Stop what uses that port, or set another `listen` under [monitor]."
        NotRunning "not-running"
            "No source or sink of that name runs in this process."
            "Check the name against the configuration that the process was started with."
        ProgramEnded "program-ended"
            "The Python program stopped waiting for its messages."
            "Nothing: what it did not confirm is read again at the next start."
    }
    "The Python package" {
        Closed "closed"
            "A call on an object that was closed."
            "Make a new one; a `with` block closes its object at its end."
        Forked "forked"
            "A call in a process that was forked from the one that made the object."
            "Make the object in the child process, after the fork."
        PackageMissing "package-missing"
            "A package that a call needs is not installed."
            "Install it: the message names it."
    }
    "Reaching and entering a database" {
        DatabaseUnreachable "database-unreachable"
            "No connection to the database server can be made. A running source tries again with growing \
             pauses."
            "Check host and port in the URL, that the server runs and listens there, and the firewall in \
             between."
        DatabaseDisconnected "database-disconnected"
            "The connection to the database broke, or the server ended it. The source connects again and \
             goes on where it was."
            "Nothing, if it happens once. If it comes back, look at the server's log and at time-outs of \
             proxies and load balancers in between."
        DatabaseSilent "database-silent"
            "The database server takes the connection and does not answer, or sent nothing for a long \
             time. The source connects again."
            "Check that a database server listens on this port, its load, and the network in between."
        DatabaseBusy "database-busy"
            "The server has no room for another connection or lock just now. It is tried again."
            "Raise max_connections (or max_wal_senders), or end what holds the connections or the lock."
        LoginRefused "login-refused"
            "The server refuses this user: the name, the password, the account or its authentication \
             plugin."
            "Check user and password in the URL or `password_file`; the hint has the statement that sets \
             them."
        LoginUnsupported "login-unsupported"
            "The server asks for a way to log in that list_sync does not speak."
            "Use scram-sha-256 or a certificate (PostgreSQL), caching_sha2_password (MySQL), \
             mysql_native_password or ed25519 (MariaDB)."
        PasswordMissing "password-missing"
            "The server asks for a password, and none is set."
            "Set `password_file`, or write the password into the URL as ${NAME}."
        HostRefused "host-refused"
            "The server lets nobody in from this host."
            "Add the host to pg_hba.conf, or to the user's accounts; FLUSH HOSTS lifts a block of MySQL."
        DatabaseMissing "database-missing"
            "The database of the URL does not exist on this server."
            "Correct the name in the URL; names are case-sensitive."
        ProductMismatch "product-mismatch"
            "Another product answers than the URL says: MariaDB instead of MySQL, or the other way round."
            "Write the scheme that the message names: mysql://… or mariadb://…"
        ProtocolUnknown "protocol-unknown"
            "What answers does not speak the database's protocol."
            "Check the port in the URL; something else may listen there."
        ServerTooOld "server-too-old"
            "The server is older than list_sync supports."
            "Upgrade it: PostgreSQL 13, MySQL 8.0, MariaDB 10.6 or newer."
        StatementRefused "statement-refused"
            "The server refuses a statement, with a cause of its own that the message quotes."
            "Follow the server's own message; its manual lists the number or SQLSTATE."
    }
    "TLS" {
        TlsNotOffered "tls-not-offered"
            "The URL asks for TLS, and the server offers none."
            "Turn TLS on at the server, or write sslmode=prefer (ssl-mode=preferred) in the URL."
        TlsFailed "tls-failed"
            "Both sides could not agree on TLS."
            "Check that the port speaks TLS and allows version 1.2 or 1.3; the server's log says more."
        CertificateExpired "certificate-expired"
            "The server's certificate is not valid at this time."
            "Renew it on the server, or correct the clock that is wrong."
        CertificateUntrusted "certificate-untrusted"
            "The server's certificate is signed by an authority that is not trusted here."
            "Put the authority's certificate, in PEM form, into the file that the hint names."
        CertificateName "certificate-name"
            "The server's certificate does not name the host that the connection goes to."
            "Connect by a name that it has, or issue one with this name as subjectAltName."
        ClientCertificateRefused "client-certificate-refused"
            "The server refuses the client's certificate."
            "Show one that is valid now and signed by an authority that the server trusts."
        ClientCertificateMissing "client-certificate-missing"
            "The server wants a client certificate, and none is set."
            "Name the files of the certificate and its key as the hint says."
    }
    "Settings and rights of a database" {
        PrivilegeMissing "privilege-missing"
            "The user lacks a right that reading the log takes."
            "Run the hint's GRANT or ALTER ROLE as an administrator, or `list_sync check --fix --admin \
             URL`."
        LogDisabled "log-disabled"
            "The server does not write the log that changes are read from."
            "Set what the hint names (wal_level = logical, log_bin) and restart the server."
        LogSetting "log-setting"
            "A setting leaves out of the log what list_sync needs: rows, columns' names, whole images."
            "Run the hint's statement, keep it in the server's configuration, and let the writing \
             sessions connect again."
        LogFiltered "log-filtered"
            "The server keeps changes of captured tables out of its log, by a filter or as a replica."
            "Correct the option that the message names and restart the server, or leave the tables out."
        ServerIdInUse "server-id-in-use"
            "Another reader of the log uses the same server id, or the server has none."
            "Give each [[source]] a name or `server_id` of its own, and the server one that is not 0."
        SlotsUsedUp "slots-used-up"
            "All replication slots or WAL senders of the server are used."
            "Drop slots that nobody reads, or raise max_replication_slots and max_wal_senders and \
             restart the server."
        SlotMismatch "slot-mismatch"
            "A replication slot of this name is there, and is not this source's: another database, \
             another plugin, or no saved position."
            "Set another `slot` or source name, or drop the slot if nobody needs it."
        SlotBusy "slot-busy"
            "The slot is read by another connection, or is still being made. It is tried again."
            "Stop the other copy, or wait for the open transactions that the server waits for."
        SlotLost "slot-lost"
            "The slot is gone, invalidated or ahead of the saved position: changes are missing."
            "Raise max_slot_wal_keep_size, and begin under another source name; rows changed in between \
             must be compared with `verify`."
        PluginRefused "plugin-refused"
            "The server does not allow the output plugin."
            "Run the hint's statement, or set plugin = \"pgoutput\", which every server has."
        PublicationIncomplete "publication-incomplete"
            "The publication leaves out a part of the captured tables' changes."
            "Run the hint's statements as the tables' owner; or let list_sync make and keep the \
             publication."
        TableMissing "table-missing"
            "A table that is named does not exist, cannot be seen by this user, or no table matches a \
             pattern."
            "Check the name, which is case-sensitive, and the user's SELECT on it."
        KeyMissing "key-missing"
            "The log does not say which row a change is about: the table has no key that the log holds."
            "Give the table a primary key, or REPLICA IDENTITY FULL."
    }
    "Positions and logs" {
        LogPurged "log-purged"
            "The server has deleted a part of its log that was not read yet: changes are missing."
            "Begin under another source name, and keep the log longer next time; the hint says how."
        LogReset "log-reset"
            "The server's log ends before, or does not hold, what was read: the server was reset or \
             restored from a backup."
            "Compare with `list_sync verify`, and begin under another source name."
        ServerChanged "server-changed"
            "The saved position belongs to another server, and the two logs cannot be compared."
            "Connect to the server of before, or begin under another source name; GTIDs make a failover \
             possible."
        StandbyBehind "standby-behind"
            "The standby has not yet applied what was already read. It is waited for."
            "Nothing; look at the standby's replication if it stays so."
        PositionForeign "position-foreign"
            "The saved position under this name is one of another kind of database."
            "Give the source another name, or remove the position with `list_sync position forget`."
        PositionDamaged "position-damaged"
            "A saved position or state cannot be read."
            "Restore it from a backup; if a newer list_sync wrote it, use that version."
        PositionMissing "position-missing"
            "The source has no saved position yet."
            "Start it once: it saves where it begins."
        PositionInvalid "position-invalid"
            "A position cannot be understood, or lies where the source cannot go."
            "Name a place between the saved one and `latest`, in the form that `list_sync position get` \
             shows."
        SourceRunning "source-running"
            "The position of a source that runs cannot be changed."
            "Stop its process, then try again."
        LogDamaged "log-damaged"
            "The log holds something that cannot be right: a wrong checksum, a broken event, an incident."
            "Check the server's disk and error log (mysqlbinlog --verify-binlog-checksum); then begin \
             under another source name."
        LogEventUnknown "log-event-unknown"
            "The log holds an event that this version does not know, so that rows could be missed."
            "Upgrade list_sync, or report the server's version and the event."
        RowsNotLogged "rows-not-logged"
            "A statement changed rows, and the log holds the statement, or a part of the rows, instead \
             of whole rows."
            "Leave the table out with \"!schema.table\", or begin again under another name; the hint \
             says how to prevent it."
        TransactionTooLarge "transaction-too-large"
            "A transaction is larger than can be held until its commit."
            "Make room in TMPDIR, or change that many rows in several transactions."
        TypeUnsupported "type-unsupported"
            "A column has a type or character set that list_sync does not decode."
            "Change the column's type or character set, or leave the table out with \"!schema.table\"."
        ValueUnreadable "value-unreadable"
            "A value is not of its column's type or character set."
            "Correct the value in the database, or leave the table out with \"!schema.table\"."
    }
    "Kafka" {
        KafkaUnreachable "kafka-unreachable"
            "No broker can be reached. It is tried again."
            "Check [kafka] brokers, that the brokers run, and that their advertised addresses can be \
             reached from here."
        KafkaTimeout "kafka-timeout"
            "Kafka did not answer or did not take messages in time. It is tried again."
            "Look at the brokers: are enough of them up, and are their disks and network keeping pace?"
        KafkaFailed "kafka-failed"
            "Kafka refused a request, with a cause of its own that the message quotes."
            "Follow the cause; the brokers' logs say more."
        KafkaLoginRefused "kafka-login-refused"
            "The brokers refuse the login, or want another mechanism or protocol."
            "Correct security.protocol, sasl.mechanisms, sasl.username and sasl.password under [kafka] \
             properties."
        AclMissing "acl-missing"
            "Kafka's ACLs do not allow this user what is needed."
            "Run the hint's kafka-acls command as an administrator; docs/security.md lists all that are \
             needed."
        TopicMissing "topic-missing"
            "The topic does not exist."
            "Check its name; without --once a sink waits for it."
        TopicNotReady "topic-not-ready"
            "A topic is not known to every broker yet, or has partitions without a leader. It is tried \
             again."
            "Are enough brokers up? kafka-topics.sh --describe shows each partition's leader."
        TopicRefused "topic-refused"
            "The brokers refuse to create a topic."
            "Create it by hand, or correct [kafka] topic = { partitions, replication }."
        TopicPolicy "topic-policy"
            "A topic's cleanup.policy would delete what list_sync keeps there."
            "Run the hint's kafka-configs command."
        TopicsCollide "topics-collide"
            "Two tables, or two sources, would share a topic and could not be distinguished."
            "Set a `topic` template that names what differs: {source}, {schema}, {table}."
        ReplicationTooLarge "replication-too-large"
            "The configuration asks for more replicas than the cluster has brokers."
            "Set [kafka] topic = { replication = N }, or start more brokers."
        MessageTooLarge "message-too-large"
            "A row is larger than Kafka takes in one message."
            "Raise max.message.bytes of the topic and message.max.bytes under [kafka] properties."
        CommitTooLong "commit-too-long"
            "The broker refused the text of an offset commit as too long."
            "Set offset.metadata.max.bytes to 4096 (Kafka's default) or more on all brokers."
        PartitionLost "partition-lost"
            "The group gave a partition to another member: this one was silent for too long. It joins \
             again; what it did not commit is rolled back."
            "Nothing, if it happens once. Else give the process more CPU or a faster disk, or raise \
             session.timeout.ms."
        PartitionUnassigned "partition-unassigned"
            "No member of the group was given a partition. The consumer joins again."
            "Look at the group: kafka-consumer-groups.sh --describe --members --group GROUP."
        ConsumerStalled "consumer-stalled"
            "Messages wait in Kafka and none comes. The consumer connects again."
            "Look at the brokers' logs and the network to the partition's leader."
        GroupShared "group-shared"
            "The consumer group holds commits that this kind of sink did not write."
            "Give each sink a `group` of its own."
        MessageUnreadable "message-unreadable"
            "A message is no row change in the format that is expected."
            "Check that the topic holds only list_sync's messages and that `format` names theirs; \
             on_bad_message = \"skip\" sets bad ones aside."
        ShapeUnknown "shape-unknown"
            "The topic `list_sync.tables` does not say which columns the table of a message has."
            "Mirror list_sync.tables together with the topic; if it was deleted, restart the connectors, \
             which write it again."
    }
    "Files and sinks" {
        FileFailed "file-failed"
            "A file or folder cannot be read or written, with a cause of the operating system."
            "Follow the cause: make room, correct the rights, mount the disk for writing. Then start \
             again: nothing that was committed is lost."
        FileUnknown "file-unknown"
            "A file lies where the sink wants to write, and the saved state does not know it."
            "Move it away, or give the sink another path; it was written under offsets or a state that \
             is gone."
        FileLocked "file-locked"
            "Another process writes this file."
            "Stop the other list_sync, or give each of them an `id` of its own."
        FileTooShort "file-too-short"
            "A file is shorter than the saved state needs: committed rows are missing from it."
            "Put the file back as it was, or move it away: then the next file is started."
        FileChanged "file-changed"
            "Something else wrote to, truncated or removed a file that list_sync writes."
            "Stop what does it, move the file away, and start again: what was not committed is read again."
        FilesCollide "files-collide"
            "Two tables would be written to the same files."
            "Write {source}, {schema} or {topic} in the sink's path, and give the sink a new group."
        FileForeign "file-foreign"
            "A file under the sink's path is not as this sink writes it."
            "Move it away if it is not list_sync's; if it is, report it."
        SchemaUnknown "schema-unknown"
            "The sink's path wants {schema}, and the messages name none."
            "Set include = [\"schema\"] in the source, or write {topic} in the path."
        TableWithoutSink "table-without-sink"
            "No sink takes the changes of a captured table."
            "Add its topic to a sink's `topics`, or leave the table out of the source's `tables`."
        DiskFull "disk-full"
            "The disk has too little room for what the sink writes."
            "Make room, or choose a path on another disk."
    }
}

impl Code {
    /// The code with this slug.
    pub fn of(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.slug() == slug)
    }
}

/// The slug.
impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.slug())
    }
}
