"""Means over what rows of a product reach: against dense means, gradients of both orders, precision, threads."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import adjacency, peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, ShapeError
from graphrep.kernels import CSR, reach_mean
from graphrep.kernels._dispatch import implementations
from graphrep.kernels.reach import reach_counts


def dense_mean(a: CSR, b: CSR, x: Tensor) -> Tensor:
    reach = ((adjacency(a) @ adjacency(b)) > 0).double()
    return (reach / reach.sum(1, keepdim=True).clamp(min=1)) @ x.double()


@pytest.mark.parametrize("width", [1, 3, 16, 70])
@pytest.mark.parametrize("weights", [None, ()])
def test_is_the_dense_mean(backend: str, width: int, weights: tuple[int, ...] | None) -> None:
    a, b = random_csr(40, 23, 90, weights=weights), random_csr(23, 31, 80, weights=weights, seed=1)
    x = torch.randn(31, width, dtype=torch.float64)
    torch.testing.assert_close(reach_mean(a, b, x), dense_mean(a, b, x), rtol=0, atol=1e-13)
    wide = [CSR._trusted(m.rowptr.long(), m.col.long(), None, m.num_cols, m.perm.long()) for m in (a, b)]
    assert torch.equal(reach_mean(*wide, x), reach_mean(a, b, x))
    assert torch.equal(reach_counts(a, b), ((adjacency(a) @ adjacency(b)) > 0).sum(1))


def test_long_rows(backend: str) -> None:
    """Thousands of columns per row, which are listed from the stamps and summed in pieces."""
    a, b = random_csr(5, 40, 60), random_csr(40, 3000, 30_000, seed=1)
    x = torch.randn(3000, 20, dtype=torch.float64)
    torch.testing.assert_close(reach_mean(a, b, x), dense_mean(a, b, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "k", "m"), [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1)])
def test_sizes(backend: str, n: int, k: int, m: int) -> None:
    a, b = random_csr(n, k, 4 if n and k else 0), random_csr(k, m, 4 if k and m else 0, seed=1)
    x = torch.randn(m, 2, dtype=torch.float64, requires_grad=True)
    out = reach_mean(a, b, x)
    torch.testing.assert_close(out, dense_mean(a, b, x))
    assert torch.autograd.grad(out.sum(), x)[0].shape == (m, 2)
    assert reach_mean(a, b, x[:, :0]).shape == (n, 0)


def test_gradients(backend: str) -> None:
    a, b = random_csr(7, 5, 9), random_csr(5, 6, 8, seed=1)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: reach_mean(a, b, t), (x,))
    assert torch.autograd.gradgradcheck(lambda t: reach_mean(a, b, t), (x,))
    out = reach_mean(a, b, x)
    weight = torch.randn_like(out)
    wanted = torch.autograd.grad(dense_mean(a, b, x), x, weight)[0]
    torch.testing.assert_close(torch.autograd.grad(out, x, weight)[0], wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_other_types_are_rounded_once(backend: str, dtype: torch.dtype) -> None:
    a, b = random_csr(30, 20, 90), random_csr(20, 400, 900, seed=1)
    x = (100 * torch.randn(400, 24, dtype=torch.float64)).to(dtype).requires_grad_()  # sums overflow float16, means not
    out = reach_mean(a, b, x)
    assert out.dtype == dtype
    # One rounding of the result, and for float32 those of a sum of some hundred terms.
    tol = 100 * {torch.float32: 1e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
    torch.testing.assert_close(out.double(), dense_mean(a, b, x.detach()), rtol=0, atol=tol)
    grad = torch.autograd.grad(out.float().sum(), x)[0]
    wanted = torch.autograd.grad(dense_mean(a, b, x.double()).sum(), x)[0]
    torch.testing.assert_close(grad.double(), wanted.double(), rtol=2e-2 if dtype != torch.float32 else 1e-5, atol=1e-3)


pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=14)


@given(pairs, pairs, st.permutations(range(5)))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_renumbering_changes_nothing(
    left: list[tuple[int, int]], right: list[tuple[int, int]], order: list[int]
) -> None:
    """Rows in the middle in another order, and every entry twice: the same means up to the order of sums."""
    a, b = (torch.tensor(e).long().reshape(-1, 2).t() for e in (left, right))
    place = torch.tensor(order)
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = reach_mean(*(CSR.from_edge_index(e, size=(5, 5)) for e in (a, b)), x)
    moved = torch.stack([place[a[0]], a[1]]).repeat(1, 2), torch.stack([b[0], place[b[1]]]).repeat(1, 2)
    torch.testing.assert_close(reach_mean(*(CSR.from_edge_index(e, size=(5, 5)) for e in moved), x), plain)


def test_same_bytes_for_any_number_of_threads() -> None:
    a, b = random_csr(4000, 3000, 20_000), random_csr(3000, 4000, 20_000, seed=1)
    x = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def results() -> list[Tensor]:
        out = reach_mean(a, b, x)
        return [out.detach(), torch.autograd.grad(out, x, out.detach())[0]]

    same_for_any_threads(results)


def test_operator() -> None:
    a, b = random_csr(4, 5, 9), random_csr(5, 6, 9, seed=1)
    first, second = a.pattern_t(), b.pattern_t()
    turned = (first.rowptr, first.col, second.rowptr, second.col)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    layout = (a.rowptr, a.col, b.rowptr, b.col)
    torch.library.opcheck(torch.ops.graphrep.reach, (*layout, *turned, reach_counts(a, b), x, 1))
    assert {"reference", "cpu", "cuda"} <= set(implementations()["reach"])
    assert {"reference", "cpu", "cuda"} <= set(implementations()["product_rows"])


def test_errors() -> None:
    a, b = random_csr(3, 4, 5), random_csr(4, 5, 5)
    with pytest.raises(ShapeError, match="4 columns meet 5 rows"):
        reach_mean(a, random_csr(5, 3, 5), torch.ones(3, 2))
    with pytest.raises(ShapeError, match=r"x has shape \(4, 2\) but the product has 5 columns"):
        reach_mean(a, b, torch.ones(4, 2))
    with pytest.raises(ShapeError, match=r"counts has shape \(4,\) but there are 3 rows"):
        reach_mean(a, b, torch.ones(5, 2), counts=torch.ones(4))
    with pytest.raises(DTypeError, match="x must hold floating-point numbers"):
        reach_mean(a, b, torch.ones(5, 2, dtype=torch.int64))


PEAK = """
    import resource, torch
    from graphrep.kernels import CSR, reach_mean
    torch.set_num_threads(1)
    def means(nodes, groups, edges):
        ends = [torch.randint(0, n, (edges,), generator=torch.Generator().manual_seed(n)) for n in (groups, nodes)]
        csr = CSR.from_edge_index(torch.stack(ends), size=(groups, nodes))
        x = torch.ones(nodes, 16, requires_grad=True)
        reach_mean(csr, csr.t(), x).sum().backward()
    means(20, 3, 60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    means(10_000, 50, 20_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_the_reach_is_never_stored() -> None:
    """The pattern has 8 million entries, 32 MB, its transpose as many; features and results are 0.6 MB each."""
    assert peak_bytes(PEAK) < 20e6
