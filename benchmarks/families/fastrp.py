"""FastRP against the official algorithm, scipy, scikit-network and pycleora; from arrays, and from file to file."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from benchmarks.families.fastrp_rivals import RIVALS, Unchecked
from benchmarks.graphs import BenchGraph, load_graph
from benchmarks.reference import relative_difference
from benchmarks.registry import OURS, Case, Method

__all__ = ["cases", "measure"]

SEED = 0
BLOG = ((0.0, 0.0, 1.0, 6.67), -0.64)  # published settings for BlogCatalog
FOUR = ((1.0, 1.0, 7.81, 45.28), -0.628)  # published variant in which all four powers count: the most work
ONE = ((1.0,), -0.628)


@dataclass
class FastRPInputs:
    """One embedding problem; the starts are the projections that ours generates for itself, scaled by degree^beta."""

    graph: BenchGraph
    dim: int
    weights: tuple[float, ...]
    beta: float

    def _codes(self, density: float) -> tuple[Any, Any]:
        from graphrep.kernels.projection import node_keys, random_signs

        signs = random_signs(node_keys(None, self.graph.num_nodes), self.dim, density=density, seed=SEED).numpy()
        degree = np.maximum(self.graph.degree, 1).astype(np.float64)
        return signs, degree**self.beta / np.sqrt(density * self.dim)

    def dense_start(self) -> Any:
        """(N, d) float32, density 1/3."""
        signs, scale = self._codes(1 / 3)
        start = signs.astype(np.float32)
        start *= scale.astype(np.float32)[:, None]
        return start

    def sparse_start(self) -> Any:
        """(N, d) sparse float64, density 1/sqrt(N)."""
        signs, scale = self._codes(1 / np.sqrt(self.graph.num_nodes))
        return sp.diags_array(scale) @ sp.csr_array(signs).astype(np.float64)

    @functools.cached_property
    def official_result(self) -> Tensor:
        """What the official settings must give."""
        return _expected(self, official=True)

    def csr(self) -> Any:
        """The graph in our form."""
        from graphrep.kernels import CSR

        return CSR(torch.from_numpy(self.graph.rowptr), torch.from_numpy(self.graph.col), num_cols=self.graph.num_nodes)


def _model(inputs: FastRPInputs, *, official: bool) -> Any:
    from graphrep.methods import FastRP

    density: Any = "auto" if official else 1 / 3
    return FastRP(
        inputs.dim, inputs.weights, degree_exponent=inputs.beta, density=density, standardize=official, seed=SEED
    )


def _ours(inputs: FastRPInputs) -> Callable[[], Any]:
    csr = inputs.csr()
    return lambda: (_model(inputs, official=False).fit_transform(csr),)


def _ours_official(inputs: FastRPInputs) -> Callable[[], Any]:
    csr = inputs.csr()
    return lambda: OfficialSettings((_model(inputs, official=True).fit_transform(csr),))


class OfficialSettings(tuple[Tensor, ...]):
    """A result with the official projection and standardised columns; comparable with the official algorithm."""


def _expected(inputs: FastRPInputs, *, official: bool = False) -> Tensor:
    """The definition in dense float64, from the start that ours should have generated for itself."""
    degree = inputs.graph.degree
    values = np.repeat(1.0 / np.maximum(degree, 1), degree)
    size = (inputs.graph.num_nodes, inputs.graph.num_nodes)
    matrix = sp.csr_array((values, inputs.graph.col, inputs.graph.rowptr), shape=size)
    power = inputs.sparse_start().toarray() if official else inputs.dense_start().astype(np.float64)
    total = np.zeros_like(power)
    for weight in inputs.weights:
        power = matrix @ power
        norm = np.linalg.norm(power, axis=1, keepdims=True)
        total += weight * power / np.where(norm > 0, norm, 1.0)
    if official:
        deviation = total.std(axis=0)
        total = (total - total.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return torch.from_numpy(total)


def _check(inputs: FastRPInputs, result: tuple[Tensor, ...]) -> float:
    return relative_difference(result[0], _expected(inputs))


def _agree(inputs: FastRPInputs, ours: tuple[Tensor, ...], theirs: Any) -> float:
    z = theirs[0]
    if isinstance(theirs, Unchecked):
        isolated = int((inputs.graph.degree == 0).sum())
        complete = z.shape[1] == inputs.dim and z.shape[0] in (ours[0].shape[0], ours[0].shape[0] - isolated)
        return 0.0 if complete and bool(torch.isfinite(z).all()) else float("inf")
    if isinstance(theirs, OfficialSettings) or z.dtype == torch.float64:
        return relative_difference(z, inputs.official_result)
    return relative_difference(z, ours[0])


def _case(size: str, graph: str, dim: int, settings: Any, label: str, *, stand_in: Any = None) -> Case:
    weights, beta = settings
    names = ["pycleora", "scipy-dense"] if len(weights) == 1 else list(RIVALS)
    rivals = {name: RIVALS[name] for name in names}
    if len(weights) > 1:
        rivals = {f"{OURS}-official": Method(_ours_official, note="density 1/sqrt(N), columns standardised"), **rivals}
    tags = {"memory", "processes"} if stand_in is not None else {"memory"}
    return Case(
        name=f"{graph}/d{dim}/{label}",
        family="fastrp",
        size=size,
        inputs=lambda: FastRPInputs(load_graph(graph), dim, weights, beta),
        ours=Method(_ours, note="density 1/3, not standardised; generates its projection inside the timing"),
        rivals=rivals,
        check=_check,
        agree=_agree,
        # Standardised columns divide float32 errors of 1e-6 by their small spread; unit vectors times 45 otherwise.
        tolerance=2e-3,
        params={"graph": graph, "dim": dim, "weights": list(weights), "beta": beta, "iterations": len(weights)},
        tags=frozenset(tags),
        stand_in=stand_in,
    )


def cases() -> list[Case]:
    """From arrays in memory to vectors in memory."""
    small = _case("small", "powerlaw-10k", 256, FOUR, "q4")
    return [
        _case("tiny", "tiny-powerlaw", 16, FOUR, "q4"),
        _case("tiny", "tiny-powerlaw", 32, FOUR, "q4-processes",
              stand_in=lambda: _case("tiny", "tiny-powerlaw", 32, FOUR, "q4")),
        _case("small", "blogcatalog", 128, BLOG, "q4"),
        _case("small", "blogcatalog", 512, BLOG, "q4"),
        small,
        _case("medium", "powerlaw-100k", 256, FOUR, "q4"),
        _case("large", "powerlaw-1m", 256, FOUR, "q4", stand_in=lambda: small),
        _case("large", "powerlaw-1m", 256, ONE, "q1",
              stand_in=lambda: _case("small", "powerlaw-10k", 256, ONE, "q1")),
    ]  # fmt: skip


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All cases of the family: in one process where it fits, else in alternating processes; then file to file."""
    from benchmarks.families.fastrp_files import measure_files
    from benchmarks.measure import Plan, measure_case
    from benchmarks.processes import measure_in_processes
    from benchmarks.run import line
    from benchmarks.worker import add_memory

    only = None if options.rivals is None else frozenset(options.rivals)
    plan = Plan(options.repeats, options.seconds, options.call_seconds, options.clock, only)
    entries = []
    for case in cases():
        if case.size not in options.sizes or options.filter not in case.name:
            continue
        if "processes" in case.tags:
            entry = measure_in_processes(case, plan)
        else:
            entry = measure_case(case, plan)
            if options.memory:
                add_memory(entry, case)
        _add_multiples(entry, case)
        print(line(entry), file=sys.stderr, flush=True)
        entries.append(entry)
    for entry in measure_files(options, plan):
        print(line(entry), file=sys.stderr, flush=True)
        entries.append(entry)
    return entries


def _add_multiples(entry: dict[str, Any], case: Case) -> None:
    """Peak memory as a multiple of N x d x 4 bytes, graph facts, and official / graphrep-official."""
    inputs = case.inputs()
    methods = entry["methods"]
    for record in methods.values():
        if "peak_bytes" in record:
            record["peak_over_output"] = record["peak_bytes"] / (inputs.graph.num_nodes * inputs.dim * 4)
    same = methods.get(f"{OURS}-official", {})
    for name in ("official", "official-blocks"):
        if same.get("status") == "ok" and methods.get(name, {}).get("status") == "ok":
            pair = (methods[name]["seconds"]["median"], same["seconds"]["median"])
            methods[name]["ratio_to_official_settings"] = pair[0] / pair[1]
