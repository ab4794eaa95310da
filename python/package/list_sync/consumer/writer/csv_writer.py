"""The CSV writer, under the name that it has since list_sync 0.1.0."""

from types import TracebackType
from typing import Any, Optional

from list_sync import _arguments, _messages, _native

__all__ = ["CsvWriter"]


class CsvWriter:
    """Writes row changes to ``FILENAME[_ID]_insert.csv`` and ``FILENAME[_ID]_delete.csv``; an update is a delete and an insert.

    The arguments are those of list_sync 0.1.0, with its defaults:

    :param filename: the files' path without ending; ``{table}``, ``{schema}``, ``{topic}`` and ``{source}`` stand for names.
    :param consumer_id: stands in the names, so that several writers share a folder.
    :param split_files: ``False`` writes one ``FILENAME[_ID].csv``.

    New ones, by name only:

    :param position: adds a last column that sorts rows in the order of the stream.
    :param options: any other option of ``[[sink]]`` by its name, such as ``rotate_rows=100_000``.

    ``Consumer(callback=writer.write)`` writes in the engine, each change exactly once, whatever crashes; the files must not be there
    before the group's first start. :meth:`write` called by hand appends to files that are there.

    A subclass may have a ``write_insert`` or ``write_delete`` of its own, as with list_sync 0.1.0: then each message is handed to them, an
    update to ``write_delete`` and then to ``write_insert``, and what they write is not exactly once after a crash.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with CsvWriter(folder + "/output") as writer:
    ...         writer.write('{"action":"I","table":"t","columns":[{"name":"id","value":1}],"pk":[{"name":"id"}]}')
    ...     print(pathlib.Path(folder, "output_insert.csv").read_text(), end="")
    action,table,id
    I,t,1
    """

    def __init__(
        self,
        filename: str = "./test/data/output",
        consumer_id: str = "",
        split_files: bool = True,
        *,
        position: bool = False,
        **options: _arguments.Value,
    ) -> None:
        self.consumer_id: str = str(consumer_id)
        self.split_files: bool = split_files
        #: The path with the id, as list_sync 0.1.0 had it.
        self.filename: str = f"{filename}_{consumer_id}" if consumer_id else str(filename)
        self._path = str(filename)
        self._position = position
        self._more = options
        self._rows: Optional[_native.Rows] = None
        self._closed = False

    def write(self, json_data: str) -> None:
        """Appends the rows of one message. When it returns they are in the files; a power cut may take what :meth:`flush` was not called for.

        :raises MessageError: it is no row change.
        """
        if self._is_plain():
            self._append(json_data)
            return
        data = _messages.loads(json_data)
        action = data.get("action")
        if action in ("U", "D"):
            self.write_delete(data)
        if action in ("U", "I"):
            self.write_insert(data)
        if action not in ("I", "U", "D"):
            self._append(json_data)

    def write_insert(self, data: "dict[str, Any]") -> None:
        """Appends the new row of a message: its ``columns``. A subclass may do something else with it.

        :raises MessageError: it is no row change.
        """
        self._append(_messages.half("I", "columns", data))

    def write_delete(self, data: "dict[str, Any]") -> None:
        """Appends the old row of a message: its ``identity``. A subclass may do something else with it.

        :raises MessageError: it is no row change.
        """
        self._append(_messages.half("D", "identity", data))

    def _is_plain(self) -> bool:
        """No subclass wants the rows."""
        mine = (CsvWriter.write_insert, CsvWriter.write_delete)
        return tuple(getattr(method, "__func__", None) for method in (self.write_insert, self.write_delete)) == mine

    def _append(self, json_data: str) -> None:
        if self._rows is None:
            self._rows = _native.Rows(_arguments.section("[[sink]]", {"name": "writer", "topics": ["*"], **self._options()}))
            if self._closed:
                self._rows.close()
        self._rows.write(json_data)

    def flush(self) -> None:
        """Brings everything to the disk.

        >>> CsvWriter("/tmp/unused").flush()
        """
        if self._rows is not None:
            self._rows.flush()

    def close(self) -> None:
        """Flushes, and gives the files and their locks back.

        >>> CsvWriter("/tmp/unused").close()
        """
        self._closed = True
        if self._rows is not None:
            self._rows.close()

    def _options(self) -> "dict[str, Optional[_arguments.Value]]":
        return {
            "kind": "csv",
            "path": self._path,
            "id": self.consumer_id or None,
            "split": self.split_files,
            "position": self._position,
            **self._more,
        }

    def _give_back(self) -> None:
        """Before a consumer writes the files in the engine, they must not be held here."""
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def __enter__(self) -> "CsvWriter":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()
