"""linear_probe: protocols, splits, back ends, edge cases."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier

from graphrep.errors import (
    DTypeError,
    GraphrepError,
    IndexRangeError,
    MissingLabelsError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.eval import EvalWarning, linear_probe
from graphrep.eval._splits import random_split

BACKENDS = ["torch", "sklearn"]


def blobs(n: int = 200, classes: int = 4, noise: float = 0.6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return np.eye(classes)[y] + noise * rng.standard_normal((n, classes)), y


def labelsets(n: int = 200, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.random((n, classes)) < 0.3
    y[np.arange(n), rng.integers(0, classes, n)] = True
    return y + 0.7 * rng.standard_normal((n, classes)), y


# values


def test_golden_grace(golden) -> None:
    g = golden("evaluation/probe_a")
    split = tuple(torch.from_numpy(g[f"{part}_idx"]) for part in ("train", "val", "test"))
    for backend in ("sklearn", "auto"):
        found = linear_probe(torch.from_numpy(g["z"]), torch.from_numpy(g["y"]), split=split, backend=backend)
        assert found.best_c == [float(g["ovr_best_C"])]
        assert found.micro_f1 == pytest.approx(float(g["ovr_micro"]), abs=1e-12)
        assert found.macro_f1 == pytest.approx(float(g["ovr_macro"]), abs=1e-12)
    assert found.backend == "torch"
    assert (found.seeds, found.rows[0].train_ratio, len(found.micro_f1_runs)) == ([], None, 1)


def test_grace_is_the_protocol_written_out() -> None:
    z, y = blobs(300, 3)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    micro, macro, chosen = [], [], []
    for seed in (5, 6):
        order = np.random.default_rng(seed).permutation(300)
        train, test = order[:30], order[30:]
        grid = {"estimator__C": 2.0 ** np.arange(-10, 10)}
        search = GridSearchCV(OneVsRestClassifier(LogisticRegression(solver="liblinear")), grid, cv=5)
        said = search.fit(unit[train], y[train]).predict(unit[test])
        micro.append(f1_score(y[test], said, average="micro"))
        macro.append(f1_score(y[test], said, average="macro"))
        chosen.append(search.best_params_["estimator__C"])
    for backend in BACKENDS:
        found = linear_probe(z, y, seeds=[5, 6], backend=backend)
        assert found.best_c == chosen
        assert found.micro_f1_runs == pytest.approx(micro)
        assert found.macro_f1_runs == pytest.approx(macro)
        assert found.micro_f1 == pytest.approx(np.mean(micro))
        assert found.micro_f1_std == pytest.approx(np.std(micro))
        assert found.macro_f1_std_sample == pytest.approx(np.std(macro, ddof=1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_deepwalk_is_the_protocol_written_out(backend) -> None:
    z, y = labelsets()
    found = linear_probe(
        z, y, protocol="deepwalk", train_ratios=(0.3, 0.5), c=0.5, seeds=[1], backend=backend, multilabel="topk"
    )
    order = np.random.default_rng(1).permutation(200)
    for row, size in zip(found.rows, (60, 100), strict=True):
        train, test = order[:size], order[size:]
        scores = np.column_stack(
            [
                LogisticRegression(solver="liblinear", C=0.5).fit(z[train], y[train, k]).decision_function(z[test])
                for k in range(5)
            ]
        )
        said = np.zeros((len(test), 5), dtype=bool)
        for i, node in enumerate(test):
            said[i, np.argsort(scores[i])[::-1][: y[node].sum()]] = True
        assert row.micro_f1 == pytest.approx(f1_score(y[test], said, average="micro"), abs=2e-3)
        assert row.macro_f1 == pytest.approx(f1_score(y[test], said, average="macro"), abs=2e-3)
        assert (row.num_train, row.num_test) == (size, 200 - size)
    assert found.micro_f1 == found.rows[0].micro_f1


@pytest.mark.parametrize(("n", "classes", "noise"), [(60, 2, 0.5), (90, 3, 0.01), (150, 6, 1.5)], ids=str)
def test_back_ends_agree(n, classes, noise) -> None:
    z, y = blobs(n, classes, noise)
    split = (np.arange(n // 2), None, np.arange(n // 2, n))
    ours, theirs = (linear_probe(z, y, split=split, backend=backend) for backend in BACKENDS)
    assert ours.best_c == theirs.best_c
    assert ours.micro_f1 == pytest.approx(theirs.micro_f1, abs=1e-4)
    assert ours.macro_f1 == pytest.approx(theirs.macro_f1, abs=1e-4)


def test_back_ends_agree_on_imbalanced_classes() -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(4, 500, p=[0.9, 0.06, 0.03, 0.01])
    z = np.eye(4)[y] + 0.5 * rng.standard_normal((500, 4))
    ours, theirs = (linear_probe(z, y, protocol="deepwalk", backend=backend, seeds=[0]) for backend in BACKENDS)
    for a, b in zip(ours.rows, theirs.rows, strict=True):
        assert a.micro_f1 == pytest.approx(b.micro_f1, abs=1e-4)
        assert a.macro_f1 == pytest.approx(b.macro_f1, abs=1e-4)


# properties


@pytest.mark.parametrize("protocol", ["grace", "deepwalk"])
def test_names_of_classes_do_not_matter(protocol) -> None:
    z, y = blobs()
    plain = linear_probe(z, y, protocol=protocol, seeds=[0])
    renamed = linear_probe(z, np.array([1000, 3, 77, 8])[y], protocol=protocol, seeds=[0])
    assert renamed.num_classes == 4
    assert renamed.micro_f1 == pytest.approx(plain.micro_f1)
    assert renamed.macro_f1 == pytest.approx(plain.macro_f1)


def test_grace_ignores_the_length_of_rows() -> None:
    z, y = blobs()
    scaled = z * np.random.default_rng(1).uniform(1e-3, 1e3, (200, 1))
    assert linear_probe(scaled, y).micro_f1_runs == pytest.approx(linear_probe(z, y).micro_f1_runs)


def test_unlabelled_nodes_change_nothing_but_the_split() -> None:
    z, y = blobs()
    split = (np.arange(50), np.arange(0), np.arange(50, 200))
    hidden = np.array([3, 60, 61])
    fewer = tuple(np.setdiff1d(part, hidden) for part in split)
    known = y.copy()
    known[hidden] = -1
    assert linear_probe(z, known, split=split).micro_f1 == linear_probe(z, y, split=fewer).micro_f1
    random = linear_probe(z, known, seeds=[0]).rows[0]
    assert (random.num_train, random.num_test) == (19, 178)


def test_tensors_and_arrays_agree_and_are_not_modified() -> None:
    z, y = blobs()
    given = torch.from_numpy(z.astype(np.float32)).requires_grad_()
    before = given.detach().clone()
    found = linear_probe(given, torch.from_numpy(y).int(), seeds=[0])
    assert found.micro_f1 == linear_probe(z.astype(np.float32), y, seeds=[0]).micro_f1
    assert torch.equal(given.detach(), before)
    assert linear_probe(torch.from_numpy(z).bfloat16(), y, seeds=[0]).micro_f1 == pytest.approx(found.micro_f1, abs=0.1)


def test_masks_are_splits_too() -> None:
    z, y = blobs()
    train = np.arange(200) < 50
    ids = linear_probe(z, y, split=(np.arange(50), None, np.arange(50, 200)))
    assert linear_probe(z, y, split=(train, ~train)).micro_f1 == ids.micro_f1


def test_random_splits_nest_and_cover() -> None:
    small, large = random_split(70, 0.1, 3), random_split(70, 0.9, 3)
    assert np.array_equal(large[0][:7], small[0])
    assert len(large[0]) == 63
    assert np.array_equal(np.sort(np.concatenate(small)), np.arange(70))
    assert not np.array_equal(small[0], random_split(70, 0.1, 4)[0])
    assert len(random_split(100, 0.29, 0)[0]) == 29


# edge cases


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("protocol", ["grace", "deepwalk"])
def test_a_class_missing_from_training_is_never_predicted(protocol, backend) -> None:
    z, y = blobs(120, 3, 0.05)
    train = np.flatnonzero(y != 2)[:40]
    test = np.setdiff1d(np.arange(120), train)
    found = linear_probe(z, y, protocol=protocol, split=(train, None, test), backend=backend)
    said_right = (y[test] != 2).mean()
    assert found.micro_f1 == pytest.approx(said_right)
    assert found.num_classes == 3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("protocol", ["grace", "deepwalk"])
def test_a_single_training_class_is_always_predicted(protocol, backend) -> None:
    z, y = blobs(60, 2, 0.05)
    train = np.flatnonzero(y == 1)[:10]
    test = np.setdiff1d(np.arange(60), train)
    found = linear_probe(z, y, protocol=protocol, split=(train, None, test), backend=backend)
    assert found.micro_f1 == pytest.approx((y[test] == 1).mean())


@pytest.mark.parametrize("backend", BACKENDS)
def test_multilabel_class_missing_from_training_is_never_predicted(backend) -> None:
    z, y = labelsets(80, 3)
    y[:40, 2] = False
    y[:40, 0] |= ~y[:40].any(1)
    y[40:, 2] = True
    split = (np.arange(40), None, np.arange(40, 80))
    found = linear_probe(z, y, protocol="deepwalk", split=split, backend=backend)
    assert found.macro_f1 <= 2 / 3
    assert found.micro_f1 < 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_few_nodes_of_a_class_use_fewer_folds_and_say_so(backend) -> None:
    z, y = blobs(60, 2, 0.1)
    train = np.concatenate([np.flatnonzero(y == 0)[:3], np.flatnonzero(y == 1)[:2]])
    split = (train, None, np.setdiff1d(np.arange(60), train))
    with pytest.warns(EvalWarning, match="3 folds instead of 5"):
        assert linear_probe(z, y, split=split, backend=backend).micro_f1 > 0.9


def test_zero_rows_stay_zero() -> None:
    z, y = blobs()
    z[::10] = 0
    for backend in BACKENDS:
        assert 0.5 < linear_probe(z, y, seeds=[0], backend=backend).micro_f1 < 1
    assert linear_probe(np.zeros((100, 3)), np.arange(100) % 2, seeds=[0]).micro_f1 <= 0.6


def test_multilabel_nodes_without_labels_are_left_out() -> None:
    z, y = labelsets()
    y[:20] = False
    row = linear_probe(z, y, protocol="deepwalk", train_ratios=[0.5], seeds=[0]).rows[0]
    assert row.num_train + row.num_test == 180


def test_threshold_is_another_rule() -> None:
    z, y = labelsets()
    best = linear_probe(z, y, protocol="deepwalk", train_ratios=[0.5], seeds=[0])
    honest = linear_probe(z, y, protocol="deepwalk", train_ratios=[0.5], seeds=[0], multilabel="threshold")
    assert (best.multilabel, honest.multilabel) == ("topk", "threshold")
    assert honest.micro_f1 != best.micro_f1
    assert linear_probe(z, y.argmax(1), protocol="deepwalk", train_ratios=[0.5]).multilabel is None


# what is printed


def test_result_prints_and_writes_json() -> None:
    z, y = blobs()
    found = linear_probe(z, y, protocol="deepwalk", train_ratios=[0.2, 0.5], c=2.0)
    assert "5 data splits" in str(found)
    assert "+-" in str(found)
    assert str(found).count("\n") == 3
    read = json.loads(found.to_json())
    assert read["protocol"] == "deepwalk"
    assert read["rows"][1]["train_ratio"] == 0.5
    assert read["std_over"] == "data splits"
    assert read["best_c"] == [2.0] * 5
    single = linear_probe(z, y, seeds=[3])
    assert "single run" in str(single)
    assert math.isnan(single.micro_f1_std_sample)
    assert json.loads(single.to_json())["micro_f1_std_sample"] is None


# errors


def test_unknown_names() -> None:
    z, y = blobs()
    with pytest.raises(UnknownNameError, match=r"protocol 'dgmi'.*\n.*grace \| gca \| dmgi \| deepwalk"):
        linear_probe(z, y, protocol="dgmi")
    with pytest.raises(UnknownNameError, match=r"unknown probe protocol 'grce'.*\n.*grace \| gca"):
        linear_probe(z, y, protocol="grce")
    with pytest.raises(UnknownNameError, match="back end 'cuml'"):
        linear_probe(z, y, backend="cuml")
    with pytest.raises(UnknownNameError, match="topk"):
        linear_probe(z, np.eye(4)[y], protocol="deepwalk", multilabel="best")


def test_bad_numbers() -> None:
    z, y = blobs()
    z[7, 2] = np.nan
    with pytest.raises(NonFiniteError, match=r"z holds nan at \(7, 2\)"):
        linear_probe(z, y)
    z, y = blobs()
    with pytest.raises(ShapeError, match="200 rows and y has 199"):
        linear_probe(z, y[1:])
    with pytest.raises(ShapeError, match="one label per node"):
        linear_probe(z, np.eye(4)[y])
    with pytest.raises(MissingLabelsError, match="none of the 200"):
        linear_probe(z, np.full(200, -1))
    with pytest.raises(MissingLabelsError, match="no class has two"):
        linear_probe(z, np.arange(200))
    with pytest.raises(MissingLabelsError, match="leaves 0 to train"):
        linear_probe(z[:5], y[:5])
    with pytest.raises(GraphrepError, match="c must be positive"):
        linear_probe(z, y, protocol="deepwalk", c=-1)
    with pytest.raises(GraphrepError, match="between 0 and 1"):
        linear_probe(z, y, protocol="deepwalk", train_ratios=[10])
    with pytest.raises(DTypeError, match="sequence of ints"):
        linear_probe(z, y, seeds=5)
    with pytest.raises(GraphrepError, match="at least one seed"):
        linear_probe(z, y, seeds=[])


def test_options_of_another_protocol_are_refused() -> None:
    z, y = blobs()
    with pytest.raises(GraphrepError, match="grace fixes c"):
        linear_probe(z, y, c=1.0)
    with pytest.raises(GraphrepError, match="either split or train_ratios"):
        linear_probe(z, y, protocol="deepwalk", split=([0], [1]), train_ratios=[0.1])
    with pytest.raises(GraphrepError, match="one label per node"):
        linear_probe(z, y, protocol="deepwalk", multilabel="topk")


def test_bad_splits() -> None:
    z, y = blobs()
    with pytest.raises(GraphrepError, match="1 nodes are in both train and test"):
        linear_probe(z, y, split=([0, 1, 2], None, [2, 3]))
    with pytest.raises(GraphrepError, match="both train and val"):
        linear_probe(z, y, split=([0, 1, 2], [1], [3]))
    with pytest.raises(IndexRangeError, match="node 200 of 200"):
        linear_probe(z, y, split=([0, 1], None, [200]))
    with pytest.raises(ShapeError, match="train, val, test"):
        linear_probe(z, y, split=([0, 1],))
    with pytest.raises(GraphrepError, match="twice"):
        linear_probe(z, y, split=([0, 0, 1], None, [5]))
    with pytest.raises(DTypeError, match="ids"):
        linear_probe(z, y, split=([0.5, 1.0], None, [5]))
    with pytest.raises(MissingLabelsError, match="0 labelled test"):
        linear_probe(z, y, split=([0, 1], None, []))


# a real graph


@pytest.mark.slow
def test_blogcatalog_deepwalk_agrees_with_sklearn(data_root) -> None:
    """Spectral vectors of BlogCatalog, 10 % labels: the batched solver scores as liblinear does."""
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import eigsh

    with np.load(data_root / "embedding" / "blogcatalog.npz", allow_pickle=False) as archive:
        num_nodes, edges, y = int(archive["num_nodes"]), archive["edge_index"], archive["y"]
    adjacency = csr_matrix((np.ones(edges.shape[1]), edges), shape=(num_nodes, num_nodes))
    scale = diags(1 / np.sqrt(np.asarray(adjacency.sum(1)).ravel()))
    z = eigsh(scale @ adjacency @ scale, k=64, v0=np.ones(num_nodes))[1]
    z = (z - z.mean(0)) / z.std(0)
    ours, theirs = (
        linear_probe(z, y, protocol="deepwalk", train_ratios=[0.1], seeds=[0, 1], c=0.1, backend=backend)
        for backend in BACKENDS
    )
    assert ours.micro_f1_runs == pytest.approx(theirs.micro_f1_runs, abs=1e-4)
    assert ours.macro_f1_runs == pytest.approx(theirs.macro_f1_runs, abs=1e-3)
    assert ours.micro_f1 > 0.33
