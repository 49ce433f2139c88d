"""The influence matrix against dense powers, golden files, its own identities, and what it must refuse."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from set_cases import peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import GraphrepError, IndexRangeError, OutOfMemoryError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, influence, influence_matrix

GOLDEN = Path(__file__).parents[1] / "golden" / "scgc"


def dense_influence(edges: Tensor, size: int, order: int, cumulative: bool, duplicates: str) -> Tensor:
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for source, target in edges.t().tolist():
        matrix[source, target] = matrix[source, target] + 1 if duplicates == "sum" else 1
    matrix = torch.maximum(matrix, matrix.t())
    if duplicates == "sum":
        matrix = matrix + torch.eye(size, dtype=torch.float64)
    else:
        matrix.fill_diagonal_(1)
    matrix = matrix / matrix.sum(1, keepdim=True)
    powers = [matrix]
    for _ in range(order - 1):
        powers.append(powers[-1] @ matrix)
    return torch.stack(powers).sum(0) if cumulative else powers[-1]


def dense(csr: CSR) -> Tensor:
    return torch.from_numpy(csr.to_scipy().toarray())


def some_edges(count: int = 70, size: int = 50) -> Tensor:
    return torch.randint(0, size, (2, count), generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("name", ["influence_simple", "influence_duplicates_selfloop"])
def test_golden(backend: str, name: str) -> None:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    options = {"num_nodes": int(arrays["num_nodes"]), "duplicates": "sum" if "duplicates" in name else "coalesce"}
    for order in range(1, 5):
        if f"power_r{order}" in arrays:
            for key, cumulative in (("influence", True), ("power", False)):
                found = influence_matrix(
                    arrays["edges"].t(), order=order, cumulative=cumulative, dtype=torch.float64, **options
                )
                torch.testing.assert_close(dense(found), arrays[f"{key}_r{order}"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("duplicates", ["coalesce", "sum"])
@pytest.mark.parametrize("cumulative", [True, False])
def test_is_the_dense_power(backend: str, duplicates: str, cumulative: bool) -> None:
    edges = torch.cat([some_edges(), some_edges()[:, :20]], dim=1).int()
    for order in (1, 2, 4):
        options = {"order": order, "cumulative": cumulative, "duplicates": duplicates}
        found = influence_matrix(edges, num_nodes=55, dtype=torch.float64, **options)
        wanted = dense_influence(edges, 55, order, cumulative, duplicates)
        torch.testing.assert_close(dense(found), wanted)
        assert found.nnz == int((wanted > 0).sum())
        ascends = found.col[1:] > found.col[:-1]
        assert bool((ascends | (found.row()[1:] != found.row()[:-1])).all())
        torch.testing.assert_close(dense(found).sum(1), torch.full((55,), float(order if cumulative else 1)).double())


@pytest.mark.parametrize("top_m", [1, 3, 7, 1000])
def test_largest_of_each_row_with_ties_to_the_smaller_column(backend: str, top_m: int) -> None:
    edges = some_edges()
    wanted = dense_influence(edges, 50, 3, True, "coalesce")
    found = influence_matrix(edges, num_nodes=50, order=3, top_m=top_m, dtype=torch.float64)
    keep = torch.sort(wanted.float(), dim=1, descending=True, stable=True).indices[:, :top_m]
    truncated = torch.zeros_like(wanted).scatter(1, keep, wanted.gather(1, keep))
    torch.testing.assert_close(dense(found), truncated)
    assert int(found.degree().max()) <= top_m


def test_a_star_is_all_ties(backend: str) -> None:
    star = torch.tensor([[0] * 9, list(range(1, 10))])
    found = influence_matrix(star, num_nodes=10, order=2, top_m=4)
    assert found.col[found.rowptr[0] : found.rowptr[1]].tolist() == [0, 1, 2, 3]


@given(edges=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=15), order=st.integers(1, 3))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_coalesced_edges_count_once(edges: list[tuple[int, int]], order: int) -> None:
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    once = influence_matrix(index, num_nodes=7, order=order)
    again = influence_matrix(torch.cat([index.flip(0), index, index], dim=1), num_nodes=7, order=order)
    loops = torch.arange(7).expand(2, -1)
    looped = influence_matrix(torch.cat([index, loops], dim=1), num_nodes=7, order=order)
    for other in (again, looped):
        assert torch.equal(once.rowptr, other.rowptr)
        assert torch.equal(once.col, other.col)
        assert torch.equal(once.value, other.value)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 2, 63])
def test_sizes_and_dtypes(backend: str, size: int) -> None:
    edges = some_edges(size, max(size, 1))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        found = influence_matrix(edges, num_nodes=size, order=2, dtype=dtype)
        assert found.value is not None
        assert found.value.dtype == dtype
        wanted = dense_influence(edges, size, 2, True, "coalesce")
        # Rounded once: half a unit in the last place of numbers below 2.
        tol = {torch.float32: 1.3e-7, torch.bfloat16: 4e-3, torch.float16: 5e-4}[dtype]
        values = wanted[found.row().long(), found.col.long()]
        torch.testing.assert_close(found.value.double(), values, rtol=0, atol=tol)
    assert influence_matrix(edges, num_nodes=size, order=1).shape == (size, size)


def test_same_bytes_for_any_number_of_threads() -> None:
    edges = some_edges(9000, 3000)

    def results() -> list[Tensor]:
        found = [influence_matrix(edges, num_nodes=3000, order=r, top_m=m) for r, m in ((2, None), (3, 20))]
        return [t for csr in found for t in (csr.rowptr, csr.col, csr.value) if t is not None]

    same_for_any_threads(results)


def test_refuses_what_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(influence, "free_bytes", lambda device: 10_000.0)
    edges = some_edges(900, 300)
    with pytest.raises(OutOfMemoryError, match=r"order 3 would have about .* entries[\s\S]*order=2.*top_m=32"):
        influence_matrix(edges, num_nodes=300, order=3)
    assert influence_matrix(edges, num_nodes=300, order=3, top_m=1).nnz == 300


def test_errors() -> None:
    edges = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(GraphrepError, match="order must be an integer of at least 1; got 0"):
        influence_matrix(edges, num_nodes=3, order=0)
    with pytest.raises(GraphrepError, match="top_m"):
        influence_matrix(edges, num_nodes=3, order=1, top_m=0)
    with pytest.raises(UnknownNameError, match="mean"):
        influence_matrix(edges, num_nodes=3, order=1, duplicates="mean")  # type: ignore[arg-type]
    with pytest.raises(IndexRangeError, match="refers to 2"):
        influence_matrix(edges, num_nodes=2, order=1)
    with pytest.raises(ShapeError, match="edge_index"):
        influence_matrix(torch.zeros(3, 2, dtype=torch.int64), num_nodes=3, order=1)


PEAK = """
    import resource, torch
    from graphrep.kernels import influence_matrix
    torch.set_num_threads(1)
    influence_matrix(torch.tensor([[0, 1], [1, 2]]), num_nodes=3, order=2, top_m=1)
    edges = torch.randint(0, 20_000, (2, 60_000), generator=torch.Generator().manual_seed(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    influence_matrix(edges, num_nodes=20_000, order=3, top_m=8)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_truncated_rows_never_exist_in_full() -> None:
    """A_norm^3 has 4.5 million entries, 54 MB; its 8 largest per row are 2 MB, the matrix and lists a few MB each."""
    assert peak_bytes(PEAK) < 40e6
