"""One-vs-rest logistic regression with liblinear's objective: scikit-learn's, or the batched solver on any device."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import MissingLabelsError
from graphrep.eval._arrays import choose
from graphrep.eval._result import EvalWarning

__all__ = ["C_GRID", "Classifier", "SklearnBackend", "TorchBackend", "count_folds", "make_backend"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
C_GRID = tuple(2.0**power for power in range(-10, 10))
_FOLDS = 5


class Classifier(Protocol):
    """What a probe protocol needs from a back end."""

    name: str

    def select_and_predict(self, z: Floats, y: Ints, z_test: Floats) -> tuple[float, Ints]:
        """C by cross-validation on (z, y), labels 0..K-1 all present; then (best C, predicted labels of z_test)."""
        ...

    def scores(self, z: Floats, targets: NDArray[np.bool_], z_test: Floats, c: float) -> Floats:
        """(n_test, K) decision values; -inf for a class without a positive, +inf for one without a negative."""
        ...


def count_folds(y: Ints) -> int:
    """Folds for choosing C: 5, or fewer (with a warning) where no class has 5 training nodes."""
    largest = int(np.bincount(y).max())
    if largest < 2:
        raise MissingLabelsError(
            f"the training part has {len(y)} nodes and no class has two: C cannot be chosen by cross-validation.",
            hint="more labels, or protocol='deepwalk', which takes C as given",
        )
    if largest < _FOLDS:
        warnings.warn(
            f"C is chosen by {largest} folds instead of {_FOLDS}: no class has {_FOLDS} training nodes",
            EvalWarning,
            stacklevel=5,
        )
    return min(_FOLDS, largest)


def _stratified(y: Ints, folds: int) -> list[tuple[Ints, Ints]]:
    """scikit-learn's stratified folds in node order: (training, validation) positions."""
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class smaller than the number of folds is expected here
        return list(StratifiedKFold(folds).split(np.zeros(len(y)), y))


class SklearnBackend:
    """The reference: scikit-learn's liblinear, one fit at a time."""

    name = "sklearn"

    def select_and_predict(self, z: Floats, y: Ints, z_test: Floats) -> tuple[float, Ints]:
        """C by GridSearchCV over one-vs-rest liblinear, then its prediction."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV
        from sklearn.multiclass import OneVsRestClassifier

        folds = _stratified(y, count_folds(y))
        if y.max() == 0:
            return C_GRID[0], np.zeros(len(z_test), dtype=np.int64)
        one_vs_rest = OneVsRestClassifier(LogisticRegression(solver="liblinear"))
        search = GridSearchCV(one_vs_rest, {"estimator__C": list(C_GRID)}, cv=folds, error_score="raise")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "label not present in all training examples" is our rule too
            search.fit(z, y)
            return float(search.best_params_["estimator__C"]), search.predict(z_test).astype(np.int64)

    def scores(self, z: Floats, targets: NDArray[np.bool_], z_test: Floats, c: float) -> Floats:
        """Decision values of one liblinear classifier for each class."""
        from sklearn.linear_model import LogisticRegression

        found = np.empty((len(z_test), targets.shape[1]))
        for k, target in enumerate(targets.T):
            if target.all() or not target.any():
                found[:, k] = np.inf if target.all() else -np.inf
            else:
                model = LogisticRegression(solver="liblinear", C=c).fit(z, target)
                found[:, k] = model.decision_function(z_test)
        return found


class TorchBackend:
    """All classes, folds and values of C as one batched problem in float64."""

    name = "torch"

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device

    def select_and_predict(self, z: Floats, y: Ints, z_test: Floats) -> tuple[float, Ints]:
        """C with the best mean fold accuracy (the smallest among equals), then the labels of a fit on all of (z, y)."""
        import torch

        num_classes, folds = int(y.max()) + 1, _stratified(y, count_folds(y))
        x = self._tensor(z)
        members = np.zeros((len(y), len(folds)))
        for f, (train, _) in enumerate(folds):
            members[train, f] = 1.0
        targets = np.eye(num_classes)[y]
        weights = self._fit(x, targets, members, C_GRID)  # (d + 1, C, F, K)
        accuracy = np.empty((len(C_GRID), len(folds)))
        for f, (train, held_out) in enumerate(folds):
            rows, never = x[torch.as_tensor(held_out, device=self.device)], targets[train].sum(0) == 0
            for i in range(len(C_GRID)):
                said = self._argmax(rows @ weights[:-1, i, f] + weights[-1, i, f], never)
                accuracy[i, f] = np.mean(said == y[held_out])
        best = C_GRID[int(accuracy.mean(axis=1).argmax())]
        final = self._fit(x, targets, np.ones((len(y), 1)), (best,))[:, 0, 0]
        return best, self._argmax(self._tensor(z_test) @ final[:-1] + final[-1], np.zeros(num_classes, dtype=bool))

    def scores(self, z: Floats, targets: NDArray[np.bool_], z_test: Floats, c: float) -> Floats:
        """Decision values of all classes, fitted together."""
        weights = self._fit(self._tensor(z), targets.astype(np.float64), np.ones((len(z), 1)), (c,))[:, 0, 0]
        found: Floats = (self._tensor(z_test) @ weights[:-1] + weights[-1]).cpu().numpy()
        found[:, ~targets.any(0)] = -np.inf
        found[:, targets.all(0)] = np.inf
        return found

    def _fit(self, x: Any, targets: Floats, members: Floats, cs: tuple[float, ...]) -> Any:
        """(d + 1, C, F, K) weights."""
        import torch

        from graphrep.eval._newton import Problems, solve

        shape = (len(cs), members.shape[1], targets.shape[1])
        grid = torch.meshgrid(*(torch.arange(n, device=self.device) for n in shape), indexing="ij")
        c, member, column = (axis.reshape(-1) for axis in grid)
        problems = Problems(column, member, self._tensor(np.asarray(cs))[c])
        return solve(x, self._tensor(targets), self._tensor(members), problems).reshape(-1, *shape)

    def _tensor(self, array: Floats) -> Any:
        import torch

        return torch.as_tensor(array, dtype=torch.float64, device=self.device)

    @staticmethod
    def _argmax(scores: Any, never: NDArray[np.bool_]) -> Ints:
        found = scores.cpu().numpy()
        found[:, never] = -np.inf
        labels: Ints = found.argmax(axis=1)
        return labels


def make_backend(backend: str, z: Any) -> Classifier:
    """The back end by name; "auto" is the batched solver on the device where `z` lies."""
    if choose(backend, ("auto", "sklearn", "torch"), "probe back end") == "sklearn":
        return SklearnBackend()
    return TorchBackend(getattr(z, "device", "cpu"))
