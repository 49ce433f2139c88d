"""segment_reduce, scatter and torch_scatter's names: against per-element loops, golden sums, gradients, errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from kernel_cases import REDUCTIONS, close
from torch import Tensor

from graphrep import kernels
from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import (
    gather_csr,
    scatter,
    scatter_add,
    scatter_max,
    scatter_mean,
    scatter_min,
    scatter_softmax,
    segment_csr,
    segment_reduce,
)

NAMED = {"sum": scatter_add, "mean": scatter_mean, "max": scatter_max, "min": scatter_min}


def slow_scatter(src: Tensor, index: Tensor, dim: int, size: int, reduce: str) -> tuple[Tensor, Tensor]:
    """Number by number along `dim`; `index` has the shape of `src`."""
    src, index = src.movedim(dim, 0), index.movedim(dim, 0)
    out = torch.zeros(size, *src.shape[1:], dtype=src.dtype)
    arg = torch.full(out.shape, -1)
    for rest in itertools.product(*(range(n) for n in src.shape[1:])):
        for i in range(size):
            places = [e for e in range(src.shape[0]) if int(index[(e, *rest)]) == i]
            if not places:
                continue
            terms = np.array([float(src[(e, *rest)]) for e in places])
            if reduce in ("sum", "mean"):
                out[(i, *rest)] = terms.sum() / (len(terms) if reduce == "mean" else 1)
            else:
                best = int(np.argmax(terms) if reduce == "max" else np.argmin(terms))
                out[(i, *rest)], arg[(i, *rest)] = float(terms[best]), places[best]
    return out.movedim(0, dim), arg.movedim(0, dim)


# values


def test_golden(backend: str, golden: Callable[[str], dict[str, Tensor]]) -> None:
    for name in ("reduce_small", "reduce_hub"):
        g = golden(name)
        rows = int(g["n_dst"])
        for reduce in REDUCTIONS:
            close(scatter(g["x"][g["src"]], g["dst"], dim_size=rows, reduce=reduce), g[reduce], 1e-12)
            for segments in (segment_reduce, segment_csr):
                close(segments(g["x"][g["col"]], g["rowptr"], reduce=reduce), g[reduce], 1e-12)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("wide", [False, True])
def test_named_functions_along_every_axis(dim: int, reduce: str, wide: bool, backend: str) -> None:
    src = torch.randint(-3, 4, (4, 5, 3), generator=torch.Generator().manual_seed(dim)).double()
    length = src.shape[dim]
    if wide:
        index = torch.randint(0, 3, src.shape, generator=torch.Generator().manual_seed(1))
        full = index
    else:
        index = torch.randint(0, 3, (length,), generator=torch.Generator().manual_seed(1))
        full = index.reshape([-1 if a == dim % 3 else 1 for a in range(3)]).expand(src.shape)
    wanted, wanted_arg = slow_scatter(src, full, dim, 4, reduce)
    found = NAMED[reduce](src, index, dim=dim, dim_size=4)
    if reduce in ("max", "min"):
        assert torch.equal(found[1], wanted_arg)
        found = found[0]
    torch.testing.assert_close(found, wanted)


def test_index_with_fewer_axes_is_filled_up_at_the_end(backend: str) -> None:
    src, index = torch.randn(2, 5, 3), torch.randint(0, 4, (2, 5))
    wanted = slow_scatter(src, index[:, :, None].expand(2, 5, 3), 1, 4, "sum")[0]
    torch.testing.assert_close(scatter_add(src, index, dim=1, dim_size=4), wanted)
    one = torch.randint(0, 4, (1, 5))
    torch.testing.assert_close(scatter_add(src, one, dim=1), scatter_add(src, one[0], dim=1))


def test_sizes_default_to_the_largest_index(backend: str) -> None:
    assert scatter(torch.ones(3, 2), torch.tensor([0, 4, 1])).shape == (5, 2)
    assert scatter_add(torch.ones(2, 3), torch.tensor([0, 4, 1])).shape == (2, 5)
    assert scatter(torch.ones(0, 2), torch.empty(0, dtype=torch.int64)).shape == (0, 2)
    assert scatter(torch.ones(0, 2), torch.empty(0, dtype=torch.int64), dim_size=3).tolist() == [[0.0, 0.0]] * 3
    assert scatter_max(torch.ones(0), torch.empty(0, dtype=torch.int32), dim_size=2)[1].tolist() == [-1, -1]


def test_special_numbers(backend: str) -> None:
    inf, nan = torch.inf, torch.nan
    src = torch.tensor([-inf, -inf, 1.0, nan, 2.0, nan])
    values, arg = scatter_max(src, torch.tensor([0, 0, 1, 1, 1, 1]))
    assert values[0] == -inf
    assert values[1].isnan()
    assert arg.tolist() == [0, 3]
    assert scatter_add(src, torch.tensor([0, 0, 0, 1, 2, 1])).isnan().tolist() == [False, True, False]


def test_softmax_by_index(backend: str, golden: Callable[[str], dict[str, Tensor]]) -> None:
    for name in ("edge_softmax_h1", "edge_softmax_h4"):
        g = golden(name)
        close(scatter_softmax(g["logits"], g["dst"], dim=0), g["alpha"], 1e-12)
    src, index = torch.randn(2, 5, 3, dtype=torch.float64), torch.randint(0, 2, (5,))
    found = scatter_softmax(src, index, dim=1)
    for i in range(2):
        torch.testing.assert_close(found[:, index == i], src[:, index == i].softmax(1))
    each = scatter_softmax(src, index[None, :, None].expand(2, 5, 3).contiguous(), dim=1)
    torch.testing.assert_close(each, found)


def test_segments_in_batches_and_with_gaps(backend: str) -> None:
    src = torch.randn(2, 6, 3, dtype=torch.float64)
    indptr = torch.tensor([[1, 3, 3], [0, 2, 5]])
    found = segment_csr(src, indptr, reduce="mean")
    for b in range(2):
        for r in range(2):
            part = src[b, indptr[b, r] : indptr[b, r + 1]]
            torch.testing.assert_close(found[b, r], part.mean(0) if len(part) else torch.zeros(3, dtype=torch.float64))
    one = torch.tensor([[0, 2, 6]])
    torch.testing.assert_close(segment_csr(src, one), segment_csr(src, one.expand(2, -1).contiguous()))


def test_gather_repeats(backend: str) -> None:
    src = torch.randn(2, 3, 2, dtype=torch.float64)
    indptr = torch.tensor([[0, 1, 1, 4], [0, 2, 3, 4]])
    wanted = torch.stack([src[b].repeat_interleave(indptr[b].diff(), 0) for b in range(2)])
    assert torch.equal(gather_csr(src, indptr), wanted)
    assert gather_csr(torch.ones(2, 3), torch.tensor([0, 0, 0])).shape == (0, 3)


# gradients


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_gradients(reduce: str, backend: str) -> None:
    src = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    index, rowptr = torch.tensor([3, 0, 3, 1, 1, 3, 0]), torch.tensor([0, 2, 2, 7])
    for function in (
        lambda x: scatter(x, index, dim_size=5, reduce=reduce),
        lambda x: segment_reduce(x, rowptr, reduce=reduce),
    ):
        assert torch.autograd.gradcheck(function, (src,))
        assert torch.autograd.gradgradcheck(function, (src,))


def test_gradients_of_gather_softmax_and_maximum(backend: str) -> None:
    src = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: gather_csr(x, torch.tensor([0, 1, 1, 4])), (src,))
    index = torch.tensor([1, 0, 1])
    assert torch.autograd.gradcheck(lambda x: scatter_softmax(x, index, dim=0), (src,))
    assert torch.autograd.gradgradcheck(lambda x: scatter_softmax(x, index, dim=0), (src,))
    assert torch.autograd.gradcheck(lambda x: scatter_max(x, index, dim=0)[0], (src,))


# properties


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_index_types(dtype: torch.dtype, backend: str) -> None:
    src, index = torch.randn(6, 2), torch.tensor([1, 0, 2, 2, 1, 1])
    assert torch.equal(scatter(src, index.to(dtype)), scatter(src, index))
    rowptr = torch.tensor([0, 3, 6])
    assert torch.equal(segment_reduce(src, rowptr.to(dtype)), segment_reduce(src, rowptr))


def test_half_types_accumulate_in_float32(backend: str) -> None:
    src = torch.ones(4096, 1, dtype=torch.bfloat16)
    assert float(scatter(src, torch.zeros(4096, dtype=torch.int64))) == 4096.0


def test_every_name_is_public() -> None:
    assert set(kernels.__all__) <= set(dir(kernels))
    assert {"scatter_add", "scatter_mean", "scatter_max", "scatter_min", "scatter_softmax"} <= set(kernels.__all__)


# errors


def test_errors() -> None:
    src, index = torch.zeros(3, 2), torch.tensor([0, 1, 2])
    with pytest.raises(IndexRangeError, match="5 at position 1"):
        scatter(src, torch.tensor([0, 5, 1]), dim_size=3)
    with pytest.raises(IndexRangeError, match="-1"):
        scatter_add(src, torch.tensor([0, -1, 1]), dim=0)
    with pytest.raises(DTypeError, match="index must hold integers"):
        scatter(src, index.float())
    with pytest.raises(ShapeError, match="2 entries"):
        scatter(src, index[:2])
    with pytest.raises(ShapeError, match="broadcast"):
        scatter_add(src, index, dim=1)
    with pytest.raises(ShapeError, match="dim is 2"):
        scatter_add(src, index, dim=2)
    with pytest.raises(GraphrepError, match="out must be None"):
        scatter_add(src, index, dim=0, out=torch.zeros(3, 2))
    with pytest.raises(ShapeError, match="decreases"):
        segment_reduce(src, torch.tensor([0, 2, 1, 3]))
    with pytest.raises(ShapeError, match="number of entries"):
        segment_reduce(src, torch.tensor([0, 2]))
    with pytest.raises(ShapeError, match="indptr"):
        segment_csr(src, torch.tensor([0, 7]))
    with pytest.raises(GraphrepError, match="meta"):
        scatter(src.to("meta"), index)
