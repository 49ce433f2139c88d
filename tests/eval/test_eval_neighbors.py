"""The nearest-neighbour index: exact search against the full matrix, faiss, ids, files, errors."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch

import graphrep as gr
from graphrep.data.embeddings import Embeddings
from graphrep.data.tensor_files import read_tensors, write_tensors
from graphrep.errors import (
    DTypeError,
    FileFormatError,
    GraphrepError,
    IndexRangeError,
    MissingExtraError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.eval import NearestIndex

METRICS = ["cosine", "dot", "euclidean"]
faiss_only = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="needs faiss")


def vectors(n: int = 50, d: int = 5, seed: int = 0) -> np.ndarray:
    z = np.random.default_rng(seed).standard_normal((n, d))
    z[3] = 0
    z[20] = z[10]  # a tie for every query
    return z


def full(query: np.ndarray, z: np.ndarray, metric: str) -> np.ndarray:
    if metric == "euclidean":
        return -np.linalg.norm(query[:, None] - z[None], axis=2)
    if metric == "cosine":
        query, z = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-300) for a in (query, z))
    return query @ z.T


# exact search


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("blocks", [(256, 16384), (3, 7)])
def test_search_equals_the_full_matrix(monkeypatch, metric, blocks) -> None:
    monkeypatch.setattr("graphrep.eval._exact._QUERIES", blocks[0])
    monkeypatch.setattr("graphrep.eval._exact._ROWS", blocks[1])
    z, query = vectors(), np.random.default_rng(1).standard_normal((8, 5))
    found, score = gr.index(z, metric=metric).search(query, k=12)
    wanted = full(query, z, metric)
    order = np.argsort(-wanted.round(12), axis=1, kind="stable")[:, :12]
    assert np.array_equal(found, order)
    np.testing.assert_allclose(score, np.take_along_axis(wanted, order, 1), atol=1e-7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("blocks", [(256, 16384), (3, 7)])
def test_neighbours_leave_out_the_row_itself(monkeypatch, metric, blocks) -> None:
    monkeypatch.setattr("graphrep.eval._exact._QUERIES", blocks[0])
    monkeypatch.setattr("graphrep.eval._exact._ROWS", blocks[1])
    z = vectors()
    wanted = full(z, z, metric).round(12)
    np.fill_diagonal(wanted, -np.inf)
    steps = []
    found, score = gr.index(z, metric=metric).neighbors(k=6, progress=lambda *seen: steps.append(seen))
    assert np.array_equal(found, np.argsort(-wanted, axis=1, kind="stable")[:, :6])
    np.testing.assert_allclose(score, -np.sort(-wanted, axis=1)[:, :6], atol=1e-7)
    assert steps[-1] == (50, 50)
    some, _ = gr.index(z, metric=metric).neighbors([7, 0, 7], k=6)
    assert np.array_equal(some, found[[7, 0, 7]])


def test_kinds_of_input_and_sizes() -> None:
    z = vectors().astype(np.float32)
    index = gr.index(torch.from_numpy(z), ids=[f"n{i}" for i in range(50)])
    one, score = index.search(torch.from_numpy(z[4]), k=2)
    assert one.shape == score.shape == (2,)
    assert one[0] == "n4"
    assert index.search(z[:3].tolist(), k=99)[0].shape == (3, 50)
    assert gr.index(z).neighbors([0], k=99)[0].shape == (1, 49)
    assert gr.index(z[:1]).neighbors([0], k=5)[0].shape == (1, 0)
    assert gr.index(z.astype(np.float16)).search(z[4].astype(np.float16), 1)[0].tolist() == [4]
    assert gr.index(np.eye(3, dtype=np.int64)).search([0, 0, 1], 1)[0].tolist() == [2]
    assert (index.dim, len(index), index.backend, index.metric) == (5, 50, "exact", "cosine")
    assert repr(index) == "NearestIndex(50 x 5, cosine, exact search, text ids)"
    same = gr.index(Embeddings(np.arange(100, 150), z))
    assert same.search(z[4], 1)[0].tolist() == [104]


def test_zero_and_huge_rows_have_a_cosine() -> None:
    z = np.array([[0.0, 0.0], [1e200, 0.0], [0.0, 1e-200], [1e-320, 1e-320]])
    found, score = gr.index(z).search([1.0, 1.0], k=4)
    assert np.isfinite(score).all()
    assert found[0] == 3
    assert score.round(6).tolist() == [1.0, 0.707107, 0.707107, 0.0]


# files


@pytest.mark.parametrize("ids", [None, np.arange(50) * 3, np.array([f"Ä{i}" for i in range(50)])], ids=str)
def test_saved_and_loaded(tmp_path, ids) -> None:
    z = vectors()
    index = gr.index(z, metric="dot", ids=ids)
    back = NearestIndex.load(index.save(tmp_path / "a.safetensors"))
    assert repr(back) == repr(index)
    (found, score), (again, rescored) = index.search(z[:5], 4), back.search(z[:5], 4)
    assert np.array_equal(found, again)
    np.testing.assert_allclose(score, rescored, rtol=1e-14)  # products may differ with the alignment of the memory
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_files_that_are_no_index(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(FileFormatError):
        NearestIndex.load(path)
    write_tensors(path, {"x": torch.zeros(1)}, {})
    with pytest.raises(FileFormatError, match="no index"):
        NearestIndex.load(path)
    gr.index(vectors(), ids=range(50)).save(path)
    tensors, metadata = read_tensors(path)
    write_tensors(path, {**tensors, "ids": tensors["ids"][:3]}, metadata)
    with pytest.raises(FileFormatError, match="3 ids for 50 rows"):
        NearestIndex.load(path)
    write_tensors(path, {"ids": tensors["ids"]}, metadata)
    with pytest.raises(FileFormatError, match="no vectors"):
        NearestIndex.load(path)


# faiss


@faiss_only
@pytest.mark.parametrize("metric", METRICS)
def test_faiss_equals_exact_search_of_few_rows(metric) -> None:
    z = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    exact, other = (gr.index(z, metric=metric, backend=name) for name in ("exact", "faiss"))
    assert other.backend == "faiss"
    for a, b in (
        (exact.search(z[:20] + 0.1, 5), other.search(z[:20] + 0.1, 5)),
        (exact.neighbors([1, 5], 7), other.neighbors([1, 5], 7)),
    ):
        assert np.array_equal(a[0], b[0])
        np.testing.assert_allclose(a[1], b[1], atol=2e-5)  # float32 sums of squares


@faiss_only
@pytest.mark.parametrize("metric", METRICS)
def test_faiss_lists_find_nearly_all_and_the_same_each_time(monkeypatch, tmp_path, metric) -> None:
    monkeypatch.setattr("graphrep.eval._faiss._FLAT_ROWS", 1000)
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((40, 8))[rng.integers(0, 40, 3000)] + 0.3 * rng.standard_normal((3000, 8))).astype(
        np.float32
    )
    index = gr.index(z, metric=metric, backend="faiss", ids=np.arange(3000) + 7)
    assert "of 76 lists" in repr(index)
    rows = np.arange(0, 3000, 30)
    found, score = index.neighbors(rows, 10)
    assert not (found == rows[:, None]).any()
    true, _ = gr.index(z, metric=metric).neighbors(rows, 10)
    assert np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, true, strict=True)]) > (
        0.85 if metric == "dot" else 0.95
    )
    again = gr.index(z, metric=metric, backend="faiss").neighbors(rows, 10)
    assert np.array_equal(again[0], found)
    assert np.array_equal(again[1], score)
    back = NearestIndex.load(index.save(tmp_path / "a.safetensors"))
    assert np.array_equal(back.neighbors(rows, 10)[0], found)
    assert back.search(z[:2], 3)[0].tolist() == index.search(z[:2], 3)[0].tolist()
    everything = index.search(z[:2], 3000)[0]  # more than the lists looked through hold
    assert np.array_equal(np.sort(everything, axis=1), np.tile(np.arange(3000) + 7, (2, 1)))


@faiss_only
def test_auto_takes_faiss_for_many_rows_only(monkeypatch) -> None:
    assert gr.index(vectors()).backend == "exact"
    monkeypatch.setattr("graphrep.eval.neighbors._LARGE", 10)
    assert gr.index(vectors(), backend="auto").backend == "faiss"
    assert gr.index(vectors(), backend="exact").backend == "exact"
    monkeypatch.setattr("graphrep.eval.neighbors.available", lambda: False)
    assert gr.index(vectors(), backend="auto").backend == "exact"


@faiss_only
def test_a_damaged_faiss_index_is_refused(tmp_path) -> None:
    path = gr.index(vectors(), backend="faiss").save(tmp_path / "a.safetensors")
    tensors, metadata = read_tensors(path)
    write_tensors(path, {"faiss": tensors["faiss"][:20]}, metadata)
    with pytest.raises(FileFormatError, match="no readable faiss index"):
        NearestIndex.load(path)


def test_without_faiss_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"graphrep\[ann\]"):
        gr.index(vectors(), backend="faiss")


# errors


def test_errors() -> None:
    z = vectors()
    with pytest.raises(UnknownNameError, match="metric"):
        gr.index(z, metric="l2")
    with pytest.raises(UnknownNameError, match="back end"):
        gr.index(z, backend="annoy")
    with pytest.raises(NonFiniteError):
        gr.index(np.where(z == z.max(), np.nan, z))
    with pytest.raises(ShapeError, match="not empty"):
        gr.index(z[:0])
    with pytest.raises(ShapeError, match="ids must be 50"):
        gr.index(z, ids=[1, 2])
    with pytest.raises(DTypeError):
        gr.index(z.astype(bool))
    index = gr.index(z)
    with pytest.raises(ShapeError, match="the index has 5"):
        index.search([1.0, 2.0])
    with pytest.raises(NonFiniteError, match="query"):
        index.search([np.nan] * 5)
    with pytest.raises(GraphrepError, match="k must be"):
        index.search(z[0], k=0)
    with pytest.raises(IndexRangeError):
        index.neighbors([50])
