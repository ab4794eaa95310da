"""A whole configuration, until Ctrl-C, or once."""

import sys

import list_sync

with list_sync.Pipeline.from_toml("list_sync.toml") as pipeline:
    pipeline.run(once="--once" in sys.argv)
    print("rows read and written:", pipeline.rows)
