"""The graph, its features and its known labels as a clustering takes them, and everything that was changed or found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.graphs import announce, find_graph, short_name
from graphrep.cli.nodes import align_labels, id_array, read_labels
from graphrep.data.check import grouped
from graphrep.errors import FileFormatError, GraphrepError, MissingFeaturesError, MissingLabelsError

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["Inputs", "Known", "is_h5ad", "prepare"]

Array = np.ndarray[Any, Any]
_NEAREST = 10
_DENSE = 1 << 27  # entries of a sparse matrix that are written out for the search of neighbours
_DIRECTIONS = 64
_ROWS = 1 << 14


@dataclass(frozen=True)
class Known:
    """Labels that were given, for judging alone.

    Attributes:
        y: (N,) class numbers, -1 unknown.
        classes: their names.
        source: where they are from.
    """

    y: Array
    classes: list[str]
    source: str


@dataclass(frozen=True)
class Inputs:
    """What is clustered.

    Attributes:
        graph: undirected, without loops and repeats; with the features that methods take.
        plain: the same without features that were made for lack of others.
        name: short, for files.
        counts: numbers of the input: nodes, edges, isolated nodes, ...
        notes: sentences on what a user must know of the input.
        known: labels to judge by, or None.
        made: what the features were made by where the input had none.
        from_features: neighbours per node of a graph that was made from the features; 0 for a graph of its own.
    """

    graph: Graph
    plain: Graph
    name: str
    counts: dict[str, Any]
    notes: list[str]
    known: Known | None = None
    made: str | None = None
    from_features: int = 0
    ids: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def judged(self) -> Graph:
        """The graph by which clusterings are compared: features made from the links would count the links twice."""
        return self.plain if self.made is not None else self.graph


def is_h5ad(name: str) -> bool:
    """Whether a file holds AnnData, by its name."""
    return Path(name).suffix.lower() == ".h5ad"


def prepare(console: Console, settings: Mapping[str, Mapping[str, Any]], *, needs_features: bool = True) -> Inputs:
    """Reads everything, says what was understood, and fills in what is missing.

    Args:
        console: where words go.
        settings: of the run.
        needs_features: whether some method takes features, so that they are made where there are none.

    Raises:
        GraphrepError: no graph and no features, or labels that are not there.
    """
    run, asked = settings["run"], settings["cluster"]
    spec, features = run.get("graph"), run.get("features")
    seed = int(settings["params"].get("seed", 0))
    graph, name = _opened(console, spec, features, run.get("data_dir"), settings["read"], seed)
    graph, notes, counts = _simple(graph)
    nearest = 0
    if graph.num_edges == 0:
        nearest = int(asked.get("knn") or _NEAREST)
        graph = _linked(console, graph, nearest)
        notes.append(
            f"There was no graph: each node was linked with its {nearest} nearest by the features "
            f"({_metric(graph)} distance), {grouped(graph.num_edges // 2)} edges."
        )
        counts |= _structure(graph)
    elif asked.get("knn"):
        raise GraphrepError("--knn makes a graph of features, and this input has edges.", hint="leave --knn out")
    counts["edges"] = graph.num_edges // 2
    notes += _about(graph, counts)
    plain, made = graph, None
    if not graph.num_features and needs_features:
        from graphrep.cli.features import with_features

        graph, made = with_features(graph, "fastrp", seed=seed), "fastrp"
        notes.append(
            f"There are no features: {graph.num_features} numbers per node were made from the links alone (FastRP)."
        )
    counts["features"] = graph.num_features
    known = _known(asked.get("labels"), graph, spec)
    if known is not None:
        notes += _about_labels(known)
    return Inputs(graph, plain, name, counts, notes, known, made, nearest, id_array(graph.ids, graph.num_nodes))


def _opened(
    console: Console, spec: str | None, features: str | None, data_dir: Any, read: Mapping[str, Any], seed: int
) -> tuple[Graph, str]:
    """The graph as it is, announced; without a graph file, the nodes of the features with no edges."""
    from graphrep.cli.features import MADE, with_features

    if spec is None or _holds_vectors(spec):
        if spec is not None and features is not None:
            raise GraphrepError(f"{spec} holds features, and --features names others.", hint="one of them")
        file = Path(str(spec or features))
        if not file.is_file():
            what = " needs a graph" if str(file) in MADE else ": no such file"
            raise FileFormatError(f'--features "{file}"{what}.', hint="graphrep cluster GRAPH --features FILE")
        graph = _rows_alone(file)
        console.say(f"{file.name}: {grouped(graph.num_nodes)} nodes, {grouped(graph.num_features)} features, no graph")
        return graph, short_name(str(file))
    graph = find_graph(spec, data_dir=data_dir, read=read)
    for line in announce(graph, spec):
        console.say(line)
    if features is not None and is_h5ad(spec) and not Path(features).is_file() and features not in MADE:
        from graphrep.interop.anndata import from_anndata, open_h5ad

        cells = from_anndata(open_h5ad(spec), features=features)
        graph = graph.replace(x=cells.x, feature_names=cells.feature_names)
    elif features is not None:
        graph = with_features(graph, features, seed=seed)
    return graph, short_name(spec)


def _holds_vectors(spec: str) -> bool:
    """Whether GRAPH is a file of vectors: .npy, or embeddings in an archive."""
    path = Path(spec)
    if path.suffix.lower() == ".npy":
        return True
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as archive:
            return "vectors" in archive.files
    except (OSError, ValueError):
        return False  # the reader of graphs has the words for a damaged file


def _rows_alone(file: Path) -> Graph:
    import torch

    from graphrep.data import Graph
    from graphrep.data.embeddings import load_embeddings

    saved = load_embeddings(file)
    ids = None if np.array_equal(saved.ids, np.arange(len(saved))) else saved.ids
    none = torch.zeros(2, 0, dtype=torch.int64)
    return Graph(none, x=np.asarray(saved.vectors, np.float32), num_nodes=len(saved), ids=ids, name=file.stem)


def _simple(graph: Graph) -> tuple[Graph, list[str], dict[str, Any]]:
    """Links once and without direction; words on what that changed; counts."""
    from graphrep.data.canonical import canonical_edges
    from graphrep.methods._partition_input import prepared

    simple = prepared(graph)
    report: Any = graph.report  # a reader has merged repeats already, and counted them
    if report is None:
        report = canonical_edges(graph.edge_index, graph.edge_weight, graph.num_nodes, directed=False)
    counts: dict[str, Any] = {"nodes": graph.num_nodes}
    counts |= {name: int(getattr(report, name)) for name in ("merged", "self_loops", "one_way")}
    notes = list(simple.notes)
    clean = graph.replace(edge_index=simple.graph.edge_index, edge_weight=simple.graph.edge_weight, directed=None)
    return clean, notes, counts | _structure(clean)


def _structure(graph: Graph) -> dict[str, int]:
    """Components and isolated nodes."""
    from scipy.sparse.csgraph import connected_components

    degree = np.bincount(np.asarray(graph.edge_index[0]), minlength=graph.num_nodes)
    count, _ = connected_components(graph.csr("in").to_scipy(), directed=False)
    return {"components": int(count), "isolated": int((degree == 0).sum())}


def _about(graph: Graph, counts: dict[str, Any]) -> list[str]:
    """Sentences on structure and features, and the counts that they come from."""
    notes = []
    if counts["isolated"]:
        have = "has" if counts["isolated"] == 1 else "have"
        notes.append(f"{grouped(counts['isolated'])} of {grouped(graph.num_nodes)} nodes {have} no neighbours.")
    linked = counts["components"] - counts["isolated"]
    if linked > 1:
        notes.append(f"The links fall into {grouped(linked)} components; no path leads from one to another.")
    zero = _zero_rows(graph.x)
    counts["zero_feature_rows"] = zero
    if zero:
        have = "has" if zero == 1 else "have"
        notes.append(f"{grouped(zero)} of {grouped(graph.num_nodes)} nodes {have} no features (all 0).")
    return notes


def _zero_rows(x: Any) -> int:
    if x is None:
        return 0
    import torch

    if x.layout == torch.sparse_csr:
        rows = torch.repeat_interleave(torch.arange(x.shape[0]), x.crow_indices().diff())
        filled = torch.zeros(x.shape[0], dtype=torch.bool)
        filled[rows[x.values() != 0]] = True
        return int((~filled).sum())
    return sum(int((x[s : s + _ROWS] == 0).all(1).sum()) for s in range(0, len(x), _ROWS))


def _metric(graph: Graph) -> str:
    import torch

    assert graph.x is not None
    return "cosine" if graph.x.layout == torch.sparse_csr else "euclidean"


def _linked(console: Console, graph: Graph, count: int) -> Graph:
    """Each node linked with its nearest by the features, both ways; a block of nodes at a time, or by faiss."""
    import torch

    from graphrep.cli.knn import find_lists
    from graphrep.data.canonical import canonical_edges
    from graphrep.eval.neighbors import index

    if graph.x is None:
        raise MissingFeaturesError(
            "The input has neither edges nor features.", hint="--features FILE, or another GRAPH"
        )
    if count < 1:
        raise GraphrepError(f"--knn must be at least 1; got {count}.", hint="--knn 10")
    if graph.num_nodes < 3:
        raise GraphrepError(f"There are {graph.num_nodes} nodes; there is nothing to group.", hint="3 or more")
    places, _ = find_lists(console, index(_dense(graph.x), metric=_metric(graph)), None, count)
    ends = np.stack([places.reshape(-1), np.repeat(np.arange(graph.num_nodes), places.shape[1])])
    found = canonical_edges(torch.from_numpy(ends), None, graph.num_nodes, directed=False)
    return graph.replace(edge_index=found.edge_index, edge_weight=None)


def _dense(x: Any) -> Any:
    """(N, d) rows that an index can search: the features, or 64 directions of a large sparse matrix."""
    import torch

    if x.layout != torch.sparse_csr:
        return x
    if x.shape[0] * x.shape[1] <= _DENSE:
        return x.to_dense()
    from graphrep.methods._feature_rows import leading_directions, times, unit
    from graphrep.nn.encoder import feature_matrix

    rows: Any = feature_matrix(x)
    rows = unit(rows.with_value(rows.value.double()))
    return times(rows, leading_directions(rows, _DIRECTIONS)[0])


def _known(spec: str | None, graph: Graph, source: str | None) -> Known | None:
    """Labels from a file, or those that the graph has.

    Raises:
        MissingLabelsError: there are none, or nodes have several.
    """
    if spec is None:
        return None
    ids = id_array(graph.ids, graph.num_nodes)
    if Path(spec).is_file():
        y, classes = align_labels(ids, read_labels(Path(spec)), source=spec)
        found = Known(y, classes, spec)
    elif source is not None and is_h5ad(source):
        from graphrep.interop.anndata import label_column, open_h5ad

        found = Known(*label_column(open_h5ad(source), spec), f"{spec} of {Path(source).name}")
    elif spec.lower() in ("y", "label", "labels", "class", "classes"):
        if graph.y is None:
            raise MissingLabelsError(f"{source or 'The input'} has no labels.", hint="--labels FILE.csv with id,label")
        found = _numbered(np.asarray(graph.y))
    else:
        raise MissingLabelsError(
            f'--labels "{spec}": no such file, and the labels of a graph are called y.',
            hint="--labels y, or --labels FILE.csv with id,label",
        )
    if found.y.ndim != 1:
        raise MissingLabelsError("These nodes have several labels each.", hint="a file with one label per node")
    if not (found.y >= 0).any():
        raise MissingLabelsError("No node has a label.", hint="--labels FILE.csv with id,label")
    return found


def _numbered(y: Array) -> Known:
    """Classes of a graph by their place among those that occur."""
    if y.ndim != 1:
        return Known(y, [], "y of the graph")
    names, place = np.unique(y, return_inverse=True)
    unknown = int((names < 0).sum())
    return Known(np.where(y < 0, -1, place - unknown), [str(name) for name in names[unknown:]], "y of the graph")


def _about_labels(known: Known) -> list[str]:
    notes = [f"Labels ({known.source}) judge the result and decide nothing."]
    unknown = int((known.y < 0).sum())
    if unknown:
        notes.append(f"{grouped(unknown)} of {grouped(len(known.y))} nodes have no label and are not judged.")
    if len(np.unique(known.y[known.y >= 0])) == 1:
        notes.append("All labels are the same class: NMI, ARI and F1 against it say nothing about the clusters.")
    return notes
