"""Writes the small TOML files of runs (tables of numbers, strings, booleans and lists); tomllib reads them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["dumps"]


def dumps(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML text of tables of plain values; a key whose value is None is left out.

    Raises:
        TypeError: a value that TOML cannot hold.

    Example:
        >>> print(dumps({"params": {"dim": 8, "weights": [0.0, 1.0], "x0": None}}), end="")
        [params]
        dim = 8
        weights = [0.0, 1.0]
    """
    blocks = []
    for table, values in tables.items():
        lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items() if value is not None]
        if lines:
            blocks.append("\n".join([f"[{_key(table)}]", *lines]) + "\n")
    return "\n".join(blocks)


def _key(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's too; only DEL must be escaped in TOML and is not in JSON.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"{type(value).__name__} has no TOML form: {value!r}")
