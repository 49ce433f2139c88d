"""The settings of a run, from recipe, config file, options and ``--set``; what comes later wins."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphrep.data.toml import dumps
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = [
    "KEYS", "Settings", "collect", "parse_columns", "parse_counts", "parse_numbers", "parse_sets", "parse_shares",
    "read_config", "to_toml",
]  # fmt: skip

Settings = dict[str, dict[str, Any]]

# Tables of a config file with their keys; [params] is free here and checked against the method's constructor.
KEYS: dict[str, tuple[str, ...]] = {
    "run": (
        "command",
        "graph",
        "method",
        "recipe",
        "out",
        "format",
        "device",
        "threads",
        "deterministic",
        "data_dir",
        "features",
        "text",
    ),
    "read": (
        "source",
        "target",
        "weight",
        "directed",
        "sep",
        "header",
        "fill_nan",
        "user",
        "item",
        "rating",
        "time",
    ),
    "params": (),
    "cluster": ("k", "runs", "labels", "baselines", "time_budget", "knn", "projection"),
    "recommend": (
        "at",
        "split",
        "test",
        "validation",
        "protocol",
        "average",
        "users",
        "include_seen",
        "implicit",
        "min_rating",
        "index",
    ),
    "linkpred": (
        "methods",
        "compare",
        "runs",
        "split",
        "split_by",
        "shares",
        "allow_leak",
        "at",
        "heart",
        "heart_file",
        "heart_links",
        "pair_score",
    ),
    "lmgnn": ("shares",),
    "eval": (
        "protocol",
        "C",
        "c",
        "ratios",
        "shuffles",
        "seeds",
        "multilabel",
        "normalize",
        "solver",
        "lr",
        "weight_decay",
    ),
}


def collect(*layers: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Joins layers of settings; a later layer wins key by key, and a value of None says nothing.

    Example:
        >>> collect({"params": {"dim": 8, "seed": 1}}, {"params": {"dim": 16, "seed": None}})["params"]
        {'dim': 16, 'seed': 1}
    """
    joined: Settings = {table: {} for table in KEYS}
    for layer in layers:
        for table, values in layer.items():
            joined[table].update({key: value for key, value in values.items() if value is not None})
    return joined


def parse_sets(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Values of repeated ``--set key=value``: TOML values, fractions, comma-separated lists, else plain text.

    Raises:
        UnknownNameError: a pair without ``=``.

    Example:
        >>> parse_sets(["dim=64", "weights=0,0,1,6.67", "normalize=false", "density=1/3", "rng=gds"])
        {'dim': 64, 'weights': [0.0, 0.0, 1.0, 6.67], 'normalize': False, 'density': 0.3333333333333333, 'rng': 'gds'}
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UnknownNameError(f'--set needs key=value; got "{pair}".', hint="--set dim=128")
        found[key.strip().replace("-", "_")] = _parse(text.strip())
    return found


def _parse(text: str) -> Any:
    if "," in text and not text.startswith(("[", '"')):
        items = [_parse(item.strip()) for item in text.split(",") if item.strip()]
        # A list of numbers is one of floats, so that 0,1 and 0.0,1.0 leave the same config behind.
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
        return [float(item) for item in items] if numbers else items
    above, slash, below = text.partition("/")
    if slash and above.isdigit() and below.isdigit() and int(below):
        return int(above) / int(below)
    if text in ("True", "False"):
        return text == "True"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def parse_numbers(text: str, option: str) -> list[float]:
    """The numbers of a comma-separated option.

    Raises:
        GraphrepError: something else than numbers.

    Example:
        >>> parse_numbers("0, 1,6.5", "--weights")
        [0.0, 1.0, 6.5]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise GraphrepError(
            f'{option} takes numbers with commas between; got "{text}".', hint=f"{option} 0,1,1"
        ) from None


def parse_shares(text: str, option: str) -> list[float]:
    """The numbers of A/B/C.

    Raises:
        GraphrepError: something else than three numbers.

    Example:
        >>> parse_shares("85/5/10", "--links")
        [85.0, 5.0, 10.0]
    """
    try:
        found = [float(part) for part in text.split("/")]
    except ValueError:
        found = []
    if len(found) != 3:
        raise GraphrepError(f"{option} {text}: three numbers are needed.", hint=f"{option} 85/5/10")
    return found


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 1 on with commas between, ascending, each once.

    Raises:
        GraphrepError: something else.

    Example:
        >>> parse_counts("40,20", "--at")
        (20, 40)
    """
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = [0]
    if found[0] < 1:
        raise GraphrepError(f'{option} takes numbers, 1 or more; got "{text}".', hint=f"{option} 20 or {option} 20,40")
    return tuple(found)


def parse_columns(text: str | None) -> dict[str, Any]:
    """Reader options of ``--columns source,target[,weight]``; digits are positions from 0.

    Raises:
        GraphrepError: not two or three columns.

    Example:
        >>> parse_columns("author_a,author_b,4")
        {'source': 'author_a', 'target': 'author_b', 'weight': 4}
    """
    if text is None:
        return {}
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3) or not all(parts):
        message = f'--columns takes source,target or source,target,weight; got "{text}".'
        raise GraphrepError(message, hint="--columns 0,1,3")
    columns = [int(part) if part.isdigit() else part for part in parts]
    return dict(zip(("source", "target", "weight"), columns, strict=False))


def read_config(path: Path) -> Settings:
    """The settings in a config file of an earlier run.

    Raises:
        FileFormatError: no such file, or it is not TOML.
        UnknownNameError: a table or key that no run has.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise FileFormatError(f"Cannot read {path}: {error.strerror}.", hint="--config runs/x/config.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not a TOML file: {error}.", hint="--save-config writes a good one") from error
    for table, values in tables.items():
        if table not in KEYS or not isinstance(values, dict):
            raise UnknownNameError(
                f'{path}: unknown table "{table}".{suggest(table, KEYS)}', hint=f"one of {', '.join(KEYS)}"
            )
        for key in values if table != "params" else ():
            if key not in KEYS[table]:
                raise UnknownNameError(
                    f'{path}: [{table}] has no key "{key}".{suggest(key, KEYS[table])}',
                    hint=f"one of {', '.join(KEYS[table])}",
                )
    return collect(tables)


def to_toml(settings: Settings) -> str:
    """The text of a config file that repeats these settings."""
    return dumps({table: settings.get(table, {}) for table in KEYS})
