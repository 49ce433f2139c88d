"""edge_logsumexp: a loop over rows, long rows, special numbers, gradients of both orders, threads, memory, errors."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import close, random_csr
from set_cases import peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels import CSR, edge_logsumexp, streaming_logsumexp
from graphrep.kernels.edge_logsumexp import reference

OPS = torch.ops.graphrep


def by_rows(csr: CSR, q: Tensor, k: Tensor, scale: float = 1.0, zero_diagonal: bool = False) -> Tensor:
    """Row by row in float64, as the formula says."""
    rows, q, k = [], q.double(), k.double()
    for i in range(csr.num_rows):
        entries = slice(int(csr.rowptr[i]), int(csr.rowptr[i + 1]))
        source = csr.col[entries].long()
        logits = scale * (k[source] @ q[i])
        if zero_diagonal:
            logits = torch.where(source == i, 0, logits)
        weight = torch.ones_like(logits) if csr.value is None else csr.value[entries].double()
        present = weight != 0
        rows.append((weight * logits.exp())[present].sum().log())
    return torch.stack(rows) if rows else q.new_zeros(0)


def ends(csr: CSR, width: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = (csr.num_rows, csr.num_cols)
    drawn = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in sizes)
    q, k = (x.to(dtype).requires_grad_() for x in drawn)
    return q, k


def weighted(csr: CSR, *, grad: bool = True) -> CSR:
    assert csr.value is not None
    return csr.with_value(csr.value.detach().abs().requires_grad_(grad))


# values and first derivatives


@pytest.mark.parametrize("width", [1, 4, 7, 10, 16, 25, 64, 130])
@pytest.mark.parametrize("zero_diagonal", [True, False])
def test_every_width(width: int, zero_diagonal: bool, backend: str) -> None:
    for weights in (None, ()):
        csr = random_csr(11, 9, 70, weights=weights, seed=width)
        csr = csr if weights is None else weighted(csr)
        q, k = ends(csr, width, seed=width)
        found = edge_logsumexp(csr, q, k, scale=0.3, zero_diagonal=zero_diagonal)
        wanted = by_rows(csr, q, k, 0.3, zero_diagonal)
        close(found.detach(), wanted.detach(), 1e-12)
        leaves = [q, k, *([] if csr.value is None else [csr.value])]
        full = csr.degree() > 0
        cotangent = torch.randn(11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))[full]
        truth = torch.autograd.grad(wanted[full], leaves, cotangent)
        for a, b in zip(torch.autograd.grad(found[full], leaves, cotangent), truth, strict=True):
            close(a, b, 1e-11)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 511, 512, 513, 1500, 5000])
def test_long_rows_and_columns(count: int, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of `count` entries among short ones, and its transpose; blocks of the reference shorter than that."""
    monkeypatch.setattr(reference, "BLOCK_NUMBERS", 700)
    other = torch.randint(0, 40, (2, 90), generator=torch.Generator().manual_seed(0))
    hub = torch.stack([torch.arange(count) % 40, torch.full((count,), 7)])
    edges = torch.cat([other, hub], dim=1)
    for flipped in (edges, edges.flip(0)):
        csr = CSR.from_edge_index(flipped, torch.rand(edges.shape[1]), size=(40, 40))
        q, k = ends(csr, 10, dtype=torch.float32)
        found, wanted = edge_logsumexp(csr, q, k), by_rows(csr, q, k)
        full = csr.degree() > 0
        # float32: a sum of up to 5,000 terms of one sign, and gradients that add as many rows of both signs.
        close(found.detach(), wanted.detach(), 2e-6)
        truth = torch.autograd.grad(wanted[full].sum(), (q, k))
        for a, b in zip(torch.autograd.grad(found[full].sum(), (q, k)), truth, strict=True):
            close(a, b, 1e-5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_dst=st.sampled_from([0, 1, 2, 9]),
    num_src=st.sampled_from([1, 2, 9]),
    num_edges=st.sampled_from([0, 1, 2, 63, 257]),
    scale=st.sampled_from([0.0, 0.25, -1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_equals_the_formula(num_dst: int, num_src: int, num_edges: int, scale: float, seed: int, backend: str) -> None:
    """Empty matrices and rows, duplicates, weights of 0, any sign of the scale."""
    csr = weighted(random_csr(num_dst, num_src, num_edges if num_dst else 0, weights=(), seed=seed), grad=False)
    csr = csr.with_value(torch.where(csr.value < 0.5, 0, csr.value))  # type: ignore[operator,arg-type]
    q, k = ends(csr, 5, seed=seed)
    found, wanted = (f(csr, q, k, scale=scale, zero_diagonal=True) for f in (edge_logsumexp, by_rows))
    close(found.detach(), wanted.detach(), 1e-12)
    full = wanted.detach().isfinite()
    if full.any():
        truth = torch.autograd.grad(wanted[full].square().sum(), (q, k))
        for a, b in zip(torch.autograd.grad(found[full].square().sum(), (q, k)), truth, strict=True):
            close(a, b, 1e-11)


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_order_of_edges_and_nodes_does_not_matter(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges, weight = torch.randint(0, 12, (2, 60), generator=generator), torch.rand(60, generator=generator).double()
    csr = CSR.from_edge_index(edges, weight, size=(12, 12))
    q, k = (x.detach() for x in ends(csr, 6, seed=seed))
    out = edge_logsumexp(csr, q, k, zero_diagonal=True)
    order = torch.randperm(60, generator=generator)
    shuffled = CSR.from_edge_index(edges[:, order], weight[order], size=(12, 12))
    close(edge_logsumexp(shuffled, q, k, zero_diagonal=True), out, 1e-13)
    order = torch.randperm(12, generator=generator)
    renamed = CSR.from_edge_index(torch.argsort(order)[edges], weight, size=(12, 12))
    close(edge_logsumexp(renamed, q[order], k[order], zero_diagonal=True), out[order], 1e-13)


def test_duplicate_entries_add_their_weights(backend: str) -> None:
    edges = torch.tensor([[0, 1, 0], [1, 1, 1]])
    q, k = (torch.randn(2, 3, dtype=torch.float64) for _ in range(2))
    twice = CSR.from_edge_index(edges, torch.tensor([0.25, 1.0, 0.5]), size=(2, 2))
    once = CSR.from_edge_index(edges[:, :2], torch.tensor([0.75, 1.0]), size=(2, 2))
    close(edge_logsumexp(twice, q, k), edge_logsumexp(once, q, k), 1e-14)


def test_a_full_matrix_is_the_streaming_form(backend: str) -> None:
    every = CSR.from_edge_index(torch.cartesian_prod(torch.arange(9), torch.arange(7)).t(), size=(9, 7))
    q, k = ends(every, 4)
    close(edge_logsumexp(every, q, k, scale=2.0).detach(), streaming_logsumexp(q, k, scale=2.0).detach(), 1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_widened(dtype: torch.dtype, backend: str) -> None:
    csr = weighted(random_csr(6, 30, 900, weights=()), grad=False)
    q, k = ends(csr, 16, dtype=dtype)
    found, wanted = edge_logsumexp(csr, q, k, scale=0.2), by_rows(csr, q, k, 0.2)
    assert found.dtype == torch.float32
    close(found.detach(), wanted.detach(), 1e-6)  # only the float32 sums are rounded
    truth = torch.autograd.grad(wanted.sum(), (q, k))
    for a, b in zip(torch.autograd.grad(found.sum(), (q, k)), truth, strict=True):
        assert a.dtype == dtype
        close(a, b, torch.finfo(dtype).eps)  # the gradient is rounded once


def test_wide_indices(backend: str) -> None:
    csr = weighted(random_csr(6, 8, 40, weights=()), grad=False)
    wide = CSR._trusted(csr.rowptr.long(), csr.col.long(), csr.value, csr.num_cols, csr.perm.long())
    q, k = ends(csr, 5)
    for matrix in (csr, wide):
        found = torch.autograd.grad(edge_logsumexp(matrix, q, k)[matrix.degree() > 0].sum(), (q, k))
        truth = torch.autograd.grad(by_rows(csr, q, k)[matrix.degree() > 0].sum(), (q, k))
        for a, b in zip(found, truth, strict=True):
            close(a, b, 1e-12)


def test_no_width_at_all(backend: str) -> None:
    csr = CSR.from_edge_index(torch.tensor([[0, 1, 1], [0, 0, 1]]), torch.tensor([1.0, 2.0, 4.0]))
    q = torch.zeros(2, 0, requires_grad=True)
    out = edge_logsumexp(csr, q, q)
    close(out.detach().exp(), torch.tensor([3.0, 4.0]), 1e-6)
    assert torch.autograd.grad(out.sum(), q)[0].shape == (2, 0)


# special numbers


def test_rows_without_entries_are_minus_infinity_and_send_no_gradient(backend: str) -> None:
    csr = CSR(torch.tensor([0, 0, 2, 3]), torch.tensor([0, 1, 1]), torch.tensor([0.5, 1.0, 0.0]))
    q, k = ends(csr, 3)
    out = edge_logsumexp(csr, q, k)
    assert out.isneginf().tolist() == [True, False, True]
    grads = torch.autograd.grad(out.exp().sum(), (q, k))
    assert all(g.isfinite().all() for g in grads)
    assert not grads[0][[0, 2]].any()


def test_products_of_entries_of_weight_zero_do_not_matter(backend: str) -> None:
    """exp(400) is beyond float32, and its entry is absent."""
    csr = CSR(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.tensor([0.0, 2.0]))
    q, k = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[400.0], [1.0]], requires_grad=True)
    out = edge_logsumexp(csr, q, k)
    close(out.detach(), torch.tensor([1 + torch.tensor(2.0).log()]), 1e-6)
    grads = torch.autograd.grad(out.sum(), (q, k))
    assert grads[0].tolist() == [[1.0]]
    assert grads[1].tolist() == [[0.0], [1.0]]


def test_large_products_do_not_overflow(backend: str) -> None:
    csr = weighted(random_csr(5, 5, 40, weights=()), grad=False)
    q, k = (x.detach().float().requires_grad_() for x in ends(csr, 3))
    out = edge_logsumexp(csr, q, k, scale=1000.0)
    close(out.detach(), by_rows_shifted(csr, q, k, 1000.0), 1e-5)
    assert all(g.isfinite().all() for g in torch.autograd.grad(out.sum(), (q, k)))


def by_rows_shifted(csr: CSR, q: Tensor, k: Tensor, scale: float) -> Tensor:
    logits = scale * (q.detach().double()[csr.row().long()] * k.detach().double()[csr.col.long()]).sum(1)
    assert csr.value is not None
    logits = logits + csr.value.double().log()
    return torch.stack([logits[csr.row() == i].logsumexp(0) for i in range(csr.num_rows)])


def test_nan_spoils_the_rows_that_read_it_only(backend: str) -> None:
    csr = CSR(torch.tensor([0, 2, 4, 5]), torch.tensor([0, 1, 1, 2, 2]))
    q, k = torch.ones(3, 2), torch.ones(3, 2)
    k[0, 0] = torch.nan
    assert edge_logsumexp(csr, q, k).isnan().tolist() == [True, False, False]


# derivatives


@pytest.mark.parametrize("zero_diagonal", [True, False])
@pytest.mark.parametrize(
    "wanted", [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_gradcheck(wanted: tuple[bool, ...], zero_diagonal: bool, backend: str) -> None:
    csr = CSR.from_edge_index(torch.tensor([[0, 1, 2, 0, 0, 3, 2], [0, 0, 1, 1, 2, 2, 3]]), size=(4, 4))
    value = torch.rand(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    arguments = [t.detach().requires_grad_(need) for t, need in zip((*ends(csr, 3), value), wanted, strict=True)]

    def function(q: Tensor, k: Tensor, value: Tensor) -> Tensor:
        return edge_logsumexp(csr.with_value(value), q, k, scale=0.7, zero_diagonal=zero_diagonal)

    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


def test_second_derivatives_where_both_sides_are_one_tensor(backend: str) -> None:
    csr = CSR.from_edge_index(torch.tensor([[0, 1, 2, 1], [1, 1, 0, 2]]), size=(3, 3))
    x = ends(csr, 3)[0]
    assert torch.autograd.gradcheck(lambda x: edge_logsumexp(csr, x, x), (x,))
    assert torch.autograd.gradgradcheck(lambda x: edge_logsumexp(csr, x, x), (x,))


def test_an_empty_row_does_not_spoil_second_derivatives(backend: str) -> None:
    csr = CSR(torch.tensor([0, 0, 2]), torch.tensor([0, 1]), torch.tensor([0.5, 0.0]))
    q, k = ends(csr, 2)
    first = torch.autograd.grad(edge_logsumexp(csr, q, k).exp().sum(), (q, k), create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), (q, k))
    assert all(g.isfinite().all() for g in (*first, *second))


def test_opcheck() -> None:
    csr = weighted(random_csr(4, 5, 9, weights=()))
    transpose = (csr.pattern_t().rowptr, csr.pattern_t().col, csr.t_perm())
    q, k = ends(csr, 3)
    for zero_diagonal in (True, False):
        arguments = (csr.rowptr, csr.col, csr.value, q, k, 0.5, zero_diagonal, *transpose)
        torch.library.opcheck(OPS.edge_logsumexp, arguments)
    q, k = q.detach(), k.detach()
    _, shift = OPS.edge_logsumexp(csr.rowptr, csr.col, None, q, k, 0.5, True, None, None, None)
    numbers = (torch.ones(4, dtype=torch.float64), torch.where(shift == -torch.inf, 0, shift))
    layout = (csr.rowptr, csr.col, None, csr.value.detach())  # type: ignore[union-attr]
    torch.library.opcheck(OPS.edge_logsumexp_backward, (*layout, q, k, *numbers, 0.5, True, False))


def test_compiles_as_one_graph() -> None:
    csr = weighted(random_csr(6, 6, 20, weights=()))
    csr.t()
    q, k = ends(csr, 4)
    leaves = (q, k, csr.value)

    def step(q: Tensor, k: Tensor, value: Tensor) -> Tensor:
        return edge_logsumexp(csr.with_value(value), q, k, zero_diagonal=True).exp().sum()

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    found = torch.autograd.grad(compiled(*leaves), leaves)
    for a, b in zip(found, torch.autograd.grad(step(*leaves), leaves), strict=True):
        torch.testing.assert_close(a, b)


# threads, memory, errors


def test_same_bytes_for_any_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 900, (2, 12_000), generator=generator)
    edges[1, :4000] = 7
    weight = torch.rand(12_000, generator=generator, requires_grad=True)
    csr = CSR.from_edge_index(edges, weight, size=(900, 900))
    q, k = ends(csr, 10, dtype=torch.float32)

    def results() -> list[Tensor]:
        out = edge_logsumexp(csr, q, k, zero_diagonal=True)
        full = csr.degree() > 0
        return [
            out.detach(),
            *torch.autograd.grad(out[full], (q, k, weight), out.detach()[full].cos(), retain_graph=True),
        ]

    same_for_any_threads(results)


PEAK = """
    import resource, torch
    torch.set_num_threads(1)
    from graphrep.kernels import CSR, edge_logsumexp
    def run(num_edges):
        generator = torch.Generator().manual_seed(0)
        edges = torch.randint(0, 2000, (2, num_edges), generator=generator)
        csr = CSR.from_edge_index(edges, torch.rand(num_edges, generator=generator), size=(2000, 2000))
        csr.t()
        x = torch.randn(2000, 64, generator=generator).requires_grad_()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        edge_logsumexp(csr, x, x, scale=0.1, zero_diagonal=True).sum().backward()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    run(20_000)
    print(run(800_000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_no_array_of_edges_times_width() -> None:
    """E x d would be 205 MB; the weights in the order of the transpose are 3 MB and a few N x d arrays 0.5 MB each."""
    assert peak_bytes(PEAK) < 16e6


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_the_reference_goes_block_by_block() -> None:
    """In float64 E x d would be 410 MB; a block of 2^20 gathered numbers has 8 MB, a few of which are alive."""
    code = PEAK.replace("import resource", "import os, resource")
    code = code.replace("    torch.set_num_threads(1)", "    os.environ['GRAPHREP_BACKEND'] = 'reference'")
    assert peak_bytes(code) < 120e6


def test_errors() -> None:
    csr = random_csr(3, 4, 5)
    with pytest.raises(ShapeError, match="q has shape"):
        edge_logsumexp(csr, torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(ShapeError, match="k has shape"):
        edge_logsumexp(csr, torch.zeros(3, 2), torch.zeros(4, 1, 2))
    with pytest.raises(ShapeError, match="width must agree"):
        edge_logsumexp(csr, torch.zeros(3, 2), torch.zeros(4, 3))
    with pytest.raises(DTypeError, match="k must hold"):
        edge_logsumexp(csr, torch.zeros(3, 2), torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="one per entry"):
        edge_logsumexp(csr.with_value(torch.ones(5, 2)), torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(GraphrepError, match="scale must be finite"):
        edge_logsumexp(csr, torch.zeros(3, 2), torch.zeros(4, 2), scale=float("nan"))
