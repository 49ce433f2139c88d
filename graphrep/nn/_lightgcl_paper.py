"""LightGCL as in its paper and as in the code of its submission: an activation and a residual in both views."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from graphrep.kernels import CSR
from graphrep.nn.lightgcl import LightGCL

__all__ = ["PaperLightGCL"]

_SLOPE = 0.5


class PaperLightGCL(LightGCL):
    """``E^l = Z^l + E^(l-1)`` with ``Z_u^l = leaky(A E_i^(l-1))``; the views are compared layer by layer.

    Args:
        sizes: num_users, num_items, dim, num_layers, rank.
        submission: the decomposition is of the matrix that is not normalised, and the second view is turned by a
            trained matrix per layer, which joins the ``state_dict`` as ``bilinear`` (L, d, d).
        options: of :class:`LightGCL`.
    """

    def __init__(self, *sizes: int, submission: bool, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.submission = submission
        if submission:
            self.bilinear = nn.Parameter(torch.empty(self.num_layers, self.dim, self.dim))
            for matrix in self.bilinear:
                nn.init.xavier_uniform_(matrix)

    def _decomposed(self, matrix: CSR) -> tuple[Tensor, Tensor, Tensor]:
        if self.submission:
            assert matrix.value is not None
            matrix = matrix.with_value(torch.ones_like(matrix.value))
        return super()._decomposed(matrix)

    def next_level(
        self, layer: int, user: Tensor, item: Tensor, edge_multipliers: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        to_user, to_item = super().next_level(layer, user, item, edge_multipliers)
        return leaky_relu(to_user, _SLOPE) + user, leaky_relu(to_item, _SLOPE) + item

    def layers(
        self, edge_multipliers: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]]:
        """The summed main view, and per layer the unit rows of both views: ((z_u, g_u), (z_i, g_i))."""
        levels = self.levels(edge_multipliers)
        pairs = []
        for layer, ((user, item), (next_user, next_item)) in enumerate(itertools.pairwise(levels)):
            dense = self._us @ (self._v.t() @ item), self._vs @ (self._u.t() @ user)
            pairs.append(
                tuple(
                    (normalize(z), self._turned(layer, normalize(leaky_relu(g, _SLOPE))))
                    for z, g in zip((next_user - user, next_item - item), dense, strict=True)
                )
            )
        return self.combined(levels), pairs  # type: ignore[return-value]

    def _turned(self, layer: int, rows: Tensor) -> Tensor:
        return rows @ self.bilinear[layer] if self.submission else rows

    def _sources(self, items: list[Tensor]) -> Tensor:
        return torch.cat(items, dim=1)

    def folded(self, arrived: Tensor) -> Tensor:
        """The users' side of the levels from a level 0 of zeros; see :meth:`InteractionEncoder.item_context`."""
        level = total = arrived.new_zeros(arrived.shape[0], self.dim)
        for part in arrived.chunk(self.num_layers, dim=1):
            level = leaky_relu(part, _SLOPE) + level
            total = total + level
        return total
