"""Node types and relations of a graph, and paths among them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from graphrep.data import HeteroGraph
from graphrep.data._relations import plain_names, turned
from graphrep.data.hetero import EdgeType
from graphrep.errors import DTypeError, GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["Schema", "turned_round"]


def turned_round(names: Sequence[str]) -> list[str]:
    """The way back along a path.

    Example:
        >>> turned_round(["by", "~in"])
        ['in', '~by']
    """
    return [name.removeprefix("~") if name.startswith("~") else f"~{name}" for name in reversed(names)]


class Schema:
    """The types of nodes and edges.

    Args:
        node_types: in order.
        edge_types: triples (source type, relation, destination type).
        target: the type that has labels, if any.
    """

    def __init__(self, node_types: Sequence[str], edge_types: Sequence[EdgeType], target: str | None = None) -> None:
        self.node_types, self.target = tuple(node_types), target
        self.names = plain_names(list(edge_types))
        self._relations = {part for edge_type, name in self.names.items() for part in (edge_type[1], name)}
        self._ends = {name: (source, destination) for (source, _, destination), name in self.names.items()}
        for edge_type, name in self.names.items():
            other = turned(edge_type, name)
            if other is not None:
                self._ends.setdefault(other, (edge_type[2], edge_type[0]))

    @classmethod
    def of(cls, graph: Any) -> Schema:
        """Of a graph, of a list of edge types, or of PyG's ``metadata()``."""
        if isinstance(graph, tuple | list) and graph and all(isinstance(part, tuple | list) for part in graph):
            types, edges = (graph[0], graph[1]) if len(graph) == 2 and _triples(graph[1]) else ((), graph)
            if not _triples(edges):
                raise DTypeError(f"{graph!r} is no schema.", hint='[("paper", "by", "author"), ...]')
            triples = [tuple(edge) for edge in edges]
            ends = dict.fromkeys(end for source, _, destination in triples for end in (source, destination))
            return cls(list(dict.fromkeys([*types, *ends])), triples)  # PyG lists only types that hold something
        hetero = HeteroGraph.coerce(graph)
        return cls(hetero.node_types, hetero.edge_types, hetero.target)

    def ends(self, name: str) -> tuple[str, str] | None:
        """(type, type) that a relation leads from and to; None for an unknown one."""
        if name in self._ends:
            return self._ends[name]
        found = self._ends.get(name.removeprefix("~")) if name.startswith("~") else None
        return None if found is None else found[::-1]

    def types_along(self, names: Sequence[str]) -> list[str]:
        """The node types of a path of known relations, one more than there are names.

        Raises:
            GraphrepError: a step starts elsewhere than the one before it ends.
        """
        ends = [self.ends(name) or ("", "") for name in names]
        for place, (one, other) in enumerate(itertools.pairwise(ends), start=1):
            if one[1] != other[0]:
                raise GraphrepError(
                    f'steps {place} and {place + 1} do not fit: "{names[place - 1]}" leads to {one[1]}, '
                    f'"{names[place]}" starts at {other[0]}.',
                    hint=f'"{turned_round([names[place]])[0]}"' if one[1] == other[1] else "one type after another",
                )
        return [ends[0][0], *(destination for _, destination in ends)]

    def joining(self, source: str, destination: str, relation: str | None = None) -> list[str]:
        """The names of relations, or of the one called `relation`, that lead from one type to another.

        One that is stored for the other direction is turned round. It is left out where it is the opposite of one that
        is stored for this direction: by its name (PyG's ``rev_``), or because there is one of either kind.
        """
        back = relation is not None and relation.startswith("~")
        wanted = None if relation is None else relation.removeprefix("~")
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for edge_type, name in self.names.items():
            if wanted is None or wanted in (edge_type[1], name):
                if (edge_type[0], edge_type[2]) == (source, destination):
                    found[0][name] = edge_type[1]
                if (edge_type[2], edge_type[0]) == (source, destination):
                    found[1][f"~{name}"] = edge_type[1]
        if relation is not None:
            return list(found[1] if back else found[0] or found[1])
        return _without_opposites(*found)

    def read(self, text: Any) -> list[str]:
        """A path from text, or from a list of types, relations or triples."""
        if isinstance(text, str):
            tokens, shown = _tokens(text), text
            if len(tokens) == 1 and self.ends(tokens[0]) is None:
                tokens = list(tokens[0])
        elif isinstance(text, Sequence) and text and _triples(text):
            return [self._triple(tuple(part)) for part in text]
        elif isinstance(text, Sequence) and all(isinstance(part, str) for part in text):
            tokens, shown = list(text), ">".join(text)
        else:
            raise DTypeError(f"{text!r} is no meta-path.", hint='"PAP", "author>paper>author", or relation names')
        if tokens and all(self.ends(token) is not None for token in tokens):
            return tokens
        return self._read_types(tokens, shown)

    def _triple(self, edge_type: tuple[Any, ...]) -> str:
        if edge_type not in self.names:
            known = ", ".join(map(str, self.names))
            raise UnknownNameError(f"There is no edge type {edge_type}.", hint=f"one of {known}")
        return self.names[edge_type]

    def _read_types(self, tokens: list[str], shown: str) -> list[str]:
        """Types, with or without the relations between them."""
        if len(tokens) < 2 or shown in self.node_types:
            raise GraphrepError(f'the meta-path "{shown}" has no step.', hint='"author>paper>author"')
        names: list[str] = []
        where = f'meta-path "{shown}"'
        current, place = self.node_type(tokens[0], where), 1
        while place < len(tokens):
            relation, token = None, tokens[place]
            if place + 1 < len(tokens) and self._is_relation(token, current):
                relation, place = token, place + 1
            self._check_known(tokens[place], where)
            other = self.node_type(tokens[place], where)
            names.append(self._only(current, other, relation, where))
            current, place = other, place + 1
        return names

    def _is_relation(self, token: str, current: str) -> bool:
        """Whether a token behind a type is a relation: it is the name of one, and of no type joined to that type."""
        if token.startswith("~"):
            return True
        return token in self._relations and not any(self.joining(current, other) for other in self._candidates(token))

    def _check_known(self, token: str, where: str) -> None:
        """Raises for what is neither a type nor a relation; :meth:`node_type` speaks of types alone."""
        if not self._candidates(token) and token not in self._relations:
            raise UnknownNameError(
                f'{where}: there is no node type "{token}".{suggest(token, [*self.node_types, *self._relations])}',
                hint=f"node types: {', '.join(self.node_types)}; relations: {', '.join(self.names.values())}",
            )

    def _only(self, source: str, destination: str, relation: str | None, where: str) -> str:
        found = self.joining(source, destination, relation)
        if len(found) == 1:
            return found[0]
        among = self.joining(source, destination)
        if not among:
            raise GraphrepError(f"{where}: no relation joins {source} and {destination}.", hint=self._neighbors(source))
        if not found:
            close = suggest(str(relation), [name.removeprefix("~") for name in among])
            raise UnknownNameError(
                f'{where}: no relation "{relation}" leads from {source} to {destination}.{close}',
                hint=f"one of {', '.join(among)}",
            )
        raise GraphrepError(
            f"{where}: several relations lead from {source} to {destination}: {', '.join(found)}.",
            hint=f'say which: "{source}>{found[0]}>{destination}"',
        )

    def _neighbors(self, source: str) -> str:
        joined = [other for other in self.node_types if self.joining(source, other)]
        return f"{source} is joined with {', '.join(joined)}" if joined else f"nothing is joined with {source}"

    def _candidates(self, token: str) -> list[str]:
        """The types that a token can mean: its own name, else without case, else as a first letter."""
        if token in self.node_types:
            return [token]
        folded = token.casefold()
        same = [name for name in self.node_types if name.casefold() == folded]
        if same or len(token) > 1:
            return same
        return [name for name in self.node_types if name.casefold().startswith(folded)]

    def node_type(self, token: str, where: str) -> str:
        """The node type that a token means; `where` begins the message of the error.

        Raises:
            UnknownNameError: none.
            GraphrepError: several.
        """
        found = self._candidates(token)
        if not found:
            raise UnknownNameError(
                f'{where}: there is no node type "{token}".{suggest(token, self.node_types)}',
                hint=f"node types: {', '.join(self.node_types)}",
            )
        if len(found) > 1:
            raise GraphrepError(
                f'{where}: "{token}" could be {" or ".join(found)}.', hint='whole names: "author>paper>author"'
            )
        return found[0]

    def text(self, names: Sequence[str]) -> str:
        """Text that :meth:`read` gives back as these names."""
        types = self.types_along(names)
        parts = [types[0]]
        for name, (source, destination) in zip(names, itertools.pairwise(types), strict=True):
            parts += [destination] if self.joining(source, destination) == [name] else [name, destination]
        letters = "".join(parts)
        short = len(letters) == len(parts) and self.ends(letters) is None
        return letters if short else ">".join(parts)


def _without_opposites(forward: dict[str, str], back: dict[str, str]) -> list[str]:
    """The names of both, without those of `back` that are the opposite of one of `forward`; {name: plain relation}."""
    if {name.removeprefix("~") for name in back} == set(forward):  # a relation of a type with itself
        return list(forward)
    single = {name for name, plain in forward.items() if not any(_opposite(plain, other) for other in back.values())}
    left = [name for name, plain in back.items() if not any(_opposite(plain, other) for other in forward.values())]
    return list(forward) if len(single) == len(left) == 1 else [*forward, *left]


def _opposite(one: str, other: str) -> bool:
    return one in (other, f"rev_{other}") or other == f"rev_{one}"


def _triples(edges: Any) -> bool:
    return (
        isinstance(edges, tuple | list)
        and bool(edges)
        and all(isinstance(e, tuple | list) and len(e) == 3 and all(isinstance(p, str) for p in e) for e in edges)
    )


def _tokens(text: str) -> list[str]:
    """Split at ``>`` (or arrows), else at spaces, else at ``-``."""
    plain = text.replace("->", ">").replace("→", ">")
    if ">" in plain:
        return [part.strip() for part in plain.split(">")]
    parts = plain.split()
    return [part for part in parts[0].split("-") if part] if len(parts) == 1 else parts
