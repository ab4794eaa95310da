"""The consumer, under the name that it has since list_sync 0.1.0."""

import json
import logging
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Optional, Union

from list_sync import _arguments, _native
from list_sync.consumer.writer.csv_writer import CsvWriter
from list_sync.errors import ArgumentTypeError, MessageError

__all__ = ["Consumer"]

#: One for the whole process, as in list_sync 0.1.0.
_GROUP = str(uuid.uuid1())


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as cause:
        raise MessageError(f"a message is no JSON: {cause}", "leave decode out to get messages as they are") from cause


class Consumer:
    """Reads messages as a member of a Kafka consumer group and gives them to a callback.

    The first five arguments are those of list_sync 0.1.0, with its defaults and its spelling:

    :param callback: ``CsvWriter(...).write`` writes files in the engine, without the interpreter, each change exactly once. Any other
        function gets each message as ``str``.
    :param group_id: the group; without one, a random one for this process, which reads everything there is.
    :param topic_list: the topics; ``*`` and ``?`` stand for other letters.
    :param boostrap_servers: where Kafka is.
    :param simulate_latency: has no effect any more; it ran ``tc`` as root.

    New ones, by name only:

    :param bootstrap_servers: where Kafka is, in today's spelling.
    :param kafka_conf: confluent-kafka's keys, as of :class:`~list_sync.connector.base_connector.Connector`; ``group.id`` stands for ``group_id``.
    :param batch: the function gets a list of messages, as many as are there, at most ``batch_max``.
    :param batch_max: the most messages that are handed over before something is committed; 1 to 1024.
    :param decode: the function gets each message as a ``dict``: ``json.loads`` of its text.
    :param once: end when all that is there now is consumed.
    :param instances: with a ``CsvWriter``: so many members in this process, with files of their own.
    :param commit_interval_ms: how often offsets are committed.

    **What is committed.** A message is committed after the function returned for it, and not if it raised: then the consumer ends with
    that exception and its traceback, and the message comes again at the next start, first of its partition. After a crash, messages of
    about the last second come again. The function runs on the thread that called :meth:`consume_messages`.

    >>> seen = []
    >>> consumer = Consumer(callback=seen.append, group_id="readme", topic_list=["wal_pg"], boostrap_servers="broker1:9092")
    >>> consumer.group_id
    'readme'
    """

    def __init__(
        self,
        callback: "Callable[[Any], object]",
        group_id: "Union[str, uuid.UUID]" = _GROUP,
        topic_list: "Union[str, Iterable[str]]" = ("wal",),
        boostrap_servers: _arguments.Brokers = "broker1:9092",
        simulate_latency: bool = False,
        *,
        bootstrap_servers: Optional[_arguments.Brokers] = None,
        kafka_conf: "Optional[Mapping[str, object]]" = None,
        batch: bool = False,
        batch_max: int = 1024,
        decode: bool = False,
        once: bool = False,
        instances: int = 1,
        commit_interval_ms: Optional[int] = None,
    ) -> None:
        conf = kafka_conf or {}
        if simulate_latency:
            warnings.warn("simulate_latency has no effect any more: slow the link itself down", DeprecationWarning, stacklevel=2)
        if not callable(callback):
            hint = "give a function of one argument, or a CsvWriter's write"
            raise ArgumentTypeError(f"Consumer: callback is of type {type(callback).__name__}, which cannot be called", hint)
        #: The consumer group.
        self.group_id: str = str(conf["group.id"]) if group_id == _GROUP and "group.id" in conf else str(group_id)
        #: The topics.
        self.topic_list: "list[str]" = [topic_list] if isinstance(topic_list, str) else list(topic_list)
        #: What gets the messages.
        self.callback = callback
        servers = bootstrap_servers if bootstrap_servers is not None else _arguments.servers_of(conf, boostrap_servers)
        writer = getattr(callback, "__self__", None)
        native = isinstance(writer, CsvWriter) and getattr(callback, "__func__", None) is CsvWriter.write and writer._is_plain()
        self._writer: Optional[CsvWriter] = writer if native and not (batch or decode) else None
        self._batch, self._batch_max, self._decode = batch, _arguments.whole("Consumer", "batch_max", batch_max), decode
        self._instances = _arguments.whole("Consumer", "instances", instances)
        self._control = _native.Control(once)
        sink: "dict[str, Optional[_arguments.Value]]" = {
            "name": _arguments.name("consumer"),
            "group": self.group_id,
            "topics": self.topic_list,
            "commit_interval_ms": commit_interval_ms,
        }
        sink.update({"kind": "none", "path": "consumer"} if self._writer is None else self._writer._options())
        self._text = _arguments.kafka("Consumer", servers, conf, None, None) + _arguments.section("[[sink]]", sink)
        logging.getLogger(__name__).debug("consumer of group %s", self.group_id)

    def consume_messages(self) -> None:
        """Reads until :meth:`stop`, Ctrl-C, an exception of the callback or a failure that only a person can mend; with ``once``, until
        everything is read.

        ::

            writer = CsvWriter(filename="./output")
            Consumer(callback=writer.write, group_id="my_group", topic_list=["wal_pg"]).consume_messages()
        """
        if self._writer is not None:
            self._writer._give_back()
            _native.consume("Consumer", self._text, self._instances, self._control)
            return
        loads = _loads if self._decode else None
        _native.hand_over("Consumer", self._text, self._control, self.callback, batch=self._batch, batch_max=self._batch_max, loads=loads)

    def stop(self) -> None:
        """Ends :meth:`consume_messages`, from another thread or from the callback, which is not called again. A consumer that was
        stopped stays so.

        >>> Consumer(print).stop()
        """
        self._control.stop()

    @property
    def running(self) -> bool:
        """Whether nobody has stopped it. ``consumer.running = False`` stops it, as :meth:`stop` does.

        >>> consumer = Consumer(print)
        >>> consumer.running = False
        >>> consumer.running
        False
        """
        return not self._control.stopping

    @running.setter
    def running(self, value: bool) -> None:
        if not value:
            self.stop()

    def __enter__(self) -> "Consumer":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.stop()
