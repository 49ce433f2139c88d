"""What every clusterer offers, trained or not: labels in a fixed order, and words on what the user must know."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from graphrep.data.tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError, GraphrepError
from graphrep.methods.base import Estimator, params_from_toml, params_to_toml
from graphrep.registry import METHODS

__all__ = ["ClusterMixin", "Clusterer", "Clustering", "load_clusterer", "ordered_labels"]


@runtime_checkable
class Clustering(Protocol):
    """A fitted clustering of the nodes of a graph.

    Attributes:
        labels_: (N,) int64, clusters 0..K-1 by size, the largest first; of equal sizes the one with the first node.
        num_clusters_: K, clusters that have a node.
        probabilities_: (N, C) shares of the clusters per node, or None; C > K where some cluster is empty.
        notes_: plain sentences that a user must be told: isolated nodes, empty clusters, repeated edges, ...
    """

    labels_: Tensor
    num_clusters_: int
    probabilities_: Tensor | None
    notes_: list[str]


class ClusterMixin:
    """The attributes of :class:`Clustering` for an estimator, whose `fit` calls :meth:`_keep`."""

    labels_: Tensor
    num_clusters_: int
    probabilities_: Tensor | None
    notes_: list[str]

    def fit_predict(self, graph: Any, **options: Any) -> Tensor:
        """`fit`, then the labels (N,); `options` are those of `fit`."""
        fitted: ClusterMixin = self.fit(graph, **options)  # type: ignore[attr-defined]
        return fitted.labels_

    def predict(self, graph: Any) -> Tensor:
        """Labels (N,) of the nodes of another graph, in the numbering of the fitted clusters.

        Raises:
            GraphrepError: the method has no rule for nodes it was not fitted on.
        """
        raise GraphrepError(
            f"{type(self).__name__} labels the nodes that it was fitted on and no others.",
            hint="fit_predict on the whole graph; KMeans and SmoothedKMeans can label new nodes",
        )

    def _keep(self, labels: Tensor, *, probabilities: Tensor | None = None, notes: Iterable[str] = ()) -> Tensor:
        """Stores the result; returns the given label of each cluster in its new order, empty ones last.

        Args:
            labels: (N,) integers >= 0 in any numbering.
            probabilities: (N, C), columns by the given labels.
            notes: sentences for `notes_`.
        """
        count = 0 if probabilities is None else probabilities.shape[1]
        self.labels_, order = ordered_labels(labels, count)
        self.num_clusters_ = int(self.labels_.max()) + 1
        self.probabilities_ = None if probabilities is None else probabilities[:, order]
        self.notes_ = list(notes)
        if count > self.num_clusters_:
            self.notes_.append(f"{count - self.num_clusters_} of {count} clusters are empty.")
        return order


def ordered_labels(labels: Tensor, count: int = 0) -> tuple[Tensor, Tensor]:
    """The same clusters numbered by size, the largest first; of equal sizes the one with the first node comes first.

    Args:
        labels: (N,) integers >= 0.
        count: number of clusters, for empty ones beyond the largest label.

    Returns:
        (N,) int64 labels 0..K-1, and (C,) the given label of each new one; labels that no node has come last.

    Example:
        >>> ordered_labels(torch.tensor([7, 3, 3, 5]))[0].tolist()
        [1, 0, 0, 2]
    """
    labels = labels.long().cpu()
    size = torch.bincount(labels, minlength=count)
    first = torch.full_like(size, labels.numel())
    first.scatter_reduce_(0, labels, torch.arange(labels.numel()), "amin")
    by_first = first.argsort(stable=True)
    order = by_first[size[by_first].argsort(descending=True, stable=True)]
    if not count:
        order = order[size[order] > 0]
    rank = torch.zeros_like(size)
    rank[order] = torch.arange(order.numel())
    return rank[labels], order


class Clusterer(ClusterMixin, Estimator):
    """Base of the clusterers that need no training.

    A subclass stores its constructor's arguments, and its `fit` ends in ``_keep``. Attributes that are saved along with
    the labels are named in `_state` (tensors) and `_numbers`.

    Attributes:
        labels_, num_clusters_, probabilities_, notes_: see :class:`Clustering`.
        ids_: external ids of the nodes, None for 0..N-1.
    """

    _state: tuple[str, ...] = ()
    _numbers: tuple[str, ...] = ()
    ids_: Any

    def fit(self, graph: Any) -> Self:
        """Clusters the nodes of `graph`, anything that :meth:`graphrep.Graph.coerce` takes."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``model.toml`` and ``model.safetensors`` into folder `path`.

        Raises:
            NotFittedError: before `fit`.
            GraphrepError: a parameter is an object that a file cannot hold.
        """
        tensors = {"labels": self._fitted("labels_"), **pack_ids(self.ids_)}
        tensors |= {name: getattr(self, name) for name in self._state if getattr(self, name, None) is not None}
        if self.probabilities_ is not None:
            tensors["probabilities"] = self.probabilities_
        try:
            settings = params_to_toml(self)
        except TypeError as error:
            raise GraphrepError(f"{error} A settings file cannot hold it.", hint="plain numbers and text") from None
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"graphrep": f"graphrep {type(self).__name__} 1", "notes": json.dumps(self.notes_)}
        facts["numbers"] = json.dumps({name: float(getattr(self, name)) for name in self._numbers})
        write_tensors(folder / "model.safetensors", tensors, facts)
        with atomic_write(folder / "model.toml") as file:
            file.write(settings.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The clustering that :meth:`save` wrote; nothing in the files is executed.

        Raises:
            FileFormatError: the folder does not hold such a clustering.
        """
        folder = Path(path)
        tensors, facts = read_tensors(folder / "model.safetensors")
        if facts.get("graphrep") != f"graphrep {cls.__name__} 1":
            raise FileFormatError(f"{folder} does not hold a saved {cls.__name__} model.", hint="model.save(path)")
        try:
            params = params_from_toml((folder / "model.toml").read_text(encoding="utf8"))
            model = cls(**params)
            labels = tensors["labels"]
            model.labels_, model.num_clusters_ = labels, int(labels.max()) + 1
            model.notes_ = [str(note) for note in json.loads(facts["notes"])]
            numbers = json.loads(facts["numbers"])
            for name in cls._numbers:
                setattr(model, name, float(numbers[name]))
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileFormatError(f"{folder} cannot be read: {error}.", hint="model.save(path)") from error
        model.probabilities_, model.ids_ = tensors.get("probabilities"), unpack_ids(tensors)
        for name in cls._state:
            setattr(model, name, tensors.get(name))
        return model


def load_clusterer(path: str | os.PathLike[str]) -> Any:
    """The fitted clusterer in a folder that `save` wrote, whichever method it is.

    Raises:
        FileFormatError: no such model there.
    """
    _, facts = read_tensors(Path(path) / "model.safetensors")
    name = facts.get("graphrep", "").split()[1:2]
    for entry in METHODS.values():
        if name and entry.task == "cluster" and entry.target.endswith(f":{name[0]}"):
            return entry.load().load(path)
    raise FileFormatError(f"{path} does not hold a saved clustering.", hint="model.save(path)")
