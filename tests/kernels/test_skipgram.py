"""Skip-gram kernels: pairs of walks against an explicit loop, descent against autograd, blocks against threads."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import random_csr
from set_cases import follows, peak_bytes, same_for_any_threads
from torch import Tensor

from graphrep.errors import (
    DTypeError,
    EmptyGraphError,
    GraphrepError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
)
from graphrep.kernels import CSR, random_walks
from graphrep.kernels._counter import DOMAIN_WINDOW, below, stream_start
from graphrep.kernels.skipgram import PairBlocks, Partition, partition_nodes, skipgram_, walk_pairs
from graphrep.kernels.skipgram.reference import LOSS_EVERY

SMALL: dict[str, Any] = {"window": 3, "both": True, "shrink": True, "seed": 5}


def listed(pairs: PairBlocks) -> list[tuple[int, int]]:
    return list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True))


def by_loop(csr: CSR, walks: Tensor, window: int, both: bool, shrink: bool, seed: int) -> list[tuple[int, int]]:
    """Every pair of every walk, with no order meant."""
    degree = csr.degree().tolist()
    found = []
    for number, walk in enumerate(walks.tolist()):
        ends = [place for place, node in enumerate(walk) if not degree[node]]
        walk = walk[: ends[0] + 1] if ends else walk
        stream = np.uint64(stream_start(np.uint64(seed), DOMAIN_WINDOW, np.uint64(number)))
        for place, node in enumerate(walk):
            reach = int(below(stream, place, window)) + 1 if shrink else window
            near = range(max(0, place - reach) if both else place, min(len(walk), place + reach + 1))
            found += [(node, walk[other]) for other in near if other != place]
    return found


def case(num_nodes: int, dim: int, *, dtype: torch.dtype = torch.float32, parts: int = 3, walks: int = 100) -> Any:
    """Tables, pairs and parts of a random graph with nodes without neighbours."""
    csr = random_csr(num_nodes, num_nodes, 3 * num_nodes, seed=1)
    found = partition_nodes((csr.degree().double() + 0.01) ** 0.75, parts)
    lines = random_walks(csr, csr.degree().nonzero().reshape(-1)[:walks], 3, seed=2)
    pairs = walk_pairs(csr, lines, found.part, found.num_parts, **SMALL)
    generator = torch.Generator().manual_seed(0)
    tables = [torch.randn(num_nodes, dim, generator=generator, dtype=torch.float64).to(dtype) / 5 for _ in range(2)]
    return tables, pairs, found


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("window", [1, 3, 20])
def test_pairs_are_those_of_the_loop(backend: str, window: int, both: bool, shrink: bool) -> None:
    csr = random_csr(40, 40, 60, seed=3)  # some rows are empty
    walks, part = random_walks(csr, torch.arange(40).repeat(9), 6, seed=0), torch.arange(40, dtype=torch.int32) % 4
    pairs = walk_pairs(csr, walks, part, 4, window=window, both=both, shrink=shrink, seed=7)
    assert sorted(listed(pairs)) == sorted(by_loop(csr, walks, window, both, shrink, 7))
    for block, (low, high) in enumerate(itertools.pairwise(pairs.bounds.tolist())):
        assert (part[pairs.source[low:high]] == block // 4).all()
        assert (part[pairs.target[low:high]] == block % 4).all()


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_both_backends_give_the_same_order(monkeypatch: pytest.MonkeyPatch, index: torch.dtype) -> None:
    csr = random_csr(500, 500, 1500, seed=3)
    walks = random_walks(csr, torch.arange(500).repeat(2), 5, seed=0).to(index)
    part = partition_nodes(csr.degree().double(), 4).part
    found = []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        found.append(walk_pairs(csr, walks, part, 4, **SMALL))
    for name in ("source", "target", "bounds"):
        assert torch.equal(getattr(found[0], name), getattr(found[1], name))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_walks(backend: str, count: int) -> None:
    csr = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]))
    part = torch.zeros(2, dtype=torch.int32)
    for length in (1, 2, 4):
        walks = random_walks(csr, torch.arange(count), length - 1, seed=0)
        pairs = walk_pairs(csr, walks, part, 1, window=5, both=True, shrink=False, seed=0)
        assert len(pairs) == count * length * (length - 1)


def test_the_pairs_of_a_walk_lie_apart(backend: str) -> None:
    """On a cycle of 400 nodes every walk is known by its nodes."""
    ring = torch.arange(400)
    csr = CSR.from_edge_index(torch.stack([(ring + 1) % 400, ring]))  # row i has the column i + 1
    walks = random_walks(csr, ring[:200] * 2, 1, seed=0)
    pairs = walk_pairs(csr, walks, torch.zeros(400, dtype=torch.int32), 1, window=1, both=True, shrink=False, seed=0)
    assert pairs.source[:200].tolist() == (ring[:200] * 2).tolist()
    assert pairs.source[200:].tolist() == (ring[:200] * 2 + 1).tolist()


@given(weight=st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=1, max_size=400), parts=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_parts_hold_every_node_and_weigh_alike(weight: list[float], parts: int) -> None:
    mass = torch.tensor(weight)
    if not bool(mass.any()):
        with pytest.raises(EmptyGraphError):
            partition_nodes(mass, parts)
        return
    found = partition_nodes(mass, parts)
    active = int((mass > 0).sum())
    assert found.num_parts == max(1, min(parts, active // 64))
    sizes = found.part.bincount(minlength=found.num_parts)
    assert int(sizes.sum()) == len(weight)
    assert int(sizes.max() - sizes.min()) <= 1
    total = torch.zeros(found.num_parts).index_add_(0, found.part.long(), mass)
    assert float(total.max() - total.min()) <= 2 * float(mass.max())
    assert sorted(found.node.tolist()) == (mass > 0).nonzero().reshape(-1).tolist()
    for p, (low, high) in enumerate(itertools.pairwise(found.start.tolist())):
        part_of = found.part[found.node[low:high]]
        assert (part_of == p).all()
        share = torch.zeros(len(weight), dtype=torch.float64)  # what the table draws, exactly
        share.index_add_(0, found.node[low:high], found.accept[low:high])
        share.index_add_(0, found.other[low:high], 1 - found.accept[low:high])
        share /= high - low
        expected = torch.where(found.part == p, mass, 0.0).double()
        torch.testing.assert_close(share, expected / expected.sum(), rtol=1e-9, atol=1e-12)


def test_nodes_are_drawn_by_weight() -> None:
    mass = torch.arange(10.0)
    drawn = partition_nodes(mass, 1).draw(torch.zeros(30_000, dtype=torch.int64), torch.arange(30_000), 2, seed=3)
    for nodes in drawn:
        follows(torch.bincount(nodes, minlength=10), mass / mass.sum())
    assert not torch.equal(*drawn)


def autograd_step(tables: list[Tensor], u: int, v: int, negatives: list[int], lr: float, weight: float) -> None:
    """One step on the loss of a pair; the context rows of a pair differ, so that all may learn at once."""
    vertex, context = (table.clone().requires_grad_() for table in tables)
    loss = -torch.nn.functional.logsigmoid(vertex[u] @ context[v])
    for node in negatives:
        loss = loss - weight * torch.nn.functional.logsigmoid(-vertex[u] @ context[node])
    loss.backward()
    for table, leaf in zip(tables, (vertex, context), strict=True):
        assert leaf.grad is not None
        table -= lr * leaf.grad


def test_a_pair_takes_a_step_of_gradient_descent(backend: str) -> None:
    """Five pairs in one block, in float64, with a weight decay on the rows that learn."""
    parts = partition_nodes(torch.ones(8), 1)
    source, target = torch.tensor([0, 1, 0, 2, 7]), torch.tensor([3, 4, 5, 3, 7])
    pairs = PairBlocks(source, target, torch.tensor([0, 5]))
    found = [torch.randn(8, 19, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    expected = [table.clone() for table in found]
    skipgram_(*found, pairs, parts, lr=(0.5, 0.1), negative_weight=2.0, weight_decay=0.01, seed=9)
    drawn = parts.draw(torch.zeros(5, dtype=torch.int64), torch.arange(5), 1, seed=9)[0].tolist()
    for i, (u, v, node) in enumerate(zip(source.tolist(), target.tolist(), drawn, strict=True)):
        lr = 0.5 + (0.1 - 0.5) * i / 5
        before = [table.clone() for table in expected]
        used = [node] if node != v else []
        autograd_step(expected, u, v, used, lr, 2.0)
        expected[0][u] -= lr * 0.01 * before[0][u]
        for row in (v, *used):
            expected[1][row] -= lr * 0.01 * before[1][row]
    for table, right in zip(found, expected, strict=True):
        torch.testing.assert_close(table, right, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dim", [1, 2, 16, 63, 80, 128])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_the_kernel_learns_what_the_reference_does(
    monkeypatch: pytest.MonkeyPatch, dim: int, dtype: torch.dtype, tolerance: float
) -> None:
    """float32: some 10^3 steps, each of which rounds its dot product in another order."""
    tables, pairs, parts = case(200, dim, dtype=dtype)
    assert parts.num_parts == 3
    found, losses = [], []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        mine = [table.clone() for table in tables]
        losses.append(
            skipgram_(*mine, pairs, parts, lr=(0.1, 0.01), num_negatives=3, weight_decay=0.01, turn=1, seed=4)
        )
        found.append(mine)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)
    assert not torch.equal(found[0][0], tables[0])


def test_float32_is_close_to_float64(backend: str) -> None:
    tables, pairs, parts = case(130, 16, dtype=torch.float64)
    narrow = [table.float() for table in tables]
    for mine in (tables, narrow):
        skipgram_(*mine, pairs, parts, lr=(0.05, 0.05), seed=4)
    torch.testing.assert_close(narrow[0].double(), tables[0], rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_every_sixteenth_pair(backend: str) -> None:
    tables, pairs, parts = case(150, 8, dtype=torch.float64)
    loss = skipgram_(*tables, pairs, parts, lr=(0.0, 0.0), num_negatives=2, negative_weight=3.0, seed=4)
    index = torch.arange(0, len(pairs), LOSS_EVERY)
    u, v = pairs.source[index], pairs.target[index]
    score = (tables[0][u] * tables[1][v]).sum(1)
    expected = torch.nn.functional.softplus(-score)
    for nodes in parts.draw(parts.part[v].long(), index, 2, seed=4):
        away = torch.nn.functional.softplus((tables[0][u] * tables[1][nodes]).sum(1))
        expected = expected + 3.0 * away * (nodes != v)
    assert loss == pytest.approx(float(expected.mean()), rel=1e-12)


def test_a_rate_of_zero_changes_nothing_and_far_scores_are_no_trouble(backend: str) -> None:
    tables, pairs, parts = case(130, 8)
    tables[0] *= 1e4
    before = [table.clone() for table in tables]
    assert math.isfinite(skipgram_(*tables, pairs, parts, lr=(0.0, 0.0), seed=0))
    assert all(torch.equal(a, b) for a, b in zip(tables, before, strict=True))
    skipgram_(*tables, pairs, parts, lr=(1e-3, 1e-3), seed=0)
    assert all(bool(torch.isfinite(table).all()) for table in tables)


def test_same_bytes_for_any_number_of_threads() -> None:
    tables, pairs, parts = case(4000, 64, parts=8, walks=4000)
    assert len(pairs) // parts.num_parts * 64 > 2**16  # enough for threads

    def results() -> list[Tensor]:
        mine = [table.clone() for table in tables]
        loss = skipgram_(*mine, pairs, parts, lr=(0.1, 0.01), seed=4)
        return [*mine, torch.tensor(loss)]

    same_for_any_threads(results)


def test_pairs_are_the_same_for_any_number_of_threads() -> None:
    csr = random_csr(4000, 4000, 12_000, seed=1)
    parts = partition_nodes(csr.degree().double(), 8)
    walks = random_walks(csr, torch.arange(4000), 12, seed=2)

    def results() -> list[Tensor]:
        pairs = walk_pairs(csr, walks, parts.part, 8, **SMALL)
        return [pairs.source, pairs.target, pairs.bounds]

    same_for_any_threads(results)


def test_blocks_of_a_round_do_not_meet(backend: str) -> None:
    """With rate 0 for all but one part's rows and columns, the others stay what they were."""
    tables, pairs, parts = case(200, 8)
    only = [torch.zeros(0, dtype=torch.int64)] * 2
    bounds = torch.zeros_like(pairs.bounds)
    low, high = int(pairs.bounds[5]), int(pairs.bounds[6])  # block (1, 2)
    only = [pairs.source[low:high], pairs.target[low:high]]
    bounds[6:] = high - low
    before = [table.clone() for table in tables]
    skipgram_(*tables, PairBlocks(*only, bounds), parts, lr=(0.1, 0.1), num_negatives=5, seed=1)
    changed = [(a != b).any(1).nonzero().reshape(-1) for a, b in zip(tables, before, strict=True)]
    assert set(parts.part[changed[0]].tolist()) == {1}
    assert set(parts.part[changed[1]].tolist()) == {2}


def test_a_batch_learns_from_one_state(backend: str) -> None:
    """A batch as long as a block: every gradient is that of the start; the contexts learn one after another."""
    parts = partition_nodes(torch.ones(6), 1)
    pairs = PairBlocks(torch.tensor([0, 0, 1]), torch.tensor([2, 2, 3]), torch.tensor([0, 3]))
    tables = [torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    found = [table.clone() for table in tables]
    skipgram_(*found, pairs, parts, lr=(0.1, 0.1), negative_weight=0.0, batch_size=8, seed=0)
    expected = [table.clone() for table in tables]
    for u, v in listed(pairs):
        gradient = torch.sigmoid(-(tables[0][u] @ tables[1][v]))
        expected[0][u] += 0.1 * gradient * tables[1][v]
        expected[1][v] += 0.1 * gradient * tables[0][u]
    for table, right in zip(found, expected, strict=True):
        torch.testing.assert_close(table, right, rtol=1e-12, atol=1e-13)


@given(edges=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_without_pairs_stay(edges: list[tuple[int, int]]) -> None:
    """Duplicate edges, loops, dead ends and isolated nodes, in a graph smaller than a part."""
    csr = CSR.from_edge_index(torch.tensor(edges).t(), size=(9, 9))
    parts = partition_nodes(csr.degree().double(), 4)
    walks = random_walks(csr, csr.degree().nonzero().reshape(-1), 4, seed=0)
    pairs = walk_pairs(csr, walks, parts.part, parts.num_parts, **SMALL)
    vertex, context = torch.rand(9, 4), torch.rand(9, 4)
    before = vertex.clone()
    skipgram_(vertex, context, pairs, parts, lr=(0.1, 0.1), seed=0)
    met = torch.zeros(9, dtype=torch.bool)
    met[pairs.source] = True
    assert torch.equal(vertex[~met], before[~met])
    assert bool((vertex[met] != before[met]).any(1).all())


def test_renumbered_nodes_learn_the_same(backend: str) -> None:
    """The kernels know nodes by nothing but their rows: pairs, parts and tables renumbered alike give alike rows."""
    tables, pairs, parts = case(140, 8, dtype=torch.float64)
    order = torch.randperm(140, generator=torch.Generator().manual_seed(1))
    place = order.argsort()
    other = Partition(parts.part[order], parts.start, place[parts.node], parts.accept, place[parts.other])
    moved = [table[order].clone() for table in tables]
    turned = PairBlocks(place[pairs.source], place[pairs.target], pairs.bounds)
    skipgram_(*tables, pairs, parts, lr=(0.1, 0.1), seed=0)
    skipgram_(*moved, turned, other, lr=(0.1, 0.1), seed=0)
    assert torch.equal(moved[0], tables[0][order])


def test_errors() -> None:
    (vertex, context), pairs, parts = case(150, 4)
    csr = random_csr(4, 4, 9)
    walks, part = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(4, dtype=torch.int32)
    with pytest.raises(ShapeError, match="part has 3 entries for 4 nodes"):
        walk_pairs(csr, walks, part[:3], 1, **SMALL)
    with pytest.raises(IndexRangeError, match="walks refers to 4"):
        walk_pairs(csr, walks + 4, part, 1, **SMALL)
    with pytest.raises(IndexRangeError, match="part refers to 1"):
        walk_pairs(csr, walks, part + 1, 1, **SMALL)
    with pytest.raises(GraphrepError, match="window must be an integer of 1 or more; got 0"):
        walk_pairs(csr, walks, part, 1, **{**SMALL, "window": 0})
    with pytest.raises(ShapeError, match="walks must have 2 axes"):
        walk_pairs(csr, walks[0], part, 1, **SMALL)
    for options, message in (
        ({"num_negatives": 0}, "num_negatives must be an integer of 1 or more"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"lr": (float("nan"), 0.0)}, "lr must be 0 or more and finite; got nan"),
        ({"negative_weight": -1.0}, "negative_weight must be 0 or more"),
    ):
        with pytest.raises(GraphrepError, match=message):
            skipgram_(vertex, context, pairs, parts, **{"lr": (0.1, 0.1), "seed": 0, **options})
    with pytest.raises(ShapeError, match="the tables differ"):
        skipgram_(vertex, context.double(), pairs, parts, lr=(0.1, 0.1), seed=0)
    with pytest.raises(DTypeError, match="vertex must be float32 or float64; got"):
        skipgram_(vertex.bfloat16(), context.bfloat16(), pairs, parts, lr=(0.1, 0.1), seed=0)
    with pytest.raises(ShapeError, match="contiguous"):
        skipgram_(vertex.t().contiguous().t(), context, pairs, parts, lr=(0.1, 0.1), seed=0)
    with pytest.raises(ShapeError, match="the parts are of 150 nodes, the tables of 149"):
        skipgram_(vertex[:149], context[:149], pairs, parts, lr=(0.1, 0.1), seed=0)
    with pytest.raises(ShapeError, match="blocks, and 1 parts need 1"):
        skipgram_(vertex, context, pairs, partition_nodes(torch.ones(150), 1), lr=(0.1, 0.1), seed=0)
    with pytest.raises(GraphrepError, match="a weight is negative"):
        partition_nodes(torch.tensor([1.0, -1.0]), 1)
    with pytest.raises(NonFiniteError):
        partition_nodes(torch.tensor([1.0, float("inf")]), 1)
    with pytest.raises(GraphrepError, match="parts must be an integer of 1 or more; got 0"):
        partition_nodes(torch.ones(2), 0)


MEMORY = """
    import resource, torch
    from graphrep.methods import Node2Vec
    leaves = torch.arange(1, 20_001)
    star = torch.stack([torch.zeros_like(leaves), leaves])
    edges = torch.cat([star, star.flip(0)], dim=1)
    options = dict(dim=8, p=0.5, q=2.0, epochs=1, walk_length=4, pool_size=100_000)
    Node2Vec(**options).fit(edges[:, :2000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Node2Vec(**options).fit(edges)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.filterwarnings("ignore")
def test_node2vec_keeps_no_table_per_edge() -> None:
    """A star of 20,000 leaves: alias tables would hold its squared degree, 4.8 GB; the pool takes a few MB."""
    assert peak_bytes(MEMORY) < 60e6
