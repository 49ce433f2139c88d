"""The contrasts of SCGC* (all pairs of nodes) and PamC (meta-nodes), forward + backward, in the node vectors.

The rival `dense` is the published form, written down from its definition: for SCGC* a dense influence matrix and
N x N cosines; for PamC cosines gathered along the entries, nnz x d, and members selected by an N x K x d product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from benchmarks.graphs import BenchGraph, load_graph
from benchmarks.reference import relative_difference
from benchmarks.registry import Case, Method, Skip
from graphrep.kernels import CSR, influence_matrix

__all__ = ["cases"]

WIDTH = 10
DENSE_BYTES = 20_000_000_000  # what the dense form may hold
DENSE_ARRAYS = 8  # N x N arrays alive at its peak
CLUSTERS = {"tiny": 4, "acm": 3, "citeseer": 6, "usps": 10}
TAU = {"exact": 0.25, "pamc": 0.5}
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class LossInputs:
    """Influence matrix (N, N), z (N, 10) float32, labels (N,)."""

    graph: BenchGraph
    influence: CSR
    z: Tensor
    labels: Tensor
    op: str

    @property
    def tau(self) -> float:
        return TAU[self.op]


def _inputs(key: str, order: int, op: str) -> LossInputs:
    graph, generator = load_graph(key), torch.Generator().manual_seed(17)
    edges = torch.stack([torch.from_numpy(graph.col).long(), torch.from_numpy(graph.row()).long()])
    influence = influence_matrix(edges, num_nodes=graph.num_nodes, order=order, dtype=torch.float32)
    influence.t()
    z = torch.randn(graph.num_nodes, WIDTH, generator=generator).requires_grad_()
    labels = torch.arange(graph.num_nodes) % CLUSTERS[key]
    return LossInputs(graph, influence, z, labels, op)


def _timed(z: Tensor, forward: Callable[[], Tensor]) -> Callable[[], Result]:
    """The loss, and the gradient of N times it: that of the mean would be too small to compare."""

    def run() -> Result:
        loss = forward()
        (grad,) = torch.autograd.grad(z.shape[0] * loss, z)
        return loss.detach().reshape(1), grad

    return run


def _ours(inputs: LossInputs) -> Callable[[], Result]:
    from graphrep.objectives import influence_contrast, pamc

    z, influence, tau = inputs.z, inputs.influence, inputs.tau
    if inputs.op == "pamc":
        return _timed(z, lambda: pamc(z, inputs.labels, influence, inv_temperature=tau))
    return _timed(z, lambda: influence_contrast(z, influence, inv_temperature=tau))


def _all_pairs(z: Tensor, weight: Tensor, off_diagonal: Tensor, tau: float) -> Tensor:
    unit = normalize(z)
    power = (tau * off_diagonal * (unit @ unit.t())).exp()
    return -((weight * power).sum(1) / power.sum(1) + 1e-8).log().mean()


def _meta_nodes(z: Tensor, entries: tuple[Tensor, Tensor, Tensor], members: Tensor, tau: float) -> Tensor:
    row, col, value = entries
    left, right = z[row], z[col]
    cosine = (left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1))
    power = value * (tau * torch.where(row == col, 0, cosine)).exp()
    positive = z.new_zeros(len(z)).index_add(0, row, power)
    nodes = normalize((z.unsqueeze(1) * members.unsqueeze(2)).sum(0))
    apart = 1 - torch.eye(len(nodes), dtype=z.dtype)
    negative = (tau * apart * (nodes @ nodes.t())).exp().sum(1)
    return (negative + 1e-10).log().mean() - (positive + 1e-10).log().mean()


def _dense(inputs: LossInputs) -> Callable[[], Result]:
    return _dense_form(inputs, inputs.z)


def _dense_form(inputs: LossInputs, z: Tensor) -> Callable[[], Result]:
    """What does not change from step to step is built once, outside the timing."""
    csr, count = inputs.influence, inputs.graph.num_nodes
    assert csr.value is not None
    row, col, value = csr.row().long(), csr.col.long(), csr.value.to(z.dtype)
    if inputs.op == "pamc":
        members = one_hot(inputs.labels).to(z.dtype)
        return _timed(z, lambda: _meta_nodes(z, (row, col, value), members, inputs.tau))
    size = DENSE_ARRAYS * z.element_size() * count**2
    if size > DENSE_BYTES:
        raise Skip(f"its N x N arrays take {size / 1e9:.0f} GB (limit {DENSE_BYTES / 1e9:.0f} GB)")
    weight = torch.zeros(count, count, dtype=z.dtype).index_put((row, col), value)
    off_diagonal = 1 - torch.eye(count, dtype=z.dtype)
    return _timed(z, lambda: _all_pairs(z, weight, off_diagonal, inputs.tau))


def _check(inputs: LossInputs, result: Result) -> float:
    """The dense form in float64."""
    z = inputs.z.detach().double().requires_grad_()
    return max(relative_difference(a, b) for a, b in zip(result, _dense_form(inputs, z)(), strict=True))


def _agree(_: LossInputs, ours: Result, theirs: Result) -> float:
    return max(relative_difference(b, a) for a, b in zip(ours, theirs, strict=True))


def _case(size: str, key: str, order: int, op: str) -> Case:
    return Case(
        name=f"{key}/r{order}/{op}",
        family="clustering_losses",
        size=size,
        inputs=lambda: _inputs(key, order, op),
        ours=Method(_ours, compiles=True),
        rivals={"dense": Method(_dense, note="the published form; constants built once, outside the timing")},
        check=_check,
        agree=_agree,
        tolerance=1e-4,  # float32 sums over up to 9,298 nodes
        params={"graph": key, "op": f"{op} r={order}", "width": WIDTH},
        tags=frozenset({"memory"}),
    )


def cases() -> list[Case]:
    """ACM and CiteSeer one step, CiteSeer three steps, USPS's graph of nearest neighbours one step."""
    graphs = (("tiny", "tiny", 2), ("small", "acm", 1), ("small", "citeseer", 1), ("small", "citeseer", 3))
    wanted = (*graphs, ("medium", "usps", 1))
    return [_case(size, key, order, op) for size, key, order in wanted for op in TAU]
