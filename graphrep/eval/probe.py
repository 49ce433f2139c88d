"""Linear probe: node classification on frozen embeddings, by the protocols that published numbers name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphrep.errors import GraphrepError, MissingLabelsError, ShapeError, UnknownNameError
from graphrep.eval._adam_probes import dmgi_probe, gca_probe
from graphrep.eval._arrays import as_labels, as_matrix, as_numpy, choose, drop_unlabelled, unit_rows
from graphrep.eval._f1 import labels_f1
from graphrep.eval._ovr import Classifier, make_backend
from graphrep.eval._planetoid import planetoid_probe
from graphrep.eval._probe_result import ProbeResult, ProbeRow
from graphrep.eval._splits import check_seeds, given_split, random_split
from graphrep.eval.multilabel import as_indicator, multilabel_scores

__all__ = ["PROTOCOLS", "linear_probe"]

PROTOCOLS = ("grace", "gca", "dmgi", "deepwalk", "planetoid")
_OPTIONS = {  # what the caller may set; a protocol fixes the rest
    "grace": (),
    "gca": ("selection", "steps"),
    "dmgi": ("lr", "weight_decay", "steps"),
    "deepwalk": ("train_ratios", "c", "multilabel"),
    "planetoid": ("normalize",),
}
_SOLVERS = {  # back ends beside "auto"
    "grace": ("sklearn", "torch"),
    "gca": ("torch",),
    "dmgi": ("torch",),
    "deepwalk": ("sklearn", "torch"),
    "planetoid": ("sklearn",),
}
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
    selection: str | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    steps: int | None = None,
    normalize: bool | None = None,
) -> ProbeResult:
    """How well a linear classifier reads the labels off the embedding, by one of five protocols.

    One-vs-rest logistic regression with an L2 penalty that includes the bias (liblinear's):

    - ``grace`` (Zhu et al. 2020): rows scaled to unit norm (zero rows stay zero), random 10 % train / 90 % test not
      stratified, C in 2^-10 ... 2^9 by 5-fold cross-validation inside the 10 % (stratified in node order, accuracy, the
      smallest C among equals), 3 splits.
    - ``deepwalk`` (Perozzi et al. 2014; FastRP, node2vec, GraphVite): rows as given, the first r % of a random order
      train, C fixed, 5 shuffles, a row per ratio. Multi-label data by the top-k rule; nodes without label are left out.

    One linear layer (Xavier start, zero bias) trained by Adam, full batch, float32, rows as given:

    - ``gca`` (Zhu et al. 2021; the POT code): lr 0.01, no weight decay, 3000 steps, the first best validation micro-F1
      of a look every 20 steps; the given split, or random 10 / 10 / 80 % for each of 3 seeds. Without a validation part
      the last step counts; the published code then keeps the best *test* score, which only
      ``selection="test (published)"`` does.
    - ``dmgi`` (Park et al. 2020; HeCo, MEOW): the given split, 200 steps, the first best validation step separately for
      macro- and micro-F1, one-vs-rest AUC (mean over classes) at the step of micro-F1, 50 initialisations.

    Multinomial logistic regression, bias free:

    - ``planetoid`` (Yang et al. 2016): the given split, C in 2^-10 ... 2^9 by validation accuracy (the smallest among
      equals), fitted on the training part; rows raw, or of unit norm with `normalize`.

    All repeat something of one embedding: the spread says nothing about retraining the method. A class missing from
    a training part is never predicted by the one-vs-rest protocols. For single-label data micro-F1 is the accuracy and
    macro-F1 averages over the classes in the truth or the prediction of the test part.

    Args:
        z: (N, d) embeddings, tensor on any device or array.
        y: (N,) integer labels, any values, -1 = unlabelled and left out; for ``deepwalk`` also (N, C) of 0 and 1.
        protocol: "grace", "gca", "dmgi", "deepwalk" or "planetoid".
        split: (train, val, test) node ids or masks, in place of random splits; grace and deepwalk then have a single
            repeat and do not use the validation part, which dmgi and planetoid need.
        seeds: one per random split or initialisation; default range(3) for grace and gca, range(5) for deepwalk,
            range(50) for dmgi.
        backend: "torch": grace and deepwalk with all C, folds and classes in one batched Newton solver, gca and dmgi
            with all initialisations in one loop, on the device of `z`; "sklearn": the reference of grace and deepwalk,
            one liblinear fit at a time, and the solver of planetoid; "auto": torch where there is a choice.
        train_ratios: deepwalk only, shares of labelled nodes to train on; default 0.1 ... 0.9.
        c: deepwalk only, inverse penalty; default 1.0.
        multilabel: deepwalk with (N, C) labels only, "topk" (default) or "threshold".
        selection: gca only, "validation" (default with a validation part), "last" (default without one), or
            "test (published)".
        lr: dmgi only, default 0.01.
        weight_decay: dmgi only, Adam's L2 term; default 0.
        steps: gca (default 3000) and dmgi (default 200).
        normalize: planetoid only, rows scaled to unit norm; default False.

    Returns:
        ProbeResult; scores between 0 and 1.

    Raises:
        UnknownNameError: no such protocol, back end, selection or rule.
        NonFiniteError: NaN or infinity in `z`, or a diverged layer.
        MissingLabelsError: no labels, too few to split or to cross-validate, or no validation part where one is needed.
        GraphrepError: overlapping split, or an option that the protocol does not have.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(300) % 3
        >>> z = np.eye(3)[y] + 0.3 * rng.standard_normal((300, 3))
        >>> result = linear_probe(z, y, protocol="grace")
        >>> bool(result.micro_f1 > 0.9), len(result.best_c)
        (True, 3)
        >>> split = np.arange(60), np.arange(60, 120), np.arange(120, 300)
        >>> result = linear_probe(z, y, protocol="dmgi", split=split)
        >>> bool(result.auc > 0.9), len(result.auc_runs), result.std_over
        (True, 50, 'classifier initialisations')
    """
    choose(protocol, PROTOCOLS, "probe protocol")
    given = {
        "train_ratios": train_ratios, "c": c, "multilabel": multilabel, "selection": selection, "lr": lr,
        "weight_decay": weight_decay, "steps": steps, "normalize": normalize,
    }  # fmt: skip
    _refuse(protocol, given)
    solver = choose(backend, ("auto", "sklearn", "torch"), "probe back end")
    if solver not in ("auto", *_SOLVERS[protocol]):
        raise UnknownNameError(
            f"protocol {protocol} has no back end {backend!r}.", hint=" | ".join(("auto", *_SOLVERS[protocol]))
        )
    features = as_matrix(z, "z")
    if protocol != "deepwalk" and as_numpy(y, "y").ndim == 2:
        raise ShapeError(f"protocol {protocol} is for one label per node; y has two axes.", hint="protocol='deepwalk'")
    _same_length(features, as_numpy(y, "y"))
    device = getattr(z, "device", "cpu")
    if protocol in ("gca", "dmgi"):
        # Callers judge inside no_grad or inference_mode; the layer is trained all the same.
        with torch.inference_mode(False), torch.enable_grad():
            if protocol == "gca":
                return gca_probe(features, y, device, split=split, seeds=seeds, selection=selection, steps=steps)
            return dmgi_probe(
                features, y, device, split=split, seeds=seeds, lr=lr, weight_decay=weight_decay, steps=steps
            )
    if protocol == "planetoid":
        if seeds is not None:
            raise GraphrepError("protocol planetoid has nothing random to repeat; seeds were given.", hint="seeds=None")
        return planetoid_probe(features, y, split=split, normalize=bool(normalize))
    classifier = make_backend(backend, z)
    if protocol == "grace":
        return _grace(features, y, split, seeds, classifier)
    cost = 1.0 if c is None else float(c)
    if not 0 < cost < np.inf:
        raise GraphrepError(f"c must be positive; got {c}.", hint="c=1.0 (weaker penalty: larger c)")
    ratios = _check_ratios(train_ratios, split)
    return _deepwalk(features, y, split, seeds, classifier, ratios, cost, multilabel)


def _grace(z: Floats, y: Any, split: Any, seeds: Any, classifier: Classifier) -> ProbeResult:
    labels = as_labels(y, "y")
    known: Bools = np.asarray(labels != -1, dtype=bool)
    repeats, used = _repeats(known, split, check_seeds(seeds, range(3)), (0.1,))
    rows = unit_rows(z)
    micro, macro, chosen = [], [], []
    for train, test in repeats[0][1]:
        classes, inverse = np.unique(labels[train], return_inverse=True)
        best, said = classifier.select_and_predict(rows[train], inverse, rows[test])
        scores = labels_f1(labels[test], classes[said])
        micro.append(scores[0])
        macro.append(scores[1])
        chosen.append(best)
    ratio, parts = repeats[0]
    row = ProbeRow.of(ratio, micro, macro, chosen, num_train=len(parts[0][0]), num_test=len(parts[0][1]))
    num_classes = len(np.unique(labels[drop_unlabelled(labels)]))
    return ProbeResult.of(
        "grace",
        classifier.name,
        [row],
        seeds=used,
        multilabel=None,
        num_classes=num_classes,
        selection="5-fold cross-validation",
        features="unit rows",
    )


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
    rule = None if single else choose(multilabel or "topk", ("topk", "threshold"), "multi-label rule")
    repeats, used = _repeats(np.asarray(targets.any(axis=1)), split, check_seeds(seeds, range(5)), ratios)
    rows = []
    for ratio, parts in repeats:
        micro, macro = [], []
        for train, test in parts:
            scores = classifier.scores(z[train], targets[train], z[test], c)
            if rule is None:
                found = labels_f1(targets[test].argmax(1), scores.argmax(1))
            else:
                judged = multilabel_scores(scores, targets[test], rule=rule)
                found = judged.micro_f1, judged.macro_f1
            micro.append(found[0])
            macro.append(found[1])
        train, test = parts[0]
        rows.append(ProbeRow.of(ratio, micro, macro, [c] * len(parts), num_train=len(train), num_test=len(test)))
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
    if labels.ndim == 0:
        raise ShapeError("y has no axis.", hint="one label per row of z; -1 where unknown")
    if len(z) != len(labels):
        raise ShapeError(
            f"z has {len(z)} rows and y has {len(labels)}.", hint="one label per row of z; -1 where unknown"
        )


def _refuse(protocol: str, options: Mapping[str, Any]) -> None:
    wrong = [name for name, value in options.items() if value is not None and name not in _OPTIONS[protocol]]
    if wrong:
        takers = [name for name, known in _OPTIONS.items() if wrong[0] in known]
        raise GraphrepError(
            f"protocol {protocol} fixes {', '.join(wrong)} itself.",
            hint=f"{' or '.join(f'protocol={name!r}' for name in takers)} takes {wrong[0]}",
        )
