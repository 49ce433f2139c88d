"""LightGCL: a propagated view of users and items, and a dense one through a low-rank decomposition (Cai et al.)."""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.nn.interactions import InteractionEncoder
from graphrep.nn.svd import Component, svd_view

__all__ = ["LightGCL"]

VIEWS = ("svd", "self", "noise")


class LightGCL(InteractionEncoder):
    """The sum of the propagated levels, and a second view of the same nodes to contrast it with.

    With ``A ~ U S V'`` of rank q the second view has ``G_u^l = U S V' E_i^(l-1)`` at level l >= 1, always from the
    level below of the *first* view, and ``G^0 = E^0``; both are summed over the levels.

    Args:
        num_users: I.
        num_items: J.
        dim: d.
        num_layers: L, at least 1.
        rank: q of the view.
        view: ``"svd"``; ``"self"``: the second view is the first; ``"noise"``: propagation with uniform noise of length
            `noise` added to each row at each level, with the signs of the row (Yu et al., SimGCL, SIGIR 2022).
        noise: length of the noise.
        svd_iters: ``"auto"``: accurate to 1e-4; 2 with `svd_oversample` 0 is the authors' inexact decomposition.
        svd_oversample: columns iterated along; see :func:`~graphrep.nn.svd_view`.
        svd_component: ``"largest"`` connected component or ``"all"``.
        seed: of the decomposition.

    Attributes:
        user_embedding: (I, d) trained.
        item_embedding: (J, d) trained; these two are the whole ``state_dict``.
        adj: (I, J) CSR, the normalised adjacency, after :meth:`prepare`.

    Raises:
        GraphrepError, UnknownNameError: an argument out of range.

    Source: Cai, Huang, Xia, Ren, "LightGCL: Simple Yet Effective Graph Contrastive Learning for Recommendation", 2023,
    arXiv:2302.08191, in the form of the authors' current code: no activation, no residual.

    Example:
        >>> seen = CSR.from_edge_index(torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]]), size=(3, 2))
        >>> model = LightGCL(2, 3, dim=4, rank=1).prepare(seen)
        >>> [tuple(part.shape) for part in model.views()]
        [(2, 4), (3, 4), (2, 4), (3, 4)]
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        dim: int = 64,
        num_layers: int = 2,
        rank: int = 5,
        *,
        view: str = "svd",
        noise: float = 0.1,
        svd_iters: int | Literal["auto"] = "auto",
        svd_oversample: int = 10,
        svd_component: Component = "largest",
        seed: int = 0,
    ) -> None:
        super().__init__(num_users, num_items, dim, num_layers)
        if view not in VIEWS:
            raise UnknownNameError(f'view is "{view}".', hint='"svd", "self" or "noise"')
        if num_layers < 1:
            raise GraphrepError("a view needs a propagation.", hint="num_layers=2")
        self.rank, self.view, self.noise, self.seed = rank, view, noise, seed
        self.svd_iters, self.svd_oversample, self.svd_component = svd_iters, svd_oversample, svd_component
        for name in ("_us", "_v", "_vs", "_u"):
            self.register_buffer(name, None, persistent=False)

    def prepare(
        self, interactions: CSR, *, svd: tuple[Tensor, Tensor, Tensor] | None = None, binarize: bool = True
    ) -> Self:
        """Takes the interactions of training: normalises them, and decomposes them unless `svd` is given.

        Args:
            interactions: (I, J) CSR of counts, rows users; without values every entry is 1.
            svd: (U (I, q), S (q,), V (J, q)) to use instead of a decomposition of ``adj``.
            binarize: each pair counts 1, however often it is listed; False: counts are normalised as they are.

        Raises:
            ShapeError, DTypeError, GraphrepError: see :class:`InteractionEncoder`; an `svd` of other shapes.
            EmptyGraphError: no interactions.
        """
        super().prepare(interactions, binarize=binarize)
        if self.view == "svd":
            self._take(svd if svd is not None else self._decomposed(self.adj))
        return self

    def _decomposed(self, matrix: CSR) -> tuple[Tensor, Tensor, Tensor]:
        return svd_view(
            matrix,
            self.rank,
            iters=self.svd_iters,
            oversample=self.svd_oversample,
            component=self.svd_component,
            seed=self.seed,
        )

    def _take(self, svd: tuple[Tensor, Tensor, Tensor]) -> None:
        u, s, v = (part.to(self.user_embedding) for part in svd)
        if u.shape != (self.num_users, len(s)) or v.shape != (self.num_items, len(s)):
            raise ShapeError(
                f"svd has shapes {tuple(u.shape)}, {tuple(s.shape)}, {tuple(v.shape)}.",
                hint=f"U ({self.num_users}, q), S (q,), V ({self.num_items}, q)",
            )
        self._us, self._v, self._vs, self._u = u * s, v, v * s, u

    def views(
        self, edge_multipliers: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both views of both sides: (E_u, E_i, G_u, G_i).

        Args:
            edge_multipliers: (L, 2, nnz) factors of the entries of ``adj`` in CSR order, for dropped edges: [l, 0] for
                the users' side, [l, 1] for the items'. The second view does not have them.
            generator: of the noise, on the tables' device; default torch's own.

        Raises:
            ShapeError: another shape.
        """
        levels = self.levels(edge_multipliers)
        main = self.combined(levels)
        if self.view == "self":
            return *main, *main
        if self.view == "noise":
            return *main, *self.combined(noisy_levels(self, self.noise, generator))
        users, items = zip(*levels[:-1], strict=True)
        return *main, *self._dense(levels[0], sum(users[1:], users[0]), sum(items[1:], items[0]))

    def _dense(self, first: tuple[Tensor, Tensor], users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The SVD view: its levels are linear in those below, so their sum needs one product per side."""
        return first[0] + self._us @ (self._v.t() @ items), first[1] + self._vs @ (self._u.t() @ users)


def noisy_levels(
    model: InteractionEncoder, length: float, generator: torch.Generator | None
) -> list[tuple[Tensor, Tensor]]:
    """The levels of a propagation in which every row gets uniform noise of one length with the signs of the row."""

    def noisy(rows: Tensor) -> Tensor:
        drawn = torch.rand(rows.shape, dtype=rows.dtype, device=rows.device, generator=generator)
        return rows + rows.detach().sign() * torch.nn.functional.normalize(drawn) * length

    found: list[Any] = [model.tables()]
    for layer in range(model.num_layers):
        user, item = model.next_level(layer, *found[-1])
        found.append((noisy(user), noisy(item)))
    return found
