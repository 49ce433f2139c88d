"""What every result has in common: a frozen dataclass of plain numbers that prints as a table and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

__all__ = ["EvalWarning", "Result"]


class EvalWarning(UserWarning):
    """A number was computed, but by a rule the reader must know about (few negatives, fewer folds, collapse)."""


@dataclass(frozen=True, eq=False)
class Result:
    """Base of the results: `to_dict`, `to_json`, a one-line `repr` and a table as `str`.

    Arrays with an entry per node or pair stay out of the JSON unless asked for; JSON has no NaN, so NaN becomes null.

    Example:
        >>> from graphrep.eval import summarize
        >>> summarize([5.0]).to_json()
        '{"kind": "Summary", "mean": 5.0, "std": null, "std_population": 0.0, "ci95": [null, null], "n": 1}'
    """

    def to_dict(self, *, arrays: bool = False) -> dict[str, Any]:
        """Plain Python values by field name; with `arrays` also the per-item arrays, as lists."""
        found: dict[str, Any] = {"kind": type(self).__name__}
        for field in fields(self):
            value = getattr(self, field.name)
            if arrays or not isinstance(value, np.ndarray):
                found[field.name] = _plain(value)
        return found

    def to_json(self, *, arrays: bool = False, indent: int | None = None) -> str:
        """The result as JSON text; `arrays` adds the per-item arrays."""
        return json.dumps(self.to_dict(arrays=arrays), indent=indent, allow_nan=False)

    def __repr__(self) -> str:
        inside = ", ".join(f"{field.name}={_short(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({inside})"

    def __str__(self) -> str:
        rows = [row for field in fields(self) for row in _rows(field.name, getattr(self, field.name))]
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join([type(self).__name__, *(f"  {name:<{width}}  {text}" for name, text in rows)])


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _short(value: Any) -> str:
    if isinstance(value, bool | int | str) or value is None:
        return repr(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        shown = ", ".join(_short(item) for item in value[:6]) + (", ..." if len(value) > 6 else "")
        return f"[{shown}]" if isinstance(value, list) else f"({shown})"
    return repr(value)


def _rows(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{name}@{key}", _short(item)
    elif not isinstance(value, np.ndarray):
        yield name, _short(value)
