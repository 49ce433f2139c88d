"""Errors of a decoder against sparse and dense features: both forms against loops, gradients, properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.kernels import CSR
from graphrep.methods import _reconstruction
from graphrep.methods._reconstruction import expanded_error, reconstruction_error, squared_error
from graphrep.nn import FeatureMLP

SIZES = [(1, 1), (2, 5), (63, 40)]


def case(num_rows: int, num_cols: int, seed: int = 0, width: int = 4) -> dict[str, Tensor]:
    """Features with an empty row where there are several, and a last layer with its input."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(num_rows, num_cols, generator=draw, dtype=torch.float64)
    x = x * (torch.rand(num_rows, num_cols, generator=draw) < 0.3)
    if num_rows > 1:
        x[1] = 0
    return {
        "x": x,
        "hidden": torch.rand(num_rows, width, generator=draw, dtype=torch.float64),
        "weight": torch.randn(num_cols, width, generator=draw, dtype=torch.float64),
        "bias": torch.randn(num_cols, generator=draw, dtype=torch.float64),
    }


def sparse(x: Tensor, index: torch.dtype = torch.int64) -> CSR:
    row, col = x.nonzero().to(index).t()
    return CSR.from_edge_index(torch.stack([col, row]), x[row.long(), col.long()], size=(x.shape[1], x.shape[0]))


def by_loops(parts: dict[str, Tensor]) -> Tensor:
    x, total = parts["x"], torch.zeros((), dtype=torch.float64)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total = total + (parts["hidden"][i] @ parts["weight"][j] + parts["bias"][j] - x[i, j]) ** 2
    return total / x.numel()


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("size", SIZES)
def test_both_forms_equal_the_loops(size: tuple[int, int], index: torch.dtype) -> None:
    parts = case(*size)
    leaves = [parts[name].requires_grad_() for name in ("hidden", "weight", "bias")]
    wanted = by_loops(parts)
    gradients = torch.autograd.grad(wanted, leaves)
    hidden, weight, bias = leaves
    for given_x in (parts["x"], sparse(parts["x"], index)):
        found = squared_error(torch.addmm(bias, hidden, weight.t()), given_x)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)
        for a, b in zip(torch.autograd.grad(found, leaves), gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)
    expanded = expanded_error(hidden, weight, bias, sparse(parts["x"], index))
    torch.testing.assert_close(expanded, wanted, rtol=1e-10, atol=1e-12)
    for a, b in zip(torch.autograd.grad(expanded, leaves), gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


def test_gradcheck() -> None:
    parts = case(5, 6)
    leaves = [parts[name].requires_grad_() for name in ("hidden", "weight", "bias")]
    x = sparse(parts["x"])
    assert torch.autograd.gradcheck(lambda h, w, b: expanded_error(h, w, b, x), leaves)
    assert torch.autograd.gradcheck(lambda h, w, b: squared_error(torch.addmm(b, h, w.t()), x), leaves)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 12), cols=st.integers(1, 12), seed=st.integers(0, 1000))
def test_order_of_rows_does_not_matter(rows: int, cols: int, seed: int) -> None:
    parts = case(rows, cols, seed)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    hidden, weight, bias = parts["hidden"], parts["weight"], parts["bias"]
    found = expanded_error(hidden, weight, bias, sparse(parts["x"]))
    moved = expanded_error(hidden[order], weight, bias, sparse(parts["x"][order]))
    torch.testing.assert_close(found, moved, rtol=1e-9, atol=1e-11)
    direct = squared_error(torch.addmm(bias, hidden, weight.t()), sparse(parts["x"]))
    torch.testing.assert_close(found, direct, rtol=1e-9, atol=1e-11)


def test_float32_rounds_as_much_as_the_features_are_large() -> None:
    parts = case(200, 300)
    wanted = squared_error(torch.addmm(parts["bias"], parts["hidden"], parts["weight"].t()), parts["x"])
    single = {name: value.float() for name, value in parts.items()}
    found = expanded_error(single["hidden"], single["weight"], single["bias"], sparse(single["x"]))
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=0)  # sums of 60 000 terms of size 1 to 10


def test_the_cheaper_form_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse and large: never N F numbers; few rows, or dense: directly."""
    taken: list[str] = []
    for name in ("expanded_error", "squared_error"):
        form = getattr(_reconstruction, name)

        def call(*arguments: Tensor, name: str = name, form: object = form) -> Tensor:
            taken.append(name)
            return form(*arguments)  # type: ignore[operator, no-any-return]

        monkeypatch.setattr(_reconstruction, name, call)
    decoder = FeatureMLP(2, [3], 40).double()
    x = case(63, 40)["x"]
    z = torch.randn(63, 2, dtype=torch.float64)
    values = [
        reconstruction_error(decoder, z, sparse(x)),
        reconstruction_error(decoder, z, x),
        reconstruction_error(decoder, z[:2], sparse(x[:2])),
    ]
    assert taken == ["expanded_error", "squared_error", "squared_error"]
    torch.testing.assert_close(values[0], values[1], rtol=1e-11, atol=0)
    torch.testing.assert_close(values[0], (decoder(z) - x).square().mean(), rtol=1e-11, atol=0)
