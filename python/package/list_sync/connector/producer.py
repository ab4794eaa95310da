"""The producer, under the name that it has since list_sync 0.1.0."""

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Optional, Union

from list_sync import _arguments, _native

__all__ = ["Producer"]


class Producer:
    """Sends messages of a program's own to Kafka. A :class:`~list_sync.connector.base_connector.Connector` needs none: it has its own.

    :param topic: the topics; each gets every message. One that is not there is made.
    :param kafka_conf: confluent-kafka's keys, as of the connector.

    It connects at the first message. Messages with one key keep their order.

    ::

        with Producer(topic=["wal"], kafka_conf={"bootstrap.servers": "localhost:9092"}) as producer:
            producer.send_message({"action": "T", "table": "orders"})

    >>> Producer(topic="wal").close()
    """

    def __init__(
        self,
        topic: "Union[str, Iterable[str]]" = ("wal",),
        kafka_conf: "Union[Mapping[str, object], tuple[()]]" = (),
        *,
        bootstrap_servers: Optional[_arguments.Brokers] = None,
    ) -> None:
        conf: "Mapping[str, object]" = kafka_conf or {}
        servers = bootstrap_servers if bootstrap_servers is not None else _arguments.servers_of(conf, "broker1:9092")
        #: The topics.
        self.topic: "list[str]" = [topic] if isinstance(topic, str) else list(topic)
        self._text = _arguments.kafka("Producer", servers, conf, None, None)
        self._line: Optional[_native.Producer] = None

    def send_message(self, message: "Union[str, bytes, dict[str, Any]]", key: "Union[str, bytes, None]" = None) -> None:
        """Queues a message; a ``dict`` is sent as JSON. A failure of an earlier one is raised here, or by :meth:`flush`."""
        if self._line is None:
            self._line = _native.Producer("Producer", self._text)
        value = message if isinstance(message, (str, bytes)) else json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        for one in self.topic:
            self._line.send(one, _bytes(key or b""), _bytes(value))

    def flush(self) -> None:
        """Waits until all replicas hold every message.

        >>> Producer().flush()
        """
        if self._line is not None:
            self._line.flush()

    def close(self) -> None:
        """Flushes and gives the connections back.

        >>> Producer().close()
        """
        if self._line is not None:
            self._line.close()

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


def _bytes(value: "Union[str, bytes]") -> bytes:
    return value.encode() if isinstance(value, str) else value
