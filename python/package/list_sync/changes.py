"""A database's row changes, straight from its log, without Kafka."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Optional, Union

from list_sync import _arguments, _arrow, _native
from list_sync.errors import ClosedError

__all__ = ["Batch", "Change", "Changes", "changes"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_WAIT = 0.2
_NAMES = {"I": "insert", "U": "update", "D": "delete", "T": "truncate"}


@dataclass(frozen=True)
class Change:
    """One row change.

    >>> change = Change("I", "public", "orders", {"id": 1, "note": None}, {}, ("id",), "0000000000000000000900000000", 0, "7")
    >>> change.operation, change["id"], change.committed_at.year
    ('insert', 1, 1970)
    """

    #: ``"I"``, ``"U"``, ``"D"`` or ``"T"`` (truncate).
    action: str
    #: The schema; in MySQL and MariaDB the database.
    schema: str
    #: The table's name without schema.
    table: str
    #: The new row, by column; empty for deletes and truncates. A column that the database did not send (an unchanged TOAST value) is not there.
    columns: "dict[str, Any]"
    #: What the database sends of the old row, by column; empty for inserts.
    identity: "dict[str, Any]"
    #: Names of the primary key's columns.
    key: "tuple[str, ...]"
    #: Its place in the log: 28 digits that compare in the order of the stream. The same change has the same position when it comes again.
    position: str
    #: Commit time in the database, microseconds since 1970-01-01 UTC.
    committed_us: int
    #: Transaction id (PostgreSQL) or GTID; may be empty.
    xid: str
    #: The database's type of each column of the table, also of columns that this change does not have.
    types: "dict[str, str]" = field(default_factory=dict, repr=False, compare=False)

    @property
    def operation(self) -> str:
        """The action in a word: ``insert``, ``update``, ``delete``, ``truncate``."""
        return _NAMES[self.action]

    @property
    def committed_at(self) -> datetime:
        """Commit time in the database."""
        return _EPOCH + timedelta(microseconds=self.committed_us)

    @property
    def row(self) -> "dict[str, Any]":
        """The new row, or of a delete the old one."""
        return self.columns if self.action in "IU" else self.identity

    def __getitem__(self, column: str) -> Any:
        return self.row[column]

    def to_dict(self) -> "dict[str, Any]":
        """The row with ``action``, ``table`` and ``position`` in front, for a table of changes.

        >>> Change("D", "s", "t", {}, {"id": 1}, ("id",), "00", 0, "").to_dict()
        {'action': 'D', 'table': 't', 'position': '00', 'id': 1}
        """
        return {"action": self.action, "table": self.table, "position": self.position, **self.row}


@dataclass(frozen=True)
class Batch:
    """Changes that came together.

    >>> batch = Batch([Change("I", "s", "t", {"id": 1, "note": "a"}, {}, ("id",), "01", 0, "")])
    >>> len(batch), batch.to_columns()
    (1, {'action': ['I'], 'table': ['t'], 'position': ['01'], 'id': [1], 'note': ['a']})
    """

    #: In the order of the stream.
    changes: "list[Change]"

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> "Iterator[Change]":
        return iter(self.changes)

    def to_dicts(self) -> "list[dict[str, Any]]":
        """A dict a change; what ``polars.from_dicts`` and ``pandas.DataFrame`` take.

        >>> Batch([]).to_dicts()
        []
        """
        return [change.to_dict() for change in self.changes]

    def to_columns(self) -> "dict[str, list[Any]]":
        """A list a column; what a change does not have is ``None``. ``pandas.DataFrame`` and ``polars.DataFrame`` take it.

        >>> Batch([]).to_columns()
        {}
        """
        rows = self.to_dicts()
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``; needs ``pyarrow`` (``pip install list_sync[arrow]``).

        Its schema follows from the table's types alone, so all batches of a table have the same one and can be put together. Integers become
        ``int64`` (``bigint unsigned``: ``uint64``), NUMERIC and DECIMAL with a precision up to 76 become decimals, floats ``float64``, booleans
        ``bool``, all else ``string``.

        ::

            frame = polars.from_arrow(batch.to_arrow())

        :raises MissingPackageError: pyarrow is not installed.
        """
        types: "dict[str, str]" = {}
        for change in self.changes:
            for name, type_name in change.types.items():
                # Two tables in one batch that disagree about a column: it is text.
                types[name] = type_name if types.get(name, type_name) == type_name else ""
        return _arrow.table(types, self.to_columns(), len(self.changes))


class Changes:
    """A stream of changes; made by :func:`changes`. Iterate over it with ``for`` or ``async for``, over changes or :meth:`batches`.

    It connects at the first step, and is closed at the end of a ``with`` block, by :meth:`close`, or when nothing refers to it any more.
    One iteration at a time.
    """

    def __init__(self, text: str, state: "Optional[Union[str, os.PathLike[str]]]", once: bool, auto_acknowledge: bool) -> None:
        self._text, self._state, self._once = text, state, once
        self._auto = auto_acknowledge
        self._stream: Optional[_native.Stream] = None
        self._closed = False
        self._pending: "deque[Change]" = deque()
        #: The position of the last change that was given out, and of the last one that the program is done with.
        self._given: Optional[str] = None
        self._done: Optional[str] = None
        self._acknowledged_at = 0.0
        # A reading thread of the event loop outlives a cancelled step.
        self._lock = threading.RLock()

    def connect(self) -> "Changes":
        """Connects now rather than at the first step: changes that are made from here on will come."""
        if self._closed:
            raise ClosedError("the stream is closed")
        if self._stream is None:
            self._stream = _native.Stream("changes", self._text, state=self._state, once=self._once)
        return self

    def acknowledge(self) -> None:
        """Says that the program is done with all changes that it was given; those that it was not given yet are not meant."""
        self._done = self._given
        self._tell()

    def _tell(self) -> None:
        """Tells the engine what the program is done with."""
        if self._stream is not None and self._done is not None:
            self._acknowledged_at = time.monotonic()
            self._stream.acknowledge(self._done)

    def close(self) -> None:
        """Ends the stream: saves what was acknowledged, and closes the connection. PostgreSQL drops a temporary slot with it.

        >>> changes("postgres://db/shop", tables=["orders"]).close()
        """
        self._closed = True
        if self._stream is not None:
            if not self._stream.ended:
                self._tell()
            self._stream.close()

    def _is_filled(self) -> bool:
        """Asked for the next one: the program is done with the last. Whether there is something to give out without waiting."""
        if self._auto and self._done != self._given:
            self._done = self._given
            if time.monotonic() - self._acknowledged_at > _WAIT:
                self._tell()
        return bool(self._pending)

    def _fill(self) -> Optional[bool]:
        """Waits a moment until there is something to give out: true then; ``None`` at the end of the stream."""
        with self._lock:
            if self._pending:
                return True
            stream = self.connect()._stream
            assert stream is not None
            self._tell()
            rows = stream.read(_WAIT)
            if rows is None:
                self.close()
                return None
            self._pending.extend(Change(*row) for row in rows)
            return bool(self._pending)

    def _take(self, rows_max: Optional[int]) -> Batch:
        with self._lock:
            count = min(rows_max or len(self._pending), len(self._pending))
            batch = Batch([self._pending.popleft() for _ in range(count)])
            if batch.changes:
                self._given = batch.changes[-1].position
            return batch

    def batches(self, *, rows_max: Optional[int] = None) -> "_Batches":
        """The same stream in batches, as they come; at most ``rows_max`` changes each.

        ::

            for batch in list_sync.changes(url, tables=["orders"], once=True).batches():
                print(batch.to_arrow())
        """
        return _Batches(self, rows_max)

    def __iter__(self) -> "Iterator[Change]":
        for batch in self.batches(rows_max=1):
            yield from batch

    async def __aiter__(self) -> "AsyncIterator[Change]":
        async for batch in self.batches(rows_max=1):
            for change in batch:
                yield change

    def __enter__(self) -> "Changes":
        return self.connect()

    def __exit__(self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    async def __aenter__(self) -> "Changes":
        return await asyncio.get_running_loop().run_in_executor(None, self.connect)

    async def __aexit__(
        self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close)


class _Batches:
    """What is given out is no longer pending; what was not when a loop ended is given out by the next one."""

    def __init__(self, stream: Changes, rows_max: Optional[int]) -> None:
        self._stream, self._rows_max = stream, rows_max

    def __iter__(self) -> "Iterator[Batch]":
        while (filled := self._stream._is_filled() or self._stream._fill()) is not None:
            if filled:
                yield self._stream._take(self._rows_max)

    async def __aiter__(self) -> "AsyncIterator[Batch]":
        loop = asyncio.get_running_loop()
        while True:
            filled: Optional[bool] = self._stream._is_filled()
            if not filled:
                filled = await loop.run_in_executor(None, self._stream._fill)
            if filled is None:
                return
            if filled:
                yield self._stream._take(self._rows_max)


def changes(
    url: str,
    tables: "Iterable[str]",
    *,
    name: Optional[str] = None,
    state: "Optional[Union[str, os.PathLike[str]]]" = None,
    snapshot: str = "never",
    once: bool = False,
    auto_acknowledge: bool = True,
    **options: _arguments.Value,
) -> Changes:
    """The row changes of a database's tables, in commit order.

    :param url: ``postgres://user:password@host/database``, ``mysql://…``, ``mariadb://…``.
    :param tables: ``table`` or ``schema.table``, with ``*`` and ``?``; ``!`` in front leaves out.
    :param name: names PostgreSQL's publication, and the slot if there is a ``state`` (``list_sync_NAME``).
    :param state: a file that keeps the position. With it the next call goes on where this one was acknowledged to: what was not comes
        again, with the same positions. Without it the stream begins now.
    :param snapshot: rows that are there already: ``"never"`` leaves them out, ``"initial"`` reads them first.
    :param once: end when all that was there at the start has come.
    :param auto_acknowledge: what was given out counts as done when the next change or batch is asked for. Off: call
        :meth:`Changes.acknowledge`. Changes that were read ahead and not given out yet are never counted as done.
    :param options: any other option of ``[[source]]`` by its name, such as ``plugin="wal2json"``.

    **What happens on the server.** Without ``state`` PostgreSQL's slot is a temporary one: it is gone with the connection, and a broken connection
    ends the stream with an error. With ``state`` the slot stays, and keeps the server's log from being removed until the stream is read on or the
    slot is dropped: ``SELECT pg_drop_replication_slot('list_sync_NAME')``. The publication stays in both cases. MySQL and MariaDB keep nothing.

    Numbers come as ``int``, ``float`` or, of NUMERIC and DECIMAL columns, as :class:`decimal.Decimal`; all else as ``str``, ``bool`` or ``None``.

    ::

        async for change in list_sync.changes("postgres://repl@db/shop", tables=["orders"]):
            print(change.operation, change.row)

    >>> changes("postgres://repl@db/shop", tables=["orders"]).close()
    """
    captured = [tables] if isinstance(tables, str) else list(tables)
    database = url.rsplit("/", 1)[-1].split("?", 1)[0]
    source: "dict[str, Optional[_arguments.Value]]" = {
        "name": name or _arguments.name(database, *captured),
        "url": url,
        "tables": captured,
        "snapshot": snapshot,
    }
    if state is None and url.startswith("postgres"):
        # Two streams of one program each have a slot of their own; the publication is the same.
        own = _arguments.name("list_sync", database, *captured).lower().replace("-", "_")
        source["publication"] = f"list_sync_{name}" if name else own
        source["slot"] = f"list_sync_{os.getpid()}_{os.urandom(8).hex()}"
    source.update(options)
    return Changes(_arguments.section("[[source]]", source), state, once, auto_acknowledge)
