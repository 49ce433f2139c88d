"""Heterogeneous graphs: steps of MEOW (forward, k-means, loss, gradients, Adam) beside its program's dense form.

The rival `dense` is MEOW's step written down from its definition: dense matrices per meta-path, N x N logits and
weights, k-means from new starts in every step. It finds clusters of its own for their cost, and then takes ours, so
that losses and gradients can be compared. Nothing is dropped in either, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmarks.families.hetero_dense import DenseStep
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method
from benchmarks.typed_graphs import TypedGraph, load_typed

__all__ = ["cases"]

SEED = 7
STEPS = 2
SIZES = {"tiny": "tiny", "acm": "small", "dblp": "medium"}
SETTINGS: dict[str, dict[str, Any]] = {  # those of the published runs
    "tiny": {"num_neighbors": 20, "num_clusters": (5, 11), "temperature": 0.5},
    "acm": {"num_neighbors": (110, 700), "edge_masks": (0.3, 0.2), "num_clusters": (100, 300), "temperature": 0.4},
    "dblp": {
        "num_neighbors": (25, 200, 40), "edge_masks": (0.2, 0.5, 0.6), "num_clusters": (200, 700), "temperature": 0.9,
        "feature_mask": 0.2,
    },
}  # fmt: skip
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class HeteroInputs:
    """A graph and what MEOW makes of it."""

    graph: TypedGraph
    key: str

    @cached_property
    def estimator(self) -> Any:
        """MEOW with the settings of the set, nothing dropped."""
        from graphrep.methods import MEOW

        settings = {**SETTINGS[self.key], "metapaths": self.graph.metapaths}
        return MEOW(64, dropout=0.0, seed=SEED, **settings)

    @cached_property
    def task(self) -> Any:
        """The task of a new module, whose state is in `start`."""
        from graphrep.train import seeded

        estimator, graph = self.estimator, self.graph.graph
        with seeded(SEED):
            module = estimator._module(estimator._shape(graph))
        return estimator._task(module, graph)

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """The module's state before the first step, clusters included."""
        return {name: value.clone() for name, value in self.task.module.state_dict().items()}

    @cached_property
    def clusters(self) -> list[tuple[list[Tensor], list[Tensor]]]:
        """Labels and centres of each step of ours."""
        found: list[tuple[list[Tensor], list[Tensor]]] = []
        module = self.task.module
        handle = module.clusters.register_forward_hook(lambda *call: found.append(call[-1]))
        _steps(self)
        handle.remove()
        return found


def _steps(inputs: HeteroInputs) -> Result:
    task, start = inputs.task, inputs.start
    module = task.module
    module.load_state_dict(start)
    module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=7e-4, fused=True)
    losses: list[Tensor] = []
    gradients: list[Tensor] = []
    for epoch in range(1, STEPS + 1):
        loss, _ = task.loss(None, epoch, torch.Generator().manual_seed(SEED))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradients = gradients or _gradients(module)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), *gradients


def _gradients(module: Any) -> list[Tensor]:
    """Those that everything flows into: the target's first layer, the convolution, the projection."""
    encoder = module.encoder
    return [p.grad.clone() for p in (encoder.inputs[0].weight, encoder.conv.weight1, module.head.weight)]


def _ours(inputs: HeteroInputs) -> Callable[[], Result]:
    inputs.start  # noqa: B018 - made before anything is trained
    return lambda: _steps(inputs)


def _dense(inputs: HeteroInputs, dtype: torch.dtype = torch.float32, own_clusters: bool = True) -> Callable[[], Result]:
    inputs.start  # noqa: B018
    step = DenseStep(inputs.task, inputs.estimator, dtype)
    given = inputs.clusters

    def run() -> Result:
        parameters = step.parameters(inputs.start)
        optimizer = torch.optim.Adam(parameters.values(), lr=7e-4)
        losses: list[Tensor] = []
        gradients: list[Tensor] = []
        for labels, centres in given:
            loss = step.loss(parameters, labels, centres, own_clusters=own_clusters)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            names = ("encoder.inputs.0.weight", "encoder.conv.weight1", "head.weight")
            gradients = gradients or [parameters[name].grad.clone() for name in names]  # type: ignore[union-attr]
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses), *gradients

    return run


def _check(inputs: HeteroInputs, result: Result) -> float:
    """The first loss and its gradients in float64."""
    wanted = _dense(inputs, torch.float64, own_clusters=False)()
    found = (result[0][:1], *result[1:])
    return max(relative_difference(a, b) for a, b in zip(found, (wanted[0][:1], *wanted[1:]), strict=True))


def _case(key: str) -> Case:
    return Case(
        name=f"meow/{key}",
        family="hetero",
        size=SIZES[key],
        inputs=lambda: HeteroInputs(load_typed(key), key),
        ours=Method(_ours, compiles=True),
        rivals={"dense": Method(_dense, note="MEOW's program from its definition: N x N matrices, k-means anew")},
        check=_check,
        agree=all_agree,
        # Adam divides by the gradient's size, so that the second loss carries the rounding of small gradients.
        tolerance=2e-3,
        params={"graph": key, "op": f"{STEPS} steps", "width": 64},
        tags=frozenset({"memory"}),
    )


def cases() -> list[Case]:
    """Steps of MEOW on a generated graph, ACM and DBLP."""
    return [_case(key) for key in SIZES]
