"""Arrow tables whose schema follows from the database's types, not from the values that happen to be there."""

import re
from decimal import Decimal
from typing import Any, Optional

from list_sync.errors import MissingPackageError

_FIXED = ("action", "table", "position")
_INTEGERS = re.compile(r"(small|big|medium|tiny)?int(eger)?[248]?\b|(small|big)?serial\b|oid\b|year\b", re.IGNORECASE)
_DECIMAL = re.compile(r"(?:numeric|decimal)\((\d+)(?:, *(-?\d+))?\)", re.IGNORECASE)
_FLOATS = re.compile(r"(double|real|float)", re.IGNORECASE)
_BOOLEANS = re.compile(r"bool(ean)?$", re.IGNORECASE)


def _type(pyarrow: Any, name: str) -> Any:
    if name.endswith("[]"):
        return pyarrow.string()
    if decimal := _DECIMAL.match(name):
        precision, scale = int(decimal[1]), int(decimal[2] or 0)
        if precision <= 76 and 0 <= scale <= precision:
            return pyarrow.decimal128(precision, scale) if precision <= 38 else pyarrow.decimal256(precision, scale)
    if _FLOATS.match(name):
        return pyarrow.float64()
    if _BOOLEANS.match(name):
        return pyarrow.bool_()
    if _INTEGERS.match(name):
        return pyarrow.uint64() if "unsigned" in name.lower() else pyarrow.int64()
    return pyarrow.string()


def _text(value: Any) -> Optional[str]:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def table(types: "dict[str, str]", columns: "dict[str, list[Any]]", rows: int) -> Any:
    """The columns as a table; `types` names the database's type of every column that there may be."""
    try:
        import pyarrow  # type: ignore[import-untyped,unused-ignore]
    except ImportError as cause:
        raise MissingPackageError("to_arrow needs the package pyarrow", "pip install 'list_sync[arrow]'") from cause
    schema = [(name, pyarrow.string()) for name in _FIXED]
    names = dict.fromkeys([*types, *columns])
    schema += [(name, _type(pyarrow, types.get(name, ""))) for name in names if name not in _FIXED]
    arrays = []
    for name, kind in schema:
        values = columns.get(name, [None] * rows)
        arrays.append(pyarrow.array(map(_text, values) if kind == pyarrow.string() else values, kind))
    return pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(schema))
