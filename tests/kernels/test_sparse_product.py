"""Sparse products against dense ones, rows cut to their best entries against sorted rows, and what is refused."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import adjacency, peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import (
    DTypeError,
    GraphrepError,
    NonFiniteError,
    OutOfMemoryError,
    ShapeError,
    UnknownNameError,
)
from graphrep.kernels import CSR, sparse_product

package = sys.modules["graphrep.kernels.sparse_product"]


def dense(csr: CSR) -> Tensor:
    """(num_rows, num_cols) float64, duplicate entries added up."""
    value = torch.ones(csr.nnz).double() if csr.value is None else csr.value.detach().double()
    out = torch.zeros(csr.shape, dtype=torch.float64)
    return out.index_put_((csr.row().long(), csr.col.long()), value, accumulate=True)


def wide_indices(csr: CSR) -> CSR:
    """The same matrix with int64 arrays, which a CSR has only where int32 does not suffice."""
    return CSR._trusted(csr.rowptr.long(), csr.col.long(), csr.value, csr.num_cols, csr.perm.long())


def check_layout(csr: CSR) -> None:
    inside = csr.row()[1:] == csr.row()[:-1]
    assert bool((csr.col[1:] > csr.col[:-1])[inside].all())
    CSR(csr.rowptr, csr.col, csr.value, num_cols=csr.num_cols)  # checks the rest


@pytest.mark.parametrize("weights", [None, ()])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_is_the_dense_product(backend: str, weights: tuple[int, ...] | None, index: torch.dtype) -> None:
    a, b = random_csr(40, 23, 90, weights=weights), random_csr(23, 31, 80, weights=weights, seed=1)
    if index == torch.int64:
        a, b = wide_indices(a), wide_indices(b)
    found = sparse_product(a, b, dtype=torch.float64)
    check_layout(found)
    torch.testing.assert_close(dense(found), dense(a) @ dense(b), rtol=0, atol=1e-12)
    reach = sparse_product(a, b, counts=False)
    check_layout(reach)
    assert reach.value is None
    assert torch.equal(adjacency(reach), ((adjacency(a) @ adjacency(b)) > 0).double())
    assert found.nnz == reach.nnz  # an entry for every pair with a path, also where weights cancel


@pytest.mark.parametrize("sizes", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (2, 63, 5)])
def test_sizes(backend: str, sizes: tuple[int, int, int]) -> None:
    n, k, m = sizes
    a, b = random_csr(n, k, 5 if n and k else 0), random_csr(k, m, 7 if k and m else 0, seed=1)
    for counts in (True, False):
        found = sparse_product(a, b, counts=counts, max_row=2)
        assert found.shape == (n, m)
    assert torch.equal(dense(sparse_product(a, b)), dense(a) @ dense(b))


def test_values_are_rounded_once(backend: str) -> None:
    a, b = random_csr(30, 20, 90, weights=()), random_csr(20, 30, 90, weights=(), seed=1)
    wanted = sparse_product(a, b, dtype=torch.float64)
    assert wanted.value is not None
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        found = sparse_product(a, b, dtype=dtype)
        assert found.value is not None
        assert found.value.dtype == dtype
        # CPU kernels round to float32 first, so half types may be off by one in the last place on a tie.
        torch.testing.assert_close(found.value, wanted.value.to(dtype), rtol=torch.finfo(dtype).eps, atol=0)


def best(matrix: Tensor, reach: Tensor, k: int, ties: str) -> list[list[int]]:
    """Columns of the k largest entries of each row."""
    rows = []
    for values, there in zip(matrix.float().tolist(), reach.tolist(), strict=True):
        columns = [j for j, here in enumerate(there) if here]
        columns.sort(key=lambda j: (-values[j], j if ties == "low" else -j))
        rows.append(sorted(columns[:k]))
    return rows


@pytest.mark.parametrize("ties", ["low", "index"])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_best_of_each_row(backend: str, ties: str, k: int) -> None:
    a, b = random_csr(40, 23, 200), random_csr(23, 31, 80, seed=1)
    reach = adjacency(sparse_product(a, b, counts=False))
    for counts, matrix in ((True, dense(a) @ dense(b)), (False, reach)):
        found = sparse_product(a, b, counts=counts, max_row=k, ties=ties)  # type: ignore[arg-type]
        check_layout(found)
        rows = [found.col[found.rowptr[i] : found.rowptr[i + 1]].tolist() for i in range(40)]
        assert rows == best(matrix, reach, k, ties)
        if counts:
            assert torch.equal(dense(found), torch.where(adjacency(found) > 0, matrix, 0))


def test_hashed_ties_are_a_uniform_sample(backend: str) -> None:
    """Every row reaches the same 12 columns, of which 4 stay; over 3000 rows each stays a third of the time."""
    everywhere = CSR.from_edge_index(torch.stack([torch.zeros(3000).long(), torch.arange(3000)]), size=(1, 3000))
    columns = CSR.from_edge_index(torch.stack([torch.arange(12), torch.zeros(12).long()]), size=(12, 1))
    found = sparse_product(everywhere, columns, counts=False, max_row=4, seed=5)
    assert found.degree().tolist() == [4] * 3000
    times = torch.bincount(found.col.long(), minlength=12).double()
    # Negatively correlated draws: the spread of each is below that of a binomial, 25.8; six of those.
    assert float((times - 1000).abs().max()) < 155
    pair = adjacency(found).t() @ adjacency(found)
    pair.fill_diagonal_(3000 * 4 * 3 / (12 * 11))
    assert float((pair - 3000 * 4 * 3 / (12 * 11)).abs().max()) < 6 * 16.5
    again = sparse_product(everywhere, columns, counts=False, max_row=4, seed=5)
    other = sparse_product(everywhere, columns, counts=False, max_row=4, seed=6)
    assert torch.equal(found.col, again.col)
    assert not torch.equal(found.col, other.col)


edges = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=14)


@given(edges, edges, st.integers(1, 4), st.sampled_from(["hash", "index", "low"]), st.booleans(), st.integers(-3, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_backends_agree(
    left: list[tuple[int, int]], right: list[tuple[int, int]], k: int, ties: str, counts: bool, seed: int
) -> None:
    a, b = (CSR.from_edge_index(torch.tensor(e).long().reshape(-1, 2).t(), size=(5, 5)) for e in (left, right))
    found = []
    for name in ("cpu", "reference"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GRAPHREP_BACKEND", name)
            found.append(sparse_product(a, b, counts=counts, max_row=k, ties=ties, seed=seed))  # type: ignore[arg-type]
    one, two = found
    assert torch.equal(one.rowptr, two.rowptr)
    assert torch.equal(one.col, two.col)
    assert one.value is None or torch.equal(one.value, two.value)  # type: ignore[arg-type]
    assert bool((adjacency(a) @ adjacency(b) > 0)[one.row().long(), one.col.long()].all())


def test_same_bytes_for_any_number_of_threads() -> None:
    a, b = random_csr(4000, 3000, 20_000, weights=()), random_csr(3000, 4000, 20_000, weights=(), seed=1)

    def results() -> list[Tensor]:
        found = [sparse_product(a, b, max_row=most, counts=counts) for most in (None, 9) for counts in (True, False)]
        return [t for csr in found for t in (csr.rowptr, csr.col, csr.value) if t is not None]

    same_for_any_threads(results)


def test_diagonal(backend: str) -> None:
    a, b = random_csr(30, 20, 90, weights=()), random_csr(20, 30, 90, weights=(), seed=1)
    same = CSR.from_edge_index(torch.arange(30).expand(2, -1))
    once = sparse_product(b, same, dtype=torch.float64)  # columns ascend and are listed once
    torch.testing.assert_close(package.product_diagonal(a, once), (dense(a) @ dense(b)).diagonal())
    empty = CSR.from_edge_index(torch.empty(2, 0, dtype=torch.int64), size=(30, 20))
    assert package.product_diagonal(a, empty).tolist() == [0.0] * 30


def test_refuses_what_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "free_bytes", lambda device: 10_000.0)
    a = random_csr(300, 100, 1500)
    with pytest.raises(OutOfMemoryError, match=r"about .* entries[\s\S]*max_row=64"):
        sparse_product(a, a.t())
    assert sparse_product(a, a.t(), max_row=1).nnz == int((a.degree() > 0).sum())


def test_errors() -> None:
    a, b = random_csr(3, 4, 5), random_csr(5, 3, 5)
    with pytest.raises(ShapeError, match=r"4 columns meet 5 rows"):
        sparse_product(a, b)
    with pytest.raises(GraphrepError, match="max_row must be an integer of at least 1; got 0"):
        sparse_product(a, a.t(), max_row=0)
    with pytest.raises(UnknownNameError, match="ties is 'best'"):
        sparse_product(a, a.t(), ties="best")  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="dtype is torch"):
        sparse_product(a, a.t(), dtype=torch.int64)
    with pytest.raises(DTypeError, match="seed must be an integer"):
        sparse_product(a, a.t(), seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(NonFiniteError, match="a has values that are NaN"):
        sparse_product(a.with_value(torch.full((5,), torch.nan)), a.t())
    with pytest.raises(ShapeError, match="b has 2 values per entry"):
        sparse_product(a, random_csr(4, 3, 5, weights=(2,)))
    with pytest.raises(DTypeError, match="b must be a CSR; got Tensor"):
        sparse_product(a, torch.eye(4))  # type: ignore[arg-type]


PEAK = """
    import resource, torch
    from graphrep.kernels import CSR, sparse_product
    torch.set_num_threads(1)
    def product(nodes, groups, edges, **options):
        ends = [torch.randint(0, n, (edges,), generator=torch.Generator().manual_seed(n)) for n in (groups, nodes)]
        csr = CSR.from_edge_index(torch.stack(ends), size=(groups, nodes))
        return sparse_product(csr, csr.t(), **options)
    for options in ({"max_row": 2}, {"max_row": 2, "counts": False}):
        product(20, 3, 60, **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for options in ({"max_row": 8}, {"max_row": 8, "counts": False}):
        product(20_000, 100, 40_000, **options)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_cut_rows_never_exist_in_full() -> None:
    """The product has 8 million entries, 96 MB; its 8 best per row are 2 MB, all else is a few MB each."""
    assert peak_bytes(PEAK) < 40e6
