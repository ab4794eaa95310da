"""Every exception that list_sync raises.

An exception's text is one line: a fact, then its causes. What can be done about it is in :attr:`ListSyncError.hint`.

>>> from list_sync import Connector
>>> try:
...     Connector(db_type="oracle")
... except ValueError as error:
...     print(type(error).__name__, "-", error)
ConfigurationError - Connector: unknown database 'oracle': db_type is 'mysql', 'mariadb' or 'pgsql'
"""

from typing import Optional

__all__ = [
    "ArgumentTypeError",
    "ClosedError",
    "ConfigurationError",
    "ForkError",
    "LinkError",
    "ListSyncError",
    "MessageError",
    "MissingPackageError",
    "StoppedError",
]


class ListSyncError(Exception):
    """The base of all of them.

    >>> ListSyncError("a fact", "try this").hint
    'try this'
    >>> ListSyncError("a fact", code="slot-lost").code
    'slot-lost'
    """

    #: What a person can do about it; ``None`` if there is nothing to say.
    hint: Optional[str]

    #: A name that stays while words may change: ``list_sync explain CODE`` says what it means.
    code: str = "internal"

    def __init__(self, text: str = "", hint: Optional[str] = None, code: Optional[str] = None) -> None:
        super().__init__(text)
        self.hint = hint
        if code is not None:
            self.code = code

    def __reduce__(self) -> "tuple[type[ListSyncError], tuple[str, Optional[str], str]]":
        return type(self), (str(self), self.hint, self.code)


class ConfigurationError(ListSyncError, ValueError):
    """An argument or the configuration is wrong; nothing was started.

    >>> issubclass(ConfigurationError, ValueError)
    True
    """

    code = "config-invalid"


class ArgumentTypeError(ConfigurationError, TypeError):
    """An argument is of a type that cannot be meant; nothing was started.

    >>> issubclass(ArgumentTypeError, TypeError)
    True
    """

    code = "argument-invalid"


class MissingPackageError(ListSyncError, ImportError):
    """A package that a call needs is not installed.

    >>> issubclass(MissingPackageError, ImportError)
    True
    """

    code = "package-missing"


class LinkError(ListSyncError, ConnectionError):
    """A database or broker cannot be reached, or went away: trying again may help.

    >>> issubclass(LinkError, ConnectionError)
    True
    """


class StoppedError(ListSyncError, RuntimeError):
    """Only a person can mend it: a missing privilege, a wrong setting, a full disk. Nothing was skipped.

    >>> issubclass(StoppedError, RuntimeError)
    True
    """


class MessageError(ListSyncError, ValueError):
    """A message is no row change in JSON.

    >>> from list_sync import CsvWriter
    >>> CsvWriter("/tmp/unused").write("rubbish")
    Traceback (most recent call last):
        ...
    list_sync.errors.MessageError: a message is no row change in JSON: it is no JSON object
    """

    code = "message-unreadable"


class ClosedError(ListSyncError, RuntimeError):
    """A call on something that was closed.

    >>> from list_sync import CsvWriter
    >>> with CsvWriter("/tmp/unused") as writer:
    ...     pass
    >>> writer.write("{}")
    Traceback (most recent call last):
        ...
    list_sync.errors.ClosedError: the writer is closed
    """

    code = "closed"


class ForkError(ListSyncError, RuntimeError):
    """An object was used in a child of a fork; its threads and connections stayed in the parent.

    >>> issubclass(ForkError, RuntimeError)
    True
    """

    code = "forked"
