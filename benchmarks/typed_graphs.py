"""Heterogeneous graphs to measure on: public sets where the data root has them, else generated ones of their size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["TypedGraph", "generated", "load_typed"]

PATHS = {"tiny": ["t>a>t", "t>b>t"], "acm": ["p>a>p", "p>s>p"], "dblp": ["a>p>a", "a>p>c>p>a", "a>p>t>p>a"]}


@dataclass(frozen=True)
class TypedGraph:
    """A graph, its meta-paths, and what the results call it."""

    name: str
    graph: Any
    metapaths: list[str]

    def facts(self) -> dict[str, Any]:
        """What a result file says about it."""
        graph = self.graph
        return {"graph": self.name, "num_nodes": dict(graph.num_nodes), "num_edges": graph.num_edges}


def load_typed(key: str) -> TypedGraph:
    """The set of that key; without the data root a generated one, whose name says so."""
    import graphrep

    root = os.environ.get("GRAPHREP_DATA")
    if key == "tiny":
        return TypedGraph("tiny", generated(120, others={"a": 90, "b": 6}), PATHS["tiny"])
    if root and (Path(root) / f"hetero/{key}.npz").is_file():
        return TypedGraph(key, graphrep.load(f"hetero/{key}"), PATHS[key])
    return TypedGraph(f"generated-{key}-size", generated(4_000, others={"a": 7_000, "b": 60}), PATHS["tiny"])


def generated(
    num_targets: int, *, others: dict[str, int], degree: int = 3, classes: int = 4, features: int = 64, seed: int = 5
) -> Any:
    """Targets of some classes joined to objects of two types that mostly belong to one class each.

    Args:
        num_targets: nodes of type t.
        others: nodes of the types a (`degree` each target) and b (one each target).
        degree: objects of type a per target.
        classes: of targets and objects.
        features: of t and a; type b has none.
        seed: of all.
    """
    from graphrep import HeteroGraph

    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=num_targets)
    edges, x = {}, {}
    centres = rng.standard_normal((classes, features)).astype(np.float32)
    for name, count in others.items():
        owner = rng.integers(classes, size=count)
        members = [np.flatnonzero(owner == c) if (owner == c).any() else np.arange(count) for c in range(classes)]
        times = degree if name == "a" else 1
        source = np.repeat(np.arange(num_targets), times)
        label = np.where(rng.random(source.size) < 0.8, y[source], rng.integers(classes, size=source.size))
        end = np.array(
            [members[c][int(r * len(members[c]))] for c, r in zip(label, rng.random(source.size), strict=True)]
        )
        edges["t", f"t{name}", name] = torch.from_numpy(np.stack([source, end]))
        if name == "a":
            x["a"] = torch.from_numpy(centres[owner] + rng.standard_normal((count, features)).astype(np.float32))
    x["t"] = torch.from_numpy(centres[y] + 2 * rng.standard_normal((num_targets, features)).astype(np.float32))
    sizes = {"t": num_targets, **others}
    return HeteroGraph(edges, x=x, y=torch.from_numpy(y), num_nodes=sizes, target="t")
