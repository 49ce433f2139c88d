"""What was asked for: the number of clusters, the methods by the names users know, the settings of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphrep.cli.settings import Settings, collect, read_config
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.recipes import recipe
from graphrep.registry import METHODS, Entry, suggest

__all__ = [
    "BASELINES",
    "LARGE",
    "OWN_NUMBER",
    "Count",
    "entry_of",
    "gather",
    "parse_count",
    "parse_methods",
    "registered",
]

BASELINES = ("kmeans", "smooth", "spectral", "louvain", "leiden")
SLOW = ("leiden",)  # no baselines of large graphs
OWN_NUMBER = ("louvain", "leiden")  # find a number of clusters without being told one
_EVERYTHING = ("scgc", "pamc", "dmon", "fastrp")  # of "all", beside the baselines
_SPOKEN = {"spectral-clustering": "spectral", "k-means": "kmeans", "smoothed": "smooth"}
LARGE = 20_000  # nodes above which "auto" tries PamC in place of SCGC, whose epochs cost N^2, and searches are shorter


@dataclass(frozen=True)
class Count:
    """The number of clusters that was asked for: `number`, or else the best from `low` to `high`.

    Attributes:
        number: K, or None when it is to be chosen.
        low, high: the range to choose from; None without one.
    """

    number: int | None = None
    low: int | None = None
    high: int | None = None

    def check(self, num_nodes: int) -> None:
        """Refuses what a graph of this size cannot have.

        Raises:
            GraphrepError: fewer nodes than clusters.
        """
        most = self.number if self.number is not None else self.low
        if most is not None and most > num_nodes:
            known = f"between 2 and {num_nodes - 1}; " if num_nodes > 2 else "fewer; "
            raise GraphrepError(
                f"Asked for {most} clusters but the graph has {num_nodes} nodes.",
                hint=f"-k {known}without -k the number is chosen for you.",
            )
        if num_nodes < 3:
            raise GraphrepError(f"The graph has {num_nodes} nodes; there is nothing to group.", hint="3 or more")


def parse_count(text: str | None) -> Count:
    """What ``-k`` says.

    Raises:
        GraphrepError: neither a number from 2 on, nor a range, nor ``auto``.

    Example:
        >>> parse_count("7"), parse_count("2:15"), parse_count(None).number
        (Count(number=7, low=None, high=None), Count(number=None, low=2, high=15), None)
    """
    said = (text or "auto").strip().lower()
    if said == "auto":
        return Count()
    if re.fullmatch(r"\d+", said):
        if int(said) < 2:
            raise GraphrepError(
                f"-k {said}: with one cluster every node is in it." if int(said) else "-k 0: no cluster has no nodes.",
                hint="-k 2 or more; without -k the number is chosen for you.",
            )
        return Count(int(said))
    found = re.fullmatch(r"(\d+)\s*[:-]\s*(\d+)", said)
    if not found:
        raise GraphrepError(f'-k takes a number, a range or auto; got "{text}".', hint="-k 7, -k 2:15 or -k auto")
    low, high = int(found[1]), int(found[2])
    if low < 2 or high < low:
        raise GraphrepError(f"-k {text}: a range goes from 2 or more upwards.", hint=f"-k 2:{max(high, low, 3)}")
    return Count(low, low, high) if low == high else Count(None, low, high)


def registered(name: str) -> str:
    """The name in the registry of methods; "spectral" clusters here, and embeds everywhere else.

    Example:
        >>> registered("spectral"), registered("k-means"), registered("scgc")
        ('spectral-clustering', 'kmeans', 'scgc')
    """
    spoken = _SPOKEN.get(name, name)
    return "spectral-clustering" if spoken == "spectral" else spoken


def entry_of(name: str) -> Entry:
    """The registered clusterer, or embedding method, that `name` stands for.

    Raises:
        UnknownNameError: none, or a method for something else; the message has the closest name.
    """
    known = {n: e for n, e in METHODS.items() if e.task in ("cluster", "embed")}
    found = known.get(registered(name))
    if found is None:
        names = [*(_SPOKEN.get(n, n) for n in known), "all", "auto"]
        what = f"{name} is for {METHODS[name].task}." if name in METHODS else f'Unknown method "{name}".'
        raise UnknownNameError(f"{what}{suggest(name, names)}", hint="graphrep list methods --task cluster")
    return found


def parse_methods(text: str, num_nodes: int, have: Mapping[str, bool] | None = None) -> tuple[str, ...]:
    """The methods that ``-m`` names, in order and once each.

    Args:
        text: names with commas between, ``all`` or ``auto``.
        num_nodes: N, which decides what ``auto`` tries.
        have: whether the optional package of a method is installed; default: looked up.

    Raises:
        UnknownNameError: an unknown name.
    """
    have = _available() if have is None else have
    names: list[str] = []
    for part in (p.strip().lower() for p in text.split(",")):
        if part == "all":
            names += [n for n in (*BASELINES, *_EVERYTHING) if have.get(n, True)]  # of equals the light one is taken
        elif part == "auto":
            trained = "scgc" if num_nodes <= LARGE else "pamc"
            names += [n for n in (*BASELINES, trained) if have.get(n, True)]
        else:
            entry_of(part)
            names.append(_SPOKEN.get(part, part))
    return tuple(dict.fromkeys(names))


def _available() -> dict[str, bool]:
    """Methods that this installation lacks."""
    import importlib.util

    lacking = {name: False for name in (*_EVERYTHING, *BASELINES) if registered(name) not in METHODS}
    if importlib.util.find_spec("leidenalg") is None:
        lacking["leiden"] = False
    return lacking


def gather(layers: Sequence[Mapping[str, Mapping[str, Any]]], recipe_name: str | None, config: Path | None) -> Settings:
    """Settings of a run: recipe, then config file, then the given layers. Imports no method.

    Raises:
        UnknownNameError: an unknown recipe, key or method.
        GraphrepError: neither a graph nor features, or a recipe for another method.
    """
    below: list[Mapping[str, Mapping[str, Any]]] = []
    published = recipe(recipe_name) if recipe_name else None
    if published:
        if METHODS[published.method].task != "cluster":
            raise GraphrepError(
                f"Recipe {published.name} is for {published.method}, which does not cluster.",
                hint="graphrep list recipes --task cluster",
            )
        head = {"method": published.method, "graph": published.dataset, "recipe": published.name}
        params = {key: value for key, value in published.params.items() if key != "num_clusters"}
        count = published.params.get("num_clusters")
        below.append({"run": head, "params": params, "cluster": {"k": None if count is None else str(count)}})
    if config:
        below.append(read_config(config))
    settings = collect({"run": {"method": "scgc"}}, *below, *layers)
    run = settings["run"]
    if not run.get("graph") and not run.get("features"):
        raise GraphrepError("No graph was given.", hint="graphrep cluster edges.csv -k 7; or --features FILE alone")
    if published and published.method not in str(run["method"]).split(","):
        raise GraphrepError(
            f"Recipe {published.name} is for {published.method}, not for {run['method']}.", hint="leave out --method"
        )
    for name in str(run["method"]).split(","):
        if name.strip().lower() not in ("all", "auto"):
            entry_of(name.strip().lower())
    return settings
