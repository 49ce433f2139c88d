"""Tuner of FastRP: which powers to add, with which weights, and the degree exponent.

The powers depend on the degree exponent alone, so they are computed once per exponent and every set of weights costs
one weighted sum and one evaluation. The search is random with a local refinement, in plain numpy: two to four smooth
dimensions and some forty cheap trials leave little for a model-based search to gain, and no extra package is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.eval._result import Result
from graphrep.methods.fastrp import FastRP
from graphrep.tuning.scores import Scorer, label_scorer, link_scorer

__all__ = ["TuneResult", "TuneTrial", "tune_fastrp"]

Weights: TypeAlias = tuple[float, ...]
Progress = Callable[[int, int, "TuneTrial"], None]

_PUBLISHED: Weights = (0.0, 0.0, 1.0, 6.67)  # Chen et al. 2019, BlogCatalog
_RATIO = (1 / 64, 4.0)  # weight of a lower power in units of the highest one's
_SPREAD = 0.5  # standard deviation of a refining step, in log weight


@dataclass(frozen=True, repr=False)
class TuneTrial(Result):
    """One setting and its score (higher is better)."""

    weights: Weights
    degree_exponent: float
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class TuneResult(Result):
    """What the search found.

    Attributes:
        params: arguments of :class:`FastRP` for the best setting, the fixed ones included.
        score: its score on the validation part.
        baseline: score of the settings that the search was given.
        objective: what was maximised.
        history: all trials, in order.
    """

    params: dict[str, Any]
    score: float
    baseline: float
    objective: str
    history: list[TuneTrial]

    def model(self, **changes: Any) -> FastRP:
        """An unfitted FastRP with the best parameters, for example of another `dim`."""
        return FastRP(**{**self.params, **changes})

    def to_dict(self, *, arrays: bool = False) -> dict[str, Any]:
        """Plain Python values; the dtypes among the parameters by name."""
        found = super().to_dict(arrays=arrays)
        names = {k: str(v).removeprefix("torch.") for k, v in self.params.items() if isinstance(v, torch.dtype)}
        return {**found, "params": {**found["params"], **names}}


def tune_fastrp(
    graph: Any,
    y: Any = None,
    *,
    train_idx: Any = None,
    objective: str | Scorer | None = None,
    base: FastRP | None = None,
    num_powers: int = 4,
    degree_exponents: Sequence[float] = (-0.9, -0.6, -0.3, 0.0),
    num_weights: int = 6,
    num_refinements: int = 8,
    shuffles: int = 3,
    c: float = 0.1,
    seed: int = 0,
    progress: Progress | None = None,
) -> TuneResult:
    """Searches `weights` and `degree_exponent` of FastRP.

    First every degree exponent is scored with the same weights: those of `base`, the published (0, 0, 1, 6.67) and
    `num_weights` random ones (a highest power of weight 1; each lower one 0 or log-uniform in [1/64, 4]: scale does not
    matter). Then the best setting is refined by random factors on its weights. The settings of `base` are the first
    trial, so the result never scores below them.

    Args:
        graph: anything :meth:`Graph.coerce` takes.
        y: labels, (N,) or (N, C); default those of the graph.
        train_idx: nodes whose labels may be used, default the graph's; every other label is never looked at.
        objective: what to maximise on the embedding (N, dim):

            - ``"macro_f1"`` or ``"micro_f1"``: a linear probe (`deepwalk` protocol with C = `c`) fitted on a random
              half of the training nodes and scored on the other, mean over `shuffles` splits;
            - ``"link_auc"``: needs no labels. A tenth of the links is hidden from FastRP, and ranked against as many
              random pairs by cosine similarity;
            - a function of the embedding that returns a float.

            Default ``"macro_f1"`` where there are labels and `train_idx`, else ``"link_auc"``.
        base: FastRP with the parameters that stay fixed (dim, standardize, ...); default
            ``FastRP(dim=64, standardize=True)``. What is found at a small `dim` carries over to larger ones, as the
            authors report.
        num_powers: q, highest power tried (at least the length of the base's weights is used).
        degree_exponents: values tried; each costs q propagations.
        num_weights: random sets of weights.
        num_refinements: trials around the best setting.
        shuffles: random splits per trial of the label objectives.
        c: inverse regularisation of the probe.
        seed: of the search, of the splits and of the hidden links; the embedding's own seed is that of `base`.
        progress: called as progress(trials done, trials in all, trial).

    Memory: q + 2 arrays of N x dim numbers.

    Raises:
        MissingLabelsError: a label objective without labels or training nodes.
        UnknownNameError: no such objective.

    Example:
        >>> import networkx as nx
        >>> found = tune_fastrp(nx.karate_club_graph(), base=FastRP(dim=16), num_weights=1, num_refinements=1)
        >>> found.objective, found.score >= found.baseline
        ('link_auc', True)
    """
    graph = Graph.coerce(graph)
    base = FastRP(dim=64, standardize=True) if base is None else base
    _check(base, num_powers, degree_exponents, num_weights, num_refinements)
    rng = np.random.default_rng(seed)
    name, scorer, seen = _objective(graph, y, train_idx, objective, shuffles, c, seed)
    start = _pad(_strip(tuple(float(w) for w in base.weights)), max(num_powers, len(base.weights)))
    depth = len(start)
    search = _Search(seen, base, depth, scorer)
    candidates = list(dict.fromkeys([start, *_published(depth), *(_draw(rng, depth) for _ in range(num_weights))]))
    exponents = list(dict.fromkeys([float(base.degree_exponent), *map(float, degree_exponents)]))
    total = len(candidates) * len(exponents) + num_refinements
    history: list[TuneTrial] = []
    for trial in _trials(search, exponents, candidates, num_refinements, rng):
        history.append(trial)
        if progress is not None:
            progress(len(history), total, trial)
    best = max(history, key=lambda trial: trial.score)
    params = {**base.get_params(), "weights": best.weights, "degree_exponent": best.degree_exponent}
    return TuneResult(params, best.score, history[0].score, name, history)


def _trials(
    search: _Search, exponents: list[float], candidates: list[Weights], refinements: int, rng: np.random.Generator
) -> Iterator[TuneTrial]:
    best: TuneTrial | None = None
    for exponent in exponents:
        for weights in candidates:
            trial = search.score(exponent, weights)
            if best is None or trial.score > best.score:
                best = trial
            yield trial
    assert best is not None
    for _ in range(refinements):
        weights = tuple(w * float(np.exp(rng.normal(0.0, _SPREAD))) for w in best.weights)
        trial = search.score(best.degree_exponent, _pad(weights, search.depth))
        if trial.score > best.score:
            best = trial
        yield trial


class _Search:
    """The unit rows of U_1..U_q for one degree exponent at a time."""

    def __init__(self, graph: Graph, base: FastRP, depth: int, scorer: Scorer) -> None:
        self.depth = depth
        self._graph, self._base, self._scorer = graph, base, scorer
        self._exponent: float | None = None
        self._rows: Tensor | None = None

    def score(self, exponent: float, weights: Weights) -> TuneTrial:
        """Embeds with these settings, from the cached powers, and scores."""
        if self._exponent != exponent or self._rows is None:
            self._rows = None  # frees the old powers first
            self._rows = self._powers(exponent)
            self._exponent = exponent
        merged = self._model(exponent, weights, normalize=False).merge(self._rows)
        score = float(self._scorer(merged))
        if not np.isfinite(score):
            raise NonFiniteError(f"The objective is {score} for weights {_strip(weights)}.", hint="a finite float")
        return TuneTrial(_strip(weights), exponent, score)

    def _powers(self, exponent: float) -> Tensor:
        rows = self._model(exponent, (1.0,) * self.depth).powers(self._graph)
        if self._base.normalize:
            unit = self._model(exponent, (1.0,), standardize=False)
            for k in range(self.depth):
                rows[k] = unit.merge(rows[k : k + 1])
        return rows

    def _model(self, exponent: float, weights: Weights, **changes: Any) -> FastRP:
        return FastRP(**{**self._base.get_params(), "degree_exponent": exponent, "weights": weights, **changes})


def _objective(
    graph: Graph, y: Any, train_idx: Any, objective: str | Scorer | None, shuffles: int, c: float, seed: int
) -> tuple[str, Scorer, Graph]:
    """Name, function, and the graph that FastRP may see."""
    if callable(objective):
        return getattr(objective, "__name__", "function"), objective, graph
    y = graph.y if y is None else y
    train_idx = graph.train_idx if train_idx is None else train_idx
    if objective is None:
        objective = "link_auc" if y is None or train_idx is None else "macro_f1"
    if objective == "link_auc":
        scorer, seen = link_scorer(graph, seed)
        return objective, scorer, seen
    if objective in ("macro_f1", "micro_f1"):
        return objective, label_scorer(graph, y, train_idx, objective, shuffles, c, seed), graph
    raise UnknownNameError(f'Unknown objective "{objective}".', hint='"macro_f1", "micro_f1", "link_auc" or a function')


def _check(base: FastRP, num_powers: int, exponents: Sequence[float], num_weights: int, refinements: int) -> None:
    if base.concat or base.self_weight:
        raise GraphrepError(
            "base has concat or self_weight, which the cached powers do not hold.", hint="concat=False, self_weight=0.0"
        )
    if num_powers < 1 or num_weights < 0 or refinements < 0:
        raise ShapeError(
            f"num_powers must be at least 1, num_weights and num_refinements at least 0; got {num_powers}, "
            f"{num_weights}, {refinements}."
        )
    if not all(np.isfinite(value) for value in exponents):
        raise GraphrepError(f"degree_exponents must be finite; got {list(exponents)}.")


def _draw(rng: np.random.Generator, depth: int) -> Weights:
    """Weight 1 at a random highest power (2 or more where there are as many), each lower one 0 or log-uniform."""
    highest = int(rng.integers(min(2, depth), depth + 1))
    low, high = np.log(_RATIO[0]), np.log(_RATIO[1])
    lower = np.exp(rng.uniform(low, high, highest - 1)) * (rng.random(highest - 1) < 0.5)
    return _pad((*(float(w) for w in lower), 1.0), depth)


def _published(depth: int) -> list[Weights]:
    return [_pad(_PUBLISHED, depth)] if depth >= len(_PUBLISHED) else []


def _pad(weights: Weights, depth: int) -> Weights:
    return (*weights, *(0.0,) * (depth - len(weights)))


def _strip(weights: Weights) -> Weights:
    """Without zeros at the end: powers that are not needed are not computed."""
    used = max((k for k, w in enumerate(weights, start=1) if w != 0.0), default=1)
    return weights[:used]
