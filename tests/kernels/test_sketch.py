"""random_projection: equal to the explicit P, the same P for both views, gradients, moments, memory."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from kernel_cases import close
from set_cases import peak_bytes
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import random_projection, sketch, spmm
from graphrep.kernels.projection import random_gaussian

KINDS = pytest.mark.parametrize("kind", ["gaussian", "sparse"])


def explicit(rows: int, size: int, seed: int, kind: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """P itself."""
    if kind == "gaussian":
        return random_gaussian(torch.arange(rows), size, seed=seed, dtype=dtype) / math.sqrt(rows)
    return spmm(sketch.sparse_signs(rows, size, seed, dtype=dtype), torch.eye(size, dtype=dtype))


@KINDS
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (1, 2), (3, 7), (31, 63), (50, 20)])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equals_the_explicit_product(
    monkeypatch: pytest.MonkeyPatch, kind: str, rows: int, size: int, dtype: torch.dtype, tol: float, backend: str
) -> None:
    monkeypatch.setattr(sketch, "BLOCK_NUMBERS", 100)  # several blocks
    z = torch.randn(size, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    p = explicit(rows, size, 9, kind)
    found = random_projection(rows, z.to(dtype).requires_grad_(), 9, kind)
    assert found.dtype == dtype
    close(found.detach(), p @ z, tol)


@KINDS
def test_gradients(monkeypatch: pytest.MonkeyPatch, kind: str, backend: str) -> None:
    monkeypatch.setattr(sketch, "BLOCK_NUMBERS", 20)
    z = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: random_projection(4, z, 2, kind), z)
    assert torch.autograd.gradgradcheck(lambda z: random_projection(4, z, 2, kind).square(), z)
    g = torch.randn(4, 3, dtype=torch.float64)
    (grad,) = torch.autograd.grad(random_projection(4, z, 2, kind), z, g)
    torch.testing.assert_close(grad, explicit(4, 9, 2, kind).t() @ g)


@KINDS
def test_same_projection_for_both_views_and_another_for_another_seed(kind: str, backend: str) -> None:
    z1, z2 = torch.randn(2, 40, 4, dtype=torch.float64)
    together = random_projection(20, torch.cat([z1, z2], 1), 5, kind)
    torch.testing.assert_close(random_projection(20, z1, 5, kind), together[:, :4])
    torch.testing.assert_close(random_projection(20, z2, 5, kind), together[:, 4:])
    assert not torch.allclose(random_projection(20, z1, 6, kind), together[:, :4])


@KINDS
def test_columns_have_unit_length_and_are_orthogonal_on_average(kind: str) -> None:
    p = explicit(400, 300, 3, kind)
    gram = p.t() @ p
    off = gram - torch.diag(gram.diagonal())
    assert abs(float(gram.diagonal().mean()) - 1) < 5 * math.sqrt(2 / 400 / 300)
    assert abs(float(off.mean())) < 5 / math.sqrt(400) / 300
    assert abs(float(off.square().sum() / (300 * 299)) * 400 - 1) < 0.1  # variance 1/k of each


@pytest.mark.parametrize("rows", [1, 3, 8, 9, 100])
def test_sparse_signs_have_one_entry_in_each_part(rows: int) -> None:
    parts = min(8, rows)
    p = explicit(rows, 50, 1, "sparse")
    for part in range(parts):
        block = p[part * rows // parts : (part + 1) * rows // parts]
        assert torch.equal((block != 0).sum(0), torch.ones(50, dtype=torch.int64))
    torch.testing.assert_close(p.square().sum(0), torch.ones(50, dtype=torch.float64))


def test_sparse_rows_and_signs_are_uniform() -> None:
    signs = sketch.sparse_signs(40, 20_000, 2)
    assert signs.value is not None
    degree = signs.degree().double()  # 4000 expected in each row, standard deviation 57
    assert float((degree - 4000).abs().max()) < 5 * 57
    assert abs(int((signs.value > 0).sum()) - 80_000) < 5 * 200
    row_sums = spmm(signs, torch.ones(20_000, 1))[:, 0] * math.sqrt(8)  # of 4000 signs: no row prefers one
    assert float(row_sums.abs().max()) < 5 * math.sqrt(4000)


@KINDS
def test_half_types(kind: str, backend: str) -> None:
    z = torch.randn(30, 4).bfloat16()
    found = random_projection(15, z, 1, kind)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, random_projection(15, z.float(), 1, kind).bfloat16())  # computed in float32


def test_device_form_of_the_numbers() -> None:
    """What CUDA tensors run, here on CPU: the same numbers up to the logarithm's and cosine's rounding."""
    keys = torch.tensor([3, 0, 2**62])
    for dim in (0, 1, 6, 7):
        out = torch.empty(3, dim, dtype=torch.float64)
        sketch._gaussian_on_device(keys, 2**63 + 5, out)
        torch.testing.assert_close(out, random_gaussian(keys, dim, seed=2**63 + 5, dtype=torch.float64))


@KINDS
def test_empty_inputs(kind: str, backend: str) -> None:
    assert random_projection(3, torch.empty(0, 4), 0, kind).tolist() == [[0.0] * 4] * 3
    assert random_projection(3, torch.empty(5, 0), 0, kind).shape == (3, 0)


PEAK = """
    import resource, torch
    from graphrep.kernels import random_projection
    torch.set_num_threads(1)
    z = torch.randn(8000, 16, requires_grad=True)
    random_projection(20, z, 0).sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    random_projection(4000, z, 0).sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_the_projection_never_exists_in_full() -> None:
    """P would be 128 MB; a block of it is 8 MB."""
    assert peak_bytes(PEAK) < 40e6


def test_errors() -> None:
    z = torch.ones(4, 2)
    with pytest.raises(GraphrepError, match="rows_out"):
        random_projection(0, z, 0)
    with pytest.raises(ShapeError, match="z has shape"):
        random_projection(2, z[:, 0], 0)
    with pytest.raises(DTypeError, match="z must hold"):
        random_projection(2, z.long(), 0)
    with pytest.raises(DTypeError, match="seed"):
        random_projection(2, z, None)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="kind"):
        random_projection(2, z, 0, "dense")  # type: ignore[arg-type]
