"""Real servers, as `scripts/services env` names them; tables, topics, slots and folders of a test's own."""

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from list_sync import Connector

ROOT = Path(__file__).resolve().parents[2]


def _address(name: str) -> str:
    found = os.environ.get(name)
    if not found:
        raise pytest.UsageError(f'{name} is not set; run: scripts/services up && eval "$(scripts/services env)"')
    return found


@pytest.fixture(scope="session")
def kafka() -> str:
    return _address("LIST_SYNC_KAFKA")


class Table:
    """A table on a server, dropped after the test, with all that list_sync left there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"py_{uuid.uuid4().hex[:12]}"
        self.rest = url.split("://", 1)[1]
        login, place = self.rest.rsplit("@", 1)
        self.user, _, self.password = login.partition(":")
        address, self.database = place.split("/", 1)
        self.database = self.database.split("?")[0]
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)

    @property
    def arguments(self) -> "dict[str, Any]":
        """The first arguments of a Connector."""
        return {
            "db_type": self.db_type,
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "table": self.name,
        }

    db_type = ""

    def execute(self, *statements: str) -> None:
        raise NotImplementedError

    def cut(self) -> None:
        """Ends every connection that streams."""
        raise NotImplementedError

    def make(self) -> "Table":
        self.execute(
            f"CREATE TABLE {self.name} (id bigint PRIMARY KEY, category varchar(32), domain varchar(64), total numeric(10,2), ratio double precision)"
        )
        return self

    def fill(self, first: int = 1) -> None:
        """An insert of two rows, an update, a delete: 4 changes."""
        self.execute(
            f"INSERT INTO {self.name} VALUES ({first}, 'a \"quoted\", one', NULL, 1.50, 1), ({first + 1}, '', 'b.it', 2, 2.5)",
            f"UPDATE {self.name} SET category = 'new' WHERE id = {first}",
            f"DELETE FROM {self.name} WHERE id = {first + 1}",
        )


class Postgres(Table):
    db_type = "pgsql"

    def query(self, statement: str) -> "list[tuple[Any, ...]]":
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.query(statement)

    def cut(self) -> None:
        self.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")

    def slots(self) -> "list[str]":
        rows = self.query("SELECT slot_name FROM pg_replication_slots")
        return [name for (name,) in rows if self.name in name or name.startswith(f"list_sync_{os.getpid()}_")]

    def drop(self) -> None:
        for (name,) in self.query(f"SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE '%{self.name}%'"):
            self.query(f"SELECT pg_drop_replication_slot('{name}')")
        for (name,) in self.query(f"SELECT pubname FROM pg_publication WHERE pubname LIKE '%{self.name}%'"):
            self.query(f'DROP PUBLICATION "{name}"')
        self.query(f"DROP TABLE IF EXISTS {self.name}")


class Mysql(Table):
    db_type = "mysql"

    def execute(self, *statements: str) -> None:
        connection = pymysql.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, database=self.database, autocommit=True
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def cut(self) -> None:
        connection = pymysql.connect(host=self.host, port=self.port, user=self.user, password=self.password, autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
            for (number,) in cursor.fetchall():
                cursor.execute(f"KILL {number}")

    def drop(self) -> None:
        self.execute(f"DROP TABLE IF EXISTS {self.name}")


class Mariadb(Mysql):
    db_type = "mariadb"


@pytest.fixture
def postgres() -> "Iterator[Postgres]":
    table = Postgres(_address("LIST_SYNC_POSTGRES_URL"))
    table.make()
    yield table
    table.drop()


@pytest.fixture
def mysql() -> "Iterator[Mysql]":
    table = Mysql(_address("LIST_SYNC_MYSQL_URL"))
    table.make()
    yield table
    table.drop()


@pytest.fixture
def mariadb() -> "Iterator[Mariadb]":
    table = Mariadb(_address("LIST_SYNC_MARIADB_URL"))
    table.make()
    yield table
    table.drop()


@pytest.fixture(params=["postgres", "mysql", "mariadb"])
def table(request: pytest.FixtureRequest) -> Table:
    found: Table = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def topic() -> str:
    return f"py_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def sent(kafka: str, topic: str, table: Table) -> str:
    """A topic that holds the 4 changes of `Table.fill`."""
    send(table, kafka, topic)
    return topic


def send(table: Table, kafka: str, topic: str, **more: Any) -> None:
    """Marks the place, makes 4 changes, and sends them."""

    def connect() -> None:
        Connector(**table.arguments, kafka_conf={"bootstrap.servers": kafka}, topic=[topic], once=True, **more).connect()

    connect()
    table.fill()
    connect()


def until(true: "Callable[[], object]", seconds: float = 60) -> None:
    """Waits for something that is bound to happen."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


class Thread(threading.Thread):
    """A thread whose exception is raised where it is joined."""

    def __init__(self, work: "Callable[[], object]") -> None:
        super().__init__(daemon=True)
        self.work = work
        self.error: "BaseException | None" = None
        self.start()

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def end(self, seconds: float = 60) -> None:
        self.join(seconds)
        assert not self.is_alive(), "it goes on"
        if self.error is not None:
            raise self.error


def python(script: str, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
    """A Python process of its own."""
    import sys

    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )
