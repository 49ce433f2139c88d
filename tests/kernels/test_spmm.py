"""spmm: golden values, gradients of first and second order, properties, edge cases, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import REDUCTIONS, close, random_csr
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, spmm

Golden = Callable[[str], dict[str, Tensor]]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}


def slow(csr: CSR, x: Tensor, reduce: str) -> tuple[Tensor, Tensor]:
    """One row, one column at a time, as the definition reads."""
    out = torch.zeros(csr.num_rows, x.shape[1], dtype=torch.float64)
    arg = torch.full(out.shape, -1)
    for i in range(csr.num_rows):
        entries = range(int(csr.rowptr[i]), int(csr.rowptr[i + 1]))
        for c in range(x.shape[1]):
            w = [1.0 if csr.value is None else float(csr.value[e]) for e in entries]
            terms = np.array([w[k] * float(x[csr.col[e], c]) for k, e in enumerate(entries)])
            if not len(terms):
                continue
            if reduce in ("sum", "mean"):
                out[i, c] = terms.sum() / (len(terms) if reduce == "mean" else 1)
            else:
                best = int(np.argmax(terms) if reduce == "max" else np.argmin(terms))  # first NaN, else first best
                out[i, c], arg[i, c] = float(terms[best]), entries[best]
    return out, arg


# values


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["reduce_small", "reduce_hub"])
def test_golden_values_and_gradients(name: str, dtype: torch.dtype, backend: str, golden: Golden) -> None:
    g = golden(name)
    edges, size = torch.stack([g["src"], g["dst"]]), (int(g["n_src"]), int(g["n_dst"]))
    grad_out = g["grad_out"].to(dtype)
    for reduce in REDUCTIONS:
        x = g["x"].to(dtype).requires_grad_()
        csr = CSR.from_edge_index(edges, size=size)
        out = spmm(csr, x, reduce=reduce)
        close(out.detach(), g[reduce], TOLERANCE[dtype])
        close(torch.autograd.grad(out, x, grad_out)[0], g[f"{reduce}_grad_x"], 5 * TOLERANCE[dtype])
        if reduce in ("max", "min"):
            _, arg = spmm(csr, x, reduce=reduce, return_arg=True)
            assert arg.dtype == torch.int64
            assert torch.equal(arg, g[f"{reduce}_argedge_csr"])
    for reduce in ("sum", "mean"):
        x, w = (g[key].to(dtype).requires_grad_() for key in ("x", "w"))
        out = spmm(CSR.from_edge_index(edges, w, size=size), x, reduce=reduce)
        close(out.detach(), g[f"{reduce}_w"], TOLERANCE[dtype])
        for found, key in zip(torch.autograd.grad(out, (x, w), grad_out), ("grad_x", "grad_w"), strict=True):
            close(found, g[f"{reduce}_w_{key}"], 5 * TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["reduce_small", "reduce_hub"])
def test_golden_double_backward(name: str, backend: str, golden: Golden) -> None:
    g = golden(name)
    x, w, grad_out = (g[key].clone().requires_grad_() for key in ("x", "w", "grad_out"))
    csr = CSR.from_edge_index(torch.stack([g["src"], g["dst"]]), w, size=(int(g["n_src"]), int(g["n_dst"])))
    grad_x, grad_w = torch.autograd.grad(spmm(csr, x), (x, w), grad_out, create_graph=True)
    scalar = (grad_x * g["vx"]).sum() + (grad_w * g["vw"]).sum()
    for found, key in zip(torch.autograd.grad(scalar, (grad_out, x, w)), ("out", "x", "w"), strict=True):
        close(found, g[f"dbl_grad_{key}"], 1e-12)


def test_golden_nan_and_infinity(backend: str, golden: Golden) -> None:
    g = golden("reduce_nan_inf")
    csr = CSR.from_edge_index(torch.stack([g["src"], g["dst"]]), size=(int(g["n_src"]), int(g["n_dst"])))
    for reduce in REDUCTIONS:
        torch.testing.assert_close(spmm(csr, g["x"], reduce=reduce), g[reduce], equal_nan=True)
    for reduce in ("max", "min"):
        assert torch.equal(spmm(csr, g["x"], reduce=reduce, return_arg=True)[1], g[f"{reduce}_argedge_csr"])


@pytest.mark.parametrize(("name", "dtype", "digits"), [("bf16", torch.bfloat16, 8), ("fp16", torch.float16, 11)])
def test_half_types_round_once(name: str, dtype: torch.dtype, digits: int, backend: str, golden: Golden) -> None:
    g = golden(f"reduce_{name}")
    csr = CSR.from_edge_index(
        torch.stack([g["src"], g["dst"]]) if "src" in g else torch.stack([g["col"], g["dst"]]),
        size=(int(g["src"].max()) + 1 if "n_src" not in g else int(g["n_src"]), int(g["n_dst"])),
    )
    x = g["x"].to(dtype)
    found = spmm(csr, x)
    assert found.dtype == dtype
    wanted = g["sum_rounded_once"].double()
    ulp = torch.exp2(torch.floor(torch.log2(wanted.abs().clamp(min=1e-30))) + 1 - digits)
    assert ((found.double() - wanted).abs() <= ulp + 2e-6 * spmm(csr, x.double().abs())).all()


def test_float16_widening_covers_every_number() -> None:
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    x = bits.view(torch.float16).reshape(-1, 16)
    rows = torch.arange(x.shape[0])
    out = spmm(CSR.from_edge_index(torch.stack([rows, rows])), x)
    torch.testing.assert_close(out, x, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("width", [1, 3, 4, 16, 21, 64, 85, 150, 257])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_every_block_width(width: int, reduce: str, backend: str) -> None:
    x = torch.randn(13, width, dtype=torch.float64)
    for weights in (None, ()):
        csr = random_csr(17, 13, 90, weights=weights, seed=width)
        out, arg = slow(csr, x, reduce)
        close(spmm(csr, x, reduce=reduce), out, 1e-12)
        if reduce in ("max", "min"):
            assert torch.equal(spmm(csr, x, reduce=reduce, return_arg=True)[1], arg)


@pytest.mark.parametrize("num_edges", [511, 512, 513, 1024, 1025, 40_000])
def test_long_rows_are_summed_pairwise(num_edges: int) -> None:
    """The bound is that of one piece; a float32 sum in sequence over 40,000 numbers misses it tenfold."""
    edges = torch.stack([torch.arange(num_edges), torch.zeros(num_edges, dtype=torch.int64)])
    csr = CSR.from_edge_index(edges, size=(num_edges, 2))
    x = torch.rand(num_edges, 80, generator=torch.Generator().manual_seed(1))
    out = spmm(csr, x)
    assert float(((out[0].double() - x.double().sum(0)) / x.double().sum(0)).abs().max()) < 1e-6
    assert torch.equal(out[1], torch.zeros(80))
    close(spmm(csr, x, reduce="mean")[0], x.double().mean(0), 1e-6)


def test_weights_per_head(backend: str) -> None:
    csr = random_csr(7, 9, 40, weights=(3,))
    x = torch.randn(9, 3, 21, dtype=torch.float64)
    assert csr.value is not None
    for reduce in REDUCTIONS:
        out = spmm(csr, x, reduce=reduce)
        for h in range(3):
            close(out[:, h], spmm(csr.with_value(csr.value[:, h].contiguous()), x[:, h], reduce=reduce), 1e-13)
        torch.testing.assert_close(spmm(csr, x.reshape(9, -1), reduce=reduce).reshape(out.shape), out)


# gradients


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("weights", [None, (), (2,)])
def test_gradcheck(reduce: str, weights: tuple[int, ...] | None, backend: str) -> None:
    base = random_csr(4, 5, 11, weights=weights, seed=3)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    if weights is None:
        arguments: tuple[Tensor, ...] = (x,)
    else:
        assert base.value is not None
        arguments = (x, base.value.clone().requires_grad_())

    def function(x: Tensor, *value: Tensor) -> Tensor:
        csr = base if weights is None else base.with_value(value[0])
        return spmm(csr, x, reduce=reduce)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


def test_ties_send_the_gradient_to_the_first_edge(backend: str) -> None:
    csr = CSR.from_edge_index(torch.tensor([[2, 0, 1], [0, 0, 0]]), size=(3, 1))
    x = torch.ones(3, 1, requires_grad=True)
    spmm(csr, x, reduce="max").sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0], [0.0], [1.0]]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_expanded_cotangents(reduce: str, backend: str) -> None:
    """``out.sum()`` hands back ones of stride 0, which a kernel must not read as memory."""
    csr = random_csr(9, 8, 30, weights=())
    assert csr.value is not None
    x, w = torch.randn(8, 5, dtype=torch.float64, requires_grad=True), csr.value.clone().requires_grad_()
    out = spmm(csr.with_value(w), x, reduce=reduce)
    expanded = torch.autograd.grad(out.sum(), (x, w), retain_graph=True)
    dense = torch.autograd.grad(out, (x, w), torch.ones_like(out))
    assert all(torch.equal(a, b) for a, b in zip(expanded, dense, strict=True))


def test_gradient_of_weights_alone_needs_no_transpose(backend: str) -> None:
    csr = random_csr(6, 6, 20, weights=())
    assert csr.value is not None
    weighted = csr.with_value(csr.value.clone().requires_grad_())
    spmm(weighted, torch.randn(6, 4, dtype=torch.float64)).sum().backward()
    assert weighted.value is not None
    assert weighted.value.grad is not None
    assert not weighted._cache


# properties

GRAPHS = st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 30), st.integers(0, 10_000))


@given(GRAPHS, st.sampled_from(REDUCTIONS))
@settings(max_examples=25, deadline=None)
def test_edge_order_and_node_order_do_not_matter(graph: tuple[int, int, int, int], reduce: str) -> None:
    num_dst, num_src, num_edges, seed = graph
    num_edges = num_edges if num_dst else 0
    generator = torch.Generator().manual_seed(seed)
    src, dst = (torch.randint(0, max(n, 1), (num_edges,), generator=generator) for n in (num_src, num_dst))
    x = torch.randn(num_src, 3, generator=generator, dtype=torch.float64)
    size = (num_src, num_dst)
    out = spmm(CSR.from_edge_index(torch.stack([src, dst]), size=size), x, reduce=reduce)
    order = torch.randperm(num_edges, generator=generator)
    shuffled = CSR.from_edge_index(torch.stack([src, dst])[:, order], size=size)
    torch.testing.assert_close(spmm(shuffled, x, reduce=reduce), out)
    relabel = torch.randperm(num_src, generator=generator)
    moved = torch.empty_like(x).index_copy_(0, relabel, x)
    relabelled = CSR.from_edge_index(torch.stack([relabel[src], dst]), size=size)
    torch.testing.assert_close(spmm(relabelled, moved, reduce=reduce), out)


@given(GRAPHS, st.sampled_from(REDUCTIONS), st.booleans())
@settings(max_examples=40, deadline=None)
def test_cpu_agrees_with_reference(graph: tuple[int, int, int, int], reduce: str, weighted: bool) -> None:
    num_dst, num_src, num_edges, seed = graph
    csr = random_csr(num_dst, num_src, num_edges if num_dst else 0, weights=() if weighted else None, seed=seed)
    x = torch.randn(num_src, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHREP_BACKEND", "reference")
        wanted = spmm(csr, x, reduce=reduce)
        patch.setenv("GRAPHREP_BACKEND", "cpu")
        torch.testing.assert_close(spmm(csr, x, reduce=reduce), wanted, rtol=1e-12, atol=1e-12)


def test_linear_in_x(backend: str) -> None:
    csr = random_csr(8, 8, 30, weights=())
    x, y = torch.randn(2, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(spmm(csr, 2 * x - y), 2 * spmm(csr, x) - spmm(csr, y))


# edge cases


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize(("num_dst", "num_src"), [(0, 0), (0, 3), (3, 0), (3, 3)])
def test_no_edges(num_dst: int, num_src: int, reduce: str, backend: str) -> None:
    csr = CSR.from_edge_index(torch.empty(2, 0, dtype=torch.int64), size=(num_src, num_dst))
    x = torch.randn(num_src, 2, dtype=torch.float64, requires_grad=True)
    out = spmm(csr, x, reduce=reduce)
    assert torch.equal(out, torch.zeros(num_dst, 2, dtype=torch.float64))
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_no_columns(backend: str) -> None:
    assert spmm(random_csr(3, 4, 5), torch.empty(4, 0)).shape == (3, 0)


def test_strided_input_vectors_and_wide_shapes(backend: str) -> None:
    csr = random_csr(6, 5, 20, weights=())
    x = torch.randn(7, 5, dtype=torch.float64).t()
    torch.testing.assert_close(spmm(csr, x), spmm(csr, x.contiguous()))
    torch.testing.assert_close(spmm(csr, x[:, 0]), spmm(csr, x)[:, 0])
    deep = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(spmm(csr, deep), spmm(csr, deep.reshape(5, -1)).reshape(6, 2, 3, 4))


def test_int64_layout_gives_the_same(backend: str) -> None:
    csr = random_csr(6, 5, 20)
    wide = CSR._trusted(csr.rowptr.long(), csr.col.long(), csr.value, csr.num_cols, csr.perm.long())
    x = torch.randn(5, 70, dtype=torch.float64)
    assert torch.equal(spmm(wide, x), spmm(csr, x))
    for found, wanted in zip(
        spmm(wide, x, reduce="max", return_arg=True), spmm(csr, x, reduce="max", return_arg=True), strict=True
    ):
        assert torch.equal(found, wanted)


def test_inputs_stay_as_they_are(backend: str) -> None:
    csr = random_csr(6, 5, 20, weights=())
    x = torch.randn(5, 4, dtype=torch.float64)
    assert csr.value is not None
    before = [t.clone() for t in (csr.rowptr, csr.col, csr.value, x)]
    for reduce in REDUCTIONS:
        spmm(csr, x, reduce=reduce)
    assert all(torch.equal(a, b) for a, b in zip(before, (csr.rowptr, csr.col, csr.value, x), strict=True))


# errors


def test_errors_say_what_is_wrong() -> None:
    csr = random_csr(3, 4, 5)
    with pytest.raises(ShapeError, match=r"\(3, 2\).*4 columns"):
        spmm(csr, torch.zeros(3, 2))
    with pytest.raises(DTypeError, match="int64"):
        spmm(csr, torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(UnknownNameError, match='"median"'):
        spmm(csr, torch.zeros(4, 2), reduce="median")  # type: ignore[arg-type]
    with pytest.raises(GraphrepError, match="return_arg"):
        spmm(csr, torch.zeros(4, 2), return_arg=True)
    with pytest.raises(ShapeError, match="2 weights per entry"):
        spmm(random_csr(3, 4, 5, weights=(2,)), torch.zeros(4, 3))
    with pytest.raises(GraphrepError, match="meta"):
        spmm(csr, torch.zeros(4, 2, device="meta"))
