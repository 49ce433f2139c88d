"""Link predictors by name, all with one face: trained ones, vectors compared pair by pair, heuristics of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.links import SCORES, pair_scores, uniform_negatives
from graphrep.cli.plan import whole_numbers
from graphrep.data._pair_ranks import num_pairs
from graphrep.data.links import LinkSplit
from graphrep.data.tensor_files import read_tensors, write_tensors
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError
from graphrep.eval.heuristics import HEURISTICS, heuristic_scores
from graphrep.recipes import check_params, parameters
from graphrep.registry import METHODS, suggest

if TYPE_CHECKING:
    from graphrep.eval.logistic import LogisticModel

__all__ = [
    "PAIR_SCORES", "VECTORS", "HeuristicPredictor", "Predictor", "TrainedPredictor", "VectorPredictor", "kind_of",
    "load_predictor", "make_predictor", "predictor_names",
]  # fmt: skip

Array = np.ndarray[Any, Any]
VECTORS = ("fastrp", "spectral", "deepwalk", "line", "node2vec")
PAIR_SCORES = ("auto", *SCORES, "hadamard")
_PROBED = 25_000  # links at most that the probe of products learns from, and as many pairs that are none
_BLOCK = 65_536
_FORMAT = "graphrep link vectors 1"


def predictor_names() -> list[str]:
    """All names that a link predictor may have, those that are trained first."""
    trained = [name for name, entry in METHODS.items() if entry.task == "linkpred"]
    return [*trained, *VECTORS, *HEURISTICS]


def kind_of(name: str) -> str:
    """``trained``, ``vectors`` or ``heuristic``.

    Raises:
        UnknownNameError: no such predictor; the message has the closest name.

    Example:
        >>> kind_of("ncn"), kind_of("deepwalk"), kind_of("katz")
        ('trained', 'vectors', 'heuristic')
    """
    if name in HEURISTICS:
        return "heuristic"
    if name in VECTORS:
        return "vectors"
    if name in METHODS and METHODS[name].task == "linkpred":
        return "trained"
    known = predictor_names()
    what = f"{name} does not score links." if name in METHODS else f'Unknown method "{name}".'
    raise UnknownNameError(f"{what}{suggest(name, known)}", hint=" | ".join(known))


class Predictor:
    """Something that scores pairs of nodes, larger for what is more likely a link.

    Attributes:
        name: on the command line.
        kind: of :func:`kind_of`.
        params: of the method.
        notes: sentences that a user must be told.
    """

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        self.name, self.kind, self.params = name, kind_of(name), dict(params)
        self.notes: list[str] = []

    @property
    def title(self) -> str:
        """What a table calls it."""
        return self.name

    def fit(self, split: LinkSplit, **training: Any) -> Self:
        """Learns from the training links of a split; test pairs play no part."""
        raise NotImplementedError

    def score(self, pairs: Tensor) -> Array:
        """(P,) float64 scores of (2, P) node numbers."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Writes what was learned into a folder."""
        raise NotImplementedError


class TrainedPredictor(Predictor):
    """An estimator with `fit` and `score`.

    Attributes:
        model: the estimator.
    """

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        super().__init__(name, params)
        self.model = _estimator(name, params)

    def fit(self, split: LinkSplit, **training: Any) -> Self:
        """As :meth:`Predictor.fit`."""
        self.model.fit(split, **training)
        self.notes = [f"{self.name}: {note}" for note in self.model.notes_]
        return self

    def score(self, pairs: Tensor) -> Array:
        """As :meth:`Predictor.score`."""
        found: Array = self.model.score(pairs).double().numpy()
        return found

    def save(self, folder: Path) -> None:
        """As :meth:`Predictor.save`."""
        self.model.save(folder)


class VectorPredictor(Predictor):
    """Vectors of the training graph without its features; a pair's score comes from the vectors of its ends.

    Attributes:
        model: the embedding method.
        pair_score: ``dot``, ``cosine``, or ``hadamard``: a logistic regression on the products of the columns, trained
            on the training links and as many pairs that are none; ``auto`` becomes, in the fit, the one with the best
            AUC on the validation links (without those: cosine).
        z: (N, d) vectors.
        weight, bias: of that regression.
    """

    def __init__(self, name: str, params: Mapping[str, Any], pair_score: str = "auto") -> None:
        super().__init__(name, params)
        if pair_score not in PAIR_SCORES:
            raise UnknownNameError(
                f'--pair-score "{pair_score}" is unknown.{suggest(pair_score, PAIR_SCORES)}',
                hint=" | ".join(PAIR_SCORES),
            )
        self.model = _estimator(name, params)
        self.pair_score = pair_score
        self.z: Array = np.zeros((0, 0))
        self.weight: Array | None = None
        self.bias = 0.0

    @property
    def title(self) -> str:
        """The method and how pairs are scored."""
        return f"{self.name} + {self.pair_score}"

    def fit(self, split: LinkSplit, **training: Any) -> Self:
        """As :meth:`Predictor.fit`."""
        graph = split.graph.replace(x=None, feature_names=None, edge_weight=None)
        if "dim" in self.model.get_params():
            self.model.set_params(dim=min(self.model.dim, max(1, graph.num_nodes - 1)))
        self.z = np.asarray(self.model.fit_transform(graph, **training), dtype=np.float32)
        chosen = self.pair_score
        if chosen == "auto":
            chosen = self._best(split)
            self.notes = [f"{self.name}: {chosen} of the vectors, " + _why(split)]
        if chosen == "hadamard":
            self._learn(split)
        self.pair_score = chosen
        return self

    def score(self, pairs: Tensor) -> Array:
        """As :meth:`Predictor.score`."""
        ends = np.asarray(pairs)
        if self.pair_score != "hadamard":
            return pair_scores(self.z, ends, score=self.pair_score)
        assert self.weight is not None
        blocks = [ends[:, start : start + _BLOCK] for start in range(0, ends.shape[1], _BLOCK)]
        parts = [_products(self.z, block) @ self.weight + self.bias for block in blocks]
        return np.concatenate([np.zeros(0), *parts])

    def save(self, folder: Path) -> None:
        """As :meth:`Predictor.save`."""
        tensors = {"embedding": torch.from_numpy(self.z)}
        if self.weight is not None:
            tensors["weight"] = torch.from_numpy(np.append(self.weight, self.bias))
        write_tensors(folder / "model.safetensors", tensors, {"graphrep": _FORMAT, "pair_score": self.pair_score})

    def _best(self, split: LinkSplit) -> str:
        from graphrep.eval.linkpred import link_scores

        if split.val_pos is None or split.val_neg is None or not (split.val_pos.numel() and split.val_neg.numel()):
            return "cosine"
        found = {}
        for name in PAIR_SCORES[1:]:
            if name == "hadamard":
                self._learn(split)
            self.pair_score = name
            found[name] = link_scores(self.score(split.val_pos), self.score(split.val_neg), ks=(1,)).auc
        return max(found, key=lambda name: found[name])

    def _learn(self, split: LinkSplit) -> None:
        """The probe of products; some of the training links where there are many."""
        from graphrep.eval.logistic import logistic_regression

        edges, seed = split.graph.edge_index.numpy(), int(self.params.get("seed", 0))
        links = edges[:, edges[0] < edges[1]] if split.graph.is_undirected() else edges
        if links.shape[1] > _PROBED:
            links = links[:, np.sort(np.random.default_rng(seed).choice(links.shape[1], _PROBED, replace=False))]
        count = split.graph.num_nodes
        free = num_pairs(count, directed=False) - len(np.unique(edges.min(0) * count + edges.max(0)))
        others = uniform_negatives(edges, count, min(links.shape[1], free), seed)
        rows = np.concatenate([_products(self.z, links), _products(self.z, others)])
        model: LogisticModel = logistic_regression(rows, np.repeat([1, 0], [links.shape[1], others.shape[1]]))
        self.weight = model.coef[1] - model.coef[0]
        self.bias = float(model.intercept[1] - model.intercept[0])


class HeuristicPredictor(Predictor):
    """A heuristic on the training links; nothing is learned."""

    def fit(self, split: LinkSplit, **training: Any) -> Self:
        """As :meth:`Predictor.fit`."""
        self.graph = split.graph.replace(x=None, feature_names=None)
        return self

    def score(self, pairs: Tensor) -> Array:
        """As :meth:`Predictor.score`."""
        found: Array = heuristic_scores(self.graph, pairs, self.name).numpy()
        return found

    def save(self, folder: Path) -> None:
        """Nothing to write: the split holds the links."""


def make_predictor(name: str, params: Mapping[str, Any] | None = None, *, pair_score: str = "auto") -> Predictor:
    """The predictor of this name.

    Args:
        name: of :func:`predictor_names`.
        params: of its method; heuristics have none but a seed, which they ignore.
        pair_score: of vectors.

    Raises:
        UnknownNameError: an unknown method, parameter or pair score.
    """
    kind = kind_of(name)
    if kind == "heuristic":
        unknown = (params or {}).keys() - {"seed"}
        if unknown:
            raise UnknownNameError(f'{name} has no parameter "{min(unknown)}".', hint="leave it out")
        return HeuristicPredictor(name, params or {})
    if kind == "vectors":
        return VectorPredictor(name, params or {}, pair_score)
    return TrainedPredictor(name, params or {})


def load_predictor(name: str, folder: Path, split: LinkSplit) -> Predictor:
    """The predictor that :meth:`Predictor.save` wrote.

    Args:
        name: of the method.
        folder: of the run.
        split: whose training links heuristics need.

    Raises:
        FileFormatError: the folder does not hold it.
    """
    kind = kind_of(name)
    if kind == "heuristic":
        return HeuristicPredictor(name, {}).fit(split)
    if kind == "trained":
        found = TrainedPredictor(name, {})
        found.model = METHODS[name].load().load(folder)
        return found
    tensors, facts = read_tensors(folder / "model.safetensors")
    if facts.get("graphrep") != _FORMAT or "embedding" not in tensors:
        raise FileFormatError(f"{folder} holds no vectors of a link predictor.", hint="a folder of graphrep linkpred")
    vectors = VectorPredictor(name, {}, facts.get("pair_score", ""))
    vectors.z = tensors["embedding"].numpy()
    if vectors.pair_score == "hadamard":
        if "weight" not in tensors or len(tensors["weight"]) != vectors.z.shape[1] + 1:
            raise FileFormatError(f"{folder} has no weights for its vectors.", hint="run graphrep linkpred again")
        vectors.weight, vectors.bias = tensors["weight"].numpy()[:-1], float(tensors["weight"][-1])
    return vectors


def _estimator(name: str, params: Mapping[str, Any]) -> Any:
    check_params(name, params)
    known = parameters(name)
    given = {key: whole_numbers(value, known[key]) for key, value in params.items()}
    return METHODS[name].load()(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})


def _why(split: LinkSplit) -> str:
    return "for want of validation links." if split.val_pos is None else "by AUC on the validation links."


def _products(z: Array, pairs: Array) -> Array:
    """(P, d) products of the ends' vectors, in float64, of vectors whose mean square is 1."""
    if not z.size:
        raise GraphrepError("There are no vectors.", hint="a graph with nodes")
    scale = float(np.square(z, dtype=np.float64).mean()) or 1.0
    first, second = (z[ends].astype(np.float64) for ends in pairs)
    found: Array = first * second / scale
    return found
