"""The loss on given and on guessed labels: golden vectors, a loop over rows, gradients, half types, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError
from graphrep.objectives import PseudoLabelLoss, pseudo_label_loss

Golden = Callable[[str], dict[str, Tensor]]


def batch(rows: int, classes: int = 4, seed: int = 0, share: float = 0.4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labels that nobody may read are -1."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    gold = torch.rand(rows, generator=generator) < share
    y = torch.randint(classes, (rows,), generator=generator)
    pseudo = torch.randint(classes, (rows,), generator=generator)
    return logits.requires_grad_(), y.where(gold, -1), pseudo.where(~gold, -1), gold


def looped(logits: Tensor, y: Tensor, pseudo: Tensor, is_gold: Tensor, alpha: float) -> float:
    """The definition, row by row, in plain numbers."""
    terms: dict[bool, list[float]] = {True: [], False: []}
    for row, a, b, gold in zip(logits.tolist(), y.tolist(), pseudo.tolist(), is_gold.tolist(), strict=True):
        terms[gold].append(math.log(sum(map(math.exp, row))) - row[a if gold else b])
    means = {key: sum(values) / len(values) for key, values in terms.items() if values}
    if False not in means:
        return means[True]
    return (1 - alpha) * means.get(True, 0.0) + alpha * means[False]


@pytest.mark.parametrize("name", ["pseudo_label_n9", "pseudo_label_allgold"])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_golden(name: str, index: torch.dtype, golden: Golden) -> None:
    g = golden(f"lmgnn/{name}")
    logits = g["logits"].clone().requires_grad_()
    labels = g["y"].to(index), g["pseudo"].to(index), g["is_gold"].bool()
    loss = PseudoLabelLoss(alpha=float(g["alpha"]))(logits, *labels)
    torch.testing.assert_close(loss, g["loss"], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], g["glogits"], rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 99), rows=st.sampled_from([1, 2, 63]), share=st.sampled_from([0.0, 0.4, 1.0]),
       alpha=st.sampled_from([0.0, 0.3, 1.0]))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_every_row_and_any_order(seed: int, rows: int, share: float, alpha: float) -> None:
    arguments = batch(rows, seed=seed, share=share)
    loss = pseudo_label_loss(*arguments, alpha=alpha)
    assert float(loss.detach()) == pytest.approx(looped(*arguments, alpha), rel=1e-12)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(pseudo_label_loss(*(part[order] for part in arguments), alpha=alpha), loss)


def test_probabilities_as_guesses() -> None:
    """Those of a certain model are its labels; others are the mean over labels; neither gets a gradient."""
    logits, y, pseudo, gold = batch(20)
    certain = torch.nn.functional.one_hot(pseudo.clamp(min=0), 4).double()
    hard = pseudo_label_loss(logits, y, pseudo, gold, alpha=0.3)
    torch.testing.assert_close(pseudo_label_loss(logits, y, certain, gold, alpha=0.3), hard)
    soft = torch.full((20, 4), 0.25, dtype=torch.float64, requires_grad=True)
    each = [pseudo_label_loss(logits, y, torch.full_like(y, c), gold, alpha=0.3) for c in range(4)]
    found = pseudo_label_loss(logits, y, soft, gold, alpha=0.3)
    torch.testing.assert_close(found, torch.stack(each).mean())
    found.backward()
    assert soft.grad is None


def test_gradcheck() -> None:
    logits, *labels = batch(7)
    assert torch.autograd.gradcheck(lambda z: pseudo_label_loss(z, *labels, alpha=0.3), logits)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])  # 8 bits of the logits
def test_narrow_types(dtype: torch.dtype, tol: float) -> None:
    logits, *labels = batch(63)
    found = pseudo_label_loss(logits.to(dtype), *labels, alpha=0.5)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(pseudo_label_loss(logits, *labels, alpha=0.5)), rel=tol)


def test_errors() -> None:
    logits, y, pseudo, gold = batch(6)
    with pytest.raises(GraphrepError, match=r"alpha is 1\.5"):
        PseudoLabelLoss(alpha=1.5)
    with pytest.raises(ShapeError, match=r"logits have shape \(0, 4\)"):
        pseudo_label_loss(logits[:0], y[:0], pseudo[:0], gold[:0], alpha=0.5)
    with pytest.raises(IndexRangeError, match=r"y \(labels that are read\) refers to 9"):
        pseudo_label_loss(logits, y.where(~gold, 9), pseudo, gold, alpha=0.5)
    with pytest.raises(IndexRangeError, match="pseudo"):
        pseudo_label_loss(logits, y, torch.full_like(pseudo, -1), gold, alpha=0.5)
    with pytest.raises(DTypeError, match="truth values"):
        pseudo_label_loss(logits, y, pseudo, gold.long(), alpha=0.5)
    with pytest.raises(ShapeError, match="for 6 rows"):
        pseudo_label_loss(logits, y[:3], pseudo, gold, alpha=0.5)
    with pytest.raises(ShapeError, match="pseudo has shape"):
        pseudo_label_loss(logits, y, torch.ones(6, 3), gold, alpha=0.5)
