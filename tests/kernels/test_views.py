"""Views: draws that depend on seed and place alone; compaction gives gcn_norm of the kept edges, transpose included."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from set_cases import same_for_any_threads
from torch import Tensor

from graphrep.kernels import CSR, gcn_norm, spmm
from graphrep.kernels import csr as csr_module
from graphrep.kernels._counter import DOMAIN_VIEW, stream_start, word
from graphrep.kernels._dispatch import implementations
from graphrep.kernels.views import ViewPlan, cpu, keep_mask, reference, reverse_edges, view_of, view_plan

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def random_edges(num_nodes: int, num_edges: int, seed: int = 0) -> Tensor:
    """Duplicates, self-loops and isolated nodes."""
    return torch.randint(0, num_nodes, (2, num_edges), generator=torch.Generator().manual_seed(seed))


def fresh(csr: CSR) -> CSR:
    """The same matrix with nothing cached."""
    return CSR._trusted(csr.rowptr, csr.col, csr.value, csr.num_cols, csr.perm)


def same_matrix(found: CSR, wanted: CSR) -> None:
    assert found.shape == wanted.shape
    assert torch.equal(found.rowptr, wanted.rowptr)
    assert torch.equal(found.col, wanted.col)
    assert (found.value is None) == (wanted.value is None)
    if wanted.value is not None:
        torch.testing.assert_close(found.value, wanted.value, rtol=0, atol=1e-12 if wanted.value.itemsize == 8 else 0)
    built = fresh(found)
    assert torch.equal(found.t().rowptr, built.t().rowptr)
    assert torch.equal(found.t().col, built.t().col)
    assert torch.equal(found.t().perm, built.t().perm)
    assert torch.equal(found.t_perm(), built.t_perm())


def test_every_operation_is_registered() -> None:
    table = implementations()
    assert all({"reference", "cpu", "cuda"} <= set(table[op]) for op in ("keep_mask", "compact_view", "outer_scale"))


# draws


def test_draws_are_words_of_the_stream(backend: str) -> None:
    start = stream_start(np.uint64(7), DOMAIN_VIEW, np.uint64(0))
    wanted = [(int(word(start, np.uint64(e))) >> 11) * 2.0**-53 >= 0.4 for e in range(300)]
    assert keep_mask(300, 0.4, 7).tolist() == wanted


@pytest.mark.parametrize("per_item", [None, torch.float64, torch.float32])
@pytest.mark.parametrize("led", [False, True])
def test_same_draws_on_every_backend(monkeypatch: pytest.MonkeyPatch, per_item: torch.dtype | None, led: bool) -> None:
    count = 70_000  # enough for threads
    rate = torch.rand(count, dtype=per_item) if per_item else 0.3
    leader = torch.arange(count) // 2 * 2 if led else None
    found = []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        found.append(keep_mask(count, rate, 2**64 - 3, leader=leader))
    assert found[0].dtype == torch.bool
    assert torch.equal(*found)
    if led and not per_item:
        assert torch.equal(found[0][::2], found[0][1::2])


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.95])
def test_share_that_stays_is_binomial(rate: float, backend: str) -> None:
    count = 200_000
    bound = 5 * math.sqrt(count * rate * (1 - rate))
    for seed in range(3):
        assert abs(int(keep_mask(count, rate, seed).sum()) - count * (1 - rate)) < bound


def test_draws_of_items_and_seeds_are_independent(backend: str) -> None:
    a, b = keep_mask(100_000, 0.5, 1), keep_mask(100_000, 0.5, 2)
    bound = 5 * math.sqrt(100_000 / 4)
    assert abs(int((a == b).sum()) - 50_000) < bound
    assert abs(int((a[1:] == a[:-1]).sum()) - 50_000) < bound


def test_rates_of_zero_and_one(backend: str) -> None:
    rate = torch.tensor([0.0, 1.0]).double().repeat(1000)
    assert torch.equal(keep_mask(2000, rate, 3), rate == 0)
    assert keep_mask(0, 0.5, 0).shape == (0,)


def test_draws_do_not_depend_on_the_count(backend: str) -> None:
    assert torch.equal(keep_mask(10, 0.5, 4), keep_mask(5000, 0.5, 4)[:10])


# the two directions


def plain_reverse(edges: list[list[int]]) -> list[int]:
    """Copy k of (j, i) to copy k of (i, j), by walking through the list."""
    copies: dict[tuple[int, int], list[int]] = {}
    for e, (j, i) in enumerate(edges):
        copies.setdefault((j, i), []).append(e)
    found = []
    for e, (j, i) in enumerate(edges):
        number, others = copies[j, i].index(e), copies.get((i, j), [])
        found.append(others[number] if number < len(others) else e)
    return found


@QUICK
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=25))
def test_reverse_edges(backend: str, pairs: list[tuple[int, int]]) -> None:
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    found = reverse_edges(edges, 6)
    assert found.tolist() == plain_reverse(edges.t().tolist())
    assert torch.equal(found[found], torch.arange(len(pairs)))


# compaction


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("num_nodes", "num_edges"), [(1, 0), (1, 3), (5, 0), (7, 40), (63, 700), (900, 80_000)])
def test_view_is_gcn_norm_of_the_kept_edges(num_nodes: int, num_edges: int, dtype: torch.dtype, backend: str) -> None:
    edges = random_edges(num_nodes, num_edges)
    plan = view_plan(edges, num_nodes, loops=True)
    for rate in (0.0, 0.3, 0.999):
        keep = keep_mask(num_edges, rate, 5)
        same_matrix(view_of(plan, keep, dtype=dtype), gcn_norm(edges[:, keep], num_nodes=num_nodes, dtype=dtype))


@pytest.mark.parametrize(("num_nodes", "num_edges"), [(0, 0), (1, 3), (63, 700), (900, 80_000)])
def test_view_without_weights_is_the_pattern_of_the_kept_edges(num_nodes: int, num_edges: int, backend: str) -> None:
    edges = random_edges(num_nodes, num_edges) if num_nodes else torch.empty(2, 0, dtype=torch.int64)
    keep = keep_mask(num_edges, 0.4, 6)
    view = view_of(view_plan(edges, num_nodes, loops=False), keep, dtype=None)
    same_matrix(view, CSR.from_edge_index(edges[:, keep], size=(num_nodes, num_nodes)))


@QUICK
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=30), st.integers(5, 8))
def test_view_of_any_graph_and_mask(backend: str, rows: list[tuple[int, int, bool]], num_nodes: int) -> None:
    table = torch.tensor([[j, i, int(keep)] for j, i, keep in rows], dtype=torch.int64).reshape(-1, 3)
    edges, keep = table[:, :2].t(), table[:, 2].bool()
    view = view_of(view_plan(edges, num_nodes, loops=True), keep, dtype=torch.float64)
    same_matrix(view, gcn_norm(edges[:, keep], num_nodes=num_nodes, dtype=torch.float64))
    dense = torch.eye(num_nodes, dtype=torch.float64)
    for j, i in edges[:, keep].t().tolist():
        dense[i, j] += float(i != j)
    root = dense.sum(1).rsqrt()
    torch.testing.assert_close(spmm(view, torch.eye(num_nodes, dtype=torch.float64)), root[:, None] * dense * root)


def test_half_weights(backend: str) -> None:
    edges = random_edges(20, 90)
    keep = keep_mask(90, 0.3, 1)
    plan = view_plan(edges, 20, loops=True)
    single, half = (view_of(plan, keep, dtype=dtype).value for dtype in (torch.float32, torch.bfloat16))
    assert half is not None
    assert single is not None
    assert torch.equal(half, single.bfloat16())  # rounded once


def test_int64_indices(backend: str) -> None:
    edges, keep = random_edges(30, 200), keep_mask(200, 0.5, 2)
    plan = view_plan(edges, 30, loops=True)
    csr = plan.csr
    wide = CSR._trusted(csr.rowptr.long(), csr.col.long(), None, 30, csr.perm.long())
    found = view_of(ViewPlan(wide, plan.flag.long(), plan.order.long(), 200, True), keep, dtype=torch.float64)
    wanted = view_of(plan, keep, dtype=torch.float64)
    assert found.col.dtype == found.t_perm().dtype == torch.int64
    assert torch.equal(found.col, wanted.col.long())
    assert torch.equal(found.t().col, wanted.t().col.long())


def test_nothing_is_sorted_forward_or_backward(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    plan = view_plan(random_edges(50, 400), 50, loops=True)

    def sorts(*_: object) -> None:
        raise AssertionError("a view was sorted")

    monkeypatch.setattr(csr_module, "group_by_row", sorts)
    monkeypatch.setattr(torch, "sort", sorts)
    view = view_of(plan, keep_mask(400, 0.3, 1), dtype=torch.float64)
    x = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    spmm(view, x).square().sum().backward()
    dense = spmm(view, torch.eye(50, dtype=torch.float64))
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * dense.t() @ dense @ x.detach())


def test_same_bytes_for_any_threads() -> None:
    plan = view_plan(random_edges(3000, 200_000), 3000, loops=True)

    def results() -> list[Tensor]:
        view = view_of(plan, keep_mask(200_000, 0.3, 1), dtype=torch.float32)
        assert view.value is not None
        return [view.rowptr, view.col, view.value, view.t().rowptr, view.t().col, view.t_perm()]

    same_for_any_threads(results)
    wanted = reference.compact_view(plan.csr, plan.flag, torch.cat([keep_mask(200_000, 0.3, 1), torch.ones(1).bool()]))
    found = results()
    assert all(torch.equal(found[k], wanted[n]) for k, n in ((0, 0), (1, 1), (3, 2), (4, 3), (5, 4)))


def test_no_chunk_writes_behind_its_own_part() -> None:
    """Another thread may have written there; found with chunks in reverse order, their last entries all dropped."""
    plan = view_plan(random_edges(40, 600), 40, loops=False)
    csr, position = plan.csr.pattern_t(), plan.csr.t_perm()
    kept = torch.ones(600, dtype=torch.int8)
    kept[csr.rowptr[1:].long() - 1] = 0
    offsets = torch.zeros_like(csr.rowptr)
    offsets[1:] = csr.degree().sub(1).cumsum(0)
    size = int(offsets[-1])
    place = torch.arange(600, dtype=torch.int32)
    found = [torch.full((size,), -1, dtype=torch.int32) for _ in range(2)]
    forward = torch.full((size,), -1, dtype=torch.int32)
    arrays = [t.numpy() for t in (csr.rowptr, csr.col, kept, offsets)]
    for row in reversed(range(40)):
        bounds = np.array([row, row + 1])
        cpu._fill_transpose.serial(bounds, *arrays, position.numpy(), place.numpy(), *(t.numpy() for t in found))
        cpu._fill.serial(bounds, *arrays, forward.numpy(), place.clone().numpy())
    stays = kept.bool()
    assert torch.equal(found[0], csr.col[stays])
    assert torch.equal(forward, csr.col[stays])
    assert torch.equal(found[1], position[stays])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_view_on_cuda() -> None:
    edges = random_edges(3000, 200_000)
    keep = keep_mask(200_000, 0.3, 1)
    device = torch.device("cuda")
    assert torch.equal(keep_mask(200_000, 0.3, 1, device=device).cpu(), keep)
    partner = reverse_edges(edges, 3000)
    assert torch.equal(reverse_edges(edges.to(device), 3000).cpu(), partner)
    wanted = view_of(view_plan(edges, 3000, loops=True), keep, dtype=torch.float32)
    found = view_of(view_plan(edges.to(device), 3000, loops=True), keep.to(device), dtype=torch.float32)
    for name in ("rowptr", "col"):
        assert torch.equal(getattr(found, name).cpu(), getattr(wanted, name))
        assert torch.equal(getattr(found.t(), name).cpu(), getattr(wanted.t(), name))
    assert torch.equal(found.t_perm().cpu(), wanted.t_perm())
    assert found.value is not None
    assert wanted.value is not None
    torch.testing.assert_close(found.value.cpu(), wanted.value)
    x = torch.randn(3000, 16, device=device, requires_grad=True)
    spmm(found, x).square().sum().backward()
    assert x.grad is not None
    plain = spmm(wanted.t(), 2 * spmm(wanted, x.detach().cpu()))
    torch.testing.assert_close(x.grad.cpu(), plain, rtol=1e-4, atol=1e-4)
