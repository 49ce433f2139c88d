"""Meta-paths in words: read against the types and relations of a graph, or proposed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphrep.data import HeteroGraph
from graphrep.errors import GraphrepError
from graphrep.nn._metapath_schema import Schema, turned_round
from graphrep.nn._metapath_steps import entries_at_most

__all__ = ["MetaPathProposal", "parse_metapath", "propose_metapaths"]


def parse_metapath(graph: Any, text: str | Sequence[Any], target: str | None = None) -> list[str]:
    """The relation names of a meta-path, for :func:`~graphrep.nn.metapath_adjacency`.

    Args:
        graph: a :class:`~graphrep.HeteroGraph` or what ``HeteroGraph.coerce`` takes; or its edge types alone, triples
            (source type, relation, destination type), or PyG's ``metadata()``.
        text: node types in order, joined by ``>``, spaces or ``-``: ``"author>paper>author"``. Where types are joined
            by several relations, the relation stands between them: ``"author>writes>paper>writes>author"``; ``~`` in
            front of it turns it round. Single letters need nothing between them: ``"PAP"`` names types of one letter,
            or those that begin with it where only one does. Upper and lower case are one where nothing else tells.
            A list may also hold relation names, or triples, which are checked and passed on.
        target: the type that the path leads from and back to; default the graph's target, else where the path starts.

    Returns:
        Names of ``graph.relations()``, ``"~name"`` for those that lead the other way. Of a relation and another one
        that is stored for the opposite direction, the one that leads the right way is taken.

    Raises:
        UnknownNameError: a type or relation that is not there; the message has the closest one.
        GraphrepError: the path does not lead from the target back to it, two types in a row are not joined by any
            relation or by several, or a letter could be several types.

    Example:
        >>> schema = [("paper", "by", "author"), ("paper", "in", "venue")]
        >>> parse_metapath(schema, "author>paper>author"), parse_metapath(schema, "PVP")
        (['~by', 'by'], ['in', '~in'])
    """
    schema = Schema.of(graph)
    names = schema.read(text)
    types = schema.types_along(names)
    shown = text if isinstance(text, str) else ">".join(types)
    wanted = schema.target if target is None else schema.node_type(target, "target")
    if wanted is not None and types[0] != wanted:
        raise GraphrepError(
            f'the meta-path "{shown}" starts at {types[0]}; the target type is {wanted}.',
            hint=f"a path from {wanted} back to {wanted}",
        )
    if types[-1] != types[0]:
        raise GraphrepError(
            f'the meta-path "{shown}" ends at {types[-1]}; it must return to {types[0]}.',
            hint=f'"{schema.text(names + turned_round(names))}"',
        )
    return names


class MetaPathProposal(NamedTuple):
    """A meta-path that a graph's types allow.

    Attributes:
        text: what :func:`parse_metapath` reads as this path.
        path: relation names.
        entries: upper bound of the entries of its matrix; 0 where there is no path.
    """

    text: str
    path: list[str]
    entries: int


def propose_metapaths(
    graph: Any, target: str | None = None, *, max_length: int = 4, limit: int = 8
) -> list[MetaPathProposal]:
    """The meta-paths from a type to others and back the same way: ``target>x>target``, ``target>x>y>x>target``, ...

    Each sequence of types comes once, or once for each choice of relations where several join two types; a relation
    that is also stored for the other direction is no choice. Between its ends a path does not come to the target,
    except directly through a relation of the target with itself.

    Args:
        graph: a :class:`~graphrep.HeteroGraph` or what ``HeteroGraph.coerce`` takes.
        target: a node type; default the graph's target.
        max_length: most steps, 2 or more.
        limit: most proposals.

    Returns:
        Proposals, the shortest first, in the order of the graph's types; paths without entries are listed too.

    Raises:
        UnknownNameError: `target` is no node type.
        GraphrepError: there is no target, or a number is out of range.

    Example:
        >>> graph = HeteroGraph({("paper", "by", "author"): [[0, 1, 1], [0, 0, 1]]})
        >>> propose_metapaths(graph, "author")
        [MetaPathProposal(text='author>paper>author', path=['~by', 'by'], entries=4)]
    """
    hetero = HeteroGraph.coerce(graph)
    schema = Schema.of(hetero)
    for name, number, least in (("max_length", max_length, 2), ("limit", limit, 1)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise GraphrepError(
                f"{name} must be an integer of at least {least}; got {number!r}.", hint=f"{name}={least}"
            )
    start = schema.target if target is None else schema.node_type(target, "target")
    if start is None:
        raise GraphrepError("the graph has no target type.", hint=f'target="{schema.node_types[0]}"')
    relations = hetero.relations()
    found: list[MetaPathProposal] = []
    halves: list[list[str]] = [[]]
    for _ in range(max_length // 2):
        halves = [[*half, name] for half in halves for name in _onward(schema, start, half)]
        for half in halves[: limit - len(found)]:
            path = half + turned_round(half)
            found.append(MetaPathProposal(schema.text(path), path, entries_at_most(relations, path)))
    return found


def _onward(schema: Schema, start: str, half: list[str]) -> list[str]:
    """The relations that lead on from the end of half a path."""
    if not half:
        return [name for other in schema.node_types for name in schema.joining(start, other)]
    types = schema.types_along(half)
    if types[-1] == start:
        return []
    return [name for other in schema.node_types if other != start for name in schema.joining(types[-1], other)]
