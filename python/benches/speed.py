"""Rows a second of a consumer: files in the engine, and Python functions that do nothing. Needs running servers (scripts/services env).

`python speed.py --rows 1000000 --rounds 3`. The topic is filled by `list_sync seed` and a connector; each way reads it from the beginning as a new group.
What a second run of the group takes, which finds nothing more (joining and leaving it), is taken off.
"""

import argparse
import os
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


def seconds(topic: str, make: "Callable[[Path], dict[str, Any]]") -> float:
    with tempfile.TemporaryDirectory() as folder:
        group = uuid.uuid4().hex
        took = []
        for _ in range(2):
            consumer = Consumer(group_id=group, topic_list=[topic], bootstrap_servers=KAFKA, once=True, **make(Path(folder)))
            began = time.perf_counter()
            consumer.consume_messages()
            took.append(time.perf_counter() - began)
        return took[0] - took[1]


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
    for _ in range(given.rounds):
        for way, make in WAYS.items():
            speeds[way].append(given.rows / max(seconds(topic, make), 0.001))
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {given.rows} messages, {given.rounds} rounds")
    base = statistics.median(speeds["CsvWriter, in the engine"])
    for way, found in speeds.items():
        median = statistics.median(found)
        print(f"{way:28} {median:>12,.0f} /s  x{median / base:.2f}   {' '.join(f'{one:,.0f}' for one in found)}")


if __name__ == "__main__":
    main()
