"""Small graphs with known groups, for the clusterers."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep import Graph


def planted(
    sizes: tuple[int, ...] = (20, 20, 20),
    seed: int = 0,
    *,
    inside: float = 0.5,
    between: float = 0.02,
    isolated: int = 0,
    noise: float = 0.4,
    sparse: bool = False,
    features: bool = True,
    weighted: bool = False,
) -> tuple[Graph, Tensor]:
    """Groups that links and features agree on, then `isolated` nodes of the groups in turn; graph and groups."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    count = groups.numel()
    chance = torch.where(groups[:, None] == groups, inside, between)
    links = (torch.rand(count, count, generator=generator) < chance).triu(1).nonzero().t()
    groups = torch.cat([groups, torch.arange(isolated) % len(sizes)])
    x = None
    if features:
        centres = torch.eye(len(sizes), 8)
        x = centres[groups] + noise * torch.randn(groups.numel(), 8, generator=generator) / 8**0.5
        x = x.masked_fill(x.abs() < 0.05, 0).to_sparse_csr() if sparse else x
    weight = torch.rand(links.shape[1], generator=generator) + 0.5 if weighted else None
    both = torch.cat([links, links.flip(0)], dim=1)
    weights = None if weight is None else torch.cat([weight, weight])
    return Graph(both, weights, x=x, y=groups, num_nodes=groups.numel()), groups


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two labelings are one partition."""
    return torch.equal(a[:, None] == a, b[:, None] == b)
