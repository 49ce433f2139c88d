"""The card of each data set: what it is, where it came from, how to cite it; one TOML file per set."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from pathlib import Path
from typing import Any

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["FAMILIES", "Card", "Download", "card", "list_datasets", "resolve"]

FAMILIES = (
    "embedded", "planetoid", "attributed", "clustering", "embedding", "linkpred", "tag", "scale", "hetero", "rec", "kg",
)  # fmt: skip
"""A short name that several families have (citeseer, acm, dblp) means the first family in this order."""


@dataclasses.dataclass(frozen=True)
class Download:
    """Where a data set's authors publish it.

    Attributes:
        form: how the files are read, a name in ``graphrep.data.fetching.forms``.
        urls: of the files, in the order that the form wants.
        content: checksum of the arrays that come out, see :func:`graphrep.data.content.content_sha256`.
        sha256: of the files themselves, where known.
    """

    form: str
    urls: tuple[str, ...]
    content: str
    sha256: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known about a data set before its file is opened.

    Attributes:
        name, family: ``family/name`` is the full name.
        description: one line.
        kind: ``graph``, or what else the file holds: ``hetero``, ``interactions``, ``knowledge graph``, ``link split``.
        task: what the set is mostly used for: ``classify``, ``cluster``, ``embed``, ``linkpred`` or ``recommend``.
        nodes, edges, features, classes: counts after cleaning; undirected edges count once.
        source: where the file was made from (a repository, a package).
        licence: as stated there, often about the code rather than the data.
        multilabel: several labels per node.
        split: the public split, in words.
        edges_key: array that holds the edges.
        file, bytes, sha256: the file under the data root; empty for the sets built from installed packages.
        notes: what a user should know.
        citation: BibTeX, empty when unknown.
        text: nodes have texts.
        approximate: the counts depend on installed versions, and are those of one set of them.
        download: where the files can be fetched, None when no address is known.
    """

    name: str
    family: str
    description: str
    kind: str
    task: str
    nodes: int
    edges: int
    features: int
    classes: int
    source: str
    licence: str
    multilabel: bool = False
    split: str = ""
    edges_key: str = "edge_index"
    file: str = ""
    bytes: int = 0
    sha256: str = ""
    notes: tuple[str, ...] = ()
    citation: str = ""
    text: bool = False
    approximate: bool = False
    download: Download | None = None

    @property
    def full_name(self) -> str:
        """``family/name``."""
        return f"{self.family}/{self.name}"


def _folder() -> Path:
    """The cards: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).parent / "cards"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "datasets"


@functools.cache
def _cards() -> dict[str, Card]:
    """Every card by full name, families in their order."""
    found: dict[str, Card] = {}
    for family in FAMILIES:
        for path in sorted((_folder() / family).glob("*.toml")):
            entry: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
            entry["notes"] = tuple(entry.get("notes", ()))
            entry["citation"] = entry.get("citation", "").strip()
            if "download" in entry:
                where: dict[str, Any] = entry["download"]
                lists: dict[str, Any] = {key: tuple(where.pop(key, ())) for key in ("urls", "sha256")}
                entry["download"] = Download(**where, **lists)
            found[f"{family}/{entry['name']}"] = Card(**entry)
    if not found:
        raise GraphrepError(f"No data set cards in {_folder()}.", hint="install graphrep again")
    return found


def list_datasets(*, task: str | None = None, family: str | None = None, kind: str | None = None) -> list[Card]:
    """The cards of all known data sets, whether or not their files are present.

    Example:
        >>> [card.name for card in list_datasets(family="embedded")]
        ['davis', 'digits', 'karate', 'lesmis', 'pydocs']
    """
    wanted = {"task": task, "family": family, "kind": kind}
    return [c for c in _cards().values() if all(v is None or getattr(c, k) == v for k, v in wanted.items())]


def resolve(name: str, *, kind: str | None = None) -> str:
    """The full name of a data set: as given with its family, else in the first family (:data:`FAMILIES`) that has it.

    With `kind`, sets of that kind go before the others.

    Raises:
        UnknownNameError: no such data set; the message has the closest name.

    Example:
        >>> resolve("cora"), resolve("citeseer"), resolve("clustering/citeseer")
        ('planetoid/cora', 'planetoid/citeseer', 'clustering/citeseer')
        >>> resolve("acm"), resolve("acm", kind="hetero")
        ('clustering/acm', 'hetero/acm')
    """
    known = _cards()
    wanted = name.strip().lower()
    if wanted in known:
        return wanted
    same = [full_name for full_name, entry in known.items() if entry.name == wanted]
    if same:
        return min(same, key=lambda full_name: kind is not None and known[full_name].kind != kind)
    names = [entry.name for entry in known.values()]
    raise UnknownNameError(
        f'Unknown data set "{name}".{suggest(wanted, [*names, *known])}', hint="graphrep list datasets"
    )


def card(name: str, *, kind: str | None = None) -> Card:
    """The card of a data set, by short or full name; `kind` as in :func:`resolve`.

    Raises:
        UnknownNameError: no such data set.

    Example:
        >>> card("karate").nodes
        34
    """
    return _cards()[resolve(name, kind=kind)]
