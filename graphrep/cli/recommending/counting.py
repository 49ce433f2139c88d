"""Numbers with their nouns."""

from __future__ import annotations

from graphrep.data.check import grouped

__all__ = ["counted"]


def counted(count: int, noun: str, *, total: int | None = None) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "row"), counted(1200, "row"), counted(1, "user", total=30)
        ('1 row', '1 200 rows', '1 of 30 users')
    """
    whole = count if total is None else total
    head = grouped(count) if total is None else f"{grouped(count)} of {grouped(total)}"
    return f"{head} {noun}{'' if whole == 1 else 's'}"
