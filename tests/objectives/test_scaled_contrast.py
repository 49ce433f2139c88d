"""scaled_contrast: explicit loops, the gradient of the scale, groups of equal texts, half types, bad arguments."""

from __future__ import annotations

import math

import pytest
import torch
from contrast_cases import close, gradients, views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.objectives import ScaledContrastLoss, scaled_contrast


def rows(u: Tensor, v: Tensor, log_scale: Tensor, groups: Tensor | None = None) -> Tensor:
    """The definition, pair by pair."""
    u, v = (x / x.norm(dim=1, keepdim=True) for x in (u, v))
    scale = log_scale.clamp(max=math.log(100)).exp()
    found = []
    for i in range(len(u)):
        kept = [j for j in range(len(u)) if j == i or groups is None or groups[j] != groups[i]]
        there = torch.stack([scale * (u[i] @ v[j]) for j in kept]).logsumexp(0)
        back = torch.stack([scale * (v[i] @ u[j]) for j in kept]).logsumexp(0)
        found.append((there + back) / 2 - scale * (u[i] @ v[i]))
    return torch.stack(found)


@pytest.mark.parametrize("count", [1, 2, 63])
@pytest.mark.parametrize("grouped", [False, True])
def test_against_loops(count: int, grouped: bool, backend: str) -> None:
    u, v = views(count, 5)
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    groups = torch.arange(count) // 3 if grouped else None
    wanted = rows(u, v, scale, groups)
    found = scaled_contrast(u, v, scale, groups=groups, reduction="none")
    close(found.detach(), wanted.detach(), 1e-12)
    for a, b in zip(gradients(found, (u, v, scale)), gradients(wanted, (u, v, scale)), strict=True):
        close(a, b, 1e-11)


def test_gradcheck() -> None:
    u, v = views(5, 3)
    scale = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    groups = torch.tensor([0, 1, 0, 2, 3])
    assert torch.autograd.gradcheck(lambda *x: scaled_contrast(*x, groups=groups), (u, v, scale))


def test_the_scale_stops_at_a_hundred() -> None:
    u, v = views(4, 3)
    large = torch.tensor(9.0, dtype=torch.float64, requires_grad=True)
    value = scaled_contrast(u, v, large)
    close(value.detach(), scaled_contrast(u, v, torch.tensor(math.log(100.0), dtype=torch.float64)).detach(), 1e-12)
    assert float(gradients(value, (large,))[0]) == 0


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_one_group_leaves_nothing_to_tell_apart(index: torch.dtype) -> None:
    u, v = views(6, 3)
    found = scaled_contrast(u, v, torch.tensor(1.0), groups=torch.zeros(6, dtype=index), reduction="none")
    close(found.detach(), torch.zeros(6, dtype=torch.float64), 1e-12)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    u, v = torch.randn(2, count, 4, generator=generator, dtype=torch.float64)
    groups = torch.randint(0, 1 + count // 2, (count,), generator=generator)
    order = torch.randperm(count, generator=generator)
    found = scaled_contrast(u[order], v[order], torch.tensor(2.0), groups=groups[order], reduction="none")
    close(found, scaled_contrast(u, v, torch.tensor(2.0), groups=groups, reduction="none")[order], 1e-12)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)],  # inputs have 8 bits; sums are float32
)
def test_narrow_types(dtype: torch.dtype, tolerance: float) -> None:
    u, v = (x.detach() for x in views(33, 8))
    found = scaled_contrast(u.to(dtype), v.to(dtype), torch.tensor(1.5))
    assert found.dtype == torch.float32
    assert abs(float(found) - float(scaled_contrast(u, v, torch.tensor(1.5)))) < tolerance


def test_module_learns_its_scale() -> None:
    u, v = (x.detach() for x in views(8, 4))
    loss = ScaledContrastLoss(init=5.0)
    value = loss(u.float(), v.float())
    close(value.detach().double(), scaled_contrast(u, v, torch.tensor(math.log(5.0))), 1e-5)
    value.backward()
    assert loss.log_scale.grad is not None
    assert list(loss.state_dict()) == ["log_scale"]


def test_bad_arguments() -> None:
    u, scale = torch.eye(3), torch.tensor(1.0)
    with pytest.raises(ShapeError, match="same node"):
        scaled_contrast(u, u[:2], scale)
    with pytest.raises(ShapeError, match="leave no negatives"):
        scaled_contrast(u[:0], u[:0], scale)
    with pytest.raises(ShapeError, match="one number"):
        scaled_contrast(u, u, torch.ones(3))
    with pytest.raises(DTypeError):
        scaled_contrast(u, u, torch.tensor(1))
    with pytest.raises(ShapeError, match="groups"):
        scaled_contrast(u, u, scale, groups=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UnknownNameError):
        scaled_contrast(u, u, scale, reduction="sum")
    with pytest.raises(GraphrepError, match="init"):
        ScaledContrastLoss(init=0.0)
