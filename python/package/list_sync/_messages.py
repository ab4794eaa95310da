"""Messages as dicts and back, with the digits of their numbers."""

import json
from typing import Any

from list_sync.errors import MessageError


class _Digits(float):
    """A float that knows how it was written: ``1.50`` is not ``1.5`` in a file."""

    text: str

    def __new__(cls, text: str) -> "_Digits":
        new = super().__new__(cls, text)
        new.text = text
        return new


def loads(text: str) -> "dict[str, Any]":
    """The message as a dict."""
    try:
        data = json.loads(text, parse_float=_Digits)
    except ValueError as cause:
        raise MessageError(f"a message is no JSON: {cause}") from cause
    if not isinstance(data, dict):
        raise MessageError("a message is no row change in JSON: it is no JSON object")
    return data


def _dumps(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{_dumps(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_dumps, value)) + "]"
    return value.text if isinstance(value, _Digits) else json.dumps(value)


def half(action: str, part: str, data: "dict[str, Any]") -> str:
    """One row of a message as a message: the new one (``columns``) or the old one (``identity``)."""
    if part not in data:
        raise MessageError(f"a message is no row change in JSON: it has no {part!r}")
    kept = {key: value for key, value in data.items() if key not in ("action", "columns", "identity", "pk")}
    kept[part] = data[part]
    if "pk" in data:
        kept["pk"] = data["pk"]
    return _dumps({"action": action, **kept})
