"""Small encoders and graphs, all bounds as dense loops in float64, and graphs drawn from the permitted set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize


@dataclass(frozen=True)
class Problem:
    """An encoder on a graph; edges (2, E) without duplicates and loops."""

    x: Tensor
    edges: Tensor
    layers: list[tuple[Tensor, Tensor]]
    z_other: Tensor
    slope: float
    drop_rate: float

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.x, self.edges, self.layers, self.z_other

    @property
    def options(self) -> dict[str, Any]:
        return {"drop_rate": self.drop_rate, "negative_slope": self.slope}

    def to(self, dtype: torch.dtype) -> Problem:
        layers = [(w.to(dtype), b.to(dtype)) for w, b in self.layers]
        return Problem(self.x.to(dtype), self.edges, layers, self.z_other.to(dtype), self.slope, self.drop_rate)


def problem(count: int = 9, seed: int = 0, *, slope: float = 0.25, drop_rate: float = 0.4) -> Problem:
    """A random undirected graph with an isolated last node, and random weights."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    upper = torch.triu(torch.rand(count, count, generator=generator) < 0.45, 1)
    upper[:, -1] = False
    edges = (upper | upper.t()).nonzero().t().contiguous()
    layers = [(draw(4, 6), 0.3 * draw(6)), (draw(6, 3), 0.3 * draw(3))]
    return Problem(draw(count, 4), edges, layers, leaky_relu(draw(count, 3), slope), slope, drop_rate)


def dense_pattern(edges: Tensor, count: int) -> Tensor:
    """(N, N) bool, row = target."""
    pattern = torch.zeros(count, count, dtype=torch.bool)
    pattern[edges[1], edges[0]] = True
    return pattern


def contrasts(z: Tensor) -> Tensor:
    """The unit row minus the mean of the others, one node at a time."""
    unit = normalize(z)
    rows = [unit[i] - torch.cat([unit[:i], unit[i + 1 :]]).mean(0) for i in range(len(z))]
    return torch.stack(rows)


def dense_bounds(p: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Lower and upper bound of every entry of the normalised matrix, and the budgets."""
    pattern = dense_pattern(p.edges, len(p.x))
    degree = pattern.sum(1)
    budget = torch.tensor([min(max(int(d) - 1, 0), round(p.drop_rate * int(d))) for d in degree])
    r = (degree + 1 - budget).double().rsqrt()
    upper = r[:, None] * r * (pattern | torch.eye(len(p.x), dtype=torch.bool))
    return torch.diag(1 / (degree + 1).double()), upper, budget


def dense_interval(low: Tensor, high: Tensor, entries: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Each product of an entry and a number at the worse of its four corners."""
    corners = torch.stack([a[:, :, None] * v[None] for a in entries for v in (low, high)])
    return corners.amin(0).sum(1), corners.amax(0).sum(1)


def dense_scores(p: Problem) -> dict[str, Tensor]:
    """The two sound scores by explicit corners; lines for the second activation chosen unit by unit."""
    lower, upper, _ = dense_bounds(p)
    (w1, b1), (w2, b2) = p.layers
    w = contrasts(p.z_other)
    l1, u1 = (end + b1 for end in dense_interval(p.x @ w1, p.x @ w1, (lower, upper)))
    h_low, h_high = leaky_relu(l1, p.slope), leaky_relu(u1, p.slope)
    corners = torch.stack([h_low[:, :, None] * w2, h_high[:, :, None] * w2])
    l2, u2 = dense_interval(corners.amin(0).sum(1), corners.amax(0).sum(1), (lower, upper))
    l2, u2 = l2 + b2, u2 + b2
    ends = torch.stack([w * leaky_relu(l2, p.slope), w * leaky_relu(u2, p.slope)])
    ibp = ends.amin(0).sum(1)
    crown = torch.zeros(len(p.x), dtype=torch.float64)
    for i in range(len(p.x)):
        back = torch.zeros(w1.shape[1], dtype=torch.float64)
        for c in range(w2.shape[1]):
            low, high = float(l2[i, c]), float(u2[i, c])
            if low >= 0 or high <= 0:
                line, rise = (1.0 if low >= 0 else p.slope), 0.0
            else:
                line = (high - p.slope * low) / (high - low)
                rise = high - line * high if w[i, c] < 0 else 0.0
            back += w[i, c] * line * w2[:, c]
            crown[i] += w[i, c] * (line * b2[c] + rise)
        along = torch.minimum(back * h_low, back * h_high).sum(1)  # over sources j
        crown[i] += torch.minimum(lower[i] * along, upper[i] * along).sum()
    return {"ibp": ibp, "crown-ibp": crown, "best": torch.maximum(ibp, crown)}


def permitted_values(p: Problem, draws: int, seed: int = 0) -> Tensor:
    """(draws, N) values of <w_i, z_i> on random graphs within the budgets; the first is the graph itself."""
    generator = torch.Generator().manual_seed(seed)
    count = len(p.x)
    pattern, budget = dense_pattern(p.edges, count), dense_bounds(p)[2]
    keys = torch.rand(draws, count, count, generator=generator).masked_fill(~pattern, 2.0)
    rank = keys.argsort(2).argsort(2)
    dropped = (torch.rand(draws, count, generator=generator) * (budget + 1)).floor().clamp(max=budget.double())
    dropped = torch.where(torch.arange(draws)[:, None] % 2 == 1, budget.double(), dropped)  # half lose all they may
    dropped[0] = 0
    adjacency = (pattern & (rank >= dropped[:, :, None])).double() + torch.eye(count, dtype=torch.float64)
    root = adjacency.sum(2).rsqrt()
    matrix = root[:, :, None] * adjacency * root[:, None, :]
    hidden = p.x.expand(draws, -1, -1)
    for weight, bias in p.layers:
        hidden = leaky_relu(matrix @ (hidden @ weight) + bias, p.slope)
    return (hidden * contrasts(p.z_other)).sum(2)
