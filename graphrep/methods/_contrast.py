"""The loss option of the two-view methods: a name and its settings become a module over the views of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.objectives import (
    IndividualTemperatures,
    decoupled_contrastive,
    guided_negatives,
    info_nce,
    mann_whitney,
    matryoshka,
    mv_dhel,
    mv_info_nce,
)
from graphrep.registry import suggest

__all__ = ["LOSSES", "Contrast", "make_contrast"]

Guide = Callable[[], Tensor]


class Contrast(nn.Module):
    """A loss of the views of a batch of nodes.

    Attributes:
        num_views: views that it compares.
    """

    num_views = 2

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        """The scalar loss; `views` are (B, d) each, `nodes` (B,) their ids, None for all nodes in order."""
        raise NotImplementedError


class _InfoNCE(Contrast):
    def __init__(self, temperature: float, intra_view: bool = True) -> None:
        super().__init__()
        self.temperature, self.intra_view = temperature, intra_view

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        return info_nce(views[0], views[1], temperature=self.temperature, intra_view=self.intra_view)


class _Decoupled(Contrast):
    def __init__(self, temperature: float, weighted: bool = False, weight_temperature: float = 0.5) -> None:
        super().__init__()
        self.options = {"temperature": temperature, "weighted": weighted, "weight_temperature": weight_temperature}

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        return decoupled_contrastive(views[0], views[1], **self.options)  # type: ignore[arg-type]


class _Guided(Contrast):
    """InfoNCE without negatives whose guide vectors are nearly those of the anchor (GISTEmbed's rule with a margin)."""

    def __init__(self, temperature: float, guide: Guide, margin: float = 0.1) -> None:
        super().__init__()
        if not 0 < margin <= 2:
            raise GraphrepError(f"margin is {margin}; a guide that is the same for both views needs one.", hint="0.1")
        self.temperature, self.guide, self.margin = temperature, guide, margin
        self.table: Tensor | None = None
        self.lists: tuple[Any, ...] | None = None  # those of all nodes, which never change

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        if self.table is None:
            self.table = self.guide()
        if nodes is not None or self.lists is None:
            rows = self.table if nodes is None else self.table[nodes]
            same, other = guided_negatives(rows, rows, margin=self.margin)
            lists = (same, other, same, other)
            if nodes is None:
                self.lists = lists
        else:
            lists = self.lists
        return info_nce(views[0], views[1], temperature=self.temperature, forbidden=lists)


class _Individual(Contrast):
    def __init__(self, num_nodes: int, **options: float) -> None:
        super().__init__()
        self.loss = IndividualTemperatures(num_nodes, **options)

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        return self.loss(views[0], views[1], nodes)  # type: ignore[no-any-return]


class _Matryoshka(Contrast):
    """InfoNCE of every prefix of the projected rows."""

    def __init__(self, temperature: float, dims: Sequence[int] | None = None) -> None:
        super().__init__()
        self.temperature, self.dims = temperature, dims

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        width = views[0].shape[1]
        dims = [int(d) for d in self.dims] if self.dims else [d for d in (8, 16, 32, 64, 128, 256, 512) if d < width]
        dims = [*dims, width] if width not in dims else dims
        nested = matryoshka(lambda u, v: info_nce(u, v, temperature=self.temperature), dims)
        return nested(views[0], views[1]) / len(dims)


class _MannWhitney(Contrast):
    """All positives against `negatives` random other nodes per anchor, in both views."""

    def __init__(self, temperature: float, negatives: int = 1) -> None:
        super().__init__()
        if negatives < 1:
            raise GraphrepError(f"negatives is {negatives}.", hint="1 or more per anchor")
        self.temperature, self.negatives = temperature, negatives

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        u, v = (nn.functional.normalize(view) for view in views)
        count = len(u)
        scores = []
        for _ in range(self.negatives):
            shift = torch.randint(1, count, (count,), generator=generator).to(u.device)  # never the node itself
            other = (torch.arange(count, device=u.device) + shift) % count
            scores += [(u * v[other]).sum(1), (v * u[other]).sum(1)]
        return mann_whitney((u * v).sum(1), torch.cat(scores), temperature=self.temperature)


class _MultiView(Contrast):
    def __init__(self, temperature: float, num_views: int = 3, kind: str = "dhel") -> None:
        super().__init__()
        if num_views < 2:
            raise GraphrepError(f"num_views is {num_views}.", hint="2 or more")
        if kind not in ("dhel", "info_nce"):
            raise UnknownNameError(f'kind is "{kind}".', hint='"dhel" or "info_nce"')
        self.temperature, self.num_views, self.kind = temperature, num_views, kind

    def forward(self, views: Sequence[Tensor], nodes: Tensor | None, epoch: int, generator: torch.Generator) -> Tensor:
        loss = mv_dhel if self.kind == "dhel" else mv_info_nce
        return loss(views, temperature=self.temperature)


_BY_NAME: dict[str, type[Contrast]] = {
    "info_nce": _InfoNCE,
    "decoupled": _Decoupled,
    "guided": _Guided,
    "individual_temperatures": _Individual,
    "matryoshka": _Matryoshka,
    "mann_whitney": _MannWhitney,
    "multi_view": _MultiView,
}
LOSSES = tuple(_BY_NAME)


def make_contrast(
    name: str, options: Mapping[str, Any] | None, *, temperature: float, num_nodes: int, guide: Guide
) -> Contrast:
    """The loss called `name`.

    Args:
        name: one of :data:`LOSSES`.
        options: settings of the loss beside the temperature.
        temperature: of the loss (``individual_temperatures`` learns its own).
        num_nodes: N of the graph.
        guide: gives the (N, d) vectors by which ``guided`` tells likely positives.

    Raises:
        UnknownNameError: no such loss or setting.
    """
    if name not in _BY_NAME:
        raise UnknownNameError(f'Unknown loss "{name}".{suggest(name, LOSSES)}', hint=" | ".join(LOSSES))
    given = dict(options or {})
    if name == "individual_temperatures":
        given["num_nodes"] = num_nodes
    else:
        given["temperature"] = temperature
    if name == "guided":
        given["guide"] = guide
    try:
        return _BY_NAME[name](**given)
    except TypeError as error:
        raise UnknownNameError(f"loss {name} has no such setting: {error}.", hint="see its docstring") from None
