"""One table of PostgreSQL to a topic, until Ctrl-C."""

import logging
import os

from list_sync import Connector

logging.basicConfig(level=logging.INFO)

connector = Connector(
    db_type="pgsql",
    host="localhost",
    port=5432,
    user="repl",
    password=os.environ.get("PASSWORD", ""),
    database="shop",
    table="orders",
    kafka_conf={"bootstrap.servers": "localhost:9092"},
    topic=["orders"],
)

try:
    connector.connect()
except KeyboardInterrupt:
    print("stopped in good order")
