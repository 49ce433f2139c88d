"""cca_ssg and bootstrap: explicit loops, gradients, columns and rows without variance or length."""

from __future__ import annotations

import math

import pytest
import torch
from contrast_cases import close, gradients, views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.objectives import BootstrapLoss, CCASSGLoss, bootstrap, cca_ssg


def standard_by_loops(x: Tensor) -> list[list[Tensor]]:
    """Columns as lists, centred and divided by their deviation and the root of N."""
    columns = []
    for c in range(x.shape[1]):
        values = [x[i, c] for i in range(len(x))]
        mean = sum(values) / len(x)
        deviation = (sum((value - mean) ** 2 for value in values) / len(x)).sqrt()
        columns.append([(value - mean) / deviation / math.sqrt(len(x)) for value in values])
    return columns


def cca_by_loops(u: Tensor, v: Tensor, lambd: float) -> Tensor:
    a, b = standard_by_loops(u), standard_by_loops(v)
    total = sum((p - q) ** 2 for left, right in zip(a, b, strict=True) for p, q in zip(left, right, strict=True))
    for columns in (a, b):
        for c, left in enumerate(columns):
            for d, right in enumerate(columns):
                product = sum(p * q for p, q in zip(left, right, strict=True))
                total = total + lambd * (product - float(c == d)) ** 2
    return total


@pytest.mark.parametrize(("count", "width"), [(2, 1), (5, 3), (63, 4)])
def test_cca_ssg_against_loops(count: int, width: int) -> None:
    u, v = views(count, width)
    found, wanted = cca_ssg(u, v, lambd=0.01), cca_by_loops(u, v, 0.01)
    close(found.detach(), wanted.detach(), 1e-12)
    for a, b in zip(gradients(found, (u, v)), gradients(wanted, (u, v)), strict=True):
        close(a, b, 1e-11)


def test_gradcheck() -> None:
    assert torch.autograd.gradcheck(lambda u, v: cca_ssg(u, v, lambd=0.3), views(7, 3))
    target = views(7, 3, seed=1)[1].detach()
    assert torch.autograd.gradcheck(lambda u: bootstrap(u, target), views(7, 3)[0])


@given(st.integers(2, 30), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_cca_ssg_does_not_see_order_shift_or_scale(count: int, seed: int) -> None:
    u, v = (x.detach() for x in views(count, 3, seed))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    loss = cca_ssg(u, v, lambd=0.1)
    close(cca_ssg(u[order], v[order], lambd=0.1), loss, 1e-11)
    close(cca_ssg(3 * u + 2, v - 5, lambd=0.1), loss, 1e-9)
    close(cca_ssg(v, u, lambd=0.1), loss, 1e-12)
    assert loss >= 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
def test_columns_without_variance(dtype: torch.dtype, constant: float) -> None:
    """Such a column is 0: nothing of its rounding is blown up, and no NaN reaches any gradient."""
    u, v = (x.detach().to(dtype).clone() for x in views(50, 3))
    u[:, 1] = constant
    u, v = u.requires_grad_(), v.requires_grad_()
    loss = cca_ssg(u, v, lambd=0.5)
    du, dv = gradients(loss, (u, v))
    assert bool(du.isfinite().all() and dv.isfinite().all())
    assert float(du[:, 1].abs().max()) == 0
    rest = [0, 2]
    reduced_loss = cca_ssg(u[:, rest], v[:, rest], lambd=0.5)
    spread = sum(float((torch.corrcoef(v.detach().t())[1, c]) ** 2) * 2 for c in rest)
    expected = float(reduced_loss.detach()) + 1 + 0.5 * (1 + spread)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    everywhere = torch.ones(1, 3, dtype=dtype, requires_grad=True)
    assert float(cca_ssg(everywhere, everywhere, lambd=1.0).detach()) == 6.0  # one node: no column varies


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float16, 3e-3)])
def test_narrow_types(dtype: torch.dtype, tol: float) -> None:
    """Inputs are rounded; everything else is done in float32."""
    u, v = views(40, 4)
    for loss in (CCASSGLoss(lambd=0.01), BootstrapLoss()):
        narrow = loss(u.to(dtype), v.to(dtype))
        assert narrow.dtype == torch.float32
        close(narrow.detach(), loss(u, v).detach(), tol)


def test_bootstrap_against_loops() -> None:
    u, v = views(6, 3)
    rows = [2 - 2 * (u[i] @ v[i]) / (u[i].norm() * v[i].norm()) for i in range(6)]
    close(bootstrap(u, v, reduction="none").detach(), torch.stack(rows).detach(), 1e-13)
    loss = bootstrap(u, v)
    close(loss.detach(), torch.stack(rows).mean().detach(), 1e-13)
    assert torch.autograd.grad(loss, v, allow_unused=True)[0] is None
    still = torch.zeros(2, 3)
    assert bootstrap(still, still, reduction="none").tolist() == [2.0, 2.0]


def test_refuses() -> None:
    u, v = views(4, 3)
    with pytest.raises(GraphrepError, match="lambd"):
        cca_ssg(u, v, lambd=-1.0)
    with pytest.raises(GraphrepError, match="lambd"):
        CCASSGLoss(lambd=float("nan"))
    for call in (lambda: cca_ssg(u, v[1:], lambd=0.1), lambda: bootstrap(u, v[:, 1:])):
        with pytest.raises(ShapeError, match="same node"):
            call()
    with pytest.raises(UnknownNameError, match="reduction"):
        bootstrap(u, v, reduction="sum")
