"""The picture of node compactness: verdicts and values by in-degree, and each node's bound against its clean value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphrep.cli.judging_model import bucket_name
from graphrep.cli.report.figure import INK, SOFT, new_figure
from graphrep.cli.report.picture import MAX_POINTS, PALETTE
from graphrep.data.check import grouped

if TYPE_CHECKING:
    from graphrep.methods.compactness import CompactnessReport, DegreeBucket

__all__ = ["draw_compactness"]

_VERDICTS = {"certified": PALETTE[0], "fragile": PALETTE[1], "badly_trained": PALETTE[2]}
_VALUES = {  # colour, marker, and how far it stands from the middle of its bucket
    "clean": (INK, "o", -0.22),
    "official": (PALETTE[8], "^", 0.0),
    "bound": (PALETTE[4], "s", 0.22),
}
_ABOVE = 20  # points between the upper panels and their titles
_WRITTEN = 0.07  # smallest share that has room for its number


def draw_compactness(report: CompactnessReport, title: str, *, seed: int = 0) -> Any:
    """A matplotlib figure with three panels.

    Args:
        report: of at least one node.
        title: above the panels.
        seed: of the drawing order of the points; of more than 200 000 a sample is drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(11, 7)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.93))  # the title and the verdicts stand above
    size = min(11.0, 1200 / max(len(title), 1))
    figure.text(0.01, 0.99, title, va="top", fontsize=size, color=INK)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.15, 1))
    shares = figure.add_subplot(grid[0, 0])
    values = figure.add_subplot(grid[1, 0], sharex=shares)
    buckets = report.by_degree()
    _draw_shares(shares, buckets)
    _draw_values(values, buckets)
    _draw_nodes(figure.add_subplot(grid[:, 1]), report, seed)
    counts = report.summary()
    names = [f"{verdict.replace('_', ' ')}: {grouped(counts[verdict])}" for verdict in _VERDICTS]
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0.97)}
    figure.legend(shares.containers, names, ncols=3, frameon=False, fontsize=9, **place)
    return figure


def _titled(axes: Any, title: str, pad: float = 6) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK, weight="bold", pad=pad)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=9)


def _draw_shares(axes: Any, buckets: Sequence[DegreeBucket]) -> None:
    places, below = np.arange(len(buckets)), np.zeros(len(buckets))
    for verdict, color in _VERDICTS.items():
        share = np.array([getattr(bucket, verdict) / bucket.nodes for bucket in buckets])
        axes.bar(places, share, 0.82, below, color=color, edgecolor="white", linewidth=0.8)
        for x, height, start in zip(places, share, below, strict=True):
            if height >= _WRITTEN:
                ink = INK if verdict == "fragile" else "white"
                axes.text(x, start + height / 2, _percent(height), ha="center", va="center", fontsize=8, color=ink)
        below = below + share
    for x, bucket in zip(places, buckets, strict=True):
        axes.text(x, 1.02, grouped(bucket.nodes), ha="center", va="bottom", fontsize=8, color=SOFT)
    _titled(axes, "Shares of the nodes, and how many nodes there are", _ABOVE)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.tick_params(labelbottom=False, bottom=False)


def _percent(share: float) -> str:
    """Whole percent; 100 only where it is all of them."""
    return f"{min(round(100 * share), 99) if share < 1 else 100} %"


def _draw_values(axes: Any, buckets: Sequence[DegreeBucket]) -> None:
    places = np.arange(len(buckets))
    axes.axhline(0, color=SOFT, linewidth=0.8)
    for name, (color, marker, shift) in _VALUES.items():
        mean = np.array([getattr(bucket, f"mean_{name}") for bucket in buckets])
        low, high = np.array([getattr(bucket, f"range_{name}") for bucket in buckets]).T
        axes.vlines(places + shift, low, high, color=color, alpha=0.35, linewidth=6)
        axes.plot(places + shift, mean, marker, color=color, markersize=5, label=name)
    _titled(axes, "Mean, and from the 10 % to the 90 % quantile")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.2 * (high - low))  # room for the legend
    axes.set_xticks(places, [bucket_name(bucket.low, bucket.high) for bucket in buckets])
    axes.set_xlabel("in-edges of the node", color=SOFT)
    axes.legend(fontsize=9, frameon=False, ncols=3, loc="upper left")


def _draw_nodes(axes: Any, report: CompactnessReport, seed: int) -> None:
    """The points; none lies above the dotted line."""
    count = report.clean.numel()
    order = np.random.default_rng(seed).permutation(count)[:MAX_POINTS]
    clean, bound, verdict = (value.cpu().numpy()[order] for value in (report.clean, report.bound, report.verdict))
    colors = np.array(list(_VERDICTS.values()))[verdict]
    size = float(np.clip(20_000 / len(order), 0.5, 16))
    axes.scatter(clean, bound, c=colors, s=size, alpha=0.7, linewidths=0, rasterized=True)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    axes.axline((0, 0), slope=1, color=SOFT, linewidth=1, linestyle=":")
    title = "Each node" if len(order) == count else f"{grouped(len(order))} of {grouped(count)} nodes"
    _titled(axes, f"{title}; dotted: bound = clean", _ABOVE)
    axes.set_xlabel("clean: on the graph as it is", color=SOFT)
    axes.set_ylabel("bound: over all permitted droppings", color=SOFT)
