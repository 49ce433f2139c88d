"""The probes gca, dmgi and planetoid against the protocols written out, one classifier at a time."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from graphrep.errors import GraphrepError, MissingLabelsError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.eval import EvalWarning, linear_probe
from graphrep.eval._linear_layer import f1_batch, one_vs_rest_auc


def blobs(n: int = 240, classes: int = 4, noise: float = 0.9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return (np.eye(classes)[y] + noise * rng.standard_normal((n, classes))).astype(np.float32), y


def thirds(n: int, train: int, val: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.random.default_rng(3).permutation(n)
    return order[:train], order[train : train + val], order[train + val :]


def one_layer(z, y, split, seed, *, steps, lr, weight_decay=0.0):
    """Predicted probabilities of the validation and test parts after each step: a loop over torch's own layer."""
    rows, labels = torch.from_numpy(z), torch.from_numpy(y)
    layer = torch.nn.Linear(z.shape[1], int(y.max()) + 1)
    torch.nn.init.xavier_uniform_(layer.weight, generator=torch.Generator().manual_seed(seed))
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(layer.parameters(), lr=lr, weight_decay=weight_decay)
    found = []
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(layer(rows[split[0]]), labels[split[0]]).backward()
        optimiser.step()
        with torch.no_grad():
            found.append([layer(rows[part]).softmax(1).numpy() for part in split[1:]])
    return found


def scores_of(y, probability):
    said = probability.argmax(1)
    return {
        "micro": f1_score(y, said, average="micro"),
        "macro": f1_score(y, said, average="macro", zero_division=0),
    }


# values


def test_dmgi_is_the_protocol_written_out() -> None:
    z, y = blobs()
    split = thirds(len(y), 40, 80)
    found = linear_probe(z, y, protocol="dmgi", split=split, seeds=[4, 9, 2], lr=0.05, weight_decay=0.01, steps=60)
    for place, seed in enumerate((4, 9, 2)):
        path = one_layer(z, y, split, seed, steps=60, lr=0.05, weight_decay=0.01)
        val = [scores_of(y[split[1]], p) for p, _ in path]
        at = {name: int(np.argmax([s[name] for s in val])) for name in ("micro", "macro")}
        assert found.best_step[place] == at["micro"] + 1
        for name, runs in (("micro", found.micro_f1_runs), ("macro", found.macro_f1_runs)):
            wanted = scores_of(y[split[2]], path[at[name]][1])[name]
            assert runs[place] == pytest.approx(wanted, abs=1e-12)
        area = roc_auc_score(y[split[2]], path[at["micro"]][1].astype(np.float64), multi_class="ovr", labels=range(4))
        assert found.auc_runs[place] == pytest.approx(area, abs=1e-4)
    assert found.auc == pytest.approx(np.mean(found.auc_runs))
    assert found.auc_std == pytest.approx(np.std(found.auc_runs))
    assert (found.std_over, found.rows[0].num_val) == ("classifier initialisations", 80)
    assert len(linear_probe(z, y, protocol="dmgi", split=split, steps=5).micro_f1_runs) == 50


@pytest.mark.parametrize("given", [True, False])
def test_gca_is_the_protocol_written_out(given) -> None:
    z, y = blobs()
    split = thirds(len(y), 40, 80) if given else None
    found = linear_probe(z, y, protocol="gca", split=split, seeds=[7, 1], steps=110)
    for place, seed in enumerate((7, 1)):
        order = np.random.default_rng(seed).permutation(len(y))
        parts = split if given else (order[:24], order[24:48], order[48:])
        path = one_layer(z, y, parts, seed, steps=110, lr=0.01)[19::20]
        best = int(np.argmax([scores_of(y[parts[1]], p)["micro"] for p, _ in path]))
        assert found.best_step[place] == 20 * (best + 1)
        wanted = scores_of(y[parts[2]], path[best][1])
        assert found.micro_f1_runs[place] == pytest.approx(wanted["micro"], abs=1e-12)
        assert found.macro_f1_runs[place] == pytest.approx(wanted["macro"], abs=1e-12)
    assert found.std_over == ("classifier initialisations" if given else "data splits")
    assert found.rows[0].train_ratio == (None if given else 0.1)
    assert found.selection == "validation micro-F1"


def test_gca_never_looks_at_the_test_part_unless_told_to() -> None:
    z, y = blobs(noise=1.5)
    train, val, test = thirds(len(y), 40, 80)
    options = {"protocol": "gca", "seeds": [0], "steps": 200}
    last = linear_probe(z, y, split=(train, test), **options)
    path = one_layer(z, y, (train, val, test), 0, steps=200, lr=0.01)
    assert last.micro_f1 == pytest.approx(scores_of(y[test], path[-1][1])["micro"])
    assert (last.best_step, last.selection) == ([200], "nothing (last step)")
    published = linear_probe(z, y, split=(train, test), selection="test (published)", **options)
    assert published.micro_f1 == pytest.approx(max(scores_of(y[test], p)["micro"] for _, p in path[19::20]))
    assert "TEST" in published.selection
    assert published.micro_f1 > last.micro_f1
    # Other labels in the test part change neither the step nor a parameter.
    other = y.copy()
    other[test] = np.roll(y[test], 1)
    validated = [linear_probe(z, labels, split=(train, val, test), **options) for labels in (y, other)]
    assert validated[0].best_step == validated[1].best_step


@pytest.mark.parametrize("normalize", [False, True])
def test_planetoid_is_the_protocol_written_out(normalize) -> None:
    z, y = blobs(noise=1.2)
    split = train, val, test = thirds(len(y), 60, 80)
    rows = z.astype(np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) if normalize else rows
    accuracy, models = [], []
    for c in 2.0 ** np.arange(-10, 10):
        models.append(LogisticRegression(C=c, tol=1e-8, max_iter=10_000).fit(rows[train], y[train]))
        accuracy.append(models[-1].score(rows[val], y[val]))
    best = int(np.argmax(accuracy))
    found = linear_probe(z, y, protocol="planetoid", split=split, normalize=normalize)
    assert found.best_c == [2.0 ** (best - 10)]
    assert found.micro_f1 == pytest.approx(models[best].score(rows[test], y[test]))
    assert found.features == ("unit rows" if normalize else "raw rows")
    assert found.features in str(found)


def test_planetoid_with_two_classes_has_the_penalty_of_both_weights() -> None:
    z, y = blobs(classes=2, noise=1.5)
    split = train, val, _ = thirds(len(y), 60, 80)
    found = linear_probe(z, y, protocol="planetoid", split=split)
    from graphrep.eval import logistic_regression

    scores = [
        np.mean(logistic_regression(z[train], y[train], c=c).predict(z[val]) == y[val])
        for c in 2.0 ** np.arange(-10, 10)
    ]
    assert found.best_c == [2.0 ** (int(np.argmax(scores)) - 10)]


# pieces


def test_f1_of_a_batch_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 5, 60), rng.integers(0, 4, (7, 60))
    found = f1_batch(torch.from_numpy(y), torch.from_numpy(said), 6)
    for row in range(7):
        assert found["micro"][row].item() == pytest.approx(f1_score(y, said[row], average="micro"))
        assert found["macro"][row].item() == pytest.approx(f1_score(y, said[row], average="macro", zero_division=0))


def test_auc_of_a_batch_is_scikit_learns_and_leaves_out_absent_classes() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 80)
    scores = rng.integers(1, 5, (4, 80, 3)).astype(np.float64)  # many ties
    found = one_vs_rest_auc(torch.from_numpy(y), torch.from_numpy(scores))
    wanted = [np.mean([roc_auc_score(y == k, row[:, k]) for k in range(3)]) for row in scores]
    assert found.tolist() == pytest.approx(wanted)
    wider = torch.cat([torch.from_numpy(scores), torch.rand(4, 80, 1, dtype=torch.float64)], dim=2)
    assert one_vs_rest_auc(torch.from_numpy(y), wider).tolist() == pytest.approx(wanted)
    assert torch.isnan(one_vs_rest_auc(torch.zeros(5, dtype=torch.int64), torch.rand(1, 5, 2))).all()


# properties


@pytest.mark.parametrize("protocol", ["gca", "dmgi", "planetoid"])
def test_names_of_classes_and_kinds_of_input_do_not_matter(protocol) -> None:
    z, y = blobs()
    split = thirds(len(y), 40, 80)
    options = {"protocol": protocol} | ({} if protocol == "planetoid" else {"seeds": [0, 1], "steps": 40})
    kept = z.copy()
    plain = linear_probe(z, y, split=split, **options)
    renamed = linear_probe(torch.from_numpy(z), np.array([3, 8, 50, 1000])[y], split=split, **options)
    masks = tuple(np.isin(np.arange(len(y)), part) for part in split)
    masked = linear_probe(z.astype(np.float64), torch.from_numpy(y), split=masks, **options)
    for other in (renamed, masked):
        assert other.micro_f1_runs == pytest.approx(plain.micro_f1_runs)
        assert other.macro_f1_runs == pytest.approx(plain.macro_f1_runs)
    assert np.array_equal(z, kept)
    assert json.loads(plain.to_json())["protocol"] == protocol


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_probes_train_inside_no_grad(mode) -> None:
    z, y = blobs()
    options = {"protocol": "dmgi", "split": thirds(len(y), 40, 80), "seeds": [0], "steps": 10}
    plain = linear_probe(z, y, **options)
    with mode():
        assert linear_probe(torch.from_numpy(z) + 0, y, **options).micro_f1 == plain.micro_f1


def test_unlabelled_nodes_are_left_out() -> None:
    z, y = blobs()
    train, val, test = thirds(len(y), 40, 80)
    hidden = y.copy()
    hidden[[train[0], val[0], test[0]]] = -1
    options = {"protocol": "dmgi", "seeds": [0], "steps": 20}
    found = linear_probe(z, hidden, split=(train, val, test), **options)
    fewer = linear_probe(z, y, split=(train[1:], val[1:], test[1:]), **options)
    assert found.micro_f1 == fewer.micro_f1
    assert (found.rows[0].num_train, found.rows[0].num_val, found.rows[0].num_test) == (39, 79, 119)


def test_a_class_that_only_the_test_part_has_counts_as_missed() -> None:
    z, y = blobs(120, 3)
    split = thirds(120, 40, 40)
    y[split[2][:5]] = 3
    for protocol, options in (("gca", {"seeds": [0], "steps": 20}), ("planetoid", {})):
        found = linear_probe(z, y, protocol=protocol, split=split, **options)
        assert found.num_classes == 4
        assert found.micro_f1 < 1


def test_printed_results_say_what_was_repeated_and_what_chose() -> None:
    z, y = blobs()
    split = thirds(len(y), 40, 80)
    said = str(linear_probe(z, y, protocol="dmgi", split=split, seeds=[0, 1], steps=10))
    assert "2 classifier initialisations (+- population std)" in said
    assert "AUC %" in said
    assert "chosen by validation, each score on its own" in said
    assert "40 train / 80 validation / 120 test nodes" in said
    said = str(linear_probe(z, y, protocol="gca", split=(split[0], split[2]), seeds=[0], steps=10))
    assert "1 classifier initialisation (single run)" in said
    assert "chosen by nothing (last step)" in said


# errors


def test_what_does_not_fit_is_refused() -> None:
    z, y = blobs(60)
    train, val, test = split = thirds(60, 20, 20)
    with pytest.raises(MissingLabelsError, match="dmgi needs a split"):
        linear_probe(z, y, protocol="dmgi")
    for protocol in ("dmgi", "planetoid"):
        with pytest.raises(MissingLabelsError, match="the split has none"):
            linear_probe(z, y, protocol=protocol, split=(train, test))
    with pytest.raises(MissingLabelsError, match="needs a validation part"):
        linear_probe(z, y, protocol="gca", split=(train, test), selection="validation")
    for given in (split, None):
        with pytest.raises(GraphrepError, match="without a validation part"):
            linear_probe(z, y, protocol="gca", split=given, selection="test (published)")
    with pytest.raises(UnknownNameError, match="selection"):
        linear_probe(z, y, protocol="gca", split=split, selection="best")
    with pytest.raises(GraphrepError, match=r"both val and test \(for example"):
        linear_probe(z, y, protocol="gca", split=(train, val, np.append(test, val[0])))
    with pytest.raises(GraphrepError, match=r"gca fixes lr itself.*\n.*dmgi"):
        linear_probe(z, y, protocol="gca", split=split, lr=0.1)
    with pytest.raises(GraphrepError, match="steps must be"):
        linear_probe(z, y, protocol="gca", split=split, steps=0)
    with pytest.raises(GraphrepError, match="lr must be positive"):
        linear_probe(z, y, protocol="dmgi", split=split, lr=-1)
    with pytest.raises(UnknownNameError, match=r"gca has no back end 'sklearn'"):
        linear_probe(z, y, protocol="gca", split=split, backend="sklearn")
    with pytest.raises(UnknownNameError, match=r"planetoid has no back end 'torch'"):
        linear_probe(z, y, protocol="planetoid", split=split, backend="torch")
    with pytest.raises(GraphrepError, match="nothing random"):
        linear_probe(z, y, protocol="planetoid", split=split, seeds=[0])
    with pytest.raises(ShapeError, match="two axes"):
        linear_probe(z, np.eye(4)[y], protocol="gca")
    with pytest.raises(ShapeError, match="no axis"):
        linear_probe(z, 3, protocol="gca")
    with pytest.raises(MissingLabelsError, match="are of class 2"):
        linear_probe(z, np.full(60, 2), protocol="planetoid", split=split)
    with pytest.raises(NonFiniteError, match="float32"):
        linear_probe(z.astype(np.float64) * 1e39, y, protocol="gca", split=split)
    with pytest.raises(NonFiniteError, match="diverged"):
        linear_probe(z * 1e30, y, protocol="dmgi", split=split, lr=1e12)


def test_planetoid_says_when_its_solver_did_not_arrive(monkeypatch) -> None:
    monkeypatch.setattr("graphrep.eval._planetoid._MAX_STEPS", 2)
    z, y = blobs()
    with pytest.warns(EvalWarning, match="did not converge in 2 steps for C ="):
        linear_probe(z, y, protocol="planetoid", split=thirds(len(y), 60, 80))


def test_no_warning_in_the_ordinary_case() -> None:
    z, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear_probe(z, y, protocol="planetoid", split=thirds(len(y), 60, 80))
