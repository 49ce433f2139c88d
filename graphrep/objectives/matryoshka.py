"""A loss on nested prefixes of the embedding, so that its first columns serve alone (Kusupati et al., NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from graphrep.errors import ShapeError

__all__ = ["matryoshka"]

PairLoss = Callable[[Tensor, Tensor], Tensor]


def matryoshka(loss: PairLoss, dims: Sequence[int], *, weights: Sequence[float] | None = None) -> PairLoss:
    """The function (u, v) -> ``sum_m c_m loss(u[:, :m], v[:, :m])``.

    Args:
        loss: any loss of two tensors, such as a partial :func:`info_nce` or a module; what normalises rows does so on
            each prefix.
        dims: prefix lengths m >= 1, in any order.
        weights: c_m, 1 each by default.

    Returns:
        A function of two (N, d) tensors; it raises ShapeError where a prefix is longer than d. Costs the sum of its
        parts.

    Raises:
        ShapeError: no prefix, a prefix below 1, or another number of weights.

    Source: Kusupati et al., "Matryoshka Representation Learning", 2022, equation 1.

    Example:
        >>> import torch
        >>> nested = matryoshka(lambda u, v: (u * v).sum(), [1, 2])
        >>> nested(torch.ones(1, 2), torch.ones(1, 2))
        tensor(3.)
    """
    if not dims or min(dims) < 1:
        raise ShapeError(f"dims is {list(dims)}; prefixes have at least one column.", hint="for example (16, 32, 64)")
    factors = [1.0] * len(dims) if weights is None else list(weights)
    if len(factors) != len(dims):
        raise ShapeError(f"{len(factors)} weights for {len(dims)} dims.", hint="one weight per prefix")

    def nested(u: Tensor, v: Tensor) -> Tensor:
        if max(dims) > u.shape[1]:
            raise ShapeError(f"dims asks for {max(dims)} of {u.shape[1]} columns.", hint="prefixes up to d")
        total = factors[0] * loss(u[:, : dims[0]], v[:, : dims[0]])
        for m, factor in zip(dims[1:], factors[1:], strict=True):
            total = total + factor * loss(u[:, :m], v[:, :m])
        return total

    return nested
