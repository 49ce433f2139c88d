"""FastRP as a differentiable nn.Module, for use inside a PyTorch model.

Equations and defaults of :class:`graphrep.methods.FastRP` (Chen et al., CIKM 2019), on `graphrep.kernels.spmm`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, MissingFeaturesError, ShapeError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._check import check_edge_index
from graphrep.kernels.projection import node_keys, random_gaussian, random_signs
from graphrep.methods._fastrp_settings import resolve
from graphrep.methods._fastrp_start import feature_signs
from graphrep.methods.fastrp import FastRP

__all__ = ["FastRPModule"]


class FastRPModule(nn.Module):
    """FastRP with gradients to features, start vectors, edge weights and power weights.

    Args:
        dim: coordinates d.
        weights: w_1..w_q, held as a parameter.
        learn_weights: whether `weights` is trained.
        **params: other arguments of :class:`FastRP`, except `storage`, `keep_powers` and `coalesce`, which have no
            effect here; ``feature_scale="standard"`` uses the statistics of the given features.

    Shapes:
        edge_index (2, E), or CSR / torch sparse CSR whose row i gathers column j; edge_weight (E,); x (N, F);
        init (N, dim); node_id (N,) integers; output (N, dim), or (N, q dim) with ``concat=True``.

    ``state_dict``: ``weights`` (q,).

    Example:
        >>> edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> module = FastRPModule(dim=8, learn_weights=True)
        >>> module(edges).sum().backward()
        >>> module.weights.grad.shape
        torch.Size([3])
    """

    def __init__(self, dim: int = 256, weights: Any = (0.0, 1.0, 1.0), *, learn_weights: bool = False, **params: Any):
        super().__init__()
        self.settings = resolve({**FastRP(dim, weights).get_params(), **params})
        tensor = torch.tensor(self.settings.weights, dtype=self.settings.work)
        self.weights = nn.Parameter(tensor, requires_grad=learn_weights)

    def forward(
        self,
        edge_index: Any,
        edge_weight: Tensor | None = None,
        num_nodes: int | None = None,
        x: Tensor | None = None,
        node_id: Any = None,
        init: Tensor | None = None,
    ) -> Tensor:
        """The embedding (N, dim).

        Raises:
            ShapeError, GraphrepError: the parts do not fit together, or weights are negative.
        """
        s = self.settings
        sizes = [t.shape[0] for t in (init, x) if t is not None]
        csr = self._matrix(edge_index, edge_weight, num_nodes if num_nodes is not None else next(iter(sizes), None))
        strength = self._strength(csr)
        positive = torch.where(strength > 0, strength, 1.0)[:, None]
        scale = positive**s.degree_exponent if s.degree_exponent else torch.ones_like(positive)
        start = self._start(csr.num_rows, x, node_id, init, scale)
        inverse = torch.where(strength[:, None] > 0, 1 / positive, 0.0) if s.transition else torch.ones_like(positive)
        powers, u = [], start
        for _ in range(s.num_powers):
            u = spmm(csr, u) * inverse
            powers.append(self._unit(u) if s.normalize else u)
        if s.concat:
            return torch.cat(powers, dim=1)
        total: Tensor = torch.einsum("q,qnd->nd", self.weights.to(u.dtype), torch.stack(powers))
        if s.self_weight:
            total = total + s.self_weight * (self._unit(start) if s.normalize else start)
        return _standardized(total) if s.standardize else total

    def _matrix(self, edges: Any, weight: Tensor | None, num_nodes: int | None) -> CSR:
        s = self.settings
        if isinstance(edges, CSR):
            csr = edges
        elif isinstance(edges, Tensor) and edges.layout is torch.sparse_csr:
            csr = CSR(edges.crow_indices(), edges.col_indices(), edges.values(), num_cols=edges.shape[1])
        else:
            check_edge_index(edges)
            count = int(edges.max()) + 1 if num_nodes is None and edges.numel() else num_nodes or 0
            if s.direction == "both":
                edges = torch.cat([edges, edges.flip(0)], dim=1)
                weight = None if weight is None else torch.cat([weight, weight])
            edges = edges.flip(0) if s.direction == "out" else edges
            csr = CSR.from_edge_index(edges, weight, size=(count, count))
        if csr.num_rows != csr.num_cols:
            raise ShapeError(f"The matrix is {csr.num_rows} x {csr.num_cols}; FastRP needs it square.")
        if csr.value is None:
            return csr
        if not s.abs_degree and not s.gds and csr.nnz and float(csr.value.detach().min()) < 0:
            raise GraphrepError("edge_weight has negative entries.", hint="FastRPModule(abs_degree=True)")
        return csr.with_value(csr.value.to(s.work))

    def _strength(self, csr: CSR) -> Tensor:
        if csr.value is None or self.settings.gds:
            return csr.degree().to(self.settings.work)
        value = csr.value.abs() if self.settings.abs_degree else csr.value
        ones = torch.ones(csr.num_cols, 1, dtype=value.dtype, device=value.device)
        total: Tensor = spmm(csr.with_value(value), ones)
        return total[:, 0]

    def _start(self, num_nodes: int, x: Tensor | None, node_id: Any, init: Tensor | None, scale: Tensor) -> Tensor:
        s = self.settings
        if init is not None:
            if init.shape != (num_nodes, s.dim):
                raise ShapeError(f"init has shape {tuple(init.shape)}; it must be {(num_nodes, s.dim)}.")
            return init.to(s.work) * scale
        density, keys = s.density_for(num_nodes), node_keys(node_id, num_nodes)
        width, constant = s.dim - s.num_features_dims, math.sqrt(1 / (density * s.dim))
        if s.density == "gaussian":
            rows = random_gaussian(keys, width, seed=s.seed, dtype=s.work) / math.sqrt(s.dim)
        else:
            codes = random_signs(keys, width, density=density, seed=s.seed, stream="gds" if s.gds else "node")
            rows = codes.to(s.work) * constant
        rows = rows.to(scale.device) * scale
        if not s.num_features_dims:
            return rows
        if x is None:
            raise MissingFeaturesError("feature_ratio is above 0 and x is missing.", hint="module(edge_index, x=x)")
        signs = feature_signs(s, x.shape[1], density).to(device=x.device, dtype=s.work) * constant
        x = x.to(s.work)
        return torch.cat([rows, (_standardized(x) if s.feature_scale == "standard" else x) @ signs], dim=1)

    @staticmethod
    def _unit(rows: Tensor) -> Tensor:
        square = rows.square().sum(dim=1, keepdim=True)
        # A zero row stays zero, and its gradient is finite.
        return rows / torch.where(square > 0, square, 1.0).sqrt()

    def extra_repr(self) -> str:
        """Size and number of powers."""
        return f"dim={self.settings.dim}, powers={self.settings.num_powers}"


def _standardized(z: Tensor) -> Tensor:
    mean = z.mean(0)
    variance = (z - mean).square().mean(0)
    constant = variance <= torch.finfo(z.dtype).eps * z.shape[0] * (variance + mean.square())
    return (z - mean) / torch.where(constant, 1.0, variance).sqrt()
