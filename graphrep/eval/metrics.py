"""The scores as objects for a training loop: ``update`` with each batch, ``compute``, ``reset``.

Each gives what its function gives for all batches at once. None needs torchmetrics; states are tensors that
:meth:`Metric.merge` adds up, so that every process of a distributed run may keep its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import DTypeError, IndexRangeError, MissingLabelsError, NonFiniteError, ShapeError
from graphrep.eval._arrays import as_ks, as_labels, as_matrix, choose
from graphrep.eval._f1 import f1_of_counts
from graphrep.eval._metric import Metric
from graphrep.eval.classification import ClassificationScores
from graphrep.eval.clustering import ClusterScores, cluster_scores
from graphrep.eval.linkpred import LinkScores, link_scores
from graphrep.eval.multilabel import MultilabelScores, as_indicator, multilabel_scores
from graphrep.eval.ranking import RankingScores, topk_metrics
from graphrep.eval.spectrum import alignment, checked_singular_values, rankme_of, uniformity

__all__ = [
    "AlignmentMetric",
    "ClassificationMetric",
    "ClusterScoresMetric",
    "LinkScoresMetric",
    "Metric",
    "MultilabelMetric",
    "RankMeMetric",
    "TopKMetric",
    "UniformityMetric",
]


class LinkScoresMetric(Metric):
    """:func:`link_scores` over batches: negatives 1-D are one pool, 2-D each positive's own (the same in every batch).

    All scores are kept. A NaN score raises in :meth:`compute`.

    Example:
        >>> metric = LinkScoresMetric(ks=(1,))
        >>> metric.update(torch.tensor([3.0]), torch.tensor([1.0, 0.0]))
        >>> metric.update(torch.tensor([1.0]), torch.tensor([2.0]))
        >>> metric.compute().hits
        {1: 0.5}
    """

    reduce: ClassVar[Mapping[str, str]] = {"pos": "cat", "neg": "cat"}

    def __init__(self, ks: Iterable[int] = (10, 20, 50, 100)) -> None:
        super().__init__()
        self.ks = as_ks(ks)

    def update(self, pos: Any, neg: Any) -> None:
        """Adds scores (n,) of positives and (m,) or (n, m) of negatives."""
        positives, negatives = torch.as_tensor(pos), torch.as_tensor(neg)
        if positives.dim() != 1 or negatives.dim() not in (1, 2):
            raise ShapeError(
                f"pos must be (n,) and neg (m,) or (n, m); got {tuple(positives.shape)} and {tuple(negatives.shape)}.",
                hint="scores.reshape(-1)",
            )
        if negatives.dim() == 2 and len(negatives) != len(positives):
            raise ShapeError(
                f"{len(positives)} positives have {len(negatives)} rows of negatives.", hint="a row for each positive"
            )
        self._add("pos", positives)
        self._add("neg", negatives)

    def compute(self) -> LinkScores:
        """The scores of all edges so far."""
        state = self._seen()
        return link_scores(state["pos"], state["neg"], ks=self.ks)


class TopKMetric(Metric):
    """:func:`topk_metrics` over batches of users; each user belongs to one batch.

    Sums are kept, not scores.

    Example:
        >>> import scipy.sparse as sp
        >>> metric = TopKMetric(ks=(1,))
        >>> metric.update([[0.1, 0.9]], sp.csr_matrix([[0, 1]]))
        >>> metric.update([[0.1, 0.9]], sp.csr_matrix([[1, 0]]))
        >>> metric.compute().recall
        {1: 0.5}
    """

    reduce: ClassVar[Mapping[str, str]] = {"sums": "sum", "users": "sum"}
    _NAMES = ("recall", "precision", "ndcg", "map", "hit_rate", "mrr")

    def __init__(self, ks: Iterable[int] = (20, 40)) -> None:
        super().__init__()
        self.ks = as_ks(ks)

    def update(self, scores: Any, test: Any, train: Any = None) -> None:
        """Adds the users of a batch.

        Args:
            scores: (B, I) of every item for each of the users.
            test: CSR (or scipy matrix) with B rows: items to find.
            train: CSR with B rows: items to leave out.
        """
        values = torch.as_tensor(scores)
        if not test.nnz:  # users without a test item are not counted
            self._add("sums", torch.zeros(len(self._NAMES), len(self.ks), dtype=torch.float64, device=values.device))
            self._add("users", torch.zeros(1, dtype=torch.int64, device=values.device))
            return
        found = topk_metrics(values, None, train, test, ks=self.ks)
        means = torch.tensor([[getattr(found, name)[k] for k in self.ks] for name in self._NAMES], dtype=torch.float64)
        self._add("sums", (means * found.num_users).to(values.device))
        self._add("users", torch.tensor([found.num_users], device=values.device))

    def compute(self) -> RankingScores:
        """Means over all users with a test item so far.

        Raises:
            MissingLabelsError: no user has one.
        """
        state = self._seen()
        count = int(state["users"])
        if not count:
            raise MissingLabelsError("no user has a test item.", hint="is test empty, or are its rows not the users?")
        means = (state["sums"] / count).tolist()
        named: dict[str, Any] = {
            n: dict(zip(self.ks, row, strict=True)) for n, row in zip(self._NAMES, means, strict=True)
        }
        return RankingScores(**named, num_users=count)


class ClassificationMetric(Metric):
    """:func:`classification_scores` over batches, from counts per class.

    Args:
        num_classes: C; labels and predictions are 0..C-1.

    Example:
        >>> metric = ClassificationMetric(num_classes=2)
        >>> metric.update([0, 0], [0, 1])
        >>> metric.update([1, 1], [[0.2, 0.8], [0.4, 0.6]])
        >>> metric.compute()
        ClassificationScores(accuracy=0.75, micro_f1=0.75, macro_f1=0.7333, num_scored=4)
    """

    reduce: ClassVar[Mapping[str, str]] = {"hits": "sum", "predicted": "sum", "true": "sum"}

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = int(num_classes)

    def update(self, y: Any, predicted: Any) -> None:
        """Adds labels (n,), -1 for unlabelled, and predicted labels (n,) or scores (n, C).

        Raises:
            NonFiniteError: a NaN score.
            IndexRangeError: a class is not below C.
        """
        truth, said = torch.as_tensor(y), torch.as_tensor(predicted)
        if said.dim() == 2:
            if bool(torch.isnan(said).any()):
                raise NonFiniteError("the scores hold NaN.", hint="did the training diverge?")
            said = said.argmax(1)
        if truth.shape != said.shape or truth.dim() != 1:
            raise ShapeError(
                f"y has shape {tuple(truth.shape)}, the predictions {tuple(said.shape)}.", hint="both (n,)"
            )
        if truth.is_floating_point() or said.is_floating_point():
            raise DTypeError(f"labels must be integers; got {truth.dtype} and {said.dtype}.", hint=".long()")
        known = truth != -1
        truth, said = truth[known].long(), said[known].long().to(truth.device)
        for name, part in (("y", truth), ("predicted", said)):
            if len(part) and not 0 <= int(part.min()) <= int(part.max()) < self.num_classes:
                raise IndexRangeError(
                    f"{name} holds classes {int(part.min())} to {int(part.max())}; num_classes is {self.num_classes}.",
                    hint="numpy.unique(y, return_inverse=True)[1]",
                )
        for name, part in (("hits", truth[truth == said]), ("predicted", said), ("true", truth)):
            self._add(name, torch.bincount(part, minlength=self.num_classes))

    def compute(self) -> ClassificationScores:
        """Accuracy and F1 of all labels so far.

        Raises:
            MissingLabelsError: none of them was labelled.
        """
        state = {name: value.cpu().numpy() for name, value in self._seen().items()}
        if not state["true"].any():
            raise MissingLabelsError("all labels so far are -1 (unlabelled).", hint="a label >= 0 for some nodes")
        return ClassificationScores.of_counts(state["hits"], state["predicted"], state["true"])


class MultilabelMetric(Metric):
    """:func:`multilabel_scores` over batches, from counts per class; its result has no `predicted`.

    Args:
        rule: "topk" or "threshold".
        threshold: for the threshold rule.

    Example:
        >>> metric = MultilabelMetric()
        >>> metric.update([[1, 0]], [[0.9, 0.1]])
        >>> metric.compute().macro_f1
        0.5
    """

    reduce: ClassVar[Mapping[str, str]] = {
        "hits": "sum",
        "predicted": "sum",
        "true": "sum",
        "samples": "sum",
        "rows": "sum",
    }

    def __init__(self, rule: str = "topk", *, threshold: float = 0.0) -> None:
        super().__init__()
        self.rule = choose(rule, ("topk", "threshold"), "multi-label rule")
        self.threshold = threshold

    def update(self, y: Any, scores: Any) -> None:
        """Adds (n, C) labels of 0 and 1, and (n, C) scores."""
        found = multilabel_scores(scores, y, rule=self.rule, threshold=self.threshold)
        truth, said = as_indicator(y, "y"), found.predicted
        assert said is not None
        for name, part in (("hits", truth & said), ("predicted", said), ("true", truth)):
            self._add(name, torch.from_numpy(part.sum(0)))
        self._add("samples", torch.tensor([found.samples_f1 * len(truth)], dtype=torch.float64))
        self._add("rows", torch.tensor([len(truth)]))

    def compute(self) -> MultilabelScores:
        """F1 of all rows so far."""
        state = {name: value.numpy() for name, value in self._seen().items()}
        hits, said, true = (state[name] for name in ("hits", "predicted", "true"))
        micro = float(f1_of_counts(hits.sum(), said.sum(), true.sum()))
        macro = float(f1_of_counts(hits, said, true).mean())
        return MultilabelScores(None, micro, macro, float(state["samples"][0] / state["rows"][0]), self.rule)


class ClusterScoresMetric(Metric):
    """:func:`cluster_scores` over batches; all labels are kept, since a matching needs the whole table.

    Example:
        >>> metric = ClusterScoresMetric()
        >>> metric.update([0, 0], [5, 5])
        >>> metric.update([1, 1], [9, 2])
        >>> metric.compute().acc
        0.75
    """

    reduce: ClassVar[Mapping[str, str]] = {"y": "cat", "c": "cat"}

    def update(self, y: Any, c: Any) -> None:
        """Adds classes (n,), -1 for unlabelled, and assignments (n,)."""
        labels, groups = torch.from_numpy(as_labels(y, "y")), torch.from_numpy(as_labels(c, "c"))
        if len(labels) != len(groups):
            raise ShapeError(f"y has {len(labels)} labels and c has {len(groups)}.", hint="one cluster for each node")
        self._add("y", labels)
        self._add("c", groups)

    def compute(self) -> ClusterScores:
        """Scores of all nodes so far."""
        state = self._seen()
        return cluster_scores(state["y"], state["c"])


class AlignmentMetric(Metric):
    """:func:`alignment` over batches of positive pairs.

    Example:
        >>> metric = AlignmentMetric()
        >>> metric.update([[1.0, 0.0]], [[0.0, 3.0]])
        >>> metric.update([[1.0, 0.0]], [[2.0, 0.0]])
        >>> round(metric.compute(), 6)
        1.0
    """

    reduce: ClassVar[Mapping[str, str]] = {"sum": "sum", "pairs": "sum"}

    def __init__(self, *, alpha: float = 2) -> None:
        super().__init__()
        self.alpha = alpha

    def update(self, x: Any, y: Any) -> None:
        """Adds two views (n, d), row by row the same node."""
        count = len(x)
        self._add("sum", torch.tensor([alignment(x, y, alpha=self.alpha) * count], dtype=torch.float64))
        self._add("pairs", torch.tensor([count]))

    def compute(self) -> float:
        """The mean over all pairs so far."""
        state = self._seen()
        return float(state["sum"] / state["pairs"])


class UniformityMetric(Metric):
    """:func:`uniformity` of all rows so far, which are kept: a pair may lie in two batches.

    Example:
        >>> metric = UniformityMetric()
        >>> metric.update([[1.0, 0.0]])
        >>> metric.update([[0.0, 1.0]])
        >>> metric.compute()
        -4.0
    """

    reduce: ClassVar[Mapping[str, str]] = {"rows": "cat"}

    def __init__(self, *, t: float = 2, seed: int = 0) -> None:
        super().__init__()
        self.t = t
        self.seed = seed

    def update(self, x: Any) -> None:
        """Adds rows (n, d)."""
        self._add("rows", _rows(x, "x"))

    def compute(self) -> float:
        """The log of the mean potential over the pairs of all rows."""
        return uniformity(self._seen()["rows"], t=self.t, seed=self.seed)


class RankMeMetric(Metric):
    """:func:`rankme` over batches of rows, in O(d^2) memory: the state is the triangle of a QR decomposition.

    It has the singular values of all rows, without the loss of small ones that summing Gram matrices would cost.

    Example:
        >>> metric = RankMeMetric()
        >>> metric.update([[1.0, 0.0]])
        >>> metric.update([[0.0, 1.0]])
        >>> round(metric.compute(), 4)
        2.0
    """

    reduce: ClassVar[Mapping[str, str]] = {"factor": "triangle"}

    def update(self, z: Any) -> None:
        """Adds rows (n, d)."""
        self._add("factor", _rows(z, "z").double())

    def compute(self) -> float:
        """RankMe of all rows; 0 and a warning where they are all zero."""
        return rankme_of(checked_singular_values(as_matrix(self._seen()["factor"], "z")))


def _rows(value: Any, name: str) -> Tensor:
    """(n, d) finite rows."""
    rows = torch.as_tensor(np.asarray(value) if isinstance(value, list) else value).detach()
    if rows.dim() != 2:
        raise ShapeError(f"{name} must have shape (n, d); got {tuple(rows.shape)}.", hint="one row per node")
    if not bool(torch.isfinite(rows).all()):
        raise NonFiniteError(f"{name} holds NaN or infinity.", hint="did the training diverge?")
    return rows if rows.is_floating_point() else rows.double()
