"""heart_negatives: against a dense program for one positive after another, its invariants, draws, threads, errors."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import rankdata
from torch import Tensor

import graphrep as gr
from graphrep.errors import GraphrepError, IndexRangeError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.eval import heart as module
from graphrep.eval import heart_negatives


def some_graph(size: int = 40, links: int = 60, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Training links in one direction, held-out links and features; the last three nodes are isolated."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(0, size - 3, (2, 3 * links), generator=generator).sort(0).values
    pairs = torch.unique(pairs[:, pairs[0] != pairs[1]], dim=1)
    pairs = pairs[:, torch.randperm(pairs.shape[1], generator=generator)]
    x = torch.relu(torch.randn(size, 6, generator=generator))
    x[5] = x[6]
    x[7] = 0
    held = pairs[:, links : links + 15]
    return pairs[:, :links], torch.cat([held, torch.tensor([[0], [size - 1]])], 1), x


def dense_scores(edges: Tensor, x: Tensor | None, size: int, teleport: float = 0.15) -> list[np.ndarray]:
    """(N, N) of each kind."""
    adjacency = np.zeros((size, size))
    adjacency[edges[0], edges[1]] = adjacency[edges[1], edges[0]] = 1
    np.fill_diagonal(adjacency, 0)
    degree = adjacency.sum(1)
    share = np.divide(1, degree, out=np.zeros(size), where=degree > 0)
    stay = np.where(degree > 0, teleport, 1.0)
    found = [
        adjacency * share @ adjacency,
        np.linalg.inv(np.eye(size) - (1 - teleport) * share[:, None] * adjacency) * stay,
    ]
    found[1][found[1] < 1e-9] = 0  # what no walk reaches
    if x is not None:
        norm = np.linalg.norm(x.numpy().astype(float), axis=1, keepdims=True)
        unit = x.numpy().astype(float) / np.where(norm > 0, norm, 1)
        found.append(unit @ unit.T)
    return found


def ranks(score: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """As the authors' program counts: ascending ranks of the positive scores, turned round; zeros are one behind."""
    out = np.full(len(score), np.iinfo(np.int64).max)
    positive = candidates & (np.float32(score) > 0)
    rank = rankdata(np.float32(score[positive]), method="min").astype(np.int64)
    rank = rank.max() - rank + 1 if len(rank) else rank
    out[candidates] = (rank.max() if len(rank) else 0) + 1
    out[positive] = rank
    return out


def ranked(scores: list[np.ndarray], known: Tensor, kept: int, other: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates, the rows of their ranks, and whether any score is above 0."""
    candidates = np.ones(len(scores[0]), dtype=bool)
    for first, second in (known, known.flip(0)):
        candidates[second[first == kept].numpy()] = False
    candidates[[kept, other]] = False
    rows = np.stack([ranks(score[kept], candidates) for score in scores])
    some = np.any([np.float32(score[kept]) > 0 for score in scores], axis=0) & candidates
    return candidates, rows, some


def other_ends(negatives: Tensor, positives: Tensor):
    """(end that is kept, end that is left, nodes taken) of each half of each positive, which keep the right end."""
    half = negatives.shape[1] // 2
    for (a, b), own in zip(positives.t().tolist(), negatives, strict=True):
        assert set(own[:half, 0].tolist()) == {a}
        assert set(own[half:, 1].tolist()) == {b}
        yield a, b, own[:half, 1].tolist()
        yield b, a, own[half:, 0].tolist()


@pytest.mark.parametrize(
    ("backend", "features", "block"),
    [
        ("cpu", None, 150),
        ("cpu", "dense", 1 << 22),
        ("cpu", "dense", 150),
        ("cpu", "sparse", 150),
        ("reference", None, 1 << 22),
    ],
)
def test_takes_the_smallest_minimum_then_the_smallest_sum(backend, features, block, monkeypatch) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", backend)
    monkeypatch.setattr(module, "BLOCK_ENTRIES", block)
    edges, positives, x = some_graph()
    given_x = {None: None, "dense": x, "sparse": csr_array(x.numpy())}[features]
    scores = dense_scores(edges, None if features is None else x, 40)
    found = heart_negatives(edges, positives, given_x, 12, tolerance=1e-13, ties="hardest", num_nodes=40)
    assert found.shape == (positives.shape[1], 12, 2)
    assert found.dtype == torch.int64
    exact = 0
    for kept, left, taken in other_ends(found, positives):
        _, rows, some = ranked(scores, edges, kept, left)
        if some.sum() < 6:
            assert set(np.flatnonzero(some)) <= set(taken)
            continue
        minimum, total = rows.min(0), rows.astype(float).sum(0)
        order = [v for v in np.lexsort((np.arange(40), total, minimum)) if some[v]]
        assert taken == sorted(order[:6])
        exact += 1
    assert exact > 20


def test_random_ties_take_every_smaller_minimum() -> None:
    edges, positives, x = some_graph()
    scores = dense_scores(edges, x, 40)
    drawn = [heart_negatives(edges, positives, x, 12, seed=seed, tolerance=1e-13) for seed in (0, 1, 0)]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    for found in drawn[:2]:
        for kept, left, taken in other_ends(found, positives):
            _, rows, some = ranked(scores, edges, kept, left)
            minimum = np.where(some, rows.min(0), np.iinfo(np.int64).max)
            cut = np.sort(minimum)[5]
            assert len(set(taken)) == 6
            if some.sum() >= 6:
                assert set(np.flatnonzero(minimum < cut)) <= set(taken)
                assert max(minimum[taken]) == cut


def test_ties_are_drawn_uniformly() -> None:
    """The leaves of a star are equal, so each is drawn in 2 of 8 cases."""
    star = torch.tensor([[0] * 9, list(range(1, 10))])
    positives = torch.tensor([[9], [10]]).expand(2, 2000)
    counts = torch.bincount(heart_negatives(star, positives, k=4)[:, :2, 1].flatten(), minlength=11)
    assert counts[[0, 9, 10]].tolist() == [0, 0, 0]
    assert float((counts[1:9] - 500).abs().max()) < 5 * (2000 * 0.25 * 0.75) ** 0.5


def test_all_zero_candidates_are_drawn_without_repeats() -> None:
    """An isolated end has no scores: the others are drawn, each as often; too few are refused."""
    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    taken = heart_negatives(edges, torch.tensor([[7], [0]]).expand(2, 2000), k=6, num_nodes=8)[:, :3, 1]
    assert bool((taken.diff(dim=1) > 0).all())
    counts = torch.bincount(taken.flatten(), minlength=8)
    assert counts[[0, 7]].tolist() == [0, 0]
    assert float((counts[1:7] - 1000).abs().max()) < 5 * (2000 * 0.25) ** 0.5
    assert heart_negatives(edges, [[7], [0]], k=8, num_nodes=8)[0, 4:, 0].tolist()[:3] == [2, 3, 4]
    with pytest.raises(GraphrepError, match="Node 0 has fewer than 6 candidates among 8 nodes"):
        heart_negatives(edges, [[7], [0]], k=12, num_nodes=8)


def test_known_links_are_no_negatives() -> None:
    edges, positives, x = some_graph()
    for known in (edges, torch.cat([edges, positives], 1), torch.empty(2, 0, dtype=torch.int64)):
        found = heart_negatives(edges, positives, x, 30, known=known).reshape(-1, 2)
        links = {frozenset(pair) for pair in known.t().tolist()}
        negatives = [frozenset(pair) for pair in found.tolist()]
        assert not links & set(negatives)
        assert all(len(pair) == 2 for pair in negatives)
    assert {frozenset(p) for p in edges.t().tolist()} & set(negatives)  # allowed when nothing is known


def test_a_repeated_end_point_gets_ranks_of_its_scores() -> None:
    """What an end is given does not depend on the positives before it."""
    edges, positives, x = some_graph()
    together = heart_negatives(edges, positives, x, 10, ties="hardest")
    for i in range(positives.shape[1]):
        alone = heart_negatives(edges, positives[:, i : i + 1], x, 10, ties="hardest", num_nodes=40)
        if not set(positives[:, i].tolist()) & {37, 38, 39}:  # those have draws
            assert torch.equal(alone[0], together[i])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=25), st.integers(0, 3))
def test_direction_repeats_and_loops_play_no_part(links, seed: int) -> None:
    edges = torch.tensor(links).t()
    positives = torch.tensor([[9, 0], [10, 5]])
    found = heart_negatives(edges, positives, k=4, num_nodes=16, seed=seed)
    same = torch.cat([edges.flip(0), edges, edges[:, :3]], 1).int()
    again = heart_negatives(same, positives.int(), k=4, num_nodes=16, seed=seed)
    assert torch.equal(found, again)


def test_same_for_any_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 3000, (2, 6000), generator=generator)
    positives = torch.stack([torch.arange(0, 600), torch.arange(1000, 1600)])
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(heart_negatives(edges, positives, k=100, tolerance=1e-4))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_harder_than_uniform_negatives() -> None:
    graph = gr.load("lesmis")
    split = gr.data.split_edges(graph, shares=(80, 0, 20), seed=0)
    known = gr.Graph(split.train_edge_index(), num_nodes=graph.num_nodes)
    negatives = heart_negatives(known, split.test, k=40)
    score = gr.eval.resource_allocation
    pos = score(known, split.test)
    hard = score(known, negatives.reshape(-1, 2).t()).reshape(-1, 40)
    easy = gr.eval.link_scores(pos, score(known, split.test_neg), ks=()).auc
    assert gr.eval.link_scores(pos, hard, ks=()).auc < easy - 0.1


@pytest.mark.slow
def test_memory_does_not_grow_with_the_square_of_nodes() -> None:
    """100,000 nodes and 400 end points: dense rows of three scores would be 1 GB."""
    code = """
        import resource, torch
        from graphrep.eval import heart_negatives, heuristic_scores
        n = 100_000
        edges = torch.randint(0, n, (2, 4 * n), generator=torch.Generator().manual_seed(0))
        x = torch.ones(n, 2)
        heart_negatives(edges, [[0], [1]], x, 10, num_nodes=n)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        positives = torch.stack([torch.arange(200), torch.arange(200, 400)])
        found = heart_negatives(edges, positives, x, 500, num_nodes=n)
        heuristic_scores(edges, found[:20].reshape(-1, 2).t(), "katz")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 500 << 10  # KiB


def test_errors() -> None:
    edges, positives, x = some_graph()
    with pytest.raises(GraphrepError, match="k must be an even number of at least 2; got 5"):
        heart_negatives(edges, positives, k=5)
    with pytest.raises(GraphrepError, match="Positive 1 joins node 3 to itself"):
        heart_negatives(edges, [[0, 3], [1, 3]], k=2)
    with pytest.raises(ShapeError, match=r"pos_edges: .*\(2, E\)"):
        heart_negatives(edges, positives.t(), k=2)
    with pytest.raises(ShapeError, match="x has 39 rows, but the graph has 40 nodes"):
        heart_negatives(edges, positives, x[:39], k=2, num_nodes=40)
    with pytest.raises(IndexRangeError, match="pos_edges refers to 39"):
        heart_negatives(gr.Graph(edges, num_nodes=39), positives, k=2)
    with pytest.raises(NonFiniteError, match="x holds 1 numbers"):
        heart_negatives(edges, positives, _one_infinite(x), k=2)
    with pytest.raises(UnknownNameError, match='ties is "id"'):
        heart_negatives(edges, positives, k=2, ties="id")
    with pytest.raises(GraphrepError, match="teleport"):
        heart_negatives(edges, positives, k=2, teleport=0.0)
    assert heart_negatives(edges, positives[:, :0], k=4).shape == (0, 4, 2)


def _one_infinite(x: Tensor) -> Tensor:
    x = x.clone()
    x[3, 1] = torch.inf
    return x
