"""PageRank rows and Katz sums: against dense inverses and powers, their bounds, odd inputs, threads, memory, errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import adjacency, peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import CSR, proximity
from graphrep.kernels.proximity import katz_scores, pagerank_entries, pagerank_rows


def symmetric(size: int, edges: int, seed: int = 0) -> CSR:
    """An undirected graph with duplicates whose last tenth of the nodes is isolated."""
    one_way = random_csr(size, max(9 * size // 10, 1), edges, seed=seed)
    index = torch.stack([one_way.row().long() % max(9 * size // 10, 1), one_way.col.long()])
    return CSR.from_edge_index(torch.cat([index, index.flip(0)], dim=1), size=(size, size))


def exact_pagerank(csr: CSR, teleport: float) -> Tensor:
    matrix = adjacency(csr)
    degree = matrix.sum(1)
    stay = torch.where(degree > 0, teleport * torch.ones_like(degree), 1.0)
    step = (1 - teleport) * matrix / degree.clamp(min=1)[:, None]
    return torch.linalg.inv(torch.eye(len(matrix), dtype=torch.float64) - step) * stay


def dense(csr: CSR) -> Tensor:
    return torch.from_numpy(csr.to_scipy().toarray())


def katz_of_powers(csr: CSR, beta: float, hops: int) -> Tensor:
    matrix = adjacency(csr)
    powers = [beta**n * torch.linalg.matrix_power(matrix, n) for n in range(1, hops + 1)]
    return torch.stack(powers).sum(0)


# PageRank


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-9])
@pytest.mark.parametrize("teleport", [0.15, 0.6])
def test_pagerank_is_below_the_exact_one_by_the_tolerance_times_degree(
    backend: str, teleport: float, tolerance: float
) -> None:
    csr = symmetric(60, 130)
    rows = pagerank_rows(csr, torch.arange(60), teleport=teleport, tolerance=tolerance)
    gap = exact_pagerank(csr, teleport) - dense(rows)
    degree = adjacency(csr).sum(1)
    assert float(gap.min()) > -1e-14
    assert bool((gap <= tolerance * degree.clamp(min=1) + 1e-14).all())
    assert int(rows.degree().max()) <= pagerank_entries(60, teleport, tolerance)
    inside = rows.row()[1:] == rows.row()[:-1]
    assert bool((rows.col[1:] > rows.col[:-1])[inside].all())


def test_pagerank_of_a_directed_graph(backend: str) -> None:
    """Walks end where no step leads on; rows sum to 1 as the tolerance goes to 0."""
    csr = random_csr(40, 40, 70)
    assert int((csr.degree() == 0).sum()) > 2
    rows = dense(pagerank_rows(csr, torch.arange(40), tolerance=1e-13))
    torch.testing.assert_close(rows, exact_pagerank(csr, 0.15), rtol=0, atol=1e-10)
    torch.testing.assert_close(rows.sum(1), torch.ones(40, dtype=torch.float64), rtol=0, atol=1e-10)


def test_backends_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    csr, found = symmetric(80, 200, seed=3), []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        found.append(pagerank_rows(csr, torch.tensor([3, 3, 79, 0]), tolerance=1e-3))
    assert torch.equal(found[0].col, found[1].col)
    assert torch.equal(found[0].rowptr, found[1].rowptr)
    torch.testing.assert_close(found[0].value, found[1].value, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_pagerank_rows_in_blocks_and_index_types(backend: str, dtype: torch.dtype, monkeypatch) -> None:
    csr, nodes = symmetric(50, 90), torch.tensor([49, 4, 4, 0, 17])
    whole = pagerank_rows(csr, nodes, tolerance=1e-5)
    monkeypatch.setattr(proximity, "BLOCK_ENTRIES", 60)
    monkeypatch.setattr(proximity.reference, "BLOCK_NUMBERS", 60)
    wide = CSR._trusted(csr.rowptr.to(dtype), csr.col.to(dtype), None, csr.num_cols, csr.perm.to(dtype))
    parts = pagerank_rows(wide, nodes.to(dtype), tolerance=1e-5)
    assert torch.equal(dense(parts), dense(whole))
    assert pagerank_rows(csr, nodes[:0]).shape == (0, 50)
    assert dense(whole)[0].nonzero().tolist() == [[49]]  # an isolated node keeps all


pairs_of_nodes = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(edges=pairs_of_nodes, order=st.permutations(range(7)))
@quick
def test_numbering_and_repeats_do_not_matter(edges: list[tuple[int, int]], order: list[int]) -> None:
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    renamed = torch.tensor(order)
    first = CSR.from_edge_index(torch.cat([index, index.flip(0)], 1), size=(7, 7))
    second = CSR.from_edge_index(renamed[torch.cat([index.flip(0), index, index], 1)], size=(7, 7))
    every = torch.arange(7)
    one = dense(pagerank_rows(first, every, tolerance=1e-12))
    other = dense(pagerank_rows(second, every, tolerance=1e-12))
    torch.testing.assert_close(other[renamed][:, renamed], one, rtol=0, atol=1e-9)
    pairs = torch.cartesian_prod(every, every).t()
    torch.testing.assert_close(katz_scores(second, renamed[pairs]), katz_scores(first, pairs), rtol=1e-12, atol=0)


# Katz


@pytest.mark.parametrize("hops", [1, 2, 3, 5])
def test_katz_is_the_sum_of_powers(backend: str, hops: int, monkeypatch) -> None:
    monkeypatch.setattr(proximity.reference, "BLOCK_NUMBERS", 200)
    for csr in (symmetric(40, 70), random_csr(30, 30, 60)):  # the second has a direction
        pairs = torch.randint(0, csr.num_rows, (2, 300), generator=torch.Generator().manual_seed(hops))
        wanted = katz_of_powers(csr, 0.05, hops)[pairs[0], pairs[1]]
        torch.testing.assert_close(katz_scores(csr, pairs, beta=0.05, hops=hops), wanted, rtol=1e-12, atol=1e-18)
        assert torch.equal(
            katz_scores(csr, pairs.int(), beta=0.05, hops=hops), katz_scores(csr, pairs, beta=0.05, hops=hops)
        )
    assert katz_scores(csr, pairs[:, :0]).shape == (0,)


def test_same_bytes_for_any_number_of_threads() -> None:
    csr = symmetric(3000, 9000)
    pairs = torch.randint(0, 3000, (2, 20_000), generator=torch.Generator().manual_seed(0))

    def results() -> list[Tensor]:
        rows = pagerank_rows(csr, torch.arange(0, 3000, 10), tolerance=1e-4)
        assert rows.value is not None
        return [rows.col, rows.value, katz_scores(csr, pairs)]

    same_for_any_threads(results)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_square_of_nodes() -> None:
    """200,000 nodes: a row per start would be 1.6 GB for 1000 starts."""
    grown = peak_bytes(
        """
        import resource, torch
        from graphrep.kernels import CSR
        from graphrep.kernels.proximity import katz_scores, pagerank_rows
        n = 200_000
        edges = torch.randint(0, n, (2, 2 * n), generator=torch.Generator().manual_seed(0))
        csr = CSR.from_edge_index(torch.cat([edges, edges.flip(0)], 1), size=(n, n))
        pairs = torch.randint(0, n, (2, 1000), generator=torch.Generator().manual_seed(1))
        pagerank_rows(csr, pairs[0, :2], tolerance=1e-3)
        katz_scores(csr, pairs[:, :2])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pagerank_rows(csr, pairs[0], tolerance=1e-3)
        katz_scores(csr, pairs)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    assert grown < 300 << 20


def test_errors() -> None:
    csr, nodes = symmetric(10, 20), torch.tensor([1])
    pairs = torch.tensor([[0], [1]])
    with pytest.raises(GraphrepError, match="teleport must lie between 0 and 1; got 1"):
        pagerank_rows(csr, nodes, teleport=1.0)
    with pytest.raises(GraphrepError, match="tolerance must be above 0; got 0"):
        pagerank_rows(csr, nodes, tolerance=0.0)
    with pytest.raises(ShapeError, match=r"shape \(5, 7\)"):
        pagerank_rows(random_csr(5, 7, 9), nodes)
    with pytest.raises(IndexRangeError, match="nodes refers to 10"):
        pagerank_rows(csr, torch.tensor([10]))
    with pytest.raises(DTypeError, match="nodes must hold integers"):
        pagerank_rows(csr, torch.tensor([0.5]))
    with pytest.raises(GraphrepError, match="beta must be above 0"):
        katz_scores(csr, pairs, beta=-0.1)
    with pytest.raises(GraphrepError, match="hops must be an integer of at least 1"):
        katz_scores(csr, pairs, hops=0)
    with pytest.raises(ShapeError, match=r"pairs must have shape \(2, P\)"):
        katz_scores(csr, pairs[[0, 1, 1]])
    with pytest.raises(IndexRangeError, match="pairs refers to -1"):
        katz_scores(csr, pairs - 1)
