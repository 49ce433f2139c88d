"""Products of tall matrices against float64, on tiles and through torch; same bytes for any number of threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.kernels import tall
from graphrep.kernels.tall import cpu

TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13}
SHAPES = [
    (0, 3, 2),
    (1, 1, 1),
    (255, 40, 33),
    (256, 32, 32),
    (300, 45, 33),
    (2047, 33, 64),
    (2049, 70, 47),
    (4101, 96, 32),
]


def matrices(rows: int, k: int, m: int, dtype: torch.dtype, *, gap: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """(rows, k) as part of a wider matrix, (rows, m), (k, m); around the first lies NaN."""
    generator = torch.Generator().manual_seed(rows + k + m)
    wide = torch.full((rows, k + gap), torch.nan, dtype=dtype)
    a = wide[:, :k]
    a.copy_(torch.randn(rows, k, generator=generator, dtype=torch.float64))
    b, f = (torch.randn(n, m, generator=generator, dtype=torch.float64) for n in (rows, k))
    return a, b.to(dtype), f


def near(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    if wanted.numel():
        assert float((found.double() - wanted).abs().max()) <= TOLERANCE[dtype] * max(float(wanted.abs().max()), 1.0)
    assert found.shape == wanted.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tiles", [True, False])
def test_values(shape: tuple[int, int, int], dtype: torch.dtype, tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not tiles:
        monkeypatch.setattr(cpu, "takes", lambda *_: False)
    a, b, f = matrices(*shape, dtype)
    wanted = a.double().t() @ b.double()
    near(tall.cross_product(a, b), wanted, dtype)
    near(tall.cross_product(a, b, double=True), wanted, torch.float64)
    near(tall.cross_product(b, b, double=True), b.double().t() @ b.double(), torch.float64)
    left = b.clone()
    tall.subtract_product(left, a, f)
    near(left, b.double() - a.double() @ f, dtype)
    mix = f[:, : min(shape[1:])]
    wanted = a.double() @ mix
    behind = a[:, mix.shape[1] :].clone()
    found = tall.combine_columns(a, mix)
    assert found.data_ptr() == a.data_ptr()
    near(found, wanted, dtype)
    assert torch.equal(a[:, mix.shape[1] :], behind)


def test_tiles_are_used_where_they_fit() -> None:
    a, b, _ = matrices(300, 45, 33, torch.float32)
    assert cpu.takes(a, b)
    assert not cpu.takes(a, b[:, :3])
    assert not cpu.takes(a[:100], b[:100])
    assert not cpu.takes(a, b.double())
    assert not cpu.takes(a.bfloat16(), b.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_bytes_for_any_number_of_threads(dtype: torch.dtype) -> None:
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            a, b, f = matrices(9001, 70, 40, dtype)
            tall.subtract_product(b, a, f)
            results.append([tall.cross_product(a, b), b, tall.combine_columns(a, f).clone()])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(x, y) for x, y in zip(results[0], other, strict=True))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(256, 700), k=st.integers(32, 80), m=st.integers(32, 70))
def test_any_shape(rows: int, k: int, m: int) -> None:
    a, b, f = matrices(rows, k, m, torch.float64)
    near(tall.cross_product(a, b), a.t() @ b, torch.float64)
    wanted = b - a @ f
    tall.subtract_product(b, a, f)
    near(b, wanted, torch.float64)
