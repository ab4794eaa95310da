"""Change data capture: MySQL, MariaDB and PostgreSQL -> Kafka -> files, exactly once into the files.

The names of list_sync 0.1.0 are where they were::

    from list_sync.connector.base_connector import Connector
    from list_sync.consumer import Consumer
    from list_sync.consumer.writer import CsvWriter

Beside them:

- :class:`Pipeline` runs a whole configuration, as the command ``list_sync run`` does.
- :func:`changes` iterates over a database's row changes, without Kafka.
- :mod:`list_sync.errors` has every exception.

What the engine has to say goes to the logger ``list_sync``.

**Threads.** Every call that blocks lets other threads run; ``stop`` may be called from any thread. A callback runs on the thread that
made the call. **Forks.** An object belongs to the process that made it: used in a child of a fork it raises
:class:`list_sync.errors.ForkError`. Make objects in the child, or use the start method ``spawn`` of :mod:`multiprocessing`.

>>> import list_sync
>>> list_sync.__version__.startswith("1.")
True
"""

import os as _os

from list_sync import _native, errors
from list_sync.changes import Batch, Change, Changes, changes
from list_sync.connector import Connector
from list_sync.consumer import Consumer
from list_sync.consumer.writer import CsvWriter
from list_sync.pipeline import Pipeline

__all__ = [
    "Batch",
    "Change",
    "Changes",
    "Connector",
    "Consumer",
    "CsvWriter",
    "Pipeline",
    "__version__",
    "changes",
    "errors",
]

__version__: str = _native.VERSION

_os.register_at_fork(after_in_child=_native.after_fork)
