"""The probe `planetoid`: multinomial logistic regression on a given split, its C chosen by validation accuracy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import MissingLabelsError
from graphrep.eval._adam_probes import require_validation
from graphrep.eval._arrays import as_labels, unit_rows
from graphrep.eval._f1 import labels_f1
from graphrep.eval._ovr import C_GRID
from graphrep.eval._probe_result import ProbeResult, ProbeRow
from graphrep.eval._result import EvalWarning

__all__ = ["planetoid_probe"]

Floats = NDArray[np.float64]
_TOLERANCE, _MAX_STEPS = 1e-5, 2000


def planetoid_probe(z: Floats, y: Any, *, split: Any, normalize: bool) -> ProbeResult:
    """C in 2^-10 ... 2^9 with the best validation accuracy (the smallest among equals), fitted on the training part."""
    labels = as_labels(y, "y")
    known = np.asarray(labels != -1, dtype=bool)
    train, val, test = require_validation(split, known, "planetoid")
    if len(np.unique(labels[train])) < 2:
        raise MissingLabelsError(
            f"all labelled training nodes are of class {labels[train[0]]}.", hint="at least two classes"
        )
    rows = unit_rows(z) if normalize else z
    best, c, said = -1.0, C_GRID[0], labels[:0]
    loose = []
    for cost in C_GRID:
        model, converged = _fit(rows[train], labels[train], cost)
        loose += [] if converged else [cost]
        accuracy = float(np.mean(model.predict(rows[val]) == labels[val]))
        if accuracy > best:
            best, c, said = accuracy, cost, model.predict(rows[test])
    if loose:
        warnings.warn(
            f"logistic regression did not converge in {_MAX_STEPS} steps for C = {', '.join(f'{v:g}' for v in loose)}",
            EvalWarning,
            stacklevel=3,
        )
    micro, macro = labels_f1(labels[test], said)
    row = ProbeRow.of(None, [micro], [macro], [c], num_train=len(train), num_val=len(val), num_test=len(test))
    return ProbeResult.of(
        "planetoid",
        "sklearn",
        [row],
        seeds=[],
        multilabel=None,
        num_classes=len(np.unique(labels[known])),
        selection="validation accuracy",
        features="unit rows" if normalize else "raw rows",
    )


def _fit(rows: Floats, labels: NDArray[np.int64], c: float) -> tuple[Any, bool]:
    """The model that minimises the sum of the losses + ||W||^2 / (2 c), and whether the solver arrived."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # Two classes are fitted as one difference of weights, for which the same penalty is half as large.
    cost = 2 * c if len(np.unique(labels)) == 2 else c
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ConvergenceWarning)
        model = LogisticRegression(C=cost, tol=_TOLERANCE, max_iter=_MAX_STEPS).fit(rows, labels)
    return model, not any(issubclass(entry.category, ConvergenceWarning) for entry in seen)
