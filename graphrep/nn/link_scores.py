"""Scores of pairs of vectors: inner product, cosine, DistMult and TransE."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_device, check_floating

__all__ = ["link_score"]

_KINDS = ("dot", "cosine", "distmult", "transe")
_EPS = 1e-12


def link_score(head: Tensor, tail: Tensor, rel: Tensor | None = None, *, kind: str = "dot", p: float = 2) -> Tensor:
    """How well a head, a tail and (for some kinds) a relation go together, along the last axis.

    - ``dot``: ``sum h t``; ``cosine``: that of the unit vectors, 0 where one of them is the zero vector;
    - ``distmult``: ``sum h r t`` (Yang et al. 2015); ``transe``: ``-||h + r - t||_p`` (Bordes et al. 2013).

    Args:
        head: (..., d).
        tail: (..., d); leading axes broadcast: ``head[:, None]`` against ``tail[None]`` scores all pairs.
        rel: (..., d), needed by ``distmult`` and ``transe``, ignored by the others.
        kind: see above.
        p: norm of ``transe``, 1 or more.

    Returns:
        (...) scores, larger is better; float32 for half types. Differentiable. Products are summed as they are made
        where the axes broadcast; the temporary has the broadcast shape.

    Raises:
        ShapeError, DTypeError, DeviceError, GraphrepError, UnknownNameError: the arguments do not fit.

    Example:
        >>> link_score(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]))
        tensor([5.])
        >>> link_score(torch.zeros(1, 2), torch.ones(1, 2), kind="cosine")
        tensor([0.])
    """
    if kind not in _KINDS:
        raise UnknownNameError(f'kind is "{kind}".', hint="one of " + ", ".join(_KINDS))
    h, t = _checked(head, "head"), _checked(tail, "tail")
    check_device(head.device, tail=tail)
    if kind in ("distmult", "transe"):
        if rel is None:
            raise GraphrepError(f"{kind} needs the vectors of the relations.", hint="rel=table[relation]")
        check_device(head.device, rel=rel)
        r = _checked(rel, "rel")
        _same_width(head=h, tail=t, rel=r)
        if kind == "distmult":
            product: Tensor = h * r * t
            return product.sum(-1)
        if not (math.isfinite(p) and p >= 1):
            raise GraphrepError(f"p is {p}; a norm has 1 or more.", hint="p=2")
        length: Tensor = torch.linalg.vector_norm(h + r - t, ord=p, dim=-1)
        return -length
    _same_width(head=h, tail=t)
    if kind == "cosine":
        h, t = (torch.nn.functional.normalize(part, dim=-1, eps=_EPS) for part in (h, t))
    return (h * t).sum(-1)


def _checked(x: Tensor, name: str) -> Tensor:
    check_floating(x, name)
    if x.dim() < 1:
        raise ShapeError(f"{name} is a single number.", hint="(..., d)")
    return x if x.dtype.itemsize > 2 else x.float()


def _same_width(**parts: Tensor) -> None:
    shapes = {name: tuple(part.shape) for name, part in parts.items()}
    try:
        torch.broadcast_shapes(*(shape[:-1] for shape in shapes.values()))  # type: ignore[no-untyped-call]
        fits = len({shape[-1] for shape in shapes.values()}) == 1
    except RuntimeError:
        fits = False
    if not fits:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ShapeError(f"these shapes do not fit each other: {listed}.", hint="one last axis, others that broadcast")
