"""The Triton kernels against the float64 reference: on a CUDA device where there is one, else in the interpreter.

The interpreter runs the same source, so index arithmetic, masks, types and the order of sums are what they are on the
device; it does not see races or misaligned reads. Graphs have a few hundred edges, because it is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import REDUCTIONS, close, random_csr
from torch import Tensor
from triton_cases import BACKEND, DEVICE

from graphrep.kernels import (
    CSR,
    _schedule,
    _triton,
    edge_logsumexp,
    edge_softmax,
    gat_aggregate,
    scatter_max,
    scatter_mean,
    sddmm,
    segment_reduce,
    spmm,
)
from graphrep.kernels._dispatch import implementations
from graphrep.kernels._schedule import SHORT, schedule_of
from graphrep.kernels.projection.features import project_features_
from graphrep.kernels.projection.propagate import fused_power

pytestmark = [
    pytest.mark.skipif(not _triton.AVAILABLE, reason="Triton is not installed"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # numpy about inf - inf and log(0), as intended
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
]

# Largest error over largest value. float32: sums of up to 200 terms of size 1. Half types: one rounding of the result.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 3e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}
DTYPES = tuple(TOLERANCE)
PIECE = 48  # rows are cut into pieces of this many entries here, because the interpreter is slow


@pytest.fixture(autouse=True)
def _poisoned_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _triton.empty

    def poisoned(*args: Any) -> Tensor:
        out = plain(*args)
        return out.fill_(float("nan") if out.dtype.is_floating_point else -77)

    monkeypatch.setattr(_triton, "empty", poisoned)


@pytest.fixture(autouse=True)
def _short_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_pieces" not in request.fixturenames:
        monkeypatch.setattr(_schedule, "PIECE", PIECE)


@pytest.fixture
def real_pieces() -> int:
    """Cuts rows where the package does."""
    return _schedule.PIECE


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[Any, Any]]:
    """Runs a function on the Triton kernels and on the reference."""

    def run(function: Callable[[], Any]) -> tuple[Any, Any]:
        monkeypatch.setenv("GRAPHREP_BACKEND", BACKEND)
        found = function()
        monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
        return found, function()

    return run


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", BACKEND)


def uneven(seed: int = 0, *, weights: tuple[int, ...] | None = None, hub: int = 3 * PIECE + 7) -> CSR:
    """Empty, short and long rows, rows of exactly `SHORT`, one more and `PIECE` entries, and one cut into pieces."""
    degrees = torch.tensor([0, 3, SHORT, SHORT + 1, 40, hub, 1, 0, PIECE])
    generator = torch.Generator().manual_seed(seed)
    destination = torch.repeat_interleave(torch.arange(9), degrees)
    source = torch.randint(0, 11, destination.shape, generator=generator)
    value = None if weights is None else torch.randn(source.numel(), *weights, generator=generator)
    return CSR.from_edge_index(torch.stack([source, destination]), value, size=(11, 9)).to(DEVICE)


def numbers(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def wide_indices(csr: CSR) -> CSR:
    """The same matrix with int64 indices, as a matrix of more than 2^31 entries has them."""
    arrays = (csr.rowptr.long(), csr.col.long(), csr.value, csr.num_cols, csr.perm.long())
    return CSR._trusted(*arrays)


# the schedule


@pytest.mark.parametrize("hub", [0, PIECE + 1, 3 * PIECE, 3 * PIECE + 1])
def test_the_schedule_covers_every_entry_once(hub: int) -> None:
    csr = uneven(hub=hub)
    schedule, degree = schedule_of(csr.rowptr), csr.degree()
    seen = torch.zeros(csr.nnz, dtype=torch.int64)
    for work in (schedule.short, schedule.long, schedule.pieces):
        for start, stop, row in zip(work.start.tolist(), work.stop.tolist(), work.row.tolist(), strict=True):
            assert 0 <= stop - start <= PIECE
            assert (csr.row()[start:stop] == row).all()
            seen[start:stop] += 1
    assert (seen == 1).all()
    rows = torch.cat([schedule.short.row, schedule.long.row, schedule.hubs.row])
    assert sorted(rows.tolist()) == list(range(csr.num_rows))
    assert (degree[schedule.short.row.long()] <= SHORT).all()
    assert (degree[schedule.hubs.row.long()] > PIECE).all()
    assert int((schedule.hubs.stop - schedule.hubs.start).sum()) == schedule.pieces.count


def test_the_schedule_is_kept_with_the_offsets_and_follows_changes() -> None:
    rowptr = torch.tensor([0, 2, PIECE + 3], device=DEVICE)
    first = schedule_of(rowptr)
    assert schedule_of(rowptr) is first
    assert first.hubs.count == 1
    rowptr[1] = 20
    assert schedule_of(rowptr) is not first
    assert schedule_of(rowptr).hubs.count == 0


# values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_spmm_of_every_type(reduce: str, dtype: torch.dtype, both: Any) -> None:
    """Small integers, so that the comparison sees the same ties in every type."""
    csr = uneven()
    x = torch.randint(-8, 8, (11, 20), generator=torch.Generator().manual_seed(2)).to(DEVICE, dtype)
    for matrix in (csr, wide_indices(csr)):
        found, wanted = both(lambda matrix=matrix: spmm(matrix, x, reduce=reduce))
        assert found.dtype == dtype
        close(found, wanted, TOLERANCE[dtype])
    if reduce in ("max", "min"):
        found, wanted = both(lambda: spmm(csr, x, reduce=reduce, return_arg=True)[1])
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("width", [1, 2, 63, 64, 130])
@pytest.mark.parametrize("weights", [None, ()])
def test_spmm_of_every_width(width: int, weights: tuple[int, ...] | None, both: Any) -> None:
    csr, x = uneven(weights=weights, hub=PIECE + 7), numbers(11, width)
    for reduce in ("mean", "max"):
        close(*both(lambda reduce=reduce: spmm(csr, x, reduce=reduce)), TOLERANCE[torch.float32])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_per_head(dtype: torch.dtype, both: Any) -> None:
    csr, x = uneven(weights=(3,), hub=0), numbers(11, 3, 7, dtype=dtype)
    for reduce in ("sum", "min"):
        close(*both(lambda reduce=reduce: spmm(csr, x, reduce=reduce)), TOLERANCE[dtype])


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_nan_and_infinity(reduce: str, both: Any) -> None:
    """NaN spreads and the first one wins; a row of only -inf has that as its maximum; hubs do the same by pieces."""
    csr, x = uneven(hub=PIECE + 20), numbers(11, 4)
    x[2, 0], x[3, 0], x[:, 1], x[5, 2], x[6, 2] = torch.nan, torch.nan, -torch.inf, torch.inf, -torch.inf
    found, wanted = both(lambda: spmm(csr, x, reduce=reduce))
    torch.testing.assert_close(found, wanted, equal_nan=True, rtol=1e-5, atol=1e-5)
    if reduce in ("max", "min"):
        found, wanted = both(lambda: spmm(csr, x, reduce=reduce, return_arg=True)[1])
        assert torch.equal(found, wanted)


def test_long_rows_are_summed_in_pieces(triton: None, real_pieces: int) -> None:
    """A float32 sum in sequence over 6,000 numbers misses this bound several times."""
    count = 6000
    edges = torch.stack([torch.arange(count), torch.zeros(count, dtype=torch.int64)])
    csr = CSR.from_edge_index(edges, size=(count, 1)).to(DEVICE)
    x = torch.rand(count, 2, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    wanted = x.double().sum(0)
    assert float(((spmm(csr, x)[0].double() - wanted) / wanted).abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("num_dst", "num_src", "num_edges"), [(0, 3, 0), (3, 3, 0), (1, 1, 1), (2, 63, 30), (63, 2, 9)]
)
def test_empty_and_small_graphs(num_dst: int, num_src: int, num_edges: int, both: Any) -> None:
    csr, x = random_csr(num_dst, num_src, num_edges).to(DEVICE), numbers(num_src, 3)
    for reduce in REDUCTIONS:
        close(*both(lambda reduce=reduce: spmm(csr, x, reduce=reduce)), TOLERANCE[torch.float32])


def test_inputs_that_are_not_contiguous(both: Any) -> None:
    csr, x = uneven(hub=0), numbers(5, 11).t()
    assert not x.is_contiguous()
    close(*both(lambda: spmm(csr, x)), TOLERANCE[torch.float32])
    close(*both(lambda: spmm(csr, numbers(11, 6)[:, 1:4])), TOLERANCE[torch.float32])


def test_segments_and_scatters_are_products(both: Any) -> None:
    src, index = numbers(40, 5), torch.randint(0, 6, (40,), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    rowptr = torch.tensor([0, 3, 3, 25, 40], device=DEVICE)
    for reduce in REDUCTIONS:
        close(*both(lambda reduce=reduce: segment_reduce(src, rowptr, reduce=reduce)), TOLERANCE[torch.float32])
    close(*both(lambda: scatter_mean(src, index, 0, dim_size=7)), TOLERANCE[torch.float32])
    for found, wanted in zip(*both(lambda: scatter_max(src, index, 0, dim_size=7)), strict=True):
        close(found, wanted, 0)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_the_same_bytes_twice(reduce: str, triton: None) -> None:
    csr, x = uneven(weights=()), numbers(11, 20)
    assert torch.equal(spmm(csr, x, reduce=reduce), spmm(csr, x, reduce=reduce))


# dot products and softmax


@pytest.mark.parametrize(
    ("inner", "dtype"),
    [((63,), torch.float32), ((1, 130), torch.float64), ((3, 8), torch.bfloat16), ((2, 1), torch.float16)],
)
def test_sddmm(inner: tuple[int, ...], dtype: torch.dtype, both: Any) -> None:
    csr = uneven()
    q, k = numbers(9, *inner, dtype=dtype), numbers(11, *inner, dtype=dtype, seed=2)
    found, wanted = both(lambda: sddmm(csr, q, k))
    assert found.dtype == dtype
    close(found, wanted, TOLERANCE[dtype])


def test_sddmm_of_wide_indices(both: Any) -> None:
    csr, q, k = wide_indices(uneven()), numbers(9, 2, 5), numbers(11, 2, 5, seed=2)
    close(*both(lambda: sddmm(csr, q, k)), TOLERANCE[torch.float32])


@pytest.mark.parametrize(("heads", "dtype"), [*zip((1, 3, 4, 33), DTYPES, strict=True)])
def test_edge_softmax(heads: int, dtype: torch.dtype, both: Any) -> None:
    csr = uneven()
    logits = 4 * numbers(csr.nnz, heads, dtype=dtype)
    for matrix in (csr, wide_indices(csr)) if heads == 3 else (csr,):
        results = both(lambda matrix=matrix: edge_softmax(matrix, logits, return_lse=True))
        for found, wanted in zip(*results, strict=True):
            assert found.dtype == dtype
            close(found, wanted, TOLERANCE[dtype])


def test_special_logits(both: Any) -> None:
    """Rows of only -inf give 0, a logit of +inf or NaN spoils its row; the same in rows that are cut."""
    csr = uneven()
    row = csr.row().long()
    logits = numbers(csr.nnz, 4)
    cut, short = (row == 5).nonzero().squeeze(1), (row == 1).nonzero().squeeze(1)
    for entries in (cut, short):
        logits[entries, 0] = -torch.inf
        logits[entries[1], 1], logits[entries[-1], 2] = torch.inf, torch.nan
        logits[entries[1:], 3] = -torch.inf
    for found, wanted in zip(*both(lambda: edge_softmax(csr, logits, return_lse=True)), strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "width"), [(1, 20), (4, 16), (3, 5), (2, 130)])
def test_attention(heads: int, width: int, dtype: torch.dtype, both: Any) -> None:
    csr = uneven()
    x, el, er = (numbers(n, heads, *w, dtype=dtype) for n, w in ((11, (width,)), (11, ()), (9, ())))
    for matrix in (csr, wide_indices(csr)) if width == 5 else (csr,):
        found, wanted = both(lambda matrix=matrix: gat_aggregate(matrix, x, 3 * el, er, negative_slope=0.1))
        assert found.dtype == dtype
        close(found, wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_of_attention(dtype: torch.dtype, both: Any) -> None:
    csr = uneven()
    inputs = [numbers(*shape, dtype=dtype, seed=len(shape)) for shape in ((11, 3, 8), (11, 3), (9, 3))]
    weight = numbers(9, 3, 8, dtype=dtype, seed=9)

    def first() -> tuple[Tensor, ...]:
        leaves = [t.clone().requires_grad_() for t in inputs]
        return torch.autograd.grad(gat_aggregate(csr, *leaves), leaves, weight)

    for found, wanted in zip(*both(first), strict=True):
        close(found, wanted, 1e-11 if dtype == torch.float64 else 1e-5)
    if dtype == torch.float64:
        for found, wanted in zip(*both(lambda: gradients(lambda *a: gat_aggregate(csr, *a), *inputs)), strict=True):
            close(found, wanted, 1e-10)


def test_attention_to_special_logits(both: Any) -> None:
    """Rows of only -inf give 0, a logit of +inf or NaN spoils its row and head; the same in rows that are cut."""
    csr = uneven()
    x, el, er = numbers(11, 4, 3), numbers(11, 4), numbers(9, 4)
    er[[1, 5], 0], er[5, 1], er[1, 2], el[3, 3] = -torch.inf, torch.inf, torch.nan, -torch.inf
    for found, wanted in zip(*both(lambda: (gat_aggregate(csr, x, el, er),)), strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True, rtol=1e-5, atol=1e-6)


# log-sum-exp along entries


def positive(csr: CSR) -> CSR:
    """Weights of at least 0, some of them 0."""
    assert csr.value is not None
    return csr.with_value((csr.value + 0.2).clamp(min=0))


@pytest.mark.parametrize(("width", "dtype"), [*zip((10, 63, 130, 1), DTYPES, strict=True)])
def test_edge_logsumexp(width: int, dtype: torch.dtype, both: Any) -> None:
    csr = positive(uneven(weights=()))
    q, k = numbers(9, width, dtype=dtype), numbers(11, width, dtype=dtype, seed=2)
    options = {"scale": 0.3, "zero_diagonal": width == 10}
    for matrix in (csr, wide_indices(csr), csr.with_value(None)):
        found, wanted = both(lambda matrix=matrix: edge_logsumexp(matrix, q, k, **options))
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        close(found, wanted, 1e-12 if dtype == torch.float64 else 3e-6)


@pytest.mark.parametrize(("width", "dtype"), [(10, torch.float64), (130, torch.float32)])
def test_gradients_of_edge_logsumexp(width: int, dtype: torch.dtype, both: Any) -> None:
    csr = positive(uneven(weights=(), hub=PIECE + 9))
    assert csr.value is not None
    inputs = [numbers(9, width, dtype=dtype), numbers(11, width, dtype=dtype, seed=2), csr.value.to(dtype)]
    full = csr.degree() > 0

    def function(q: Tensor, k: Tensor, value: Tensor) -> Tensor:
        return edge_logsumexp(csr.with_value(value), q, k, scale=0.2, zero_diagonal=True)[full]

    def first() -> tuple[Tensor, ...]:
        leaves = [t.clone().requires_grad_() for t in inputs]
        return torch.autograd.grad(function(*leaves).square().sum(), leaves)

    for found, wanted in zip(*both(first), strict=True):
        close(found, wanted, 1e-11 if dtype == torch.float64 else 1e-5)
    if dtype == torch.float64:
        for found, wanted in zip(*both(lambda: gradients(function, *inputs)), strict=True):
            close(found, wanted, 1e-10)


def test_edge_logsumexp_of_special_numbers(both: Any) -> None:
    """NaN spoils the rows that read it, large products do not overflow; the same in rows that are cut."""
    csr = positive(uneven(weights=()))
    q, k = numbers(9, 4), numbers(11, 4, seed=2)
    k[3] = torch.nan
    for found, wanted in zip(*both(lambda: (edge_logsumexp(csr, q, k, scale=300.0),)), strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True, rtol=1e-5, atol=1e-4)


# gradients


def test_every_operator_has_a_kernel() -> None:
    table = implementations()
    ours = ("spmm", "spmm_extreme", "spmm_winners", "sddmm", "sddmm_winners", "edge_softmax", "edge_softmax_backward")
    more = ("gat", "gat_backward", "group_by_row", "edge_logsumexp", "edge_logsumexp_backward")
    assert all("cuda" in table[op] for op in (*ours, *more))


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """First derivatives of a scalar of the result, and those of a scalar of these."""
    inputs = tuple(t.detach().clone().requires_grad_() for t in inputs)
    first = torch.autograd.grad(function(*inputs).square().sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
    return [*(g.detach() for g in first), *second]


@pytest.mark.parametrize(("reduce", "weights"), [("sum", ()), ("mean", (2,)), ("max", (2,)), ("min", ())])
def test_gradients_of_spmm(reduce: str, weights: tuple[int, ...], both: Any) -> None:
    csr, x = uneven(weights=weights, hub=PIECE + 9), numbers(11, 2, 3, dtype=torch.float64)
    assert csr.value is not None
    value = csr.value.double()
    for found, wanted in zip(
        *both(lambda: gradients(lambda x, w: spmm(csr.with_value(w), x, reduce=reduce), x, value)), strict=True
    ):
        close(found, wanted, 1e-11)


def test_gradients_of_sddmm_and_softmax(both: Any) -> None:
    csr, q, k = uneven(hub=PIECE + 9), *(numbers(n, 2, 3, dtype=torch.float64, seed=n) for n in (9, 11))

    def attention(q: Tensor, k: Tensor) -> Tensor:
        alpha, lse = edge_softmax(csr, sddmm(csr, q, k), return_lse=True)
        return torch.cat([alpha, lse[csr.degree() > 0]])

    for found, wanted in zip(*both(lambda: gradients(attention, q, k)), strict=True):
        close(found, wanted, 1e-11)


@pytest.mark.slow  # thousands of launches: a minute in the interpreter, a second on a device
@pytest.mark.parametrize("weights", [None, (), (2,)])
def test_gradcheck(weights: tuple[int, ...] | None, triton: None) -> None:
    csr = random_csr(4, 5, 11, weights=weights, seed=3).to(DEVICE)
    x = numbers(5, 2, 3, dtype=torch.float64).requires_grad_()
    for reduce in ("mean", "max"):
        assert torch.autograd.gradcheck(lambda x, reduce=reduce: spmm(csr, x, reduce=reduce), (x,))
    assert torch.autograd.gradcheck(lambda x: edge_softmax(csr, sddmm(csr, x[:4], x)), (x,))


# the pass of FastRP


@pytest.mark.parametrize("start", ["codes", "bfloat16", "float32"])
def test_fused_power(start: str, both: Any) -> None:
    csr = uneven(weights=(), hub=PIECE + 9)
    scales = {"row_scale": numbers(9).abs(), "x_scale": numbers(11).abs() if start == "codes" else None}
    if start == "codes":
        x = torch.randint(-1, 2, (11, 20), generator=torch.Generator().manual_seed(0)).to(DEVICE, torch.int8)
    else:
        x = numbers(11, 20, dtype=getattr(torch, start))
    own = torch.tensor([3, 0, 10, 1, 4, 5, 6, 2, 8], device=DEVICE)

    def run() -> tuple[Tensor, Tensor]:
        out, result = torch.empty(9, 20, device=DEVICE), torch.ones(9, 20, device=DEVICE)
        fused_power(csr, x, **scales, own=own, out=out, result=result, weight=0.7, self_weight=0.3)
        fused_power(csr, x, **scales, result=result, weight=0.5, normalize=False)
        return out, result

    for found, wanted in zip(*both(run), strict=True):
        close(found, wanted, TOLERANCE[torch.float32])


def test_fused_power_in_float64(both: Any) -> None:
    csr, x = uneven(), torch.ones(11, 4, dtype=torch.int8, device=DEVICE)
    scales = {"row_scale": numbers(9, dtype=torch.float64), "x_scale": numbers(11, dtype=torch.float64)}

    def run() -> Tensor:
        out = torch.empty(9, 4, dtype=torch.float64, device=DEVICE)
        fused_power(csr, x, **scales, out=out)
        return out

    close(*both(run), TOLERANCE[torch.float64])


def test_project_features(both: Any) -> None:
    signs = torch.randint(-1, 2, (30, 6), generator=torch.Generator().manual_seed(0)).to(DEVICE, torch.int8)
    dense = numbers(12, 30) * (numbers(12, 30, seed=3) > 1)
    for x in (dense, dense.to_sparse_csr()):
        empty = torch.empty(12, 6, device=DEVICE)
        close(*both(lambda x=x, out=empty: project_features_(x, signs, 0.5, out).clone()), TOLERANCE[torch.float32])
