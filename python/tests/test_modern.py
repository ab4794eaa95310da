"""Pipelines, streams without Kafka, logging, signals, forks, the command."""

import asyncio
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import list_sync
import pytest
from conftest import Mysql, Postgres, Table, Thread, python, until
from list_sync import Change, Connector, Consumer, CsvWriter, Pipeline, errors


def configuration(table: Table, folder: Path, kafka: str = "") -> str:
    carried = f"[kafka]\nbrokers = {kafka.split(',')!r}\n" if kafka else ""
    return (
        f'{carried}[[source]]\nname = "{table.name}"\nurl = "{table.url}"\ntables = ["{table.name}"]\nsnapshot = "never"\n'
        f'[[sink]]\nname = "{table.name}"\npath = "{folder}/{{table}}"\n'
    ).replace("'", '"')


@pytest.mark.parametrize("carried", [False, True], ids=["directly", "through Kafka"])
def test_pipeline(table: Table, tmp_path: Path, kafka: str, carried: bool) -> None:
    path = tmp_path / "list_sync.toml"
    path.write_text(configuration(table, tmp_path / "out", kafka if carried else ""))
    Pipeline.from_toml(path).run(once=True)
    table.fill()
    with Pipeline.from_toml(str(path)) as pipeline:
        pipeline.run(once=True)
    assert pipeline.rows[0] == 4
    assert len((tmp_path / "out" / f"{table.name}_insert.csv").read_text().splitlines()) == 4


def test_pipeline_faults_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "list_sync.toml"
    path.write_text('[[source]]\nnaem = "x"\n')
    with pytest.raises(errors.ConfigurationError, match=r"list_sync\.toml:2:1: .*did you mean \"name\""):
        Pipeline.from_toml(path).run()
    with pytest.raises(errors.ConfigurationError, match="cannot be read"):
        Pipeline.from_toml(tmp_path / "missing.toml").run()
    with pytest.raises(errors.ConfigurationError):
        Pipeline(text="").run()


def test_a_pipeline_is_stopped_from_another_thread(postgres: Postgres, tmp_path: Path) -> None:
    pipeline = Pipeline(text=configuration(postgres, tmp_path))
    running = Thread(pipeline.run)
    until(lambda: postgres.slots())
    postgres.fill()
    until(lambda: pipeline.rows[0] == 4)
    pipeline.stop()
    running.end()


def test_changes_without_kafka(table: Table) -> None:
    with list_sync.changes(table.url, tables=[table.name]) as stream:
        table.fill()
        seen: "list[Change]" = []
        for change in stream:
            seen.append(change)
            if len(seen) == 4:
                break
        assert [change.action for change in seen] == ["I", "I", "U", "D"]
        first = seen[0]
        assert first.row == {"id": 1, "category": 'a "quoted", one', "domain": None, "total": Decimal("1.50"), "ratio": 1.0}
        assert isinstance(first["ratio"], float) and first.key == ("id",) and first.table == table.name
        assert seen[2].operation == "update" and seen[2].identity["id"] == 1 and seen[3].row["id"] == 2
        assert [change.position for change in seen] == sorted(change.position for change in seen)
        assert first.committed_at.year >= 2024
        if isinstance(table, Postgres):
            assert len(table.slots()) == 1
    with pytest.raises(errors.ClosedError):
        next(iter(stream))
    if isinstance(table, Postgres):
        assert table.slots() == [], "the temporary slot is gone"


def test_async_iteration(table: Table) -> None:
    async def collect() -> "list[str]":
        seen: "list[str]" = []
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        async with list_sync.changes(table.url, tables=[table.name]) as stream:
            ticking = asyncio.ensure_future(tick())
            asyncio.get_running_loop().call_later(0.3, lambda: table.fill())
            async for change in stream:
                seen.append(change.action)
                if len(seen) == 4:
                    break
            ticking.cancel()
        assert ticks > 10, "the loop went on meanwhile"
        return seen

    assert asyncio.run(collect()) == ["I", "I", "U", "D"]


def test_a_cancelled_step_loses_nothing(postgres: Postgres) -> None:
    async def collect() -> "list[str]":
        seen: "list[str]" = []
        async with list_sync.changes(postgres.url, tables=[postgres.name]) as stream:

            async def some() -> None:
                async for change in stream:
                    seen.append(change.action)

            for first in (1, 3, 5):
                postgres.fill(first)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(some(), 0.7)
            while len(seen) < 12:
                async for change in stream:
                    seen.append(change.action)
                    if len(seen) == 12:
                        break
        return seen

    assert asyncio.run(collect()) == ["I", "I", "U", "D"] * 3


def test_a_stream_with_state_goes_on(table: Table, tmp_path: Path) -> None:
    def some(count: int, *, acknowledged: bool) -> "list[str]":
        stream = list_sync.changes(table.url, tables=[table.name], name=table.name, state=tmp_path / "state", auto_acknowledge=False)
        seen: "list[str]" = []
        with stream:
            for change in stream:
                seen.append(change.position)
                if len(seen) == count:
                    break
            if acknowledged:
                stream.acknowledge()
        return seen

    with list_sync.changes(table.url, tables=[table.name], name=table.name, state=tmp_path / "state"):
        pass
    table.fill()
    first = some(4, acknowledged=False)
    again = some(4, acknowledged=True)
    assert first == again, "what was not acknowledged comes again, at the same positions"
    table.fill(11)
    rest = some(4, acknowledged=True)
    assert min(rest) > max(again), "what was acknowledged does not"
    if isinstance(table, Postgres):
        assert table.slots() == [f"list_sync_{table.name}"], "the slot stays"


def test_once_ends_by_itself_and_batches_are_tables(table: Table, tmp_path: Path) -> None:
    options: "dict[str, Any]" = {"name": table.name, "state": tmp_path / "state", "once": True}
    assert list(list_sync.changes(table.url, [table.name], **options)) == []
    table.fill()
    batches = list(list_sync.changes(table.url, [table.name], **options).batches())
    assert sum(map(len, batches)) == 4
    columns = batches[0].to_columns()
    assert columns["action"][0] == "I" and columns["id"][0] == 1 and columns["total"][0] == Decimal("1.50")
    assert batches[0].to_dicts()[0]["category"] == 'a "quoted", one'
    assert list(list_sync.changes(table.url, [table.name], **options)) == [], "the end acknowledges what was given out"
    table.fill(5)
    small = list(list_sync.changes(table.url, [table.name], **options).batches(rows_max=1))
    assert [len(batch) for batch in small] == [1, 1, 1, 1]


@pytest.mark.parametrize("way", ["batches", "iteration", "async iteration"])
def test_what_was_not_given_out_is_not_acknowledged(table: Table, tmp_path: Path, way: str) -> None:
    def stream(**more: Any) -> "list_sync.Changes":
        return list_sync.changes(table.url, [table.name], name=table.name, state=tmp_path / "state", **more)

    async def two(changes: "list_sync.Changes") -> "list[Any]":
        seen = []
        async for change in changes:
            seen.append(change["id"])
            if len(seen) == 2:
                break
        return seen

    with stream():
        pass
    rows = ", ".join(f"({number}, '', '', 0, 0)" for number in range(1, 7))
    table.execute(f"INSERT INTO {table.name} VALUES {rows}")
    with stream(auto_acknowledge=False) as some:
        if way == "batches":
            seen = [change["id"] for change in next(iter(some.batches(rows_max=2)))]
        elif way == "iteration":
            seen = [change["id"] for _, change in zip(range(2), some)]
        else:
            seen = asyncio.run(two(some))
        some.acknowledge()
    assert seen == [1, 2]
    with stream() as some:
        # Asking for the second says that the first is done with; the second itself is not.
        pairs = iter(some.batches(rows_max=2))
        assert [change["id"] for change in next(pairs)] == [3, 4]
        assert [change["id"] for change in next(pairs)] == [5, 6]
    assert [change["id"] for change in stream(once=True)] == [5, 6]
    assert list(stream(once=True)) == []


def test_two_streams_of_one_folder_keep_their_places(postgres: Postgres, tmp_path: Path) -> None:
    def stream(end: str) -> "list_sync.Changes":
        return list_sync.changes(postgres.url, [postgres.name], name=f"{postgres.name}_{end}", state=tmp_path / f"state.{end}", once=True)

    for end in ("a", "b"):
        assert list(stream(end)) == []
    # What a crash of the one left behind is none of the other's.
    (tmp_path / "state.new").mkdir()
    postgres.fill()
    assert [len(list(stream(end))) for end in ("a", "b", "a")] == [4, 4, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.a", "state.b", "state.new"]


def test_a_stream_with_state_outlives_its_connection(table: Table, tmp_path: Path) -> None:
    with list_sync.changes(table.url, [table.name], name=table.name, state=tmp_path / "state", auto_acknowledge=False) as stream:
        seen = []
        batches = iter(stream.batches())
        for first in range(1, 40, 2):
            table.fill(first)
        seen += next(batches)
        # The program is busy: what the engine reads ahead is full, and it only keeps the connection alive.
        table.cut()
        time.sleep(6)
        stream.acknowledge()
        while len(seen) < 80:
            seen += next(batches)
        stream.acknowledge()
    assert len({change.position for change in seen}) == len(seen) == 80
    again = list_sync.changes(table.url, [table.name], name=table.name, state=tmp_path / "state", once=True)
    assert list(again) == []


MASKS = """
import os, sys, threading
import list_sync
from list_sync import Consumer

def unblocked(starter):
    names = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            told = dict(line.split(":\\t", 1) for line in status if ":\\t" in line)
        if int(task) != threading.get_native_id() and not int(told["SigBlk"], 16) & 2:
            names[told["Name"].strip()] = starter
    if names:
        print("take Ctrl-C:", names)

with list_sync.changes(sys.argv[1], [sys.argv[2]]) as stream:
    unblocked("changes")

def callback(message):
    unblocked("consumer")

Consumer(callback, sys.argv[3], [sys.argv[3]], sys.argv[4], once=True).consume_messages()
"""


def test_no_thread_of_the_engine_takes_a_signal(table: Table, sent: str, kafka: str) -> None:
    process = python(MASKS, table.url, table.name, sent, kafka)
    out, err = process.communicate(timeout=120)
    assert (out, process.returncode) == ("", 0), err


def test_one_schema_for_a_table(table: Table, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    options: "dict[str, Any]" = {"name": table.name, "state": tmp_path / "state", "once": True}
    list(list_sync.changes(table.url, [table.name], **options))
    table.fill()
    table.execute(f"INSERT INTO {table.name} (id) VALUES (9)")
    tables = [batch.to_arrow() for batch in list_sync.changes(table.url, [table.name], **options).batches(rows_max=1)]
    assert len(tables) == 5 and len({str(one.schema) for one in tables}) == 1, "an insert, an update, a delete, a row of NULLs"
    whole = pyarrow.concat_tables(tables)
    kinds = [str(field.type) for field in whole.schema]
    assert kinds == ["string", "string", "string", "int64", "string", "string", "decimal128(10, 2)", "double"]
    assert whole.column("total").to_pylist()[-1] is None and whole.column("id").to_pylist() == [1, 2, 1, 2, 9]


def test_arrow_pandas_and_polars(mysql: Mysql, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    options: "dict[str, Any]" = {"name": mysql.name, "state": tmp_path / "state", "once": True}
    list(list_sync.changes(mysql.url, [mysql.name], **options))
    mysql.fill()
    (batch,) = list_sync.changes(mysql.url, [mysql.name], **options).batches()
    arrow = batch.to_arrow()
    assert arrow.num_rows == 4
    assert arrow.schema.field("id").type == pyarrow.int64() and arrow.schema.field("ratio").type == pyarrow.float64()
    assert pyarrow.types.is_decimal(arrow.schema.field("total").type)


def test_the_log_goes_to_logging(postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "list_sync"):
        Pipeline(text=configuration(postgres, tmp_path)).run(once=True)
    messages = [record.getMessage() for record in caplog.records if record.name == "list_sync"]
    assert any("replication slot created" in message for message in messages)
    assert all(record.levelno >= logging.INFO for record in caplog.records)
    caplog.clear()
    with caplog.at_level(logging.ERROR, "list_sync"):
        Pipeline(text=configuration(postgres, tmp_path)).run(once=True)
    assert not caplog.records


def test_ctrl_c_in_a_stream_and_a_connector(postgres: Postgres, kafka: str) -> None:
    stream = "import sys, list_sync\nfor change in list_sync.changes(sys.argv[1], [sys.argv[2]]).connect(): pass"
    connector = (
        "import sys\nfrom list_sync import Connector\n"
        "Connector(url=sys.argv[1], table=sys.argv[2], topic=[sys.argv[2]], kafka_conf={'bootstrap.servers': sys.argv[3]}).connect()"
    )
    for script in [stream, connector]:
        process = python(script, postgres.url, postgres.name, kafka)
        # Its own slot: interrupted before it has begun, it would end without a word.
        own = f"(slot_name LIKE 'list_sync_{process.pid}_%' OR slot_name LIKE '%{postgres.name}%')"
        look = f"SELECT 1 FROM pg_replication_slots WHERE active AND {own}"
        until(partial(postgres.query, look))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "KeyboardInterrupt" in err and process.returncode in (-signal.SIGINT, 1, 130), err


def _in_child(made: "list[Any]", answers: Any) -> None:
    said = []
    for work in made:
        try:
            work()
            said.append("nothing")
        except errors.ForkError as error:
            said.append(type(error).__name__)
    # What is made here works here.
    Consumer(print, "g", ["t"], "127.0.0.1:1").stop()
    answers.put(said)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_after_a_fork_objects_say_so(tmp_path: Path, mysql: Mysql) -> None:
    writer = CsvWriter(str(tmp_path / "o"))
    writer.write('{"action":"D","table":"t","identity":[{"name":"id","value":1}],"pk":[{"name":"id"}]}')
    with list_sync.changes(mysql.url, [mysql.name]) as stream:
        made = [
            Connector().connect,
            Consumer(print).consume_messages,
            lambda: writer.write("{}"),
            Pipeline(text=configuration(mysql, tmp_path)).run,
            lambda: next(iter(stream)),
        ]
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=_in_child, args=(made, answers))
        child.start()
        assert answers.get(timeout=60) == ["ForkError"] * len(made)
        child.join(60)
        assert child.exitcode == 0
        mysql.fill()
        assert next(iter(stream)).action == "I", "the parent goes on"


def test_the_command(postgres: Postgres, tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "list_sync"
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert told == f"list_sync {list_sync.__version__}\n"
    assert subprocess.run([command, "nonsense"], capture_output=True).returncode == 2
    (tmp_path / "list_sync.toml").write_text(configuration(postgres, tmp_path / "out"))
    ran = [sys.executable, "-m", "list_sync"]
    subprocess.run([*ran, "run", "--once"], cwd=tmp_path, check=True, capture_output=True)
    postgres.fill()
    process = subprocess.Popen([command, "run"], cwd=tmp_path, stderr=subprocess.PIPE)
    inserted = tmp_path / "out" / f"{postgres.name}_insert.csv"
    until(lambda: inserted.exists() and len(inserted.read_text().splitlines()) == 4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    verified = subprocess.run([*ran, "verify"], cwd=tmp_path, capture_output=True, text=True)
    assert "1 rows, 0 missing, 0 extra, 0 different" in verified.stdout, verified.stderr


def test_errors_are_picklable() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(errors.StoppedError("fact", "hint")))
    assert (str(error), error.hint) == ("fact", "hint")


def test_nothing_is_left_behind() -> None:
    assert os.environ.get("LIST_SYNC_POSTGRES_URL")
