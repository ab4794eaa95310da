"""A whole configuration in one object."""

import os
from types import TracebackType
from typing import Optional, Union

from list_sync import _native

__all__ = ["Pipeline"]


class Pipeline:
    """Databases -> Kafka -> files, or databases -> files without a ``[kafka]`` section, as the command ``list_sync run``.

    A configuration with sources alone runs the connector, one with sinks alone the consumers.

    ::

        with list_sync.Pipeline.from_toml("list_sync.toml") as pipeline:
            pipeline.run(once=True)

    >>> pipeline = Pipeline(text='[[sink]]\\nname = "files"\\ntopics = ["shop.*"]\\npath = "out/{table}"\\n')
    >>> pipeline.rows
    (0, 0)
    """

    def __init__(self, *, path: "Optional[Union[str, os.PathLike[str]]]" = None, text: str = "") -> None:
        self._path = None if path is None else os.fspath(path)
        self._text = text
        self._control = _native.Control()

    @classmethod
    def from_toml(cls, path: "Union[str, os.PathLike[str]]") -> "Pipeline":
        """By a configuration file; it is read when the pipeline runs.

        >>> Pipeline.from_toml("list_sync.toml").rows
        (0, 0)
        """
        return cls(path=path)

    def run(self, *, once: bool = False) -> None:
        """Runs until :meth:`stop`, Ctrl-C or a failure that only a person can mend; with ``once``, until it has caught up."""
        self._control = self._control.renew(once)
        _native.run(self._control, path=self._path, text=self._text)

    def stop(self) -> None:
        """Ends :meth:`run` in good order, from another thread. A pipeline that was stopped stays so.

        >>> Pipeline(text="").stop()
        """
        self._control.stop()

    @property
    def rows(self) -> "tuple[int, int]":
        """Row changes that are finished so far: those of sources, and those of sinks."""
        return self._control.rows()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, kind: "Optional[type[BaseException]]", error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.stop()
