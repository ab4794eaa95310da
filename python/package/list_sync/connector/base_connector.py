"""The connector, under the name that it has since list_sync 0.1.0."""

import logging
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Optional, Union

from list_sync import _arguments, _native
from list_sync.errors import ConfigurationError

__all__ = ["Connector"]

_SCHEMES = {"mysql": "mysql", "mariadb": "mariadb", "pgsql": "postgres", "postgres": "postgres", "postgresql": "postgres"}
_BROKERS = "broker1:9092"


class Connector:
    """Reads the row changes of one table from the database's log and sends each as a message to Kafka.

    The first nine arguments are those of list_sync 0.1.0, with its defaults:

    :param db_type: ``"mysql"``, ``"mariadb"`` or ``"pgsql"``.
    :param host: of the database.
    :param port: of the database; 3306 unless given, also for PostgreSQL, as it was.
    :param user: who may replicate.
    :param password: of the user.
    :param database: the database; in MySQL the schema.
    :param table: ``table`` or ``schema.table``; ``*`` and ``?`` stand for other letters.
    :param kafka_conf: confluent-kafka's keys. ``bootstrap.servers`` says where Kafka is; other librdkafka properties are handed on, but
        those that delivery rests on (``acks``, ``enable.idempotence``, …) and a consumer's (``group.id``) are list_sync's own to set.
    :param topic: the topics; each gets every message.

    New ones, by name only:

    :param bootstrap_servers: where Kafka is, in place of ``kafka_conf``.
    :param tables: several tables, in place of ``table``.
    :param url: ``postgres://user:password@host/database?sslmode=…``, in place of the first arguments. ``${NAME}`` in it is no variable.
    :param name: names the saved position in Kafka, and PostgreSQL's slot and publication (``list_sync_NAME``). Unless given, it is made
        of database, table and topic.
    :param format: how a change is written as a message; ``"json"``.
    :param snapshot: rows that are there already: ``"never"`` leaves them out, as list_sync 0.1.0 did; ``"initial"`` reads them first.
    :param once: catch up with what is there, and end.
    :param partitions: of a topic that is made; 3.
    :param replication: of a topic that is made; 3, or as many as there are brokers.
    :param options: any other option of ``[[source]]`` by its name, such as ``plugin="wal2json"`` or ``include=["xid"]``.

    Nothing is connected before :meth:`connect`.

    >>> connector = Connector(
    ...     db_type="pgsql", host="db-pgsql", port=5432, user="repl", password="secret", database="shop", table="orders",
    ...     kafka_conf={"bootstrap.servers": "broker1:9092"}, topic=["orders"],
    ... )
    >>> connector.names
    ['shop_orders_orders']
    """

    def __init__(
        self,
        db_type: str = "mysql",
        host: str = "db",
        port: int = 3306,
        user: str = "repl_user",
        password: str = "repl_password",
        database: str = "exampledb",
        table: str = "example_table",
        kafka_conf: "Union[Mapping[str, object], tuple[()]]" = (),
        topic: "Union[str, Iterable[str]]" = ("wal",),
        *,
        bootstrap_servers: Optional[_arguments.Brokers] = None,
        tables: "Optional[Iterable[str]]" = None,
        url: Optional[str] = None,
        name: Optional[str] = None,
        format: str = "json",
        snapshot: str = "never",
        once: bool = False,
        partitions: Optional[int] = None,
        replication: Optional[int] = None,
        **options: _arguments.Value,
    ) -> None:
        if url is None:
            if db_type not in _SCHEMES:
                raise ConfigurationError(
                    f"Connector: unknown database {db_type!r}: db_type is 'mysql', 'mariadb' or 'pgsql'", "name one of these"
                )
            port = _arguments.whole("Connector", "port", port)
            url = _arguments.url(_SCHEMES[db_type], user, password, host, port, database)
        else:
            database = url.rsplit("/", 1)[-1].split("?", 1)[0]
        conf: "Mapping[str, object]" = kafka_conf or {}
        captured = [table] if tables is None else list(tables)
        topics = [topic] if isinstance(topic, str) else list(topic)
        base = (database, *captured) if name is None else (name,)
        named = len(topics) > 1 or name is None
        #: The names of the saved positions, one a topic.
        self.names: "list[str]" = [_arguments.name(*base, one) if named else name or "" for one in topics]
        servers = bootstrap_servers if bootstrap_servers is not None else _arguments.servers_of(conf, _BROKERS)
        self._once = once
        self._control = _native.Control(once)
        self._text = _arguments.kafka("Connector", servers, conf, partitions, replication)
        for one, source in zip(topics, self.names):
            self._text += _arguments.section(
                "[[source]]",
                {"name": source, "url": url, "tables": captured, "topic": one, "format": format, "snapshot": snapshot, **options},
            )
        logging.getLogger(__name__).debug("connector %s", ", ".join(self.names))

    def connect(self) -> None:
        """Sends changes until :meth:`stop`, Ctrl-C or a failure that only a person can mend; with ``once``, until it has caught up.

        The position is saved in Kafka, so the next call goes on where this one ended. PostgreSQL's slot stays: it keeps the server's log
        until it is read on or dropped.

        ::

            connector = Connector(db_type="pgsql", host="db-pgsql", port=5432, database="shop", table="orders")
            connector.connect()
        """
        self._control = self._control.renew(self._once)
        _native.connect("Connector", self._text, self._control)

    def stop(self) -> None:
        """Ends :meth:`connect`, from another thread, after what is in flight is sent and the position saved. A connector that was stopped
        stays so.

        >>> Connector().stop()
        """
        self._control.stop()

    def __enter__(self) -> "Connector":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.stop()
