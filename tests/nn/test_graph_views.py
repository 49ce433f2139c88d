"""drop_edges, mask_features, EdgeDropper: rates, pairs, reproducibility, and layers on views against PyG's."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DeviceError, DTypeError, GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels import CSR
from graphrep.nn import EdgeDropper, GCNConv, SAGEConv, drop_edges, mask_features

EDGES = torch.tensor([[0, 1, 1, 2, 2, 2, 0, 3, 1], [1, 0, 2, 1, 2, 2, 1, 0, 0]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def both_directions(num_nodes: int, count: int, seed: int = 0) -> Tensor:
    one_way = torch.randint(0, num_nodes, (2, count), generator=seeded(seed))
    return torch.cat([one_way, one_way.flip(0)], 1)[:, torch.randperm(2 * count, generator=seeded(seed))]


# edges


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_edges_keep_their_order_and_the_input_its_contents(dtype: torch.dtype) -> None:
    edges = EDGES.to(dtype)
    found = drop_edges(edges, 0.5, seeded())
    assert found.dtype == dtype
    keep = EdgeDropper(edges, 4).keep(0.5, seeded())
    assert 0 < int(keep.sum()) < 9
    assert torch.equal(found, edges[:, keep])
    assert torch.equal(edges, EDGES.to(dtype))


def test_share_of_edges_is_binomial_for_each_probability() -> None:
    edges = both_directions(50, 30_000)
    p = torch.tensor([0.1, 0.6]).repeat_interleave(30_000)
    keep = EdgeDropper(edges, 50).keep(p, seeded())
    for part, rate in ((keep[:30_000], 0.1), (keep[30_000:], 0.6)):
        assert abs(int(part.sum()) - 30_000 * (1 - rate)) < 5 * math.sqrt(30_000 * rate * (1 - rate))


def test_directions_are_independent_unless_asked() -> None:
    edges = both_directions(3000, 20_000)
    independent, paired = (EdgeDropper(edges, 3000, undirected=u).keep(0.5, seeded()) for u in (False, True))
    partner = EdgeDropper(edges, 3000, undirected=True)._pair
    assert partner is not None
    other = partner[0]
    assert bool((paired == paired[other]).all())
    several = other != torch.arange(40_000)
    agree = int((independent == independent[other])[several].sum())
    # Both ends of a pair are counted, so the number of agreeing pairs is half of it.
    pairs = int(several.sum()) // 2
    assert abs(agree // 2 - pairs / 2) < 5 * math.sqrt(pairs / 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20), st.integers(0, 99), st.booleans(), st.data()
)
def test_undirected_views_of_undirected_graphs_are_undirected(
    pairs: list[tuple[int, int]], seed: int, weighted: bool, data: Any
) -> None:
    one_way = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    edges = torch.cat([one_way, one_way.flip(0)], 1)
    order = torch.tensor(data.draw(st.permutations(range(edges.shape[1]))), dtype=torch.int64)
    edges = edges[:, order]
    p = torch.rand(edges.shape[1], generator=seeded(seed)) if weighted else 0.5
    found = drop_edges(edges, p, seeded(seed), undirected=True).t().tolist()
    assert sorted(found) == sorted([i, j] for j, i in found)


def test_a_pair_goes_with_the_mean_of_its_probabilities() -> None:
    edges = torch.stack([torch.arange(40_000), torch.arange(40_000).view(-1, 2).flip(1).flatten()])  # 0-1, 2-3, ...
    keep = EdgeDropper(edges, 40_000, undirected=True).keep(torch.tensor([0.1, 0.7]).repeat(20_000), seeded())
    assert torch.equal(keep[::2], keep[1::2])
    assert abs(int(keep[::2].sum()) - 12_000) < 5 * math.sqrt(20_000 * 0.24)


def test_same_generator_same_view_and_the_next_draw_another() -> None:
    edges, generator = both_directions(100, 2000), seeded(3)
    first, second = drop_edges(edges, 0.3, generator), drop_edges(edges, 0.3, generator)
    assert torch.equal(first, drop_edges(edges, 0.3, seeded(3)))
    assert first.shape != second.shape or not torch.equal(first, second)
    assert torch.equal(drop_edges(edges, 0.3, 8), drop_edges(edges, 0.3, 8))
    state = torch.get_rng_state()
    drop_edges(edges, 0.3, generator)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("undirected", [False, True])
def test_graphs_without_edges(undirected: bool) -> None:
    nothing = torch.empty(2, 0, dtype=torch.int64)
    assert drop_edges(nothing, 0.5, seeded(), undirected=undirected).shape == (2, 0)
    assert drop_edges(nothing, torch.empty(0), seeded(), undirected=undirected).shape == (2, 0)
    for count in (0, 1, 3):
        view = EdgeDropper(nothing, count, undirected=undirected)(0.5, seeded())
        assert view.shape == (count, count)
        assert view.value is not None
        assert view.value.tolist() == [1.0] * count


# features


@pytest.mark.parametrize("sparse", [False, True])
def test_whole_columns_are_masked(sparse: bool) -> None:
    x = torch.randn(30, 200, generator=seeded(1)) * (torch.rand(30, 200, generator=seeded(2)) < 0.4)
    given_x = x.to_sparse_csr() if sparse else x
    found = mask_features(given_x, 0.3, seeded())
    assert found.layout == given_x.layout
    dense = found.to_dense() if sparse else found
    masked = (dense == 0).all(0)
    assert abs(int(masked.sum()) - 60) < 5 * math.sqrt(200 * 0.21)
    assert torch.equal(dense, x.masked_fill(masked, 0))
    assert torch.equal((given_x.to_dense() if sparse else given_x), x)


def test_columns_have_their_own_probability_and_gradients() -> None:
    x = torch.ones(3, 4, requires_grad=True)
    p = torch.tensor([0.0, 1.0, 1.0, 0.0])
    found = mask_features(x, p, seeded())
    found.sum().backward()
    assert found[0].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())


def test_a_masked_column_is_zero_whatever_it_held() -> None:
    x = torch.tensor([[float("nan"), 1.0], [float("inf"), 2.0]])
    assert mask_features(x, torch.tensor([1.0, 0.0]), seeded()).tolist() == [[0.0, 1.0], [0.0, 2.0]]


def test_features_without_rows_or_columns() -> None:
    for shape in ((0, 3), (1, 1), (4, 0)):
        assert mask_features(torch.ones(shape), 0.5, seeded()).shape == shape


# views in layers


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_gcn_on_a_view_equals_pyg_on_the_kept_edges(dtype: torch.dtype, tol: float) -> None:
    edges = both_directions(40, 150, seed=4)
    dropper = EdgeDropper(edges, 45, dtype=dtype)
    keep = dropper.keep(0.4, 11)
    ours, theirs = GCNConv(6, 5, normalize=False).to(dtype), pyg.GCNConv(6, 5).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    x1 = torch.randn(45, 6, dtype=dtype, generator=seeded()).requires_grad_()
    x2 = x1.detach().clone().requires_grad_()
    out1, out2 = ours(x1, dropper.view(keep)), theirs(x2, edges[:, keep])
    torch.testing.assert_close(out1, out2, rtol=tol, atol=tol)
    for out in (out1, out2):
        out.square().sum().backward()
    torch.testing.assert_close(x1.grad, x2.grad, rtol=10 * tol, atol=10 * tol)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=10 * tol, atol=10 * tol)


def test_patterns_for_layers_with_norms_of_their_own() -> None:
    dropper = EdgeDropper(EDGES, 5, normalize=False)
    keep = dropper.keep(0.4, 2)
    conv, x = SAGEConv(3, 2), torch.randn(5, 3)
    torch.testing.assert_close(conv(x, dropper.view(keep)), conv(x, EDGES[:, keep]))
    assert dropper(0.4, 2).value is None


def test_a_matrix_as_the_base_graph() -> None:
    csr = CSR.from_edge_index(EDGES, size=(4, 4))
    dropper = EdgeDropper(csr, undirected=True)
    assert (dropper.num_nodes, dropper.num_edges) == (4, 9)
    keep = dropper.keep(0.5, 1)
    wanted = EdgeDropper(torch.stack([csr.col, csr.row()]), 4).view(keep)
    assert torch.equal(dropper(0.5, 1).col, wanted.col)
    assert repr(dropper) == "EdgeDropper(4 nodes, 9 edges, undirected=True, normalize=True)"


# errors


@pytest.mark.parametrize(
    ("p", "error", "match"),
    [
        (1.0, GraphrepError, r"p is 1\.0"),
        (-0.1, GraphrepError, r"p is -0\.1"),
        (float("nan"), GraphrepError, "p is nan"),
        ("0.3", DTypeError, "p must be a number"),
        (True, DTypeError, "p must be a number"),
        (torch.full((8,), 0.3), ShapeError, "8"),
        (torch.full((9, 1), 0.3), ShapeError, "9, 1"),
        (torch.ones(9, dtype=torch.int64), DTypeError, "floating"),
        (torch.tensor([0.1] * 8 + [1.5]), GraphrepError, r"p is 1\.5 at .* 8"),
        (torch.tensor([0.1, float("nan")] + [0.2] * 7), GraphrepError, "p is nan at .* 1"),
        (torch.full((9,), 0.3, device="meta"), DeviceError, "meta"),
    ],
)
def test_wrong_rates(p: Any, error: type[Exception], match: str) -> None:
    x = torch.ones(2, 9)
    for call in (
        lambda: drop_edges(EDGES, p, seeded()),
        lambda: mask_features(x, p, seeded()),
        lambda: EdgeDropper(EDGES, 4)(p, seeded()),
    ):
        with pytest.raises(error, match=match):
            call()


@pytest.mark.parametrize("generator", [None, 0.5, True, "seed"])
def test_missing_generator(generator: Any) -> None:
    with pytest.raises(DTypeError, match="generator"):
        drop_edges(EDGES, 0.3, generator)
    with pytest.raises(DTypeError, match="generator"):
        mask_features(torch.ones(2, 2), 0.3, generator)


def test_wrong_shapes() -> None:
    with pytest.raises(ShapeError, match="edge_index"):
        drop_edges(EDGES.t(), 0.3, seeded())
    with pytest.raises(IndexRangeError, match="-1"):
        drop_edges(EDGES - 1, 0.3, seeded(), undirected=True)
    with pytest.raises(ShapeError, match="x has shape"):
        mask_features(torch.ones(3), 0.3, seeded())
    with pytest.raises(DTypeError, match="layout"):
        mask_features(torch.ones(3, 2).to_sparse_coo(), 0.3, seeded())
    with pytest.raises(GraphrepError, match="num_nodes"):
        EdgeDropper(EDGES)
    with pytest.raises(IndexRangeError, match="3"):
        EdgeDropper(EDGES, 3)
    with pytest.raises(ShapeError, match="matrix"):
        EdgeDropper(CSR.from_edge_index(EDGES, size=(5, 4)))
    with pytest.raises(GraphrepError, match="weights"):
        EdgeDropper(CSR.from_edge_index(EDGES, torch.ones(9)))
    with pytest.raises(DTypeError, match="dtype"):
        EdgeDropper(EDGES, 4, dtype=torch.int64)
    dropper = EdgeDropper(EDGES, 4)
    with pytest.raises(DTypeError, match="bool"):
        dropper.view(torch.ones(9))
    with pytest.raises(ShapeError, match="9 edges"):
        dropper.view(torch.ones(8).bool())
