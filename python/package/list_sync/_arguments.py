"""Arguments of Python calls as the TOML that the engine reads: every option is declared, checked and defaulted there, once."""

import re
import urllib.parse
import zlib
from collections.abc import Iterable, Mapping
from typing import Optional, Union

from list_sync.errors import ArgumentTypeError, ConfigurationError

Value = Union[str, int, bool, "list[str]", "dict[str, str]"]
Brokers = Union[str, Iterable[str]]

#: Of confluent-kafka's keys: those that list_sync has an argument for, or that its promises rest on.
_OURS = frozenset(
    {
        "acks",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "group.id",
        "group.protocol",
        "isolation.level",
        "message.timeout.ms",
        "metadata.broker.list",
        "partition.assignment.strategy",
        "request.required.acks",
        "transactional.id",
    }
)


def text(value: str) -> str:
    """A TOML string; ``${`` is a variable there, and here it is not."""
    out = []
    for letter in value.replace("${", "$${"):
        code = ord(letter)
        if letter in '"\\':
            out.append("\\" + letter)
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\u{code:04x}")
        else:
            out.append(letter)
    return '"' + "".join(out) + '"'


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{text(key)} = {text(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return "[" + ", ".join(text(one) for one in value) + "]"
    raise ArgumentTypeError(f"an option is of type {type(value).__name__}: {value!r}", "give a text, a number, a bool or a list of texts")


def section(name: str, options: "Mapping[str, Optional[Value]]") -> str:
    """One section; options that are ``None`` are left to their defaults."""
    lines = [f"{key} = {_written(value)}" for key, value in options.items() if value is not None]
    return "\n".join([name, *lines, ""])


def brokers(value: Brokers) -> "list[str]":
    """``"a:9092,b:9092"`` or a list of such."""
    given = [value] if isinstance(value, str) else list(value)
    return [one.strip() for part in given for one in part.split(",") if one.strip()]


def kafka(call: str, servers: Brokers, properties: "Mapping[str, object]", partitions: Optional[int], replication: Optional[int]) -> str:
    """The section ``[kafka]``."""
    topic = {"topic.partitions": partitions, "topic.replication": replication}
    plain = section("[kafka]", {"brokers": brokers(servers), "properties": properties_of(call, properties) or None})
    return plain + "".join(f"{key} = {value}\n" for key, value in topic.items() if value is not None)


def properties_of(call: str, conf: "Mapping[str, object]") -> "dict[str, str]":
    """The keys of a confluent-kafka dict that are librdkafka's and not list_sync's own."""
    kept = {}
    for key, value in conf.items():
        if key in _OURS:
            continue
        if isinstance(value, bool):
            kept[key] = "true" if value else "false"
        elif isinstance(value, (str, int, float)):
            kept[key] = str(value)
        else:
            hint = "leave it out: callbacks of confluent-kafka have no place here, its log goes to the logger list_sync"
            raise ConfigurationError(f"{call}: kafka_conf[{key!r}] is of type {type(value).__name__}", hint)
    return kept


def servers_of(conf: "Mapping[str, object]", default: Brokers) -> Brokers:
    """``bootstrap.servers`` of a confluent-kafka dict."""
    found = conf.get("bootstrap.servers", conf.get("metadata.broker.list"))
    return str(found) if found is not None else default


def name(*parts: str) -> str:
    """A name that the engine takes: letters, digits, ``_`` and ``-``, at most 48; the same at each start."""
    whole = "_".join(parts)
    legal = re.sub(r"[^A-Za-z0-9_-]", "_", whole)
    if len(legal) <= 48 and legal == whole:
        return legal
    return f"{legal[:39]}_{zlib.crc32(whole.encode()):08x}"


def whole(call: str, name: str, value: object) -> int:
    """A whole number that an argument must be; ``"3"`` is one, too."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return int(value)
        except ValueError as cause:
            raise ConfigurationError(f"{call}: {name} is {value!r}, which is no whole number") from cause
    raise ArgumentTypeError(f"{call}: {name} is of type {type(value).__name__}, not a whole number")


def url(scheme: str, user: str, password: str, host: str, port: int, database: str) -> str:
    """The URL of a database."""
    login = urllib.parse.quote(user, safe="")
    if password:
        login += ":" + urllib.parse.quote(password, safe="")
    place = f"[{host}]" if ":" in host and not host.startswith("[") else urllib.parse.quote(host, safe="[]:")
    return f"{scheme}://{login}@{place}:{port}/{urllib.parse.quote(database, safe='')}"
