"""Test links of typed graphs: held out with their reverse, ranked by relation among tails that are no links."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.cli.texting.parts import link_parts
from graphrep.cli.texting.relations import hold_out
from graphrep.data import HeteroGraph

Run = Callable[..., Any]
WRITES, CITES = ("author", "writes", "paper"), ("paper", "cites", "paper")


def library(seed: int, papers: int = 12, authors: int = 5, *, reverse: bool = False) -> HeteroGraph:
    """Repeated links and self-citations; author 0 has written every paper."""
    rng = np.random.default_rng(seed)
    all_by_first = np.stack([np.zeros(papers, dtype=np.int64), np.arange(papers)])
    writes = np.concatenate([all_by_first, rng.integers([[authors], [papers]], size=(2, 3 * papers))], axis=1)
    cites = rng.integers(papers, size=(2, 3 * papers))
    edges: dict[Any, Any] = {WRITES: writes, CITES: cites}
    if reverse:
        edges["paper", "by", "author"] = writes[::-1].copy()
    return HeteroGraph(
        edges, {CITES: np.arange(3 * papers, dtype=np.float32)},
        num_nodes={"author": authors, "paper": papers}, text={"paper": [f"paper {i}" for i in range(papers)]},
    )  # fmt: skip


def pairs(edges: torch.Tensor) -> set[tuple[int, int]]:
    return set(map(tuple, edges.t().tolist()))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.05, 0.2, 0.5]))
def test_nothing_of_a_test_link_is_left(seed: int, reverse: bool, share: float) -> None:
    graph = library(seed, reverse=reverse)
    data, tests, left = hold_out(graph, share, seed=seed)
    assert {part.kind for part in tests} <= {WRITES, CITES}
    total = 0
    for part in tests:
        before, after, held = (
            pairs(edges) for edges in (graph.edge_index[part.kind], data.edge_index[part.kind], part.pos)
        )
        assert held
        assert after == before - held
        total += len(after)
        if part.kind == WRITES:
            assert all(source for source, _ in held)  # nothing is left to rank for author 0
            assert torch.equal(part.seen, torch.tensor([sum(t == p for _, t in after) for p in range(12)]))
            if reverse:
                assert pairs(data.edge_index["paper", "by", "author"]) == {(b, a) for a, b in after}
        else:
            assert all(source != target for source, target in held)
        size = graph.num_nodes[part.kind[2]]
        for (source, _), tails in zip(part.pos.t().tolist(), part.tails.tolist(), strict=True):
            assert all(0 <= tail < size for tail in tails)
            assert not {(source, tail) for tail in tails} & before
            if part.kind == CITES:
                assert not {(tail, source) for tail in tails} & before
                assert source not in tails
    if len(tests) == 2:
        assert total == left
    kept = dict(zip(data.edge_weight[CITES].tolist(), data.edge_index[CITES].t().tolist(), strict=True))
    assert all(graph.edge_index[CITES][:, int(weight)].tolist() == pair for weight, pair in kept.items())
    again, same, _ = hold_out(graph, share, seed=seed)
    assert torch.equal(data.edge_index[WRITES], again.edge_index[WRITES])
    assert all(torch.equal(a.tails, b.tails) for a, b in zip(tests, same, strict=True))


def test_named_relations_alone() -> None:
    parts = link_parts(library(0), shares=(60.0, 10.0, 30.0), seed=0, relations="writes")
    assert [part.kind for part in parts.relations] == [WRITES]
    assert parts.counts[2] == parts.relations[0].pos.shape[1]
    assert parts.line().startswith(f"{parts.counts[0]} training / {parts.counts[2]} test links of all relations, each")
    assert torch.equal(parts.data.edge_index[CITES], library(0).edge_index[CITES])


def test_train_judges_each_relation(run: Run, folder: Path) -> None:
    pytest.importorskip("transformers")
    from graphrep.nn import small_bert

    words = {"fruit": "apple pear plum fig", "cars": "wheel engine road brake"}
    small_bert(list(words.values()), vocab_size=64, dim=16, num_layers=2, num_heads=2, epochs=0, path=folder / "tiny")
    place = folder / "library"
    place.mkdir()
    papers = [(topic, f"{topic}{number}", number) for topic in words for number in range(24)]
    text = [f"{name},{' '.join(np.roll(words[topic].split(), number)[:3])}" for topic, name, number in papers]
    (place / "nodes-paper.csv").write_text("paper,abstract\n" + "\n".join(text) + "\n")
    written = [f"{topic} {(number + turn) % 5},{name}" for topic, name, number in papers for turn in (0, 1)]
    (place / "author-writes-paper.csv").write_text("author,paper\n" + "\n".join(written) + "\n")
    cites = [f"{name},{topic}{(number + hop) % 24}" for topic, name, number in papers for hop in (1, 5)]
    (place / "paper-cites-paper.csv").write_text("from,to\n" + "\n".join(cites) + "\n")
    said = run(
        "train", "lmgnn", "library", "--text", "abstract", "--task", "link", "--lm", folder / "tiny", "--stages", "gnn",
        "--epochs", "20", "--dim", "8", "--set", "num_negatives=16", "--report", "-o", "out",
    ).stdout  # fmt: skip
    assert "of each relation's links for the test (seed 0)" in said
    rows = json.loads((folder / "out" / "result.json").read_text())["scores"]
    assert [(row["relation"], row["title"]) for row in rows] == [
        ("author writes paper", "lmgnn (gnn)"), ("author writes paper", "links of the other end"),
        ("paper cites paper", "lmgnn (gnn)"), ("paper cites paper", "TF-IDF, cosine"),
        ("paper cites paper", "links of the other end"),
    ]  # fmt: skip
    assert rows[0]["scores"]["MRR"] > rows[1]["scores"]["MRR"]
    page = (folder / "out" / "report.html").read_text()
    assert "Scores: author writes paper" in page
    assert "Scores: paper cites paper" in page
