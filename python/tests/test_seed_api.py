"""The names of list_sync 0.1.0: signatures, the quick start as it is documented, files, headers, message bytes."""

import inspect
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Postgres, Table, Thread, send, until
from list_sync import Connector, Consumer, CsvWriter, errors

ORIGINAL = json.loads((Path(__file__).parent / "original_0_1_0.json").read_text())


@pytest.mark.parametrize("kind", [Connector, Consumer, CsvWriter])
def test_arguments_and_defaults_are_those_of_0_1_0(kind: Any) -> None:
    ours = [one for one in inspect.signature(kind.__init__).parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD][1:]
    theirs = ORIGINAL["signatures"][kind.__name__]
    assert [one.name for one in ours] == [name for name, _ in theirs]
    for one, (name, default) in zip(ours, theirs):
        found = list(one.default) if isinstance(one.default, tuple) else one.default
        if default == "random":
            assert re.fullmatch(r"[0-9a-f-]{36}", str(found)), name
        elif default == "required":
            assert found is inspect.Parameter.empty
        else:
            assert found == default, name


@pytest.mark.parametrize("case", ORIGINAL["files"], ids=lambda case: json.dumps(case["arguments"]))
def test_files_of_messages_by_hand(case: Any, tmp_path: Path) -> None:
    """The same names, headers and rows as 0.1.0 wrote, but for what is documented: `\\n`, `""` for the empty string, true for True, 1.50 as sent."""
    arguments = {**case["arguments"], "filename": str(tmp_path / case["arguments"]["filename"])}
    with CsvWriter(**arguments) as writer:
        for message in ORIGINAL["messages"]:
            writer.write(message)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {name: "".join(line + "\n" for line in lines) for name, lines in case["ours"].items()}
    assert set(found) == set(case["theirs"])
    for name, lines in case["theirs"].items():
        assert found[name].split("\n")[0] == lines[0], "the header"
        if case["arguments"].get("split_files", True):
            keys = [row.split(",")[:3] for row in found[name].splitlines()]
            assert keys == [row.split(",")[:3] for row in lines], "action, table and id of each row"


def test_a_writer_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    message = ORIGINAL["messages"][0]
    for _ in range(2):
        CsvWriter(str(tmp_path / "o")).write(message)
    lines = (tmp_path / "o_insert.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[1] == lines[2]


@pytest.mark.parametrize("bad", ["", "rubbish", "[]", '{"bad":1}', '{"action":"X","table":"t"}', '{"action":"I","table":"t"}', "\x00"])
def test_bad_messages_by_hand(bad: str, tmp_path: Path) -> None:
    writer = CsvWriter(str(tmp_path / "o"))
    with pytest.raises(errors.MessageError) as caught:
        writer.write(bad)
    assert caught.value.hint and not list(tmp_path.iterdir())


def quick_start(number: int) -> str:
    """A code block of the documentation of 0.1.0."""
    return str(ORIGINAL["quick_start"][number])


def test_the_quick_start_runs_as_documented(kafka: str, postgres: Postgres, topic: str, tmp_path: Path) -> None:
    """The two blocks of 0.1.0's documentation; only addresses, names and the thread around them are the test's."""
    connector = quick_start(0)
    replaced = {
        "db_type='mysql'": "db_type='pgsql'",
        "host='localhost'": f"host={postgres.host!r}",
        "port=3306": f"port={postgres.port}",
        "user='my_user'": f"user={postgres.user!r}",
        "password='my_password'": f"password={postgres.password!r}",
        "database='my_database'": f"database={postgres.database!r}",
        "table='my_table'": f"table={postgres.name!r}",
        "localhost:9092": kafka,
        "my_topic": topic,
    }
    for old, new in replaced.items():
        assert old in connector
        connector = connector.replace(old, new)
    # The first half connects to `db`, which only the documentation's network has.
    connector = connector.replace("default_connector.connect()", "")
    consumer = quick_start(1).replace("./output", str(tmp_path / "output")).replace("my_group", topic).replace("wal_pg", topic)
    consumer = consumer.replace(f"topic_list=['{topic}']", f"topic_list=['{topic}'], boostrap_servers={kafka!r}")
    names: "dict[str, Any]" = {}
    sending = Thread(lambda: exec(connector, names))
    until(lambda: postgres.slots())
    postgres.fill()
    reading = Thread(lambda: exec(consumer, names))
    inserted = tmp_path / "output_insert.csv"
    until(lambda: inserted.exists() and len(inserted.read_text().splitlines()) == 4)
    names["custom_connector"].stop()
    names["consumer"].stop()
    sending.end()
    reading.end()
    header, *rows = inserted.read_text().splitlines()
    assert header == "action,table,id,category,domain,total,ratio"
    # Between partitions there is no order.
    assert sorted(rows) == [
        f'I,{postgres.name},1,"a ""quoted"", one",,1.50,1',
        f"I,{postgres.name},1,new,,1.50,1",
        f'I,{postgres.name},2,"",b.it,2.00,2.5',
    ]
    assert sorted((tmp_path / "output_delete.csv").read_text().splitlines()) == [
        f"D,{postgres.name},1",
        f"D,{postgres.name},2",
        "action,table,id",
    ]


def test_messages_are_wal2json_bytes(kafka: str, postgres: Postgres, topic: str) -> None:
    """PostgreSQL prints them with the options that 0.1.0 gave wal2json; the topic has the same bytes."""
    options = {
        "format-version": "2",
        "include-schemas": "false",
        "include-types": "false",
        "include-transaction": "false",
        "include-pk": "true",
    }
    given = ", ".join(f"'{name}', '{value}'" for name, value in {**options, "add-tables": f"public.{postgres.name}"}.items())
    slot = f"oracle_{postgres.name}"
    postgres.query(f"SELECT pg_create_logical_replication_slot('{slot}', 'wal2json')")
    send(postgres, kafka, topic, partitions=1)
    oracle = [row[0] for row in postgres.query(f"SELECT data FROM pg_logical_slot_get_changes('{slot}', NULL, NULL, {given})")]
    seen: "list[str]" = []
    Consumer(callback=seen.append, group_id=topic, topic_list=[topic], boostrap_servers=kafka, once=True).consume_messages()
    assert len(oracle) == 4
    assert seen == oracle


def test_both_databases_have_one_format(kafka: str, table: Table, topic: str) -> None:
    send(table, kafka, topic, partitions=1)
    seen: "list[dict[str, Any]]" = []
    Consumer(seen.append, topic, [topic], kafka, decode=True, once=True).consume_messages()
    assert [one["action"] for one in seen] == ["I", "I", "U", "D"]
    assert list(seen[2]) == ["action", "table", "columns", "identity", "pk"]
    assert seen[0]["columns"][:3] == [
        {"name": "id", "value": 1},
        {"name": "category", "value": 'a "quoted", one'},
        {"name": "domain", "value": None},
    ]


def test_every_topic_gets_every_message(kafka: str, postgres: Postgres, topic: str) -> None:
    topics = [topic, f"{topic}_b"]

    def connect() -> None:
        Connector(
            **postgres.arguments, kafka_conf={"bootstrap.servers": kafka, "group.id": "x", "acks": "all"}, topic=topics, once=True
        ).connect()

    connect()
    postgres.fill()
    connect()
    for one in topics:
        seen: "list[str]" = []
        Consumer(seen.append, one, [one], kafka, once=True).consume_messages()
        assert len(seen) == 4


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="unknown database 'oracle'"):
        Connector(db_type="oracle")
    with pytest.raises(errors.ConfigurationError, match="kafka_conf"):
        Connector(kafka_conf={"error_cb": print})
    with pytest.raises(TypeError):
        Consumer(callback="no function")  # type: ignore[arg-type]
    with pytest.warns(DeprecationWarning):
        Consumer(print, simulate_latency=True)
    for arguments, said in [
        ({"snapshots": "never"}, 'did you mean "snapshot"'),
        ({"snapshot": "sometimes"}, "snapshot"),
        ({"format": "xml"}, "format"),
        ({"plugin": 7}, "plugin"),
        ({"topic": ["a b"]}, "topic"),
    ]:
        with pytest.raises(errors.ConfigurationError, match=re.escape(said) if said[0] != "d" else said) as caught:
            Connector(db_type="pgsql", **arguments).connect()  # type: ignore[arg-type]
        assert ":2:" not in str(caught.value) and caught.value.hint


def test_what_cannot_be_reached_is_said(postgres: Postgres, kafka: str) -> None:
    with pytest.raises(errors.LinkError, match="no broker"):
        Connector(**postgres.arguments, kafka_conf={"bootstrap.servers": "127.0.0.1:1"}).connect()
    with pytest.raises(ConnectionError):
        Connector(**{**postgres.arguments, "port": 1}, kafka_conf={"bootstrap.servers": kafka}).connect()
    with pytest.raises(errors.StoppedError, match="no_such_table"):
        Connector(**{**postgres.arguments, "table": "no_such_table"}, kafka_conf={"bootstrap.servers": kafka}).connect()


def test_secrets_are_not_told(kafka: str, postgres: Postgres) -> None:
    secret = 'pa"s$s/{w}@:${HOME}'
    arguments = {**postgres.arguments, "user": "secret_user", "password": secret}
    with pytest.raises(errors.ListSyncError) as caught:
        Connector(**arguments, kafka_conf={"bootstrap.servers": kafka}).connect()
    assert "secret_user" in str(caught.value) and "pa" + '"s' not in str(caught.value)


def test_stop_from_another_thread(kafka: str, topic: str) -> None:
    consumer = Consumer(print, topic, [topic], kafka)
    running = Thread(consumer.consume_messages)
    threading.Timer(1, consumer.stop).start()
    running.end()


def test_the_repository_documents_this_quick_start() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    assert quick_start(1).strip().splitlines()[-1] in text
