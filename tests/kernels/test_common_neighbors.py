"""Neighbour sets and the fused pool against dense products of 0/1 matrices."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import adjacency, peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import DTypeError, IndexRangeError, ShapeError
from graphrep.kernels import CSR, common_neighbor_pool, common_neighbors
from graphrep.kernels.common_neighbors import _blocks

OPS = torch.ops.graphrep
GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "ncn").glob("*.npz"))


def skewed() -> CSR:
    """Duplicates, empty rows, one row with most columns (so that searching is used) and unsorted columns."""
    plain = random_csr(60, 80, 400, seed=3)
    hub = torch.stack([torch.randperm(80, generator=torch.Generator().manual_seed(1)), torch.full((80,), 7)])
    edges = torch.cat([torch.stack([plain.col.long(), plain.row().long()]), hub, hub], dim=1)
    return CSR.from_edge_index(edges, size=(80, 60))


def some_pairs(count: int, num_rows: int = 60) -> Tensor:
    pairs = torch.randint(0, num_rows, (2, count), generator=torch.Generator().manual_seed(count))
    pairs[0, ::3] = 7
    pairs[1, 1::3] = 7
    pairs[:, -1:] = pairs[0, -1:]  # both ends equal
    return pairs


def hits(csr: CSR, pairs: Tensor) -> Tensor:
    dense = adjacency(csr)
    return dense[pairs[0]] * dense[pairs[1]]


@pytest.mark.parametrize("count", [0, 1, 2, 63, 257])
def test_sets_are_those_of_dense_rows(backend: str, count: int) -> None:
    csr, pairs = skewed(), some_pairs(count)
    dense = adjacency(csr)
    first, second = dense[pairs[0]], dense[pairs[1]]
    pair, node, *one_sided = common_neighbors(csr, pairs.int(), one_sided=True)
    wanted = (first * second, first * (1 - second), second * (1 - first))
    for (found_pair, found_node), mask in zip(((pair, node), *one_sided), wanted, strict=True):
        assert found_pair.dtype == found_node.dtype == torch.int64
        assert torch.equal(torch.stack([found_pair, found_node]), mask.nonzero().t())
    short = common_neighbors(csr, pairs)
    assert torch.equal(short[0], pair)
    assert torch.equal(short[1], node)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden(backend: str, path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if not key.startswith("w:")}
    size = int(arrays["num_nodes"])
    csr = CSR.from_edge_index(arrays["edge_index"], size=(size, size))
    pair, node, only_i, only_j = common_neighbors(csr, arrays["pairs"], one_sided=True)
    for name, found in {"cn": (pair, node), "only_i": only_i, "only_j": only_j}.items():
        assert torch.equal(found[0], arrays[f"{name}_pair"].long())
        assert torch.equal(found[1], arrays[f"{name}_node"].long())
    wanted = torch.zeros(arrays["pairs"].shape[1], arrays["h"].shape[1], dtype=torch.float64)
    wanted.index_add_(0, pair, arrays["h"][node])
    torch.testing.assert_close(common_neighbor_pool(csr, arrays["pairs"], arrays["h"]), wanted)


@pytest.mark.parametrize("width", [1, 5, 37, 64])
def test_pool_and_its_gradient(backend: str, width: int) -> None:
    csr, pairs = skewed(), some_pairs(100)
    generator = torch.Generator().manual_seed(width)
    x = torch.randn(80, width, dtype=torch.float64, generator=generator, requires_grad=True)
    cotangent = torch.randn(100, width, dtype=torch.float64, generator=generator)
    out = common_neighbor_pool(csr, pairs, x)
    torch.testing.assert_close(out, hits(csr, pairs) @ x)
    torch.testing.assert_close(torch.autograd.grad(out, x, cotangent)[0], hits(csr, pairs).t() @ cotangent)


def test_gradcheck_twice(backend: str) -> None:
    csr, pairs = random_csr(6, 7, 25), some_pairs(9).clamp(max=5)
    x = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: common_neighbor_pool(csr, pairs, t).sin(), x)
    assert torch.autograd.gradgradcheck(lambda t: common_neighbor_pool(csr, pairs, t).sin(), x)


# Sums of up to 80 terms of size 1; half types round the sum, of size 30, once: half a unit of 2^-3 or 2^-6.
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 2e-5), (torch.bfloat16, 0.07), (torch.float16, 0.009)])
def test_other_dtypes(backend: str, dtype: torch.dtype, tol: float) -> None:
    csr, pairs = skewed(), some_pairs(64)
    x = torch.randn(80, 33, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    out = common_neighbor_pool(csr, pairs, x)
    assert out.dtype == dtype
    wanted = hits(csr, pairs) @ x.detach().double()
    torch.testing.assert_close(out.detach().double(), wanted, rtol=0, atol=tol)
    gradient = torch.autograd.grad(out, x, torch.ones_like(out))[0]
    torch.testing.assert_close(gradient.double(), hits(csr, pairs).sum(0)[:, None].expand(-1, 33), rtol=0, atol=1e-9)


@given(
    edges=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40),
    pairs=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=10),
    shuffled=st.randoms(use_true_random=False),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_and_repetition_of_edges_do_not_matter(
    edges: list[tuple[int, int]], pairs: list[tuple[int, int]], shuffled: object
) -> None:
    both = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    order = torch.randperm(2 * both.shape[1])
    ends = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    once = CSR.from_edge_index(both, size=(9, 9))
    twice = CSR.from_edge_index(both.repeat(1, 2)[:, order], size=(9, 9))
    x = torch.arange(9.0)[:, None]
    for a, b in zip(common_neighbors(once, ends), common_neighbors(twice, ends.flip(0)), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(common_neighbor_pool(once, ends, x), common_neighbor_pool(twice, ends, x))
    assert torch.equal(common_neighbor_pool(once, ends, x), (hits(once, ends) @ x.double()).float())


def test_sums_of_long_intersections_keep_float32_accuracy() -> None:
    """Two rows share 200,000 columns: plain float32 addition of 0.1 would be off by 1e-3, pieces stay within 1e-5."""
    count = 200_000
    col = torch.arange(count).repeat(2)
    csr = CSR(torch.tensor([0, count, 2 * count]), col)
    out = common_neighbor_pool(csr, torch.tensor([[0], [1]]), torch.full((count, 1), 0.1))
    assert abs(float(out) / (count * float(torch.tensor(0.1))) - 1) < 1e-5


def test_empty_matrices(backend: str) -> None:
    none = torch.empty(2, 0, dtype=torch.int64)
    empty = CSR.from_edge_index(none, size=(4, 3))
    pairs = torch.tensor([[0, 1], [2, 1]])
    assert [t.numel() for t in common_neighbors(empty, pairs)] == [0, 0]
    x = torch.ones(4, 2, requires_grad=True)
    out = common_neighbor_pool(empty, pairs, x)
    out.sum().backward()
    assert not bool(out.any())
    assert x.grad is not None
    assert not bool(x.grad.any())
    assert common_neighbor_pool(CSR.from_edge_index(none, size=(0, 0)), none, torch.ones(0, 5)).shape == (0, 5)
    assert common_neighbor_pool(empty, pairs, torch.ones(4, 0)).shape == (2, 0)


def test_blocks_of_pairs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    csr, pairs = skewed(), some_pairs(100)
    x = torch.randn(80, 3, dtype=torch.float64, requires_grad=True)
    whole = torch.autograd.grad(common_neighbor_pool(csr, pairs, x).sum(), x)[0]
    monkeypatch.setattr(_blocks, "BLOCK_CANDIDATES", 10)
    torch.testing.assert_close(torch.autograd.grad(common_neighbor_pool(csr, pairs, x).sum(), x)[0], whole)


def test_same_bytes_for_any_number_of_threads() -> None:
    csr = random_csr(3000, 3000, 60_000, seed=5)
    pairs = torch.randint(0, 3000, (2, 20_000), generator=torch.Generator().manual_seed(2))
    x = torch.randn(3000, 40, generator=torch.Generator().manual_seed(3)).requires_grad_()

    def results() -> list[Tensor]:
        out = common_neighbor_pool(csr, pairs, x)
        return [out.detach(), torch.autograd.grad(out, x, out.detach().cos())[0], *common_neighbors(csr, pairs)]

    same_for_any_threads(results)


def test_opcheck(backend: str) -> None:
    csr = random_csr(6, 5, 14)
    from graphrep.kernels._sorted import sorted_pattern

    sets = sorted_pattern(csr)
    pairs = torch.tensor([[0, 1, 5], [2, 1, 3]])
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    g = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(OPS.common_neighbor_pool, (sets.rowptr, sets.col, x, pairs))
    torch.library.opcheck(OPS.common_neighbor_pool_t, (sets.rowptr, sets.col, g, pairs, 5))


def test_errors() -> None:
    csr = random_csr(4, 5, 9)
    x = torch.ones(5, 2)
    with pytest.raises(ShapeError, match=r"pairs must have shape \(2, P\).*\n.*pairs.t\(\)"):
        common_neighbors(csr, torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(IndexRangeError, match="pairs refers to 4"):
        common_neighbors(csr, torch.tensor([[0], [4]]))
    with pytest.raises(DTypeError, match="pairs must hold integers"):
        common_neighbors(csr, torch.ones(2, 3))
    with pytest.raises(ShapeError, match="5 columns"):
        common_neighbor_pool(csr, torch.tensor([[0], [1]]), torch.ones(4, 2))
    with pytest.raises(DTypeError, match="x must hold floating-point"):
        common_neighbor_pool(csr, torch.tensor([[0], [1]]), x.long())


PEAK = """
    import resource, torch
    from graphrep.kernels import CSR, common_neighbor_pool
    torch.set_num_threads(1)

    def run(num_nodes, degree, pairs, width):
        generator = torch.Generator().manual_seed(0)
        col = torch.arange(degree).repeat(num_nodes)
        csr = CSR(torch.arange(num_nodes + 1) * degree, col, num_cols=degree)
        x = torch.randn(degree, width, generator=generator)
        ends = torch.randint(0, num_nodes, (2, pairs), generator=generator)
        common_neighbor_pool(csr, ends[:, :1], x)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        common_neighbor_pool(csr, ends, x)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    run(10, 5, 4, 64)
    print(run(1000, 1000, 10_000, 64))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_pool_lists_nothing() -> None:
    """The 10^7 hits would be 80 MB as integers and 2.6 GB as rows; the result is 2.6 MB."""
    assert peak_bytes(PEAK) < 20e6
