"""All-pairs log-sum-exps: against dense float64, masks and weights, gradients, sizes around the block, memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import close, random_csr
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels import CSR, blockwise, streaming_logsumexp
from graphrep.kernels._dispatch import implementations
from graphrep.kernels.blockwise import DOTS, SKIP_DIAGONAL, UU, UV, VU, VV, _masks, _schedule, contrast

ALL = UU | UV | VU | VV
OPS = torch.ops.graphrep
Rows = tuple[Tensor | None, Tensor | None]


def dense(
    u: Tensor,
    v: Tensor,
    terms: int,
    scale: float,
    *,
    unit: bool = False,
    scales: Rows = (None, None),
    bias: Rows = (None, None),
    forbidden: dict[str, CSR | None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The definition, with N x N arrays, in the inputs' precision."""
    if unit:
        u, v = normalize(u), normalize(v)
    sides, found = {"u": (u, scales[0], bias[0]), "v": (v, scales[1], bias[1])}, []
    for anchor, wanted in (("u", ((UU, "u"), (UV, "v"))), ("v", ((VU, "u"), (VV, "v")))):
        x, factor, _ = sides[anchor]
        parts = []
        for term, other in wanted:
            if not terms & term:
                continue
            y, _, added = sides[other]
            logits = scale * (x @ y.t()) * (1 if factor is None else factor.unsqueeze(1))
            logits = logits if added is None else logits + added
            if anchor == other or terms & SKIP_DIAGONAL:
                logits = logits.masked_fill(torch.eye(*logits.shape, dtype=torch.bool), -torch.inf)
            csr = (forbidden or {}).get(anchor + other)
            if csr is not None:
                left_out = torch.zeros(logits.shape, dtype=torch.bool)
                left_out[csr.row().long(), csr.col.long()] = True
                logits = logits.masked_fill(left_out, -torch.inf)
            parts.append(logits)
        found.append(torch.logsumexp(torch.cat(parts, 1), 1) if parts else u.new_empty(0))
    return found[0], found[1]


def rows(count: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def compare(u: Tensor, v: Tensor, terms: int, scale: float, tol: float, **options: object) -> None:
    """Values and gradients of a random combination of the finite entries."""
    lse = contrast(u, v, terms=terms, scale=scale, **options)[:2]  # type: ignore[arg-type]
    a, b = (x.detach().double().requires_grad_() for x in (u, v))
    wanted = dense(a, b, terms, scale, **options)  # type: ignore[arg-type]
    total, expected = u.new_zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for found, truth in zip(lse, wanted, strict=True):
        close(found.detach(), truth.detach(), tol)
        weight = torch.linspace(-1, 2, len(truth), dtype=torch.float64)
        finite = truth.isfinite()
        total = total + (found.double()[finite] * weight[finite]).sum()
        expected = expected + (truth[finite] * weight[finite]).sum()
    if not expected.requires_grad:
        return
    grads = torch.autograd.grad(expected, (a, b), allow_unused=True)
    for found, truth, x in zip(torch.autograd.grad(total, (u, v)), grads, (a, b), strict=True):
        close(found, torch.zeros_like(x) if truth is None else truth, 20 * tol)


# ---- values


@pytest.mark.parametrize("name", ["streaming_lse", "streaming_lse_large"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(name: str, dtype: torch.dtype, backend: str, golden: Callable[[str], dict[str, Tensor]]) -> None:
    g = golden(name)
    q, k = (g[key].to(dtype).requires_grad_() for key in "qk")
    single = dtype == torch.float32
    for block_size in (None, 7):
        lse = streaming_logsumexp(q, k, block_size=block_size)
        close(lse.detach(), g["lse"], 1e-6 if single else 1e-12)
        found = torch.autograd.grad(lse, (q, k), g["grad_lse"].to(dtype))
        for grad, key in zip(found, "qk", strict=True):
            # logits of 1e3 have an absolute error of 1e-4 in float32
            close(grad, g[f"grad_{key}"], 1e-4 if single else 1e-10)


@pytest.mark.parametrize("terms", [UV, VU, UV | VU, UU | UV, ALL, UV | SKIP_DIAGONAL, ALL | SKIP_DIAGONAL])
@pytest.mark.parametrize("unit", [True, False])
def test_terms_against_dense(terms: int, unit: bool, backend: str) -> None:
    """A temperature of 0.4 is summed with a fixed shift, one of 0.001 with a running maximum."""
    u, v = rows(131, 9, 1), rows(131, 9, 2)
    for scale in (2.5, 1000.0):
        compare(u, v, terms, scale, 1e-12, unit=unit)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 2), (2, 1), (63, 257), (257, 63), (97, 96), (300, 1)])
def test_sizes(n: int, m: int, backend: str) -> None:
    for terms in (UV, ALL | SKIP_DIAGONAL):
        compare(rows(n, 5, 3), rows(m, 5, 4), terms, 0.7, 1e-12)


@pytest.mark.parametrize("width", [1, 7, 8, 17, 40])
def test_widths(width: int, backend: str) -> None:
    compare(rows(20, width, 5), rows(30, width, 6), ALL, 1.0, 1e-12)


def test_float32(backend: str) -> None:
    u, v = rows(400, 24, 7, torch.float32), rows(350, 24, 8, torch.float32)
    for unit, scale in ((True, 2.0), (True, 60.0), (False, 1.0)):
        compare(u, v, ALL, scale, 3e-6, unit=unit)  # rounding of logits up to 60


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_widened(dtype: torch.dtype, backend: str) -> None:
    u, v = rows(60, 13, 9, dtype), rows(50, 13, 10, dtype)
    lse_u, _, _ = contrast(u, v, terms=UV, scale=0.5)
    assert lse_u.dtype == torch.float32
    a, b = (x.detach().double().requires_grad_() for x in (u, v))
    wanted, _ = dense(a, b, UV, 0.5)
    close(lse_u.detach(), wanted.detach(), 1e-6)
    grads = torch.autograd.grad(lse_u.sum(), (u, v))
    for found, truth in zip(grads, torch.autograd.grad(wanted.sum(), (a, b)), strict=True):
        assert found.dtype == dtype
        close(found, truth, 4e-3 if dtype == torch.bfloat16 else 5e-4)  # rounded once, to 8 and 11 bits


def masks(n: int, m: int, seed: int) -> dict[str, CSR | None]:
    """Random lists with repeats, rows without any, and one row of `uv` that leaves out everything."""
    shapes = {"uu": (n, n), "uv": (n, m), "vu": (m, n), "vv": (m, m)}
    lists: dict[str, CSR | None] = {}
    for place, (name, (num_rows, num_cols)) in enumerate(shapes.items()):
        csr = random_csr(num_rows, num_cols, 4 * num_rows, seed=seed + place)
        edges = torch.stack([csr.col.long(), csr.row().long()])
        if name == "uv":
            edges = torch.cat([edges, torch.stack([torch.arange(num_cols), torch.zeros(num_cols).long()])], 1)
        lists[name] = CSR.from_edge_index(edges, size=(num_cols, num_rows))
    return lists


@pytest.mark.parametrize("terms", [UV, UV | VU, ALL | SKIP_DIAGONAL])
@pytest.mark.parametrize("scale", [2.0, 800.0])
def test_forbidden_pairs(terms: int, scale: float, backend: str) -> None:
    u, v = rows(210, 6, 11), rows(190, 6, 12)
    compare(u, v, terms, scale, 1e-12, unit=True, forbidden=masks(210, 190, 13))


def test_one_block_of_forbidden_pairs(backend: str) -> None:
    u, v = rows(30, 6, 14), rows(40, 6, 15)
    for name, csr in masks(30, 40, 16).items():
        compare(u, v, ALL, 1.0, 1e-12, unit=True, forbidden={name: csr})


def test_own_scales_and_column_weights(backend: str) -> None:
    u, v = rows(120, 6, 17), rows(100, 6, 18)
    scales = (torch.linspace(0.5, 3, 120, dtype=torch.float64), torch.linspace(9, 1, 100, dtype=torch.float64))
    bias = (torch.linspace(-20, 1, 120, dtype=torch.float64), torch.linspace(2, -2, 100, dtype=torch.float64))
    for terms in (UV, ALL):
        compare(u, v, terms, 1.5, 1e-12, unit=True, scales=scales, bias=bias)
        compare(u, v, terms, 1.5, 1e-12, scales=(scales[0], None), bias=(None, bias[1]), forbidden=masks(120, 100, 19))


def test_products_of_pairs(backend: str) -> None:
    u, v = rows(130, 6, 20), rows(130, 6, 21)
    found = contrast(u, v, terms=ALL | DOTS, scale=3.0, unit=True)[2]
    wanted = 3 * (normalize(u) * normalize(v)).sum(1)
    close(found.detach(), wanted.detach(), 1e-13)
    grads = (torch.autograd.grad(out.square().sum(), (u, v)) for out in (found, wanted))
    for a, b in zip(*grads, strict=True):
        close(a, b, 1e-12)


# ---- gradients


@pytest.mark.parametrize("unit", [True, False])
def test_gradcheck(unit: bool, backend: str) -> None:
    u, v = rows(4, 3, 22), rows(5, 3, 23)
    lists = {"uv": CSR.from_edge_index(torch.tensor([[1, 4], [0, 2]]), size=(5, 4))}

    def run(u: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        return contrast(u, v, terms=ALL, scale=1.3, unit=unit, forbidden=lists)[:2]

    assert torch.autograd.gradcheck(run, (u, v))
    assert torch.autograd.gradcheck(lambda u: contrast(u, u, terms=UU | DOTS, unit=unit)[::2], (u,))


def test_second_derivatives_are_refused(backend: str) -> None:
    q = rows(4, 3, 24)
    (grad,) = torch.autograd.grad(streaming_logsumexp(q, q.detach()).sum(), q, create_graph=True)
    with pytest.raises(GraphrepError, match="Second derivatives"):
        grad.sum().backward()


def test_gradient_of_one_side_only(backend: str) -> None:
    q, k = rows(4, 3, 25), rows(5, 3, 26)
    for x, other in ((q, k.detach()), (k, q.detach())):
        lse = streaming_logsumexp(x, other)
        assert torch.autograd.grad(lse.sum(), x)[0].shape == x.shape


# ---- properties


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 1000), st.sampled_from([0.3, 30.0]))
def test_order_of_rows_and_columns(n: int, m: int, seed: int, scale: float) -> None:
    """Rows permute with the anchors; the columns' order does not matter; a column listed twice counts twice."""
    q, k = rows(n, 4, seed), rows(m, 4, seed + 1)
    generator = torch.Generator().manual_seed(seed)
    p, c = torch.randperm(n, generator=generator), torch.randperm(m, generator=generator)
    lse = streaming_logsumexp(q, k, scale=scale).detach()
    close(streaming_logsumexp(q[p], k[c], scale=scale).detach(), lse[p], 1e-12)
    twice = streaming_logsumexp(q, torch.cat([k, k]), scale=scale).detach()
    close(twice, lse + torch.log(torch.tensor(2.0, dtype=torch.float64)), 1e-12)


@pytest.mark.parametrize("block_size", [1, 96, 150, 10_000])
def test_block_size_changes_rounding_alone(block_size: int, backend: str) -> None:
    q, k = rows(333, 5, 27), rows(222, 5, 28)
    wanted = streaming_logsumexp(q, k, exclude_diagonal=True).detach()
    found = streaming_logsumexp(q, k, exclude_diagonal=True, block_size=block_size).detach()
    close(found, wanted, 1e-13)


def test_inputs_of_any_layout_are_left_alone(backend: str) -> None:
    base = rows(8, 30, 29).detach()
    q, k = base.t()[:, :5], base.t()[::2, :5]
    before = base.clone()
    close(streaming_logsumexp(q, k), torch.logsumexp(q @ k.t(), 1), 1e-13)
    assert torch.equal(base, before)


def test_empty(backend: str) -> None:
    q, k = rows(3, 4, 30), rows(0, 4, 31)
    assert streaming_logsumexp(q, k).tolist() == [-torch.inf] * 3
    assert streaming_logsumexp(k, q).shape == (0,)
    close(streaming_logsumexp(q[:, :0], q[:, :0]).detach(), torch.full((3,), 3.0).log(), 1e-7)
    one = rows(1, 4, 32)
    lse = streaming_logsumexp(one, one, exclude_diagonal=True)
    assert lse.tolist() == [-torch.inf]
    assert torch.equal(torch.autograd.grad(lse.sum(), one)[0], torch.zeros_like(one))


def test_nan_and_infinity(backend: str) -> None:
    q = rows(5, 3, 33).detach()
    q[2, 1] = torch.nan
    found = streaming_logsumexp(q, torch.ones(70, 3, dtype=torch.float64))
    assert found.isnan().tolist() == [False, False, True, False, False]
    k = torch.ones(70, 3, dtype=torch.float64)
    k[60] = torch.inf
    assert streaming_logsumexp(q.abs(), k)[[0, 1, 3, 4]].tolist() == [torch.inf] * 4


def test_rows_of_zeros_have_no_direction(backend: str) -> None:
    u, v = rows(6, 3, 34), rows(6, 3, 35)
    with torch.no_grad():
        u[1] = 0
    compare(u, v, ALL, 2.0, 1e-12, unit=True)


# ---- the operator, schedules, errors, memory


def test_registered_everywhere() -> None:
    table = implementations()
    for name in ("contrast", "contrast_backward"):
        assert {"reference", "cpu"} <= set(table[name])


@pytest.mark.parametrize("given", [False, True])
def test_opcheck(given: bool, backend: str) -> None:
    u, v = rows(4, 3, 36), rows(5, 3, 37)
    lists = masks(4, 5, 38) if given else {}
    numbers = (torch.ones(4).double(), None, None, torch.ones(5).double()) if given else (None,) * 4
    arguments = (1.5, ALL, True, 0, *numbers, *_masks.mask_tensors(lists))
    torch.library.opcheck(OPS.contrast, (u, v, *arguments))
    lse = [x.detach() for x in contrast(u, v, terms=ALL, scale=1.5)[:2]]
    grads = (torch.ones(4).double(), torch.ones(5).double(), None)
    utils = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(OPS.contrast_backward, (*grads, *lse, u.detach(), v.detach(), *arguments), test_utils=utils)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_rounds_hold_every_pair_once_and_no_block_twice(count: int) -> None:
    symmetric = _schedule.symmetric_rounds(count)
    pairs = [tuple(pair) for turn in symmetric for pair in turn.tolist()]
    assert sorted(pairs) == [(a, b) for a in range(count) for b in range(a, count)]
    for turn in symmetric[:-1]:
        assert len(set(turn.ravel().tolist())) == turn.size
    for other in (1, 4, 9):
        rounds = _schedule.rounds_of(count, other)
        assert sorted(map(tuple, torch.from_numpy(_stack(rounds)).tolist())) == [
            (a, b) for a in range(count) for b in range(other)
        ]
        for turn in rounds:
            assert all(len(set(turn[:, side].tolist())) == len(turn) for side in (0, 1))


def _stack(rounds: list) -> object:
    import numpy as np

    return np.concatenate(rounds)


def test_errors() -> None:
    q = torch.zeros(3, 4)
    with pytest.raises(ShapeError, match="two axes"):
        streaming_logsumexp(q[0], q)
    with pytest.raises(ShapeError, match="q has shape"):
        streaming_logsumexp(q, q[:, :2])
    with pytest.raises(DTypeError, match="k must hold"):
        streaming_logsumexp(q, q.long())
    with pytest.raises(ShapeError, match="v"):
        blockwise.contrast(q, q[:2], terms=DOTS)


MEMORY = """
    import resource, torch
    from graphrep.kernels.blockwise import DOTS, UU, UV, VU, VV, contrast
    torch.set_num_threads(1)

    def run(count):
        generator = torch.Generator().manual_seed(0)
        u, v = (torch.randn(count, 64, generator=generator).requires_grad_() for _ in range(2))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        lse_u, lse_v, dots = contrast(u, v, terms=UU | UV | VU | VV | DOTS, scale=2.5, unit=True)
        (lse_u + lse_v - 2 * dots).mean().backward()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    run(100)
    print(run(6000) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_no_array_of_nodes_times_nodes() -> None:
    """One N x N array would be 144 MB; the gradients are 3 MB, blocks and sums a few more."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEMORY)], capture_output=True, text=True, timeout=300, check=True
    )
    assert int(done.stdout) < 16e6


def test_memory_at_a_hundred_thousand_nodes() -> None:
    """Per thread: two blocks, their gradients, one transposed copy and a tile, below 2 MB whatever N is."""
    for width in (128, 256):
        layout = _schedule.layout_of(100_000, 100_000, width, 4, 0)
        assert layout.scratch * 4 < 2.5e6
        numbers = 8 * 4 * 200_000  # scales, biases, shifts, weights, sums, maxima
        assert 16 * layout.scratch * 4 + numbers < 64e6


def test_same_bytes_with_one_and_two_threads() -> None:
    u, v = rows(700, 20, 39, torch.float32), rows(650, 20, 40, torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            lse_u, lse_v, _ = contrast(u, v, terms=ALL, scale=2.0, unit=True)
            grads = torch.autograd.grad(lse_u.sum() + lse_v.cos().sum(), (u, v))
            results.append([lse_u.detach(), lse_v.detach(), *grads])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
