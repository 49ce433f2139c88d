"""The protocol of `graphrep eval` for trained models: which nodes keep to their side when in-edges are dropped."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphrep.cli.graphs import find_graph
from graphrep.cli.settings import read_config
from graphrep.data.check import grouped
from graphrep.errors import GraphrepError

if TYPE_CHECKING:
    from graphrep.data import Graph
    from graphrep.methods import CompactnessReport, TrainedEstimator, TwoViewEstimator

__all__ = [
    "COLUMNS", "MEANINGS", "bucket_name", "compactness_result", "compactness_rows", "judge_model", "model_graph",
    "require_two_views",
]  # fmt: skip

COLUMNS = ("in-edges", "nodes", "certified", "fragile", "badly trained", "clean", "bound", "official")
MEANINGS = {
    "certified": "bound > 0: no permitted dropping brings the node closer to the others' mean than to itself; proved",
    "fragile": "clean > 0, bound <= 0: some permitted dropping may do that, or the bound is too loose to tell",
    "badly trained": "clean <= 0: it is no closer to itself than to the others' mean before anything is dropped",
    "clean": "output along the node's own direction less that along the others' mean direction, nothing dropped",
    "bound": "clean stays above it whatever permitted edges go; of views that drop more, nothing is said",
    "official": "the published score: no bound, often above the least value",
}


def model_graph(
    folder: Path, model: TrainedEstimator, *, dataset: str | None, features: str | None, data_dir: Path | None
) -> tuple[Graph, str]:
    """The graph a model is judged on, and what the user calls it; without `dataset`, that of the model's own run.

    Raises:
        GraphrepError: no graph was named, and the folder is not that of a run.
    """
    read: Mapping[str, Any] = {}
    if dataset is None:
        if not (folder / "config.toml").is_file():
            raise GraphrepError(f"{folder} does not say which graph its model is from.", hint="--dataset GRAPH")
        settings = read_config(folder / "config.toml")
        run, read = settings["run"], settings["read"]
        dataset, features = str(run["graph"]), features or run.get("features")
        data_dir = data_dir or run.get("data_dir")
    graph = find_graph(dataset, data_dir=data_dir, read=read)
    if features:
        from graphrep.cli.features import with_features

        graph = with_features(graph, features, seed=int(model.seed))
    return graph, dataset


def judge_model(folder: Path, model: TrainedEstimator, graph: Graph, *, drop_rate: float | None) -> CompactnessReport:
    """Node compactness of a model on a graph.

    Args:
        folder: of the model, for messages.
        model: trained.
        graph: with features as the model takes them.
        drop_rate: of the permitted droppings; None: the model's own.

    Raises:
        GraphrepError: the model makes no two views, a layer cannot be bounded, or the graph does not fit.
    """
    return require_two_views(folder, model).compactness(graph, drop_rate=drop_rate)


def require_two_views(folder: Path, model: TrainedEstimator) -> TwoViewEstimator:
    """The model, when it makes two views.

    Raises:
        GraphrepError: it does not.
    """
    from graphrep.methods import TwoViewEstimator

    if not isinstance(model, TwoViewEstimator):
        raise GraphrepError(
            f"Protocol compactness judges models of two views; {folder} holds one of {type(model).__name__}.",
            hint="graphrep train grace GRAPH makes one",
        )
    return model


def compactness_result(report: CompactnessReport, method: str, graph: str) -> dict[str, Any]:
    """The numbers by in-degree and over all nodes, with a line that says what may be dropped."""
    counts = report.summary()
    own = f"as many in-edges as {method} drops on average"
    share = own if report.drop_rate is None else f"{100 * report.drop_rate:g} % of its in-edges"
    permitted = f"each node may lose {share}, rounded, and keeps one"
    return {
        "protocol": "compactness",
        "about": f"protocol compactness: {method} on {graph}, {grouped(counts['nodes'])} nodes; {permitted}",
        "method": method.lower(),
        "permitted": permitted,
        "drop_rate": report.drop_rate,
        "in_edges": int(report.degree.sum()),
        "may_be_dropped": int(report.budget.sum()),
        **counts,
        "all": dataclasses.asdict(report.by_degree((0,))[0]),
        "by_degree": [dataclasses.asdict(bucket) for bucket in report.by_degree()],
    }


def compactness_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Cells of the table by in-degree under `COLUMNS`; the last row is over all nodes."""
    named = [(bucket_name(bucket["low"], bucket["high"]), bucket) for bucket in result["by_degree"]]
    return [_row(name, bucket) for name, bucket in [*named, ("all", result["all"])]]


def _row(name: str, bucket: Mapping[str, Any]) -> list[str]:
    shares = [f"{100 * bucket[key] / bucket['nodes']:.1f} %" for key in ("certified", "fragile", "badly_trained")]
    return [name, grouped(bucket["nodes"]), *shares, *(f"{bucket[f'mean_{key}']:.3g}" for key in COLUMNS[5:])]


def bucket_name(low: int, high: int | None) -> str:
    """The in-degrees of a bucket.

    Example:
        >>> bucket_name(3, 3), bucket_name(5, 8), bucket_name(65, None)
        ('3', '5-8', '65+')
    """
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"
