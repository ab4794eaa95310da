"""Callbacks: what they get, where they run, what is committed, what an exception does."""

import signal
import subprocess
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from conftest import Table, Thread, python, send, until
from list_sync import Connector, Consumer, CsvWriter, errors
from list_sync.connector import MysqlConnector, PgsqlConnector, Producer


def read(kafka: str, topic: str, **more: Any) -> "list[Any]":
    seen: "list[Any]" = []
    Consumer(seen.append, topic, [topic], kafka, once=True, **more).consume_messages()
    return seen


def test_each_message_once_and_on_the_callers_thread(kafka: str, sent: str) -> None:
    threads: "set[int]" = set()
    seen: "list[str]" = []

    def callback(message: str) -> None:
        threads.add(threading.get_ident())
        seen.append(message)

    Consumer(callback, sent, [sent], kafka, once=True).consume_messages()
    assert sorted(message[11] for message in seen) == ["D", "I", "I", "U"]
    assert threads == {threading.get_ident()}
    assert read(kafka, sent) == [], "all is committed"


def test_batches_and_dicts(kafka: str, sent: str) -> None:
    texts = read(kafka, sent)
    lists: "list[list[dict[str, Any]]]" = []
    Consumer(lists.append, f"{sent}_b", [sent], kafka, batch=True, decode=True, once=True).consume_messages()
    assert sorted(one["action"] for part in lists for one in part) == sorted(text[11] for text in texts)
    small: "list[list[str]]" = []
    Consumer(small.append, f"{sent}_c", [sent], kafka, batch=True, batch_max=2, once=True).consume_messages()
    assert max(map(len, small)) <= 2 and sum(map(len, small)) == 4


def test_protobuf_is_handed_over_as_json(kafka: str, table: Table, topic: str) -> None:
    def connect() -> None:
        for to, format in [(topic, "json"), (f"{topic}_pb", "protobuf")]:
            include = ["xid", "timestamp", "lsn", "schema", "type"]
            Connector(
                **table.arguments, kafka_conf={"bootstrap.servers": kafka}, topic=[to], once=True, format=format, include=include
            ).connect()

    connect()
    table.fill()
    connect()
    texts = sorted(read(kafka, topic))
    assert len(texts) == 4
    assert sorted(read(kafka, f"{topic}_pb")) == texts, "byte for byte"
    dicts: "list[dict[str, Any]]" = []
    Consumer(dicts.append, f"{topic}_d", [f"{topic}_pb"], kafka, decode=True, once=True).consume_messages()
    assert sorted(one["action"] for one in dicts) == ["D", "I", "I", "U"]


def test_a_message_that_is_no_change_in_its_format_ends_it_behind_those_before(kafka: str, postgres: Table, topic: str) -> None:
    send(postgres, kafka, topic, partitions=1, format="protobuf")
    kcat = ["kcat", "-P", "-b", kafka, "-t", topic, "-p", "0", "-H", "format=protobuf"]
    subprocess.run(kcat, input="no change", text=True, check=True)
    seen: "list[str]" = []
    for expected in [4, 4]:
        with pytest.raises(errors.StoppedError, match=r'topic ".*", partition 0, offset 4: a message is no row change in protobuf'):
            Consumer(seen.append, topic, [topic], kafka).consume_messages()
        assert len(seen) == expected, "each once, though it ended"


def test_an_exception_ends_it_and_what_was_not_done_comes_again(kafka: str, table: Table, topic: str) -> None:
    send(table, kafka, topic, partitions=1)
    done: "list[str]" = []

    def callback(message: str) -> None:
        if len(done) == 2:
            raise KeyError("of the test")
        done.append(message)

    with pytest.raises(KeyError, match="of the test") as caught:
        Consumer(callback, topic, [topic], kafka).consume_messages()
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "callback", "the traceback leads into the function"
    rest = read(kafka, topic)
    assert len(rest) == 2 and not set(rest) & set(done), "the first two are committed, the third comes again"


def test_a_batch_that_raises_is_not_committed(kafka: str, sent: str) -> None:
    def callback(messages: "list[str]") -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            Consumer(callback, sent, [sent], kafka, batch=True).consume_messages()
    assert len(read(kafka, sent)) == 4


def test_stop_in_the_callback(kafka: str, table: Table, topic: str) -> None:
    send(table, kafka, topic, partitions=1)
    seen: "list[str]" = []

    def callback(message: str) -> None:
        seen.append(message)
        consumer.stop()

    consumer = Consumer(callback, topic, [topic], kafka)
    consumer.consume_messages()
    assert len(seen) == 1, "it is not called again"
    assert len(read(kafka, topic)) == 3


def test_the_writers_method_runs_in_the_engine(kafka: str, sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_called(self: CsvWriter, message: str) -> None:
        raise AssertionError("the interpreter was used")

    writer = CsvWriter(str(tmp_path / "out"))
    consumer = Consumer(writer.write, sent, [sent], kafka, once=True)
    monkeypatch.setattr(CsvWriter, "write", not_called)
    consumer.consume_messages()
    lines = (tmp_path / "out_insert.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[0] == "action,table,id,category,domain,total,ratio"


def test_a_writer_of_ones_own_is_called(kafka: str, sent: str, tmp_path: Path) -> None:
    class Upper(CsvWriter):
        def write(self, json_data: str) -> None:
            calls.append(json_data)

    calls: "list[str]" = []
    Consumer(Upper(str(tmp_path / "out")).write, sent, [sent], kafka, once=True).consume_messages()
    assert len(calls) == 4 and not list(tmp_path.iterdir())


def test_the_hooks_of_a_subclass_are_called(kafka: str, table: Table, topic: str, tmp_path: Path) -> None:
    send(table, kafka, topic, partitions=1)

    class Counting(CsvWriter):
        def write_insert(self, data: "dict[str, Any]") -> None:
            calls.append("insert")
            super().write_insert(data)

        def write_delete(self, data: "dict[str, Any]") -> None:
            calls.append("delete")
            super().write_delete(data)

    calls: "list[str]" = []
    with Counting(str(tmp_path / "a")) as writer:
        Consumer(writer.write, topic, [topic], kafka, once=True).consume_messages()
    assert calls == ["insert", "insert", "delete", "insert", "delete"]
    Consumer(CsvWriter(str(tmp_path / "b")).write, f"{topic}_b", [topic], kafka, once=True).consume_messages()
    for side in ["insert", "delete"]:
        assert (tmp_path / f"a_{side}.csv").read_text() == (tmp_path / f"b_{side}.csv").read_text()


def test_a_producer_of_ones_own(kafka: str, topic: str) -> None:
    with Producer(topic=[topic, f"{topic}_b"], kafka_conf={"bootstrap.servers": kafka}) as producer:
        for number in range(5):
            producer.send_message({"action": "I", "table": "t", "columns": [{"name": "ö", "value": number}]}, key="k")
        producer.flush()
    for one in (topic, f"{topic}_b"):
        seen = read(kafka, one)
        assert seen == [f'{{"action":"I","table":"t","columns":[{{"name":"ö","value":{number}}}]}}' for number in range(5)]
    with pytest.raises(errors.ClosedError):
        producer.send_message("{}")
    with pytest.raises(errors.LinkError):
        Producer(topic, {"bootstrap.servers": "127.0.0.1:1"}).send_message("{}")


@pytest.mark.parametrize("name", ["postgres", "mysql"])
def test_connectors_of_one_database(kafka: str, topic: str, name: str, request: pytest.FixtureRequest) -> None:
    table: Table = request.getfixturevalue(name)
    kind = PgsqlConnector if name == "postgres" else MysqlConnector
    arguments = {key: value for key, value in table.arguments.items() if key != "db_type"}

    def connect() -> None:
        kind(**arguments, kafka_conf={"bootstrap.servers": kafka}, topic=[topic], once=True).connect()

    connect()
    table.fill()
    connect()
    assert len(read(kafka, topic)) == 4


def test_running_is_set_to_false(kafka: str, table: Table, topic: str) -> None:
    send(table, kafka, topic, partitions=1)
    seen: "list[str]" = []

    def callback(message: str) -> None:
        seen.append(message)
        consumer.running = False

    consumer = Consumer(callback, topic, [topic], kafka)
    assert consumer.running
    consumer.consume_messages()
    assert len(seen) == 1 and not consumer.running


def test_a_message_that_is_no_text(kafka: str, sent: str) -> None:
    read(kafka, sent)
    subprocess.run(["kcat", "-P", "-b", kafka, "-t", sent], input=b"\xff\n", check=True)
    with pytest.raises(errors.MessageError, match="no UTF-8"):
        read(kafka, sent)


def test_a_writer_in_a_function_writes_the_same_files(kafka: str, table: Table, topic: str, tmp_path: Path) -> None:
    send(table, kafka, topic, partitions=1)
    with CsvWriter(str(tmp_path / "a")) as by_hand:
        Consumer(lambda message: by_hand.write(message), topic, [topic], kafka, once=True).consume_messages()
    Consumer(CsvWriter(str(tmp_path / "b")).write, f"{topic}_b", [topic], kafka, once=True).consume_messages()
    for side in ["insert", "delete"]:
        assert (tmp_path / f"a_{side}.csv").read_text() == (tmp_path / f"b_{side}.csv").read_text()


def test_several_members_in_one_process(kafka: str, sent: str, tmp_path: Path) -> None:
    Consumer(CsvWriter(str(tmp_path / "out")).write, sent, [sent], kafka, once=True, instances=3).consume_messages()
    rows = [line for path in tmp_path.glob("out_*_insert.csv") for line in path.read_text().splitlines()[1:]]
    assert len(rows) == 3


def test_a_message_that_is_no_json(kafka: str, sent: str) -> None:
    assert len(read(kafka, sent)) == 4
    subprocess.run(["kcat", "-P", "-b", kafka, "-t", sent], input="rubbish\n", text=True, check=True)
    assert read(kafka, sent) == ["rubbish"]
    with pytest.raises(errors.MessageError):
        Consumer(print, f"{sent}_b", [sent], kafka, decode=True, once=True).consume_messages()


SCRIPT = """
import sys, time
from list_sync import Consumer
seen = []
def callback(message):
    print("called", flush=True)
    time.sleep(float(sys.argv[3]))
try:
    Consumer(callback, sys.argv[1], [sys.argv[1]], sys.argv[2]).consume_messages()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("pause", ["0", "600"], ids=["while it waits", "in the callback"])
def test_ctrl_c(kafka: str, sent: str, pause: str) -> None:
    process = python(SCRIPT, sent, kafka, pause)
    assert process.stdout is not None
    for _ in range(4 if pause == "0" else 1):
        assert process.stdout.readline() == "called\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == ("interrupted\n", 0), err
    # The signal may have come before the last call returned.
    assert len(read(kafka, sent)) in ((0, 1) if pause == "0" else (4,))


def test_two_consumers_on_two_threads(kafka: str, sent: str) -> None:
    seen: "list[str]" = []
    consumers = [Consumer(seen.append, sent, [sent], kafka) for _ in range(2)]
    running = [Thread(consumer.consume_messages) for consumer in consumers]
    until(lambda: len(seen) == 4)
    for consumer in consumers:
        consumer.stop()
    for thread in running:
        thread.end()
    assert len(seen) == 4
