"""Which table of a folder holds what in a typed graph: what ``graph.toml`` says, else what the files are called."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphrep.errors import FileFormatError, UnknownNameError
from graphrep.registry import suggest

__all__ = [
    "LAYOUT_FILE",
    "MATRICES",
    "EdgeTable",
    "FolderLayout",
    "NodeTable",
    "folder_layout",
    "is_typed_folder",
    "relation_name",
]

LAYOUT_FILE = "graph.toml"
MATRICES = (".npz", ".npy")  # files of features without ids, a row for each row of the node table
_TABLES = (".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow")
_PACKED = (".gz", ".bz2", ".xz")
_NODES = "nodes"
_KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "[graph]": {"name": (str,), "target": (str,), "metapaths": (list,)},
    "[nodes]": {
        "file": (str,), "id": (str,), "label": (str, list, bool), "text": (str, bool), "features": (str, list, bool),
    },
    "[[edges]]": {
        "file": (str,), "source": (str,), "relation": (str,), "target": (str,), "source_column": (str, int),
        "target_column": (str, int), "weight": (str, int, bool), "header": (bool,),
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class NodeTable:
    """A table with a row per node of a type.

    Attributes:
        file: the table; None for a type that only the edges name.
        id: column of the ids; None: by its name, else the first.
        label: column of the classes, or one 0/1 column per label; None: by its name; False: none.
        text: column of a text per node, likewise.
        features: columns of numbers; None: all that hold numbers; False: none; or a file of its own.
    """

    file: Path | None = None
    id: str | None = None
    label: str | tuple[str, ...] | bool | None = None
    text: str | bool | None = None
    features: Path | tuple[str, ...] | bool | None = None


@dataclasses.dataclass(frozen=True)
class EdgeTable:
    """A table with a row per edge of a relation; columns that are None are found out."""

    file: Path
    edge_type: tuple[str, str, str]
    source: str | int | None = None
    target: str | int | None = None
    weight: str | int | bool | None = None
    header: bool | None = None

    @property
    def ends(self) -> tuple[str, str]:
        """The types of the nodes at both ends."""
        return (self.edge_type[0], self.edge_type[2])


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """All tables of a folder.

    Attributes:
        origin: what errors about the layout begin with.
        nodes: by node type; every type that a relation names is there, in the order of their mention.
        unused: node types with a table that no relation names.
    """

    origin: str
    name: str
    nodes: dict[str, NodeTable]
    edges: tuple[EdgeTable, ...]
    target: str | None = None
    metapaths: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def is_typed_folder(folder: Path) -> bool:
    """Whether a folder says that it holds a typed graph: a ``graph.toml``, or tables with names that only this means.

    These are ``nodes-TYPE.csv`` beside others; or two tables or more that are all called ``SOURCE-TARGET.csv`` or
    ``SOURCE-RELATION-TARGET.csv``.
    """
    if not folder.is_dir():
        return False
    if (folder / LAYOUT_FILE).is_file():
        return True
    stems = list(_tables(folder).values())
    fitting = [stem for stem in stems if len(stem) in (2, 3) and all(stem)]
    return len(stems) > 1 and (len(fitting) == len(stems) or any(stem[0] == _NODES for stem in fitting))


def relation_name(source: str, target: str) -> str:
    """What a relation without a name is called: ``pa``, ``paper_author``; with it the other direction is known too."""
    return f"{source}{target}" if len(source) == len(target) == 1 else f"{source}_{target}"


def folder_layout(folder: Path) -> FolderLayout:
    """The layout of a folder.

    Raises:
        FileFormatError: no such folder or file, not TOML, a value of another kind, no relations, two of one name, or
            names of files that do not say what they hold.
        UnknownNameError: a key that ``graph.toml`` does not have.
    """
    if not folder.is_dir():
        raise FileFormatError(f"There is no folder {folder}.", hint="check the spelling and the working folder")
    given = _toml(folder)
    head = _checked(given.get("graph", {}), "[graph]", "[graph]")
    named = {key: _node_table(folder, key, part) for key, part in given.get("nodes", {}).items()}
    claimed = {path for table in named.values() for path in (table.file, table.features) if isinstance(path, Path)}
    if "edges" in given:
        edges = [_edge_table(folder, number, part) for number, part in enumerate(given["edges"], start=1)]
    else:
        edges = _edges_by_name(folder, claimed, toml=bool(given))
    if not edges:
        raise FileFormatError(f"{folder} holds no relations.", hint=f"[[edges]] in {LAYOUT_FILE}, or a table a-b.csv")
    _refuse_twice(edges)
    types = dict.fromkeys(end for table in edges for end in table.ends)
    by_name = _nodes_by_name(folder, claimed)
    nodes = {key: _with_file(named.get(key, NodeTable()), by_name, key) for key in [*named, *types, *by_name]}
    _check_paths(head.get("metapaths", []))
    return FolderLayout(
        origin=LAYOUT_FILE if given else folder.resolve().name,
        name=head.get("name") or folder.resolve().name,
        nodes=nodes,
        edges=tuple(edges),
        target=head.get("target"),
        metapaths=tuple(head.get("metapaths", ())),
        unused=tuple(key for key in nodes if key not in types),
    )


def _toml(folder: Path) -> dict[str, Any]:
    """The tables of ``graph.toml``; empty without the file."""
    path = folder / LAYOUT_FILE
    if not path.is_file():
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not TOML: {error}.", hint='[[edges]]\nfile = "writes.csv"') from error
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}.", hint="check its rights") from error
    _known(given, ("graph", "nodes", "edges"), "table")
    shapes: dict[str, tuple[type, str]] = {
        "graph": (dict, "[graph]"), "nodes": (dict, "[nodes.paper]"), "edges": (list, "[[edges]]"),
    }  # fmt: skip
    for key, (kind, written) in shapes.items():
        part = given.get(key, kind())
        parts = [] if key == "graph" else part.values() if isinstance(part, dict) else part
        if not isinstance(part, kind) or not all(isinstance(one, dict) for one in parts):
            raise FileFormatError(f'{LAYOUT_FILE}: "{key}" is no table.', hint=written)
    return given


def _known(given: Iterable[str], known: Sequence[str], kind: str) -> None:
    for key in given:
        if key not in known:
            raise UnknownNameError(
                f'{LAYOUT_FILE} has an unknown {kind}: "{key}".{suggest(key, known)}', hint=f"one of {', '.join(known)}"
            )


def _checked(part: Mapping[str, Any], kind: str, where: str) -> dict[str, Any]:
    """A table of the file, when it has only keys of its kind with values of their type."""
    keys = _KEYS[kind]
    _known(part, tuple(keys), f"key of {where}")
    words = {str: "a text", int: "a number", list: "a list", bool: "true or false"}
    for key, value in part.items():
        texts = not isinstance(value, list) or all(isinstance(item, str) and item for item in value)
        if type(value) not in keys[key] or not texts or value == "":
            wanted = " or ".join(words[kind] + (" of texts" if kind is list else "") for kind in keys[key])
            raise FileFormatError(f"{LAYOUT_FILE}: {key} of {where} is {value!r}; it must be {wanted}.")
    return dict(part)


def _check_paths(paths: Sequence[str]) -> None:
    if len(set(paths)) < len(paths):
        twice = next(path for place, path in enumerate(paths) if path in paths[:place])
        raise FileFormatError(f'{LAYOUT_FILE}: the meta-path "{twice}" is there twice.', hint="leave one out")


def _node_table(folder: Path, key: str, part: Mapping[str, Any]) -> NodeTable:
    found = _checked(part, "[nodes]", f"[nodes.{key}]")
    file = _existing(folder, found["file"]) if "file" in found else None
    label, features = found.get("label"), found.get("features")
    if isinstance(features, str):
        path = _existing(folder, features)
        if file is None and path.suffix.lower() not in MATRICES:
            file, features = path, None  # the table of the nodes itself
        else:
            features = path
    if label is True or features is True or found.get("text") is True:
        raise FileFormatError(f"{LAYOUT_FILE}: [nodes.{key}] has true, which names nothing.", hint="a column, or false")
    return NodeTable(
        file, found.get("id"), tuple(label) if isinstance(label, list) else label, found.get("text"),
        tuple(features) if isinstance(features, list) else features,
    )  # fmt: skip


def _edge_table(folder: Path, number: int, part: Mapping[str, Any]) -> EdgeTable:
    where = f"[[edges]] number {number}"
    found = _checked(part, "[[edges]]", where)
    if "file" not in found:
        raise FileFormatError(f"{LAYOUT_FILE}: {where} names no file.", hint='file = "writes.csv"')
    file = _existing(folder, found["file"])
    stem = _stem(file) or ()
    by_name = _triple(stem) if len(stem) in (2, 3) and all(stem) else None
    ends = [found.get(key) or (by_name[place] if by_name else None) for key, place in (("source", 0), ("target", 2))]
    if None in ends:
        raise FileFormatError(
            f"{LAYOUT_FILE}: {where} ({file.name}) does not say between which types of nodes its edges are.",
            hint='source = "author", target = "paper"',
        )
    source, target = str(ends[0]), str(ends[1])
    same = by_name is not None and (by_name[0], by_name[2]) == (source, target)
    relation = found.get("relation") or (by_name[1] if same and by_name else relation_name(source, target))
    return EdgeTable(
        file, (source, relation, target), found.get("source_column"), found.get("target_column"), found.get("weight"),
        found.get("header"),
    )  # fmt: skip


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        others = [entry.name for entry in folder.iterdir() if entry.is_file() and entry.name != LAYOUT_FILE]
        raise FileFormatError(
            f"{LAYOUT_FILE} names {name}, and {folder} has no such file.{suggest(name, others)}",
            hint=f"one of {', '.join(sorted(others)[:6])}" if others else f"a table in {folder}",
        )
    return path


def _refuse_twice(edges: Sequence[EdgeTable]) -> None:
    files: dict[tuple[str, str, str], Path] = {}
    for table in edges:
        if table.edge_type in files:
            raise FileFormatError(
                f"{files[table.edge_type].name} and {table.file.name} hold the same relation, "
                f"{'-'.join(table.edge_type)}.",
                hint=f"relation = another name for one of them in {LAYOUT_FILE}, or one table",
            )
        files[table.edge_type] = table.file


def _stem(path: Path) -> tuple[str, ...] | None:
    """The parts of a table's name between dashes, without its endings; None for a file that is no table."""
    name = path.name
    for ending in _PACKED:
        name = name.removesuffix(ending)
    for ending in _TABLES:
        if name.lower().endswith(ending) and not name.startswith("."):
            return tuple(name[: -len(ending)].split("-"))
    return None


def _tables(folder: Path) -> dict[Path, tuple[str, ...]]:
    """The tables in a folder by name, with the parts of their names."""
    found = ((path, _stem(path)) for path in sorted(folder.iterdir()) if path.is_file())
    return {path: stem for path, stem in found if stem is not None}


def _triple(stem: Sequence[str]) -> tuple[str, str, str]:
    return (stem[0], stem[1] if len(stem) == 3 else relation_name(stem[0], stem[-1]), stem[-1])


def _edges_by_name(folder: Path, claimed: set[Path], *, toml: bool) -> list[EdgeTable]:
    edges = []
    for path, stem in _tables(folder).items():
        if path in claimed or (stem[0] == _NODES and len(stem) == 2):
            continue
        if len(stem) not in (2, 3) or not all(stem):
            raise FileFormatError(
                f"{folder}: the name of {path.name} does not say which relation it holds.",
                hint=f"SOURCE-TARGET.csv, SOURCE-RELATION-TARGET.csv or nodes-TYPE.csv; or [[edges]] in {LAYOUT_FILE}",
            )
        edges.append(EdgeTable(path, _triple(stem)))
    return edges


def _nodes_by_name(folder: Path, claimed: set[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, stem in _tables(folder).items():
        if stem[0] == _NODES and len(stem) == 2 and path not in claimed:
            if stem[1] in found:
                raise FileFormatError(
                    f"{found[stem[1]].name} and {path.name} hold the same nodes.", hint="one table for each type"
                )
            found[stem[1]] = path
    return found


def _with_file(table: NodeTable, by_name: Mapping[str, Path], key: str) -> NodeTable:
    return table if table.file is not None or key not in by_name else dataclasses.replace(table, file=by_name[key])
