"""What `graphrep eval` writes about a trained model: a row per node, a page, a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphrep
from graphrep.cli.graphs import short_name
from graphrep.cli.judging_model import COLUMNS, MEANINGS, compactness_rows
from graphrep.cli.nodes import id_array
from graphrep.cli.plan import plain
from graphrep.cli.runs import command_line, write_text
from graphrep.data.check import grouped
from graphrep.errors import GraphrepError

if TYPE_CHECKING:
    from graphrep.data import Graph
    from graphrep.methods import CompactnessReport, TrainedEstimator

__all__ = ["ModelFiles", "node_table"]

_VALUES = ("degree", "budget", "clean", "bound", "official")
_SETTINGS = (  # what bears on compactness
    "dim", "activation", "drop_edge_rates", "drop_feature_rates", "centrality", "pot", "pot_weight", "pot_bound",
    "epochs", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFiles:
    """Which files are wanted.

    Attributes:
        per_node: csv with a row per node.
        report: the page, ``compactness-GRAPH.html`` in the model's folder.
        picture: png, pdf or svg.
    """

    per_node: Path | None = None
    report: bool = False
    picture: Path | None = None

    def check(self) -> None:
        """Finds out before anything is computed whether the files can be written.

        Raises:
            GraphrepError: an ending that says something else.
            MissingExtraError: a picture or a page without matplotlib.
        """
        if self.per_node and self.per_node.suffix.lower() != ".csv":
            raise GraphrepError(f"{self.per_node} is no csv file.", hint=f"{self.per_node.with_suffix('.csv')}")
        if self.report or self.picture:
            from graphrep.cli.report.figure import check_picture

            check_picture(self.picture)

    def write(
        self,
        folder: Path,
        model: TrainedEstimator,
        graph: Graph,
        name: str,
        report: CompactnessReport,
        result: Mapping[str, Any],
    ) -> dict[str, str]:
        """Writes them; the path of each.

        Raises:
            GraphrepError: a file cannot be written.
        """
        written: dict[str, str] = {}
        if self.per_node:
            write_text(self.per_node, node_table(report, id_array(graph.ids, graph.num_nodes).tolist()))
            written["per_node"] = str(self.per_node)
        if not (self.picture or self.report):
            return written
        from graphrep.cli.report.compactness import draw_compactness
        from graphrep.cli.report.figure import save_figure

        figure = draw_compactness(report, f"{type(model).__name__} on {name}: {result['permitted']}")
        if self.picture:
            save_figure(self.picture, figure)
            written["picture"] = str(self.picture)
        if self.report:
            page = folder / f"compactness-{short_name(name)}.html"
            _write_page(page, figure, folder, model, graph, name, result)
            written["report"] = str(page)
        return written


def node_table(report: CompactnessReport, ids: list[Any]) -> str:
    """A csv row per node: id, degree, budget, clean, bound, official, verdict.

    Example:
        >>> import torch
        >>> from graphrep.methods import CompactnessReport
        >>> ones = torch.ones(1)
        >>> print(node_table(CompactnessReport(ones, ones / 2, ones, ones.long(), ones.long(), 0.0), ["ann"]), end="")
        id,degree,budget,clean,bound,official,verdict
        ann,1,1,1,0.5,1,certified
    """
    from graphrep.methods.compactness import VERDICTS

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", *_VALUES, "verdict"])
    columns = [getattr(report, name).tolist() for name in _VALUES]
    for node, degree, budget, *values, place in zip(ids, *columns, report.verdict.tolist(), strict=True):
        writer.writerow([node, degree, budget, *(f"{value:.7g}" for value in values), VERDICTS[place]])
    return stream.getvalue()


def _write_page(
    path: Path,
    figure: Any,
    folder: Path,
    model: TrainedEstimator,
    graph: Graph,
    name: str,
    result: Mapping[str, Any],
) -> None:
    from graphrep.cli.report import Chart, Report, Table, write_report
    from graphrep.cli.report.figure import svg_text
    from graphrep.cli.reporting import graph_facts

    nodes, certified = grouped(result["nodes"]), grouped(result["certified"])
    dropping = [
        ("drop rate", "one per edge" if result["drop_rate"] is None else f"{result['drop_rate']:g}"),
        ("in-edges", grouped(result["in_edges"])),
        ("of them may be dropped", grouped(result["may_be_dropped"])),
    ]
    counts = [(key, grouped(result[key.replace(" ", "_")])) for key in COLUMNS[2:5]]
    params = {key: plain(value) for key, value in model.get_params().items() if key in _SETTINGS}
    page = Report(
        title=f"{name}: {certified} of {nodes} nodes are certified",
        subtitle=f"graphrep {graphrep.__version__}, {type(model).__name__}. Model: {folder}",
        facts={"Graph": graph_facts(graph), "Dropping": dropping, "Nodes": counts},
        settings={"method": result["method"], **params},
        command=command_line(),
        tables=[
            Table("By in-degree", COLUMNS, compactness_rows(result), note="Means of clean, bound and official."),
            Table("What the words mean", ("word", "meaning"), list(MEANINGS.items())),
        ],
        footer="Written by graphrep; this page needs no network.",
        charts=[Chart("Compactness", svg_text(figure), _NOTE)],
    )
    write_report(path, page)


_NOTE = (
    "Left: nodes by the number of their in-edges. Above, the share of each verdict; below, mean and middle 80 % of the "
    "value on the whole graph (clean), of the proved lower bound, and of the published score, which is no bound. "
    "Right: every node; on the dotted line dropping cannot lower the value."
)
