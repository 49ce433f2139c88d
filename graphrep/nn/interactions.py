"""Vectors of users and items that are spread over their interactions: what the recommenders share."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._sorted import sorted_pattern
from graphrep.nn.hashed import check_rows, shared_rows

__all__ = ["InteractionEncoder"]


class InteractionEncoder(nn.Module):
    """A table of vectors per side, and linear propagation between the sides (He et al., LightGCN, SIGIR 2020).

    ``E_u^l = A E_i^(l-1)`` and ``E_i^l = A' E_u^(l-1)`` with ``A_ui = B_ui / sqrt(r_u c_i)``; the result is the sum of
    the levels 0..L or their mean. :class:`graphrep.nn.LightGCN` is the same on one set of nodes, with PyG's interface.

    Args:
        num_users: I.
        num_items: J.
        dim: d.
        num_layers: L; 0 is matrix factorisation.
        combine: ``"sum"`` or ``"mean"`` of the levels.
        first_level: whether level 0 takes part; without it L must be at least 1.

    Attributes:
        user_embedding: (I, d) trained, from Xavier's uniform distribution.
        item_embedding: (J, d), likewise; fewer rows in both after :meth:`share_rows`.
        user_map, item_map: rows that users and items share, None where each has its own.
        adj: (I, J) CSR, the normalised adjacency, after :meth:`prepare`; not part of the ``state_dict``.

    Raises:
        GraphrepError, UnknownNameError: an argument out of range.

    Example:
        >>> seen = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), size=(2, 2))
        >>> users, items = InteractionEncoder(2, 2, dim=4).prepare(seen)()
        >>> users.shape, items.shape
        (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    user_map: Tensor | None
    item_map: Tensor | None

    def __init__(
        self,
        num_users: int,
        num_items: int,
        dim: int = 64,
        num_layers: int = 2,
        *,
        combine: str = "sum",
        first_level: bool = True,
    ) -> None:
        super().__init__()
        for name, number, least in (
            ("num_users", num_users, 1), ("num_items", num_items, 1), ("dim", dim, 1), ("num_layers", num_layers, 0),
        ):  # fmt: skip
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise GraphrepError(f"{name} must be an integer of {least} or more; got {number!r}.", hint=f"{name}=2")
        if combine not in ("sum", "mean"):
            raise UnknownNameError(f'combine is "{combine}".', hint='"sum" or "mean"')
        if not first_level and not num_layers:
            raise GraphrepError("no level takes part.", hint="num_layers=1, or first_level=True")
        self.num_users, self.num_items, self.dim, self.num_layers = num_users, num_items, dim, num_layers
        self.combine, self.first_level = combine, first_level
        self.user_embedding = nn.Parameter(torch.empty(num_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.register_buffer("user_map", None)
        self.register_buffer("item_map", None)
        self.reset_parameters()
        self._adj: CSR | None = None
        self._adj_t: CSR | None = None

    def reset_parameters(self) -> None:
        """Draws the tables again, from torch's global generator."""
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)

    @property
    def adj(self) -> CSR:
        """(I, J) CSR, the normalised adjacency.

        Raises:
            GraphrepError: before :meth:`prepare`.
        """
        if self._adj is None:
            raise GraphrepError(f"this {type(self).__name__} has no interactions.", hint="prepare(interactions) first")
        return self._adj

    def prepare(self, interactions: CSR, *, binarize: bool = True) -> Self:
        """Takes the interactions of training.

        Args:
            interactions: (I, J) CSR of counts, rows users; without values every entry is 1.
            binarize: each pair counts 1, however often it is listed; False: counts are normalised as they are.

        Raises:
            ShapeError, DTypeError, GraphrepError: another shape, or counts that are not positive and finite.
        """
        matrix = self._matrix(interactions, binarize)
        assert matrix.value is not None
        row, col = matrix.row().long(), matrix.col.long()
        by_user = matrix.value.new_zeros(self.num_users).index_add_(0, row, matrix.value)
        by_item = matrix.value.new_zeros(self.num_items).index_add_(0, col, matrix.value)
        value = matrix.value / (by_user[row] * by_item[col]).sqrt()
        self._item_scale = torch.where(by_item > 0, by_item.rsqrt(), 0.0)
        self._place(matrix.with_value(value))
        return self

    def _matrix(self, interactions: CSR, binarize: bool) -> CSR:
        """The counts, on the device of the tables and in their type."""
        if not isinstance(interactions, CSR):
            raise DTypeError(
                f"interactions must be a CSR with a row per user; got {type(interactions).__name__}.",
                hint="Interactions.csr(), or CSR.from_scipy(A)",
            )
        if interactions.shape != (self.num_users, self.num_items):
            raise ShapeError(
                f"interactions has shape {interactions.shape}.", hint=f"({self.num_users}, {self.num_items})"
            )
        value = interactions.value
        if value is not None and (value.dim() != 1 or not bool(((value > 0) & torch.isfinite(value)).all())):
            raise GraphrepError(
                "interactions must have one positive, finite count per entry.", hint="matrix.eliminate_zeros()"
            )
        table = next(self.parameters())
        found = (sorted_pattern(interactions) if binarize else interactions).to(table.device)
        kind = table.dtype if table.dtype.itemsize > 2 else torch.float32
        count = found.value.detach().to(kind) if found.value is not None else None
        return found.with_value(torch.ones(found.nnz, dtype=kind, device=table.device) if count is None else count)

    def _place(self, adj: CSR) -> None:
        self._adj, self._adj_t = adj, adj.t()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moves the interactions along with the tables (``to``, ``double``, ...)."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self._adj is not None and self._adj.value is not None:
            moved = fn(self._adj.value)
            self._place(self._adj.to(moved.device).with_value(moved))
        return self

    def tables(self) -> tuple[Tensor, Tensor]:
        """Level 0: (I, d) and (J, d)."""
        if self.user_map is None or self.item_map is None:
            return self.user_embedding, self.item_embedding
        return shared_rows(self.user_map, self.user_embedding), shared_rows(self.item_map, self.item_embedding)

    def share_rows(self, user_map: Tensor, item_map: Tensor, num_rows: tuple[int, int] | None = None) -> Self:
        """Replaces the tables by smaller ones, new and drawn as these, whose rows users and items share.

        Level 0 then is ``table[map]``, the sum of the rows where a map has several columns. The maps become part of the
        ``state_dict``.

        Args:
            user_map: (I,) or (I, H) rows of the users' table, such as :class:`graphrep.methods.GraphHash` makes.
            item_map: (J,) or (J, H), likewise.
            num_rows: of both tables; default the largest of each map + 1.

        Raises:
            ShapeError, DTypeError, IndexRangeError: the maps do not fit.
        """
        sizes = num_rows if num_rows is not None else (None, None)
        sides = (("user", user_map, self.num_users), ("item", item_map, self.num_items))
        for (side, map, count), wanted in zip(sides, sizes, strict=True):
            rows = check_rows(map, wanted)
            if len(map) != count:
                raise ShapeError(f"{side}_map has {len(map)} rows; there are {count} {side}s.", hint="one per id")
            old: Tensor = getattr(self, f"{side}_embedding")
            self.register_buffer(f"{side}_map", map.long().to(old.device, copy=True))
            setattr(self, f"{side}_embedding", nn.Parameter(old.new_empty(rows, self.dim)))
        self.reset_parameters()
        return self

    def forward(self) -> tuple[Tensor, Tensor]:
        """(I, d) vectors of the users and (J, d) of the items, of the whole graph without dropping."""
        return self.combined(self.levels())

    def levels(self, edge_multipliers: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """Both sides' vectors at the levels 0..L.

        Args:
            edge_multipliers: (L, 2, nnz) factors of the entries in CSR order: [l, 0] for the users' side, [l, 1] for
                the items'.

        Raises:
            ShapeError: another shape.
        """
        self._check_multipliers(edge_multipliers)
        found = [self.tables()]
        for layer in range(self.num_layers):
            factors = None if edge_multipliers is None else edge_multipliers[layer]
            found.append(self.next_level(layer, *found[-1], factors))
        return found

    def next_level(
        self, layer: int, user: Tensor, item: Tensor, edge_multipliers: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Level `layer` + 1 from the one below; (2, nnz) factors of the entries."""
        forth, back = self._directions(edge_multipliers)
        return spmm(forth, item), spmm(back, user)

    def _directions(self, multipliers: Tensor | None) -> tuple[CSR, CSR]:
        """The matrices from items to users and back."""
        adj = self.adj
        assert self._adj_t is not None
        assert adj.value is not None
        if multipliers is None:
            return adj, self._adj_t
        back = (adj.value * multipliers[1])[adj.t_perm().long()]
        return adj.with_value(adj.value * multipliers[0]), self._adj_t.with_value(back)

    def _check_multipliers(self, multipliers: Tensor | None) -> None:
        if multipliers is not None and multipliers.shape != (self.num_layers, 2, self.adj.nnz):
            raise ShapeError(
                f"edge_multipliers has shape {tuple(multipliers.shape)}.",
                hint=f"({self.num_layers}, 2, {self.adj.nnz}): layers, sides, entries in CSR order",
            )

    def combined(self, levels: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The sum or mean over the levels that take part."""
        used = levels if self.first_level else levels[1:]
        share = 1 / len(used) if self.combine == "mean" else 1.0
        user, item = used[0]
        for more_user, more_item in used[1:]:
            user, item = user + more_user, item + more_item
        return (user, item) if share == 1 else (user * share, item * share)

    @torch.no_grad()
    def item_context(self) -> Tensor:
        """(J, c) rows C with which a user who was not there gets a vector: ``folded(sum_i B_ui C_i / sqrt(r_u))``.

        That is the users' side of the levels 1..L, which needs no row of the users' table; with L = 0 the items' own
        vectors take the part of level 0. Items without interactions have zeros.
        """
        levels = self.levels()
        scale = self._item_scale.to(self.adj.value)[:, None]
        return self._sources([item for _, item in levels[:-1]] or [levels[0][1]]) * scale

    def _sources(self, items: list[Tensor]) -> Tensor:
        used = self.num_layers + self.first_level
        return torch.stack(items).sum(0) / (used if self.combine == "mean" else 1)

    def folded(self, arrived: Tensor) -> Tensor:
        """(n, d) users' vectors from the (n, c) context that arrived; see :meth:`item_context`."""
        return arrived
