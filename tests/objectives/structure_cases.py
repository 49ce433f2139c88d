"""The clustering contrasts as explicit loops over pairs in float64, random graphs for them, and golden matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels import CSR, influence_matrix


def random_influence(num_nodes: int, num_edges: int, *, order: int = 2, seed: int = 0) -> CSR:
    """Duplicates, self-loops and, with few edges, isolated nodes."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, num_nodes, (2, num_edges), generator=generator)
    return influence_matrix(edges, num_nodes=num_nodes, order=order, dtype=torch.float64)


def golden_influence(g: dict[str, Tensor], dtype: torch.dtype, index: torch.dtype) -> CSR:
    """The matrix that a golden file of SCGC names by its edges."""
    options = {"num_nodes": len(g["z"]), "order": int(g["order"]), "cumulative": bool(g.get("cumulative", True))}
    return influence_matrix(g["edges"].t().to(index), dtype=dtype, **options)


def drawn(num_nodes: int, width: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_nodes, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """0 where a vector is zero."""
    lengths = x.norm() * y.norm()
    return x @ y / lengths if lengths > 0 else (x * 0).sum()


def positives(z: Tensor, influence: CSR, tau: float) -> Tensor:
    """pos_i, entry by entry."""
    assert influence.value is not None
    rows = list(0 * z.sum(1))
    for i, j, w in zip(influence.row().tolist(), influence.col.tolist(), influence.value.double(), strict=True):
        rows[i] = rows[i] + w * (1 if i == j else (tau * cosine(z[i], z[j])).exp())
    return torch.stack(rows)


def denominators(z: Tensor, tau: float) -> Tensor:
    """den_i, pair by pair; the diagonal adds exp(0)."""
    rows = []
    for i, a in enumerate(z):
        terms = [(tau * cosine(a, b)).exp() for j, b in enumerate(z) if j != i]
        rows.append(torch.stack([a.new_ones(()), *terms]).sum())
    return torch.stack(rows)


def members(labels: Tensor) -> list[Tensor]:
    """The nodes of each cluster that has some."""
    return [(labels == label).nonzero().squeeze(1) for label in labels.unique()]


def approximated(z: Tensor, labels: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """The denominator of each row, and the sum over all pairs, with clusters at their means."""
    unit = z / z.norm(dim=1, keepdim=True)
    groups = members(labels)
    means = [unit[group].mean(0) for group in groups]
    rows = [sum(len(g) * (tau * (u @ m)).exp() for g, m in zip(groups, means, strict=True)) for u in unit]
    pairs = [
        len(a) * len(b) * (tau * (m @ n)).exp()
        for a, m in zip(groups, means, strict=True)
        for b, n in zip(groups, means, strict=True)
    ]
    return torch.stack(rows), torch.stack(pairs).sum()  # type: ignore[arg-type]


def meta_node_loss(z: Tensor, nodes: Tensor, influence: CSR, tau: float, eps: float = 1e-10) -> Tensor:
    """The loss of PamC for given meta-nodes (K, d)."""
    negative = denominators(nodes, tau)
    return (negative + eps).log().mean() - (positives(z, influence, tau) + eps).log().mean()
