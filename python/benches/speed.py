"""Rows a second of a consumer: files in the engine, and Python functions that do nothing. Needs running servers (scripts/services env).

`python speed.py --rows 1000000 --rounds 3`. The topic is filled by `list_sync seed` and a connector; each way reads it from the beginning as a new group.
What a second run of the group takes, which finds nothing more (joining and leaving it), is taken off.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from list_sync import Connector, Consumer, CsvWriter

KAFKA = os.environ["LIST_SYNC_KAFKA"]
URL = os.environ["LIST_SYNC_MYSQL_URL"]


def nothing(message: Any) -> None:
    pass


def fill(rows: int) -> str:
    """A topic with the load."""
    name = f"bench_{uuid.uuid4().hex[:8]}"

    def command(count: int) -> "list[str]":
        return [sys.executable, "-m", "list_sync", "-q", "seed", "--url", URL, "--table", name, "--rows", str(count)]

    def connect() -> None:
        Connector(url=URL, table=name, topic=[name], bootstrap_servers=KAFKA, once=True).connect()

    subprocess.run(command(0), check=True, stdout=subprocess.DEVNULL)
    connect()
    subprocess.run(command(rows), check=True, stdout=subprocess.DEVNULL)
    connect()
    return name


def cpu() -> float:
    """User and system time of this process, seconds: what a loaded machine changes least."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def seconds(topic: str, make: "Callable[[Path], dict[str, Any]]") -> "tuple[float, float]":
    """Wall clock and CPU."""
    with tempfile.TemporaryDirectory() as folder:
        group = uuid.uuid4().hex
        took = []
        for _ in range(2):
            consumer = Consumer(group_id=group, topic_list=[topic], bootstrap_servers=KAFKA, once=True, **make(Path(folder)))
            began, used = time.perf_counter(), cpu()
            consumer.consume_messages()
            took.append((time.perf_counter() - began, cpu() - used))
        return took[0][0] - took[1][0], took[0][1] - took[1][1]


WAYS: "dict[str, Callable[[Path], dict[str, Any]]]" = {
    "CsvWriter, in the engine": lambda folder: {"callback": CsvWriter(str(folder / "out")).write},
    "function, str": lambda folder: {"callback": nothing},
    "function, list of str": lambda folder: {"callback": nothing, "batch": True},
    "function, dict": lambda folder: {"callback": nothing, "decode": True},
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    topic = fill(given.rows)
    speeds: "dict[str, list[float]]" = {way: [] for way in WAYS}
    used: "dict[str, list[float]]" = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way, make in WAYS.items():
            took, processor = seconds(topic, make)
            speeds[way].append(given.rows / max(took, 0.001))
            used[way].append(processor / given.rows * 1_000_000)
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {given.rows} messages, {given.rounds} rounds")
    base = statistics.median(speeds["CsvWriter, in the engine"])
    for way, found in speeds.items():
        median = statistics.median(found)
        print(
            f"{way:28} {median:>12,.0f} /s  x{median / base:.2f}  {statistics.median(used[way]):5.2f} CPU s a million   {' '.join(f'{one:,.0f}' for one in found)}"
        )


if __name__ == "__main__":
    main()
