"""What trained estimators share: fit with callbacks and saved states, embedding of other graphs, files."""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from graphrep.data.check import grouped
from graphrep.data.graph import Graph
from graphrep.data.tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.data.write import atomic_write
from graphrep.errors import (
    CheckpointMismatchError,
    EmptyGraphError,
    FileFormatError,
    GraphrepError,
    MissingFeaturesError,
)
from graphrep.methods.base import Estimator, params_from_toml, params_to_toml
from graphrep.registry import METHODS
from graphrep.train import Callback, History, Task, TrainConfig, seeded, train

__all__ = ["WEIGHT_DTYPES", "TrainedEstimator", "inherits_arguments", "load_model"]

_TRAINING = (
    "epochs", "lr", "weight_decay", "optimizer", "schedule", "warmup", "clip_norm", "precision", "stop", "patience",
    "min_delta", "min_epochs", "keep", "eval_every", "time_budget", "seed",
)  # fmt: skip
WEIGHT_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}


def inherits_arguments(cls: type, **defaults: Any) -> None:
    """Gives a class whose constructor passes ``**options`` on the full signature: its own arguments, then its parent's.

    Args:
        cls: the class.
        defaults: of the parent's arguments that differ for this class; its constructor fills them in.
    """
    own = [p for p in inspect.signature(cls.__init__).parameters.values() if p.kind is not p.VAR_KEYWORD][1:]  # type: ignore[misc]
    names = {p.name for p in own}
    parent = inspect.signature(cls.__bases__[0]).parameters.values()
    later = [p.replace(default=defaults.get(p.name, p.default)) for p in parent if p.name not in names]
    ordered = sorted([*own, *later], key=lambda p: p.kind)
    cls.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]


class TrainedEstimator(Estimator):
    """Base of methods that train a module on a graph with features.

    Attributes:
        module_: the trained ``nn.Module``.
        embedding_: (N, dim) of the training graph.
        history_: the course of the training.
        ids_: external ids of the rows, None for 0..N-1.
        trained_on_: name of the training graph, or None.
    """

    _needs_features: ClassVar[bool] = True
    _left_out: ClassVar[tuple[str, ...]] = ()  # parts of the module that only training needs

    dim: int
    seed: int
    precision: str
    device: str
    module_: nn.Module
    embedding_: Tensor
    history_: History
    ids_: Any
    trained_on_: str | None
    _origin: Any  # the file it was loaded from

    def fit(
        self,
        graph: Any,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
        rescue: str | os.PathLike[str] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Self:
        """Trains on `graph`, and embeds it.

        Args:
            graph: anything :meth:`Graph.coerce` takes.
            callbacks: told about steps and epochs.
            checkpoint: file for the state of the training; None saves none.
            checkpoint_every: seconds between two states.
            resume: go on from `checkpoint` if it exists.
            rescue: file for the last good weights should the training diverge.
            should_stop: asked after every epoch; :func:`graphrep.train.train` has the rest.

        Raises:
            MissingFeaturesError, EmptyGraphError: the graph lacks what the method needs.
            DivergedError: NaN during training; ``module_`` holds the last good state.
            GraphrepError: a setting that does not fit the graph.
        """
        graph = self._coerced(graph)
        self._check(graph)
        config = self._config()
        with seeded(self.seed):
            module = self._module(self._shape(graph)).to(self.device, WEIGHT_DTYPES[self.precision])
        self.module_, self.ids_, self.trained_on_ = module, self._row_ids(graph), graph.name
        self.history_ = self._train(
            module,
            graph,
            config,
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            rescue=rescue,
            should_stop=should_stop,
        )
        self.embedding_ = self.embed(graph)
        return self

    def _train(self, module: nn.Module, graph: Graph, config: TrainConfig, **options: Any) -> History:
        """Trains `module`; `options` are those of :func:`graphrep.train.train`."""
        return train(self._task(module, graph), config, **options)

    def fit_transform(self, graph: Any, **training: Any) -> Tensor:
        """:meth:`fit`, then the (N, dim) embedding; `training` holds the arguments of :meth:`fit`."""
        return self.fit(graph, **training).embedding_

    @torch.no_grad()
    def embed(self, graph: Any) -> Tensor:
        """(N, dim) embedding of a graph with features of the same kind, by the trained encoder, without dropping.

        Raises:
            NotFittedError: before `fit`.
            MissingFeaturesError, EmptyGraphError: the graph lacks what the method needs.
            CheckpointMismatchError: another number of features.
        """
        module: nn.Module = self._fitted("module_")
        graph = self._fitting(graph)
        module.eval()
        return self._encode(module, graph).to("cpu")

    def _fitting(self, graph: Any) -> Graph:
        """The graph, when the trained module takes it."""
        module: nn.Module = self._fitted("module_")
        found: Graph = self._coerced(graph)
        self._check_known(found)
        wanted = self._width(module)
        if wanted is not None and found.num_features != wanted:
            origin = self.__dict__.get("_origin", "The model")
            known = f" ({self.trained_on_})" if self.trained_on_ else ""
            raise CheckpointMismatchError(
                f"{origin} was trained on {grouped(wanted)} features; this graph has {grouped(found.num_features)}.",
                hint=f"the data set it came from{known}, or graphrep train to make a new one",
            )
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``model.toml`` and ``model.safetensors`` into folder `path`.

        Raises:
            NotFittedError: before `fit`.
            GraphrepError: a parameter is an object that a file cannot hold (an encoder of your own), or the folder
                cannot be written.
        """
        module: nn.Module = self._fitted("module_")
        for name, value in self.get_params().items():
            if isinstance(value, nn.Module) or callable(value):
                raise GraphrepError(
                    f"{name} is a {type(value).__name__}, which a settings file cannot hold.",
                    hint="torch.save(model.module_.state_dict(), ...) and rebuild it in code",
                )
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        state = module.state_dict().items()
        tensors = {f"module.{name}": value for name, value in state if not name.startswith(self._left_out)}
        results, told = self._results()
        tensors |= {"embedding": self.embedding_, **pack_ids(self.ids_), **results}
        facts = {**told, "graphrep": self._format(), "in_channels": self._pack_shape(module)}
        facts["trained_on"] = self.trained_on_ or ""
        write_tensors(folder / "model.safetensors", tensors, facts)
        with atomic_write(folder / "model.toml") as file:
            file.write(params_to_toml(self).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model that :meth:`save` wrote; nothing in the files is executed.

        Raises:
            FileFormatError: the folder does not hold such a model.
        """
        folder = Path(path)
        tensors, facts = read_tensors(folder / "model.safetensors")
        if facts.get("graphrep") != cls._format():
            raise FileFormatError(f"{folder} does not hold a saved {cls.__name__} model.", hint="model.save(path)")
        try:
            params = params_from_toml((folder / "model.toml").read_text(encoding="utf8"))
            model = cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in params.items()})
            module = model._module(model._unpack_shape(facts["in_channels"])).to(WEIGHT_DTYPES[model.precision])
            part = {n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")}
            module.load_state_dict(part)
            model.embedding_ = tensors["embedding"]
            model._restore(tensors, facts)
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FileFormatError(f"{folder} cannot be read: {reason}.", hint="model.save(path)") from error
        model.module_, model.ids_, model.history_ = module, unpack_ids(tensors), History()
        model.trained_on_ = facts.get("trained_on") or None
        model._origin = folder / "model.safetensors"
        return model

    def _results(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """What `fit` found beside the embedding, for the file: tensors and texts."""
        return {}, {}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        """Takes back what :meth:`_results` gave."""

    def _fingerprint(self, free: Sequence[str]) -> str:
        """The settings as text, but for those that a resumed run may change."""
        params = {name: tuple(v) if isinstance(v, list) else v for name, v in self.get_params().items()}
        settings = ", ".join(f"{k}={v!r}" for k, v in params.items() if k not in free and not callable(v))
        return f"{type(self).__name__}({settings})"

    @classmethod
    def _format(cls) -> str:
        return f"graphrep {cls.__name__} 1"

    def _config(self) -> TrainConfig:
        return TrainConfig(**{name: getattr(self, name) for name in _TRAINING if hasattr(self, name)})

    def _check(self, graph: Graph) -> None:
        name = type(self).__name__.lower()
        if graph.num_nodes < 2:
            raise EmptyGraphError(f"{name} contrasts nodes, and the graph has {graph.num_nodes}.", hint="2 or more")
        self._check_features(graph)

    def _check_known(self, graph: Graph) -> None:
        """Raises unless a trained module can take the graph; not what only training needs, where that differs."""
        self._check(graph)

    def _check_features(self, graph: Graph) -> None:
        if self._needs_features and not graph.num_features:
            where = graph.name or "the graph"
            raise MissingFeaturesError(
                f"{type(self).__name__.lower()} needs node features and {where} has none.",
                hint="--features FILE, --features degree|onehot|fastrp, or -m fastrp, which needs none",
            )

    def _coerced(self, graph: Any) -> Any:
        """The kind of graph that the method takes."""
        return Graph.coerce(graph)

    def _row_ids(self, graph: Any) -> Any:
        """External ids of the rows of the embedding."""
        return graph.ids

    def _shape(self, graph: Any) -> Any:
        """What of a graph the module's sizes depend on; here the number of its features."""
        return graph.num_features

    def _pack_shape(self, module: nn.Module) -> str:
        """That as text, for a file."""
        return str(self._width(module) or 0)

    def _unpack_shape(self, text: str) -> Any:
        """What :meth:`_pack_shape` wrote."""
        return int(text)

    def _width(self, module: nn.Module) -> int | None:
        """Features that the module takes, where it can tell."""
        raise NotImplementedError

    def _module(self, shape: Any, /) -> nn.Module:
        raise NotImplementedError

    def _task(self, module: nn.Module, graph: Graph) -> Task:
        raise NotImplementedError

    def _encode(self, module: nn.Module, graph: Graph) -> Tensor:
        raise NotImplementedError


def load_model(path: str | os.PathLike[str]) -> TrainedEstimator:
    """The trained model in a folder (of a run, or of :meth:`TrainedEstimator.save`), whichever method it is.

    Raises:
        FileFormatError: no such model there.
    """
    file = Path(path) / "model.safetensors"
    facts = read_tensors(file)[1] if file.is_file() else {}
    name = facts.get("graphrep", "").split()[1:2]
    for entry in METHODS.values():
        if name and entry.target.endswith(f":{name[0]}"):
            cls = entry.load()
            if issubclass(cls, TrainedEstimator):
                model: TrainedEstimator = cls.load(path)
                return model
    raise FileFormatError(f"{path} does not hold a trained model.", hint="graphrep train METHOD GRAPH makes one")
