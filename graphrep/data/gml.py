"""GML, read: one graph of nested ``key value`` pairs; nodes are named by their labels where these are distinct."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphrep.data._bytes import text_bytes
from graphrep.data._listing import Listing
from graphrep.data.graph import Graph
from graphrep.errors import EdgeListError, FileFormatError

__all__ = ["read_gml"]

_DEPTH = 64
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*) | (?P<text>"[^"]*") | (?P<open>\[) | (?P<close>\])
      | (?P<word>[A-Za-z_][\w.-]*|[+-]INF) | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)""",
    re.VERBOSE | re.ASCII,
)
_NAMED = {"nan": float("nan"), "inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf")}


def read_gml(path: Path, *, weight: str | bool | int | None = None, **cleaning: Any) -> Graph:
    """Reads the graph of a GML file; :func:`graphrep.read` has the arguments. Weights: ``weight``, else ``value``.

    Raises:
        FileFormatError: not GML, or nested more than 64 deep; the message has the line.
        EdgeListError: an edge to a node that is not listed, or a weight that is no number.
    """
    name = path.name
    graphs = [value for key, value in _parse(path) if key == "graph"]
    if len(graphs) != 1 or not isinstance(graphs[0], list):
        raise FileFormatError(f"{name} holds {len(graphs)} graphs; one is read.", hint="graph [ node [ id 0 ] ... ]")
    listing, parts = Listing(name, "GML", weight, ("weight", "value")), graphs[0]
    nodes = [_block(name, value, "node") for key, value in parts if key == "node"]
    edges = [_block(name, value, "edge") for key, value in parts if key == "edge"]
    directed = dict(parts).get("directed") == 1
    names = _names(name, nodes)
    for node, title in zip(nodes, names.values(), strict=True):
        listing.node(title, {k: v for k, v in node.items() if k != "id" and not (k == "label" and v == title)})
    for i, edge in enumerate(edges):
        ends = [edge.get(end) for end in ("source", "target")]
        if not all(isinstance(v, int | float | str) and v in names for v in ends):
            raise EdgeListError(
                f"{name}: edge {i} (from 0) runs from {ends[0]!r} to {ends[1]!r}, which are not both ids of nodes.",
                hint="edge [ source ID target ID ]",
            )
        source, target = (listing.number[names[v]] for v in ends)
        listing.edge(source, target, edge, directed=directed)
    return listing.finish(cleaning, directed=directed)


def _names(source: str, nodes: list[dict[str, Any]]) -> dict[Any, Any]:
    """Id -> label where every node has one of its own, else to itself."""
    ids = [node.get("id") for node in nodes]
    if not all(isinstance(v, int | float | str) for v in ids) or len(set(ids)) < len(ids):
        raise FileFormatError(f"{source}: every node needs an id of its own.", hint="node [ id 0 ]")
    labels = [node.get("label") for node in nodes]
    if all(isinstance(v, str) and v for v in labels) and len(set(labels)) == len(labels):
        return dict(zip(ids, labels, strict=True))
    return dict(zip(ids, ids, strict=True))


def _block(source: str, value: Any, kind: str) -> dict[str, Any]:
    if not isinstance(value, list):
        raise FileFormatError(f"{source}: {kind} {value!r} is no block.", hint=f"{kind} [ ... ]")
    return dict(value)


def _parse(path: Path) -> list[tuple[str, Any]]:
    """Pairs of key and value; a block is a list of pairs."""
    raw = text_bytes(path).tobytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # GML's own rule is 7-bit text; many files are Latin-1
    top: list[tuple[str, Any]] = []
    stack: list[list[tuple[str, Any]]] = [top]
    key: str | None = None
    for kind, token, at in _tokens(path.name, text):
        if kind == "close":
            problem = "a ] too many" if len(stack) == 1 else f"{key} has no value" if key else ""
            if problem:
                raise _broken(path.name, text, at, problem)
            stack.pop()
        elif key is None:
            if kind != "word":
                raise _broken(path.name, text, at, f"a key was expected, found {token[:40]}")
            key = token
        elif kind == "open":
            if len(stack) > _DEPTH:
                raise _broken(path.name, text, at, f"blocks are nested more than {_DEPTH} deep")
            block: list[tuple[str, Any]] = []
            stack[-1].append((key, block))
            stack.append(block)
            key = None
        else:
            value = _value(kind, token)
            if value is None:
                raise _broken(path.name, text, at, f"{key} has the value {token[:40]}, which is no number or text")
            stack[-1].append((key, value))
            key = None
    if len(stack) > 1 or key is not None:
        raise _broken(path.name, text, len(text), "the file ends inside a block")
    return top


def _tokens(source: str, text: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _broken(source, text, at, f"{text[at : at + 20]!r} is not understood")
        if found.lastgroup not in (None, "space"):
            yield str(found.lastgroup), found.group(), at
        at = found.end()


def _value(kind: str, token: str) -> Any:
    if kind == "text":
        return html.unescape(token[1:-1])
    if kind == "word":
        return _NAMED.get(token.lower())
    return int(token) if re.fullmatch(r"[+-]?[0-9]{1,18}", token) else float(token)


def _broken(source: str, text: str, at: int, problem: str) -> FileFormatError:
    line = text.count("\n", 0, at) + 1
    return FileFormatError(f"{source}, line {line}: {problem}.", hint="is this a complete GML file?")
