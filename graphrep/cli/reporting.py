"""From a graph, its vectors and the numbers of a run to the report page and the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.nodes import id_array
from graphrep.cli.report import Picture, Report, Table, make_picture, save_png, write_report
from graphrep.cli.typed import TypedRows, typed_facts
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.data import Graph

__all__ = ["Shown", "degrees", "graph_facts", "neighbour_table", "one_label", "write_outputs"]

Array = np.ndarray[Any, Any]
_EXAMPLES = 10
_NEAREST = 5


class Shown:
    """A graph with its vectors, as pictures and tables need them.

    Args:
        graph: the graph that was embedded, or its nodes of the type that was.
        z: (N, d) vectors.
        projection: ``pca`` or ``umap``.
        seed: of the drawing order (and of UMAP).
    """

    def __init__(self, graph: Graph | TypedRows, z: Array, *, projection: str = "pca", seed: int = 0) -> None:
        self.graph = graph
        self.z = z
        self.names = id_array(graph.ids, graph.num_nodes).tolist()
        self.labels = one_label(graph.y)
        self.degree = degrees(graph)
        self._projection = projection
        self._seed = seed
        self._picture: Picture | None = None

    def picture(self) -> Picture | None:
        """The picture, computed once."""
        if self._picture is None:
            self._picture = make_picture(
                self.z, self.names, self.labels, self.degree, projection=self._projection, seed=self._seed
            )
        return self._picture


def one_label(y: Any) -> Array | None:
    """One group per node for colouring: the class, or of several labels the one that the fewest nodes have."""
    if y is None:
        return None
    labels = np.asarray(y)
    if labels.ndim == 1:
        return np.where(labels < 0, "unknown", labels.astype(str)) if (labels < 0).any() else labels
    common = labels.sum(0)
    rarest = np.where(labels > 0, common, common.max() + 1).argmin(1)
    return np.where(labels.any(1), rarest.astype(str), "none")


def degrees(graph: Graph | TypedRows) -> Array:
    """(N,) number of stored edges that leave each node; of all relations at it where there are several."""
    if isinstance(graph, TypedRows):
        return graph.degree
    return np.bincount(graph.edge_index[0].numpy(), minlength=graph.num_nodes)


def neighbour_table(shown: Shown) -> Table:
    """Ten nodes with their nearest by cosine: the most central of each class, or else those with most neighbours."""
    rows = _examples(shown)
    from graphrep.eval.neighbors import index

    places, score = index(shown.z).neighbors(rows, _NEAREST)
    lines = []
    for row, near, values in zip(rows, places, score, strict=True):
        found = [f"{_named(shown, int(i))} {value:.3f}" for i, value in zip(near, values, strict=True)]
        lines.append([_named(shown, row), *found])
    picked = "The nodes with most neighbours" if shown.labels is None else "A node of each class with most neighbours"
    return Table(
        title="Nearest neighbours",
        columns=["node", *(f"nearest {k + 1}" for k in range(min(_NEAREST, max(shown.graph.num_nodes - 1, 0))))],
        rows=lines,
        note=f"{picked}{', the class in brackets' if shown.labels is not None else ''}; cosine, exact search. "
        "More: graphrep neighbors FILE NODE",
    )


def _named(shown: Shown, row: int) -> str:
    name = str(shown.names[row])
    return name if shown.labels is None else f"{name} [{shown.labels[row]}]"


def _examples(shown: Shown) -> list[int]:
    order = np.argsort(-shown.degree, kind="stable")
    if shown.labels is None:
        return [int(i) for i in order[:_EXAMPLES]]
    first = np.unique(shown.labels[order], return_index=True)[1][:_EXAMPLES]
    chosen = [int(order[i]) for i in first]
    return chosen + [int(i) for i in order if int(i) not in chosen][: _EXAMPLES - len(chosen)]


def graph_facts(graph: Graph | TypedRows) -> list[tuple[str, str]]:
    """What the page says of the graph."""
    if isinstance(graph, TypedRows):
        return typed_facts(graph)
    undirected = graph.is_undirected()
    count = graph.num_edges
    if undirected:
        count = (count + int((graph.edge_index[0] == graph.edge_index[1]).sum())) // 2
    facts = [("nodes", grouped(graph.num_nodes)), ("edges", grouped(count) + ("" if undirected else ", directed"))]
    degree = degrees(graph)
    if len(degree):
        facts.append(("neighbours per node", f"{degree.mean():.1f} (most: {grouped(int(degree.max()))})"))
        facts.append(("isolated nodes", grouped(int((degree == 0).sum()))))
    facts.append(("weights", "yes" if graph.edge_weight is not None else "no"))
    if graph.num_features:
        facts.append(("features", grouped(graph.num_features)))
    if graph.y is not None:
        facts.append(("labels" if graph.y.dim() == 2 else "classes", grouped(graph.num_classes)))
    return facts


def write_outputs(
    shown: Shown,
    *,
    title: str,
    subtitle: str,
    facts: Mapping[str, Sequence[tuple[str, str]]],
    settings: Mapping[str, Any],
    command: str,
    tables: Sequence[Table] = (),
    report: Path | None = None,
    picture: Path | None = None,
) -> None:
    """Writes report.html and the picture file, where asked for.

    Raises:
        MissingExtraError: a picture without matplotlib, or UMAP without umap-learn.
    """
    drawn = shown.picture() if report or picture else None
    if picture and drawn:
        save_png(picture, drawn)
    if report:
        page = Report(
            title=title,
            subtitle=subtitle,
            facts={"Graph": graph_facts(shown.graph), **facts},
            settings=settings,
            command=command,
            tables=[*tables, *([neighbour_table(shown)] if shown.graph.num_nodes > 1 else [])],
            picture=drawn,
            footer="Written by graphrep; this page needs no network.",
        )
        write_report(report, page)
