"""The set ``pydocs``: what the documentation of installed scientific packages says, and what it refers to.

Nodes are the public functions and classes of numpy, scipy, scikit-learn and networkx, edges their "See Also" sections.
It is read from the docstrings when it is asked for, so that its size depends on the installed versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from graphrep.data._numpydoc import see_also, summary
from graphrep.data._public_api import Documented, documented
from graphrep.data.canonical import canonical_edges
from graphrep.data.graph import Graph

__all__ = ["PACKAGES", "pydocs", "pydocs_with_classes"]

PACKAGES = ("networkx", "numpy", "scipy", "sklearn")
_SHORT = {"np": "numpy", "nx": "networkx", "sp": "scipy"}
_MIN_COUNT = 3


def pydocs() -> Graph:
    """The graph alone; what ``graphrep.load("pydocs")`` gives."""
    return pydocs_with_classes()[0]


def pydocs_with_classes() -> tuple[Graph, list[str]]:
    """Builds the graph, and the names of its classes.

    Returns:
        Node ids are public paths (``numpy.linalg.svd``), ``text`` the first paragraph of each docstring, ``y`` the
        subpackage, ``x`` sparse TF-IDF values of the words of the summaries (rows of unit length, words of at least
        three summaries, English stop words left out). Edges are undirected. Installed versions alone decide the result.
        Class k is the k-th of the names (``numpy.linalg``, ...), which are sorted.
    """
    entries = documented(PACKAGES)
    texts = [summary(entry.doc, entry.path.rpartition(".")[2]) for entry in entries]
    entries = [entry for entry, text in zip(entries, texts, strict=True) if text]
    texts = [text for text in texts if text]
    ids = [entry.path for entry in entries]
    result = canonical_edges(torch.from_numpy(references(entries)), None, len(ids), directed=False)
    x, words = _word_features(texts)
    classes, y = np.unique([subpackage(entry) for entry in entries], return_inverse=True)
    graph = Graph._canonical(
        result.edge_index, None, len(ids), undirected=True, x=x, y=torch.from_numpy(y.astype(np.int64)),
        ids=ids, text=texts, feature_names=words, name="pydocs",
    )  # fmt: skip
    return graph, classes.tolist()


def references(entries: list[Documented]) -> np.ndarray[Any, Any]:
    """(2, E) int64: from each entry to what its "See Also" section names, as far as that is an entry too."""
    node = {path: row for row, entry in enumerate(entries) for path in reversed(entry.paths)}
    ends = [
        (row, target)
        for row, entry in enumerate(entries)
        for name in see_also(entry.doc)
        if (target := _resolve(name, entry, node)) is not None and target != row
    ]
    return np.array(ends, dtype=np.int64).reshape(-1, 2).T


def _resolve(name: str, entry: Documented, node: Mapping[str, int]) -> int | None:
    """The node a name refers to: a full path, else relative to where the entry is found, from the inside out."""
    first, _, rest = name.partition(".")
    if first in _SHORT and rest:
        name = f"{_SHORT[first]}.{rest}"
    for path in (name, *(f"{scope}.{name}" for scope in _scopes((*entry.paths, f"{entry.module}.")))):
        if path in node:
            return node[path]
    return None


def _scopes(paths: Iterable[str]) -> list[str]:
    """The modules around each path, the innermost first."""
    found: dict[str, None] = {}
    for path in paths:
        scope = path.rpartition(".")[0]
        while scope:
            found[scope] = None
            scope = scope.rpartition(".")[0]
    return list(found)


def subpackage(entry: Documented) -> str:
    """``numpy.linalg`` for ``numpy.linalg.svd``; for ``networkx.pagerank`` the public part of where it is defined.

    Example:
        >>> subpackage(Documented("networkx.pagerank", (), "networkx.algorithms.link_analysis.pagerank_alg", ""))
        'networkx.algorithms'
    """
    parts = entry.path.split(".")[:-1]
    if len(parts) == 1:
        parts = [part for part in entry.module.split(".") if not part.startswith("_")] or parts
    return ".".join(parts[:2])


def _word_features(texts: list[str]) -> tuple[Any, list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(
        min_df=_MIN_COUNT, stop_words="english", token_pattern=r"(?u)\b[^\W\d_]{2,}\b", dtype=np.float32
    )
    return words.fit_transform(texts), words.get_feature_names_out().tolist()
