"""Writes the small TOML files of runs (tables of numbers, strings, booleans and lists); tomllib reads them back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["dumps"]


def dumps(tables: Mapping[str | tuple[str, ...], Mapping[str, Any] | Sequence[Mapping[str, Any]]]) -> str:
    """TOML text of tables of plain values; a key whose value is None is left out.

    A name of several parts is that of a table inside others, and a list of tables is written as one after the other.

    Raises:
        TypeError: a value that TOML cannot hold.

    Example:
        >>> print(dumps({"params": {"dim": 8, "weights": [0.0, 1.0], "x0": None}}), end="")
        [params]
        dim = 8
        weights = [0.0, 1.0]
        >>> print(dumps({("nodes", "a"): {"id": "id"}, "edges": [{"file": "a-b.csv"}]}), end="")
        [nodes.a]
        id = "id"
        <BLANKLINE>
        [[edges]]
        file = "a-b.csv"
    """
    blocks = []
    for table, content in tables.items():
        name = ".".join(_key(part) for part in ((table,) if isinstance(table, str) else table))
        head = f"[{name}]" if isinstance(content, Mapping) else f"[[{name}]]"
        for values in [content] if isinstance(content, Mapping) else content:
            lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items() if value is not None]
            if lines:
                blocks.append("\n".join([head, *lines]) + "\n")
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
