"""The options of text files that the data commands share, as `graphrep.read` wants them."""

from __future__ import annotations

from typing import Any

from graphrep.cli.settings import parse_columns

__all__ = ["reading"]


def reading(columns: str | None, no_weight: bool, sep: str | None, **flags: bool) -> dict[str, Any]:
    """Only what was asked for, so that a named data set, which takes none of these, can be read as well.

    Example:
        >>> reading("0,2", False, None, directed=True, raw=False)
        {'source': 0, 'target': 2, 'directed': True}
    """
    given: dict[str, Any] = dict(parse_columns(columns))
    if no_weight:
        given["weight"] = False
    if sep:
        given["sep"] = sep
    return given | {name: True for name, wanted in flags.items() if wanted}
