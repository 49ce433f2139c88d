"""Losses of link prediction: golden vectors, loops over terms, gradients, extreme scores, half types, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.objectives import (
    LinkAdversarialLoss,
    LinkBCELoss,
    LinkBPRLoss,
    LinkInfoNCELoss,
    bpr,
    link_adversarial,
    link_bce,
    link_bpr,
    link_info_nce,
)

Golden = Callable[[str], dict[str, Tensor]]
LOSSES: list[tuple[Callable[..., Tensor], dict[str, Any]]] = [
    (link_bce, {}),
    (link_bce, {"reduction": "concat"}),
    (link_bpr, {}),
    (link_info_nce, {"temperature": 0.3}),
    (link_adversarial, {"adversarial_temperature": 0.7}),
    (link_adversarial, {"adversarial_temperature": 0.7, "scope": "batch"}),
]
losses = pytest.mark.parametrize(("loss", "options"), LOSSES)


def scores(count: int, per_link: int, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pos = scale * torch.randn(count, generator=generator, dtype=torch.float64)
    neg = scale * torch.randn(count, per_link, generator=generator, dtype=torch.float64)
    return pos.requires_grad_(), neg.requires_grad_()


def looped(loss: Callable[..., Tensor], pos: Tensor, neg: Tensor, **options: Any) -> float:
    """The definition, term by term, in plain numbers."""
    p, q = pos.tolist(), neg.tolist()
    below = [math.log1p(math.exp(-x)) for x in p]
    above = [[math.log1p(math.exp(x)) for x in row] for row in q]
    flat = [x for row in above for x in row]
    if loss is link_bce:
        if options.get("reduction") == "concat":
            return (sum(below) + sum(flat)) / (len(below) + len(flat))
        return sum(below) / len(below) + sum(flat) / len(flat)
    if loss is link_bpr:
        return sum(math.log1p(math.exp(x - own)) for own, row in zip(p, q, strict=True) for x in row) / len(flat)
    if loss is link_info_nce:
        t = options["temperature"]
        rows = [math.log(sum(math.exp(x / t) for x in [own, *row])) - own / t for own, row in zip(p, q, strict=True)]
        return sum(rows) / len(rows)
    a = options["adversarial_temperature"]
    groups = [(q[i], above[i]) for i in range(len(p))]
    if options.get("scope") == "batch":
        groups = [([x for row in q for x in row], flat)]
    parts = []
    for row, terms in groups:
        weights = [math.exp(a * x) for x in row]
        parts.append(sum(w * t for w, t in zip(weights, terms, strict=True)) / sum(weights))
    return (sum(below) / len(below) + sum(parts) / len(parts)) / 2


@pytest.mark.parametrize("name", ["lp_loss_b6k5", "lp_loss_b1k1", "lp_loss_extreme"])
def test_golden(name: str, golden: Golden) -> None:
    g = golden(f"lmgnn/{name}")
    sharper = {"adversarial_temperature": float(g["adv_temp"])}
    table: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
        "bce_concat_mean": (link_bce, {"reduction": "concat"}),
        "bce_balanced": (link_bce, {}),
        "bce_weighted": (link_bce, {"reduction": "concat", "pos_weight": g["pos_weight"]}),
        "bpr": (link_bpr, {}),
        "contrastive": (link_info_nce, {"temperature": float(g["tau"])}),
        "adv_per_positive": (link_adversarial, sharper),
        "adv_batch_softmax": (link_adversarial, {**sharper, "scope": "batch"}),
    }
    for key, (loss, options) in table.items():
        pos, neg = g["pos"].clone().requires_grad_(), g["neg"].clone().requires_grad_()
        value = loss(pos, neg, **options)
        torch.testing.assert_close(value, g[key], rtol=1e-12, atol=1e-12, msg=key)
        for found, side in zip(torch.autograd.grad(value, (pos, neg)), ("gpos", "gneg"), strict=True):
            torch.testing.assert_close(found, g[f"{key}_{side}"], rtol=1e-10, atol=1e-12, msg=f"{key}_{side}")


@losses
@pytest.mark.parametrize(("count", "per_link"), [(1, 1), (2, 3), (63, 5)])
def test_every_term(loss: Callable[..., Tensor], options: dict[str, Any], count: int, per_link: int) -> None:
    pos, neg = scores(count, per_link, seed=count)
    assert float(loss(pos, neg, **options)) == pytest.approx(looped(loss, pos, neg, **options), rel=1e-12)


@losses
def test_gradcheck(loss: Callable[..., Tensor], options: dict[str, Any]) -> None:
    pos, neg = scores(4, 3)
    if loss is link_adversarial:  # its weights carry no gradient, so only that of the links is the derivative
        assert torch.autograd.gradcheck(lambda p: loss(p, neg.detach(), **options), pos)
    else:
        assert torch.autograd.gradcheck(lambda p, n: loss(p, n, **options), (pos, neg))


@losses
@given(seed=st.integers(0, 50), count=st.integers(1, 9), per_link=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_order_plays_no_part(
    loss: Callable[..., Tensor], options: dict[str, Any], seed: int, count: int, per_link: int
) -> None:
    pos, neg = scores(count, per_link, seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(count, generator=generator), torch.randperm(per_link, generator=generator)
    torch.testing.assert_close(loss(pos[rows], neg[rows][:, columns], **options), loss(pos, neg, **options))


@losses
def test_extreme_scores_stay_finite(loss: Callable[..., Tensor], options: dict[str, Any]) -> None:
    pos, neg = scores(5, 4, scale=1e4)
    value = loss(pos.float(), neg.float(), **options)
    assert torch.isfinite(value)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(value, (pos, neg)))


@losses
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])  # 8 bits of the scores
def test_narrow_types(loss: Callable[..., Tensor], options: dict[str, Any], dtype: torch.dtype, tol: float) -> None:
    pos, neg = scores(31, 4)
    value = loss(pos.to(dtype), neg.to(dtype), **options)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(loss(pos, neg, **options)), rel=tol)


def test_one_negative_each_is_bpr() -> None:
    pos, neg = scores(8, 1)
    torch.testing.assert_close(link_bpr(pos, neg), bpr(pos, neg[:, 0]))


def test_negatives_that_belong_to_no_link() -> None:
    pos, neg = scores(4, 3)
    torch.testing.assert_close(link_bce(pos, neg.reshape(-1, 1)), link_bce(pos, neg))
    with pytest.raises(ShapeError, match="each link has K negatives"):
        link_bpr(pos, neg.reshape(-1, 1))


def test_weights_of_one_change_nothing() -> None:
    pos, neg = scores(4, 3)
    torch.testing.assert_close(link_bce(pos, neg, pos_weight=torch.ones(4)), link_bce(pos, neg))


@pytest.mark.parametrize(
    ("module", "loss", "options"),
    [
        (LinkBCELoss, link_bce, {"reduction": "concat"}),
        (LinkBPRLoss, link_bpr, {}),
        (LinkInfoNCELoss, link_info_nce, {"temperature": 0.2}),
        (LinkAdversarialLoss, link_adversarial, {"adversarial_temperature": 2.0, "scope": "batch"}),
    ],
)
def test_modules(module: type[torch.nn.Module], loss: Callable[..., Tensor], options: dict[str, Any]) -> None:
    pos, neg = scores(4, 3)
    assert torch.equal(module(**options)(pos, neg), loss(pos, neg, **options))
    assert all(str(value) in repr(module(**options)) for value in options.values())


def test_errors() -> None:
    pos, neg = torch.zeros(3), torch.zeros(3, 2)
    for bad in ((pos, neg[:2]), (pos, pos), (neg, neg), (pos[:0], neg[:0]), (pos, neg[:, :0])):
        with pytest.raises(ShapeError, match="each link has K negatives"):
            link_bce(*bad)
    with pytest.raises(DTypeError):
        link_bpr(pos.long(), neg)
    with pytest.raises(ShapeError, match="pos_weight"):
        link_bce(pos, neg, pos_weight=torch.ones(2))
    with pytest.raises(GraphrepError, match="negative or NaN"):
        link_bce(pos, neg, pos_weight=torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(UnknownNameError):
        link_bce(pos, neg, reduction="sum")
    with pytest.raises(UnknownNameError):
        link_adversarial(pos, neg, scope="row")
    with pytest.raises(GraphrepError, match="temperature"):
        link_info_nce(pos, neg, temperature=0.0)
    with pytest.raises(GraphrepError, match="adversarial_temperature"):
        link_adversarial(pos, neg, adversarial_temperature=-1.0)
