"""Short names of edge types, unique within a graph, for the strings of a meta-path."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["plain_names", "turned"]


def plain_names(edge_types: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """A name for each edge type: the first of four forms in which no two are equal and none begins with ``~``.

    Example:
        >>> plain_names([("p", "pa", "a"), ("p", "ps", "s")])
        {('p', 'pa', 'a'): 'pa', ('p', 'ps', 's'): 'ps'}
        >>> list(plain_names([("p", "to", "a"), ("a", "to", "p")]).values())
        ['p_a', 'a_p']
    """
    forms = (
        [relation for _, relation, _ in edge_types],
        [f"{source}_{destination}" for source, _, destination in edge_types],
        ["_".join(edge_type) for edge_type in edge_types],
        [str(edge_type) for edge_type in edge_types],
    )
    for names in forms:
        if len(set(names)) == len(names) and not any(name.startswith("~") for name in names):
            break
    return dict(zip(edge_types, names, strict=True))


def turned(edge_type: tuple[str, str, str], name: str) -> str | None:
    """The name of the opposite direction of a relation that is named by its two types, else None.

    Example:
        >>> turned(("p", "pa", "a"), "pa"), turned(("p", "cites", "p"), "cites")
        ('ap', None)
    """
    source, _, destination = edge_type
    if source == destination:
        return None
    for gap in ("", "_"):
        if name == f"{source}{gap}{destination}":
            return f"{destination}{gap}{source}"
    return None
