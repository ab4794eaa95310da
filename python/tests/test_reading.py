"""The statements of docs/reading.md, on files of a real table."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Postgres
from list_sync import Pipeline

#: What the statements must say at the end.
ROWS = [
    ("1", "Ada", 'a "quoted", note', "13.00"),
    ("2", "Bo", None, "4.00"),
    ("4", "Di", "=1+1", "5.00"),
    ("7", "Cy", "", "0.10"),
]


def block(name: str) -> str:
    text = (ROOT / "docs" / "reading.md").read_text()
    found = re.search(rf"^```(?:sql|python) {name}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, f"docs/reading.md has no block {name}"
    return found[1]


@pytest.fixture
def files(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`out/orders_insert.csv` and `out/orders_delete.csv` with NULL, an empty text, quotes, an update, a moved key, and a row that comes again."""
    monkeypatch.chdir(tmp_path)
    table = f"{postgres.name}_read"
    text = (
        f'[[source]]\nname = "{postgres.name}"\nurl = "{postgres.url}"\ntables = ["{table}"]\nsnapshot = "never"\n'
        '[[sink]]\nname = "files"\npath = "out/orders"\nposition = true\n'
    )
    postgres.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, customer text, note text, total numeric(10,2))")
    try:
        Pipeline(text=text).run(once=True)
        postgres.execute(
            f"INSERT INTO {table} VALUES (1, 'Ada', 'a \"quoted\", note', 12.50), (2, 'Bo', 'x', 3), (3, 'Cy', '', 0.10), (4, 'Di', '=1+1', 5)",
            f"UPDATE {table} SET total = 13 WHERE id = 1",
            f"DELETE FROM {table} WHERE id = 2",
            f"INSERT INTO {table} VALUES (2, 'Bo', NULL, 4)",
            f"UPDATE {table} SET id = 7 WHERE id = 3",
        )
        Pipeline(text=text).run(once=True)
    finally:
        postgres.execute(f"DROP TABLE {table}")
    return tmp_path


def program(folder: str, name: str, *arguments: str, input: str) -> str:
    command = [str(Path(os.environ[folder]) / name), *arguments]
    done = subprocess.run(command, input=input, capture_output=True, text=True)
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    return done.stdout


def test_postgres(files: Path, postgres: Postgres) -> None:
    script = f"CREATE SCHEMA {postgres.name};\nSET search_path = {postgres.name};\n{block('postgres')}{block('fold')}DROP SCHEMA {postgres.name} CASCADE;\n"
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-P", "null=(null)"]
    out = program("LIST_SYNC_POSTGRES_BIN", "psql", postgres.url, *options, input=script)
    said = [tuple(None if cell == "(null)" else cell for cell in line.split("|")) for line in out.splitlines()]
    assert said == ROWS


def test_mysql(files: Path, mysql: Any) -> None:
    mysql.execute(f"CREATE DATABASE {mysql.name}", "SET GLOBAL local_infile = ON")
    try:
        login = [f"--host={mysql.host}", f"--port={mysql.port}", f"--user={mysql.user}", f"--password={mysql.password}"]
        script = block("mysql") + block("fold")
        out = program("LIST_SYNC_MYSQL_BIN", "mysql", *login, "--local-infile=1", "--batch", "-N", mysql.name, input=script)
    finally:
        mysql.execute(f"DROP DATABASE {mysql.name}")
    said = [tuple(None if cell == "NULL" else cell for cell in line.split("\t")) for line in out.splitlines()]
    assert said == [tuple(cell or None for cell in row) for row in ROWS], "an empty text is NULL"


def test_duckdb(files: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.execute(block("duckdb"))
    assert connection.execute(block("fold")).fetchall() == ROWS


def test_polars(files: Path) -> None:
    pytest.importorskip("polars")
    names: "dict[str, Any]" = {}
    exec(block("polars"), names)
    notes = names["orders"]["note"].to_list()
    assert notes[:4] == ['a "quoted", note', "x", "", "=1+1"] and notes[5] is None


def test_pandas(files: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    names: "dict[str, Any]" = {}
    exec(block("pandas"), names)
    assert names["orders"]["total"].tolist()[:4] == ["12.50", "3.00", "0.10", "5.00"]
    assert names["orders"]["note"].isna().tolist() == [False, False, True, False, False, True, True]
    assert names["exact"]["note"].isna().tolist() == [False, False, False, False, False, True, False]
