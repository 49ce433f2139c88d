"""Rules that hold for all scores (NaN raises, inputs stay), k-means in torch, tall matrices, the sampled limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

import graphrep.eval as ev
from graphrep.errors import GraphrepError, NonFiniteError, UnknownNameError
from graphrep.eval.spectrum import triangle

RNG = np.random.default_rng(0)
Z, Y = RNG.standard_normal((60, 4)), RNG.integers(0, 3, 60)
EDGES = RNG.integers(0, 60, (2, 90))
SPLIT = np.arange(20), np.arange(20, 40), np.arange(40, 60)

CALLS = {
    **{
        f"probe {p}": (lambda z, p=p, s=s: ev.linear_probe(z, Y, protocol=p, split=SPLIT, **s))
        for p, s in {"grace": {}, "gca": {"steps": 20}, "dmgi": {"steps": 2}, "deepwalk": {}, "planetoid": {}}.items()
    },
    "logistic_regression": lambda z: ev.logistic_regression(z, Y),
    "kmeans": lambda z: ev.kmeans(z, 2),
    "kmeans torch": lambda z: ev.kmeans(z, 2, backend="torch"),
    "silhouette": lambda z: ev.partition_scores(EDGES, Y, x=z),
    "link_scores": lambda z: ev.link_scores(z[:, 0], z[:, 1]),
    "own negatives": lambda z: ev.link_scores(z[:, 0], z[:, 1:]),
    "multilabel": lambda z: ev.multilabel_scores(z, z > 0),
    "topk scores": lambda z: ev.topk_metrics(z, None, None, _items(60, 4)),
    "topk vectors": lambda z: ev.topk_metrics(z, Z[:4], None, _items(60, 4)),
    "rank_items": lambda z: ev.rank_items(z),
    "reconstruction": lambda z: ev.reconstruction(z, EDGES),
    **{
        name: (lambda z, name=name: getattr(ev, name)(z))
        for name in (
            "rankme", "effective_rank", "stable_rank", "participation_ratio", "mean_feature_std", "uniformity",
        )
    },
    "alignment": lambda z: ev.alignment(z, Z),
    "summarize": lambda z: ev.summarize(z[:, 0]),
    "compare": lambda z: ev.compare(z[:, 0], Z[:, 0]),
}  # fmt: skip


def _items(users: int, items: int):
    import scipy.sparse as sp

    return sp.csr_matrix(np.eye(users, items) + np.eye(users, items)[::-1] > 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(CALLS))
def test_nan_raises_and_inputs_are_not_modified(name) -> None:
    z = Z.copy()
    CALLS[name](z)
    assert np.array_equal(z, Z)
    bad = Z.copy()
    bad[0, 0] = np.nan
    with pytest.raises(NonFiniteError):
        CALLS[name](bad)
    with pytest.raises(NonFiniteError):
        CALLS[name](torch.from_numpy(bad))


def test_nan_p_values_raise() -> None:
    with pytest.raises(NonFiniteError):
        ev.holm([0.1, np.nan])


# k-means in torch


def blobs(n: int = 300, k: int = 5, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 6 * rng.standard_normal((k, 3))[rng.integers(0, k, n)] + rng.standard_normal((n, 3))


def inertia(z: np.ndarray, labels: np.ndarray) -> float:
    return sum(float(np.square(z[labels == k] - z[labels == k].mean(0)).sum()) for k in np.unique(labels))


@pytest.mark.parametrize(("entries", "k"), [(1 << 22, 1), (1 << 22, 2), (1 << 22, 6), (64, 3)])
def test_torch_kmeans_is_as_good_as_scikit_learns(monkeypatch, entries, k) -> None:
    monkeypatch.setattr("graphrep.eval._kmeans._CPU_ENTRIES", entries)
    z = blobs(120)
    ours = ev.kmeans(torch.from_numpy(z), k, backend="torch")
    theirs = KMeans(k, n_init=10, random_state=0).fit(z)
    assert len(np.unique(ours)) == k
    assert inertia(z, ours) == pytest.approx(inertia(z, theirs.labels_), rel=0.02)


def test_torch_kmeans_finds_clear_blobs_whatever_the_offset() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    z = 1e6 + 20 * np.eye(4)[truth] + rng.standard_normal((200, 4))
    found = ev.kmeans(z, 4, backend="torch")
    assert ev.cluster_scores(truth, found).acc == 1.0
    assert np.array_equal(found, ev.kmeans(z, 4, backend="torch"))


def test_torch_kmeans_with_as_many_clusters_as_rows_or_equal_rows() -> None:
    z = np.arange(7.0)[:, None]
    assert sorted(ev.kmeans(z, 7, backend="torch")) == list(range(7))
    assert len(ev.kmeans(np.ones((5, 2)), 3, backend="torch")) == 5
    with pytest.raises(UnknownNameError, match="k-means back end"):
        ev.kmeans(z, 2, backend="faiss")


# spectrum


@pytest.mark.parametrize("rows", [5, 30, 41, 100])
def test_triangle_of_a_tall_matrix_keeps_the_singular_values(monkeypatch, rows) -> None:
    monkeypatch.setattr("graphrep.eval.spectrum._QR_ROWS", 16)
    z = np.random.default_rng(0).standard_normal((rows, 20)) * 10.0 ** -np.arange(20)
    short = triangle(z)
    assert len(short) <= max(20, rows if rows <= 20 else 20)
    wanted = np.linalg.svd(z, compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(short, compute_uv=False), wanted, rtol=1e-6, atol=1e-18 * wanted[0])
    assert ev.rankme(z) == pytest.approx(float(np.exp(-_entropy(wanted))), rel=1e-12)


def _entropy(sigma: np.ndarray) -> float:
    p = sigma / sigma.sum() + 1e-7
    return float((p * np.log(p)).sum())


def test_powers_and_temperatures_must_be_positive() -> None:
    with pytest.raises(GraphrepError, match="alpha must be positive"):
        ev.alignment(Z, Z, alpha=0)
    with pytest.raises(GraphrepError, match="t must be positive"):
        ev.uniformity(Z, t=float("inf"))
