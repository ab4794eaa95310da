"""The command ``list_sync``: ``python -m list_sync --help``."""

import signal
import sys

from list_sync import _native

__all__ = ["main"]


def main() -> int:
    """Runs the command with the process's arguments, and answers its exit code."""
    # The program has its own handling: the first Ctrl-C ends in good order, the second at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.run_command(["list_sync", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
