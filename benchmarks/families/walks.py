"""Random walks of 20 steps: uniform, by weight, and node2vec.

Walks are random, so equality is of another kind: every step must be an entry, and the mean logarithm of the degrees
visited must agree with the float64 expectation after one step and between methods over all steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm import GRAPH_OF_SIZE
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

LENGTH, P, Q = 20, 0.25, 4.0
KINDS = ("uniform", "weighted", "node2vec")
NUM_WALKS = {"tiny": 20_000}


@dataclass(frozen=True)
class WalkInputs:
    """starts (S,): nodes that have neighbours."""

    forms: GraphForms
    starts: Tensor
    kind: str


def _inputs(graph: str, size: str, kind: str) -> WalkInputs:
    forms = graph_forms(graph)
    used = forms.has_entries.nonzero().squeeze(1)
    generator = torch.Generator().manual_seed(13)
    place = torch.randint(0, used.numel(), (NUM_WALKS.get(size, 100_000),), generator=generator)
    return WalkInputs(forms, used[place], kind)


def _ours(inputs: WalkInputs) -> Callable[[], Any]:
    from graphrep.kernels import random_walks

    csr = inputs.forms.csr(inputs.kind == "weighted")
    biases = {"p": P, "q": Q} if inputs.kind == "node2vec" else {}
    return lambda: (random_walks(csr, inputs.starts, LENGTH, seed=0, **biases),)


def _dgl(inputs: WalkInputs) -> Callable[[], Any]:
    import dgl

    graph = dgl.reverse(inputs.forms.dgl_graph.long())  # its walks follow edges, ours go from row to column
    if inputs.kind == "node2vec":
        return lambda: (dgl.sampling.node2vec_random_walk(graph, inputs.starts, P, Q, LENGTH),)
    name = None
    if inputs.kind == "weighted":
        graph.edata["weight"], name = inputs.forms.weight, "weight"
    return lambda: (dgl.sampling.random_walk(graph, inputs.starts, length=LENGTH, prob=name)[0],)


def _numpy(inputs: WalkInputs) -> Callable[[], Any]:
    if inputs.kind != "uniform":
        raise Skip("uniform walks alone are a few lines of numpy")
    rowptr, col, degree = inputs.forms.rowptr_long.numpy(), inputs.forms.graph.col, inputs.forms.graph.degree

    def run() -> tuple[Tensor]:
        generator = np.random.default_rng(0)
        walks = np.empty((LENGTH + 1, inputs.starts.numel()), np.int64)
        walks[0] = inputs.starts.numpy()
        for t in range(LENGTH):
            node = walks[t]
            walks[t + 1] = col[rowptr[node] + (generator.random(node.size) * degree[node]).astype(np.int64)]
        return (torch.from_numpy(walks.T),)

    return run


def _steps_are_entries(forms: GraphForms, walks: Tensor) -> bool:
    key = forms.row_long * forms.num_nodes + forms.col_long
    if bool((key[1:] < key[:-1]).any()):
        key = key.sort().values
    asked = (walks[:2000, :-1] * forms.num_nodes + walks[:2000, 1:]).reshape(-1)
    place = torch.searchsorted(key, asked).clamp(max=key.numel() - 1)
    return bool((key[place] == asked).all())


def _mean_log_degree(forms: GraphForms, nodes: Tensor) -> float:
    return float(torch.from_numpy(forms.graph.degree).double().clamp(min=1).log()[nodes].mean())


def _check(inputs: WalkInputs, result: tuple[Tensor, ...]) -> float:
    """The first step against its exact expectation given the starts; infinity where a step is no entry."""
    forms, (walks,) = inputs.forms, result
    if not _steps_are_entries(forms, walks):
        return float("inf")
    weight = forms.weight.double() if inputs.kind == "weighted" else torch.ones(forms.nnz, dtype=torch.float64)
    log_degree = torch.from_numpy(forms.graph.degree).double().clamp(min=1).log()
    zeros = torch.zeros(forms.num_nodes, dtype=torch.float64)
    total = zeros.index_add(0, forms.row_long, weight)
    expected = zeros.index_add(0, forms.row_long, weight * log_degree[forms.col_long]) / total
    wanted = float(expected[inputs.starts].mean())
    return abs(_mean_log_degree(forms, walks[:, 1]) - wanted) / wanted


def _agree(inputs: WalkInputs, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    if ours[0].shape != theirs[0].shape or not _steps_are_entries(inputs.forms, theirs[0]):
        return float("inf")
    wanted = _mean_log_degree(inputs.forms, ours[0][:, 1:])
    return abs(_mean_log_degree(inputs.forms, theirs[0][:, 1:]) - wanted) / wanted


_RIVALS = {
    "dgl": Method(_dgl, "dgl", "sampling.random_walk, sampling.node2vec_random_walk; int64 ids"),
    "numpy": Method(_numpy, note="all walks a step at a time, two gathers each"),
}


def _case(size: str, kind: str) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name=f"{graph}/{kind}",
        family="walks",
        size=size,
        inputs=lambda: _inputs(graph, size, kind),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=_agree,
        tolerance=0.02,  # means over 20,000 walks and more: three standard deviations are below 1 %
        params={"graph": graph, "kind": kind, "length": LENGTH},
    )


def cases() -> list[Case]:
    """Three kinds of walk on each graph."""
    return [_case(size, kind) for size in GRAPH_OF_SIZE for kind in KINDS]
