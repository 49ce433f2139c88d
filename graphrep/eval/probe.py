"""Linear probe: node classification on frozen embeddings, by the protocols that published numbers name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, MissingLabelsError, ShapeError, UnknownNameError
from graphrep.eval._arrays import as_labels, as_matrix, as_numpy, choose, drop_unlabelled, unit_rows
from graphrep.eval._f1 import single_label_f1
from graphrep.eval._ovr import Classifier, make_backend
from graphrep.eval._probe_result import ProbeResult, ProbeRow
from graphrep.eval._splits import check_seeds, given_split, random_split
from graphrep.eval.multilabel import as_indicator, multilabel_scores

__all__ = ["PROTOCOLS", "linear_probe"]

PROTOCOLS = ("grace", "deepwalk")
_LATER = ("gca", "dmgi", "planetoid")  # named in the literature, not written yet
_RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Split = tuple[float | None, list[tuple[Ints, Ints]]]  # a train ratio and its (train, test) repeats


def linear_probe(
    z: Any,
    y: Any,
    *,
    protocol: str = "grace",
    split: Any = None,
    seeds: Sequence[int] | None = None,
    backend: str = "auto",
    train_ratios: Sequence[float] | None = None,
    c: float | None = None,
    multilabel: str | None = None,
) -> ProbeResult:
    """How well a linear classifier reads the labels off the embedding.

    Both protocols fit one-vs-rest logistic regression with an L2 penalty that includes the bias (liblinear's):

    - ``grace`` (Zhu et al. 2020): rows scaled to unit norm (zero rows stay zero), random 10 % train / 90 % test not
      stratified, C in 2^-10 ... 2^9 by 5-fold cross-validation inside the 10 % (stratified in node order, accuracy, the
      smallest C among equals), 3 splits.
    - ``deepwalk`` (Perozzi et al. 2014; FastRP, node2vec, GraphVite): rows as given, the first r % of a random order
      train, C fixed, 5 shuffles, a row per ratio. Multi-label data by the top-k rule; nodes without label are left out.

    Both repeat data splits of one embedding: the spread says nothing about retraining the method. A class missing from
    a training part is never predicted. For single-label data micro-F1 is the accuracy and macro-F1 averages over the
    classes in the truth or the prediction of the test part.

    Args:
        z: (N, d) embeddings, tensor on any device or array.
        y: (N,) integer labels, any values, -1 = unlabelled and left out; for ``deepwalk`` also (N, C) of 0 and 1.
        protocol: "grace" or "deepwalk".
        split: (train, val, test) node ids or masks, in place of random splits; gives a single repeat. The validation
            part is not used by these protocols.
        seeds: one per random split; default range(3) for grace, range(5) for deepwalk.
        backend: "torch": all C, folds and classes in one batched Newton solver, on the device of `z`; "sklearn": the
            reference, one liblinear fit at a time; "auto": torch.
        train_ratios: deepwalk only, shares of labelled nodes to train on; default 0.1 ... 0.9.
        c: deepwalk only, inverse penalty; default 1.0.
        multilabel: deepwalk with (N, C) labels only, "topk" (default) or "threshold".

    Returns:
        ProbeResult; F1 between 0 and 1.

    Raises:
        UnknownNameError: no such protocol (others of the literature are not provided yet), back end or rule.
        NonFiniteError: NaN or infinity in `z`.
        MissingLabelsError: no labels, or too few to split or to cross-validate.
        GraphrepError: overlapping split, or an option that the protocol does not have.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(300) % 3
        >>> z = np.eye(3)[y] + 0.3 * rng.standard_normal((300, 3))
        >>> result = linear_probe(z, y, protocol="grace")
        >>> bool(result.micro_f1 > 0.9), len(result.best_c)
        (True, 3)
    """
    if protocol in _LATER:
        raise UnknownNameError(f"probe protocol {protocol!r} is not provided yet.", hint=" | ".join(PROTOCOLS))
    choose(protocol, PROTOCOLS, "probe protocol")
    classifier = make_backend(backend, z)
    features = as_matrix(z, "z")
    if protocol == "grace":
        _refuse("grace", train_ratios=train_ratios, c=c, multilabel=multilabel)
        return _grace(features, y, split, seeds, classifier)
    cost = 1.0 if c is None else float(c)
    if not 0 < cost < np.inf:
        raise GraphrepError(f"c must be positive; got {c}.", hint="c=1.0 (weaker penalty: larger c)")
    ratios = _check_ratios(train_ratios, split)
    return _deepwalk(features, y, split, seeds, classifier, ratios, cost, multilabel)


def _grace(z: Floats, y: Any, split: Any, seeds: Any, classifier: Classifier) -> ProbeResult:
    if as_numpy(y, "y").ndim == 2:
        raise ShapeError("protocol grace is for one label per node; y has two axes.", hint="protocol='deepwalk'")
    labels = as_labels(y, "y")
    _same_length(z, labels)
    known: Bools = np.asarray(labels != -1, dtype=bool)
    repeats, used = _repeats(known, split, check_seeds(seeds, range(3)), (0.1,))
    rows = unit_rows(z)
    micro, macro, chosen = [], [], []
    for train, test in repeats[0][1]:
        classes, inverse = np.unique(labels[train], return_inverse=True)
        best, said = classifier.select_and_predict(rows[train], inverse, rows[test])
        scores = _single_label(labels[test], classes[said])
        micro.append(scores[0])
        macro.append(scores[1])
        chosen.append(best)
    ratio, parts = repeats[0]
    row = ProbeRow.of(ratio, micro, macro, chosen, num_train=len(parts[0][0]), num_test=len(parts[0][1]))
    num_classes = len(np.unique(labels[drop_unlabelled(labels)]))
    return ProbeResult.of("grace", classifier.name, [row], seeds=used, multilabel=None, num_classes=num_classes)


def _deepwalk(
    z: Floats,
    y: Any,
    split: Any,
    seeds: Any,
    classifier: Classifier,
    ratios: tuple[float, ...],
    c: float,
    multilabel: str | None,
) -> ProbeResult:
    targets, single = _targets(y, multilabel)
    _same_length(z, targets)
    rule = None if single else choose(multilabel or "topk", ("topk", "threshold"), "multi-label rule")
    repeats, used = _repeats(np.asarray(targets.any(axis=1)), split, check_seeds(seeds, range(5)), ratios)
    rows = []
    for ratio, parts in repeats:
        micro, macro = [], []
        for train, test in parts:
            scores = classifier.scores(z[train], targets[train], z[test], c)
            if rule is None:
                found = _single_label(targets[test].argmax(1), scores.argmax(1))
            else:
                judged = multilabel_scores(scores, targets[test], rule=rule)
                found = judged.micro_f1, judged.macro_f1
            micro.append(found[0])
            macro.append(found[1])
        sizes = {"num_train": len(parts[0][0]), "num_test": len(parts[0][1])}
        rows.append(ProbeRow.of(ratio, micro, macro, [c] * len(parts), **sizes))
    name = classifier.name
    return ProbeResult.of("deepwalk", name, rows, seeds=used, multilabel=rule, num_classes=targets.shape[1])


def _targets(y: Any, multilabel: str | None) -> tuple[Bools, bool]:
    """(N, C) bool labels and whether there is one label per node; unlabelled nodes are all-False rows."""
    if as_numpy(y, "y").ndim == 2:
        return as_indicator(y, "y"), False
    if multilabel is not None:
        raise GraphrepError(
            f"multilabel={multilabel!r} is for (N, C) labels; y has one label per node.", hint="leave it out"
        )
    labels = as_labels(y, "y")
    classes, inverse = np.unique(labels, return_inverse=True)
    return (np.arange(len(classes)) == inverse[:, None])[:, classes != -1], True


def _repeats(known: Bools, split: Any, seeds: list[int], ratios: Sequence[float]) -> tuple[list[Split], list[int]]:
    """Train ratios with the (train, test) node ids of every repeat, and the seeds used (none for a given split)."""
    if not known.any():
        raise MissingLabelsError(
            f"none of the {len(known)} nodes has a label.", hint="labels y, with -1 for unknown ones"
        )
    if split is not None:
        return [(None, [given_split(split, known)])], []
    nodes = np.flatnonzero(known)
    found: list[Split] = []
    for ratio in ratios:
        parts = [random_split(len(nodes), ratio, seed) for seed in seeds]
        found.append((ratio, [(nodes[train], nodes[test]) for train, test in parts]))
    return found, seeds


def _single_label(y: Ints, predicted: Ints) -> tuple[float, float]:
    """(micro, macro) F1 of labels with any values."""
    encoded = np.unique(np.concatenate([y, predicted]), return_inverse=True)[1]
    return single_label_f1(encoded[: len(y)], encoded[len(y) :])


def _check_ratios(ratios: Sequence[float] | None, split: Any) -> tuple[float, ...]:
    if ratios is None:
        return _RATIOS
    if split is not None:
        raise GraphrepError("give either split or train_ratios, not both.", hint="leave out train_ratios")
    found = tuple(float(r) for r in ratios)
    if not found or not all(0 < r < 1 for r in found):
        raise GraphrepError(f"train_ratios must lie between 0 and 1; got {found}.", hint="train_ratios=(0.1, 0.5, 0.9)")
    return found


def _same_length(z: Floats, labels: NDArray[Any]) -> None:
    if len(z) != len(labels):
        raise ShapeError(
            f"z has {len(z)} rows and y has {len(labels)}.", hint="one label per row of z; -1 where unknown"
        )


def _refuse(protocol: str, **options: Any) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise GraphrepError(
            f"protocol {protocol} fixes {', '.join(given)} itself.", hint="protocol='deepwalk' takes it"
        )
