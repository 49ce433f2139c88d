"""Reading and sorting edges on several threads: the same graph as on one, whatever the parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import _int_rows, _pairs
from graphrep.errors import EdgeListError


@pytest.fixture
def _many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_int_rows, "_PART_BYTES", 16)
    monkeypatch.setattr(_int_rows, "num_threads", lambda: 3)


def edge_file(path: Path, *, bad: int | None = None) -> Path:
    generator = np.random.default_rng(0)
    lines = [
        f"{a} {b} {w:.3f}" for a, b, w in zip(*generator.integers(0, 50, (2, 200)), generator.random(200), strict=True)
    ]
    for place in (3, 60, 61, 150):
        lines.insert(place, "# a comment" if place % 2 else "")
    if bad is not None:
        lines[bad] = "1 2"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.usefixtures("_many_parts")
def test_parts_do_not_change_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = edge_file(tmp_path / "edges.txt")
    parts = gr.read(path)
    monkeypatch.setattr(_int_rows, "num_threads", lambda: 1)
    whole = gr.read(path)
    assert torch.equal(parts.edge_index, whole.edge_index)
    assert torch.equal(parts.edge_weight, whole.edge_weight)
    assert parts.report == whole.report


@pytest.mark.usefixtures("_many_parts")
def test_the_first_bad_line_is_named(tmp_path: Path) -> None:
    path = edge_file(tmp_path / "edges.txt", bad=180)
    lines = path.read_text().splitlines()
    lines[190] = "7"
    path.write_text("\n".join(lines))
    with pytest.raises(EdgeListError, match="line 181"):
        gr.read(path)


@given(st.integers(1, 12), st.integers(0, 60), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_ranges_of_nodes_do_not_change_the_order(
    num_nodes: int, edges: int, directed: bool, loops: bool, weighted: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    source, destination = generator.integers(0, num_nodes, (2, edges)).astype(np.int32)
    weight = generator.random(edges) if weighted else np.empty(0)
    one, many = [], []
    for threads, found in ((1, one), (4, many)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_pairs, "num_threads", lambda threads=threads: threads)
            patch.setattr(_pairs, "SMALL_WORK", 0)
            pointer, code, sorted_weight, count = _pairs.sort_pairs(
                source, destination, weight, num_nodes, directed, loops
            )
            found += [pointer, code, sorted_weight, np.int64(count)]
            if not directed:  # the ends of an undirected pair are ordered, which is what the second step takes
                found += _pairs.both_directions(pointer, (code >> 1).astype(np.int32), sorted_weight)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)
    high = np.repeat(np.arange(num_nodes), np.diff(one[0]))
    ends = np.stack([high, one[1] >> 1])
    assert bool((np.diff(ends[0] * num_nodes + ends[1]) >= 0).all())
