"""The state of a training in one safetensors file: weights, optimiser, random numbers, history; no pickles."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphrep.data.tensor_files import read_tensors, write_tensors
from graphrep.errors import CheckpointMismatchError, FileFormatError
from graphrep.train.config import TrainConfig
from graphrep.train.task import History

__all__ = ["State", "clone", "is_finite", "load_state", "save_state", "saved_history"]

_FORMAT = "graphrep training 1"
_FREE = (  # may differ when resumed
    "epochs", "time_budget", "patience", "min_delta", "min_epochs", "stop", "keep", "eval_every",
)  # fmt: skip


@dataclasses.dataclass
class State:
    """What a training needs to go on exactly where it was.

    Attributes:
        module: its ``state_dict``.
        optimizer: its ``state_dict``.
        best: ``state_dict`` of the best epoch, empty when that is not kept.
        best_value: its signal.
        random: state of torch's global generator.
        generator: state of the training's own generator.
        history: so far.
        processes: (W, 2, n) states of the generators (torch's global one, the training's) of each of W processes;
            empty for one process.
    """

    module: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]
    best_value: float
    random: Tensor
    generator: Tensor
    history: History
    processes: Tensor = dataclasses.field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))


def save_state(path: str | os.PathLike[str], state: State, config: TrainConfig, fingerprint: str) -> None:
    """Writes the state; the file appears complete or not at all.

    Raises:
        GraphrepError: the file cannot be written.
    """
    tensors = {f"module.{k}": v for k, v in state.module.items()} | {f"best.{k}": v for k, v in state.best.items()}
    tensors |= {"random": state.random, "generator": state.generator}
    if state.processes.numel():
        tensors["processes"] = state.processes
    slots: dict[str, dict[str, Any]] = {}
    for index, values in state.optimizer["state"].items():
        slots[str(index)] = {}
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                slots[str(index)][name] = value
    groups = [
        {k: v for k, v in group.items() if not isinstance(v, Tensor)} for group in state.optimizer["param_groups"]
    ]
    facts = {
        "config": dataclasses.asdict(config),
        "fingerprint": fingerprint,
        "history": state.history.to_dict(),
        "best_value": None if state.best_value != state.best_value else state.best_value,
        "slots": slots,
        "groups": groups,
    }
    write_tensors(path, tensors, {"graphrep": _FORMAT, "facts": json.dumps(facts)})


def load_state(path: str | os.PathLike[str], config: TrainConfig, fingerprint: str) -> State:
    """Reads a state that belongs to this task.

    Raises:
        FileFormatError: no state of a training.
        CheckpointMismatchError: of another graph, method or setting.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("graphrep") != _FORMAT:
        raise FileFormatError(f"{path} does not hold the state of a training.", hint="the checkpoint of a run folder")
    try:
        facts = json.loads(metadata["facts"])
        saved, history = facts["config"], History.from_dict(facts["history"])
        slots = {int(index): dict(values) for index, values in facts["slots"].items()}
        groups, best = facts["groups"], facts["best_value"]
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is damaged: {error}.", hint="start the run again") from error
    _check(Path(path), saved, facts.get("fingerprint"), config, fingerprint)
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            index, _, slot = name.removeprefix("optimizer.").partition(".")
            slots.setdefault(int(index), {})[slot] = tensor
    return State(
        module=_part(tensors, "module."),
        optimizer={"state": slots, "param_groups": groups},
        best=_part(tensors, "best."),
        best_value=float("nan") if best is None else float(best),
        random=tensors["random"],
        generator=tensors["generator"],
        history=history,
        processes=tensors.get("processes", torch.empty(0, dtype=torch.uint8)),
    )


def saved_history(path: str | os.PathLike[str], fingerprint: str) -> History | None:
    """The course of the training in a state if it has this fingerprint, for methods that train in several stages.

    Raises:
        FileFormatError: no state of a training.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
        return History.from_dict(facts["history"]) if facts["fingerprint"] == fingerprint else None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} does not hold the state of a training: {error}.", hint="start again") from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _check(path: Path, saved: dict[str, Any], print_saved: Any, config: TrainConfig, fingerprint: str) -> None:
    if print_saved != fingerprint:
        raise CheckpointMismatchError(
            f"{path} belongs to another graph or another method: it holds {print_saved}, this run is {fingerprint}.",
            hint="the graph and the settings of the interrupted run, or a new run folder",
        )
    for name, value in dataclasses.asdict(config).items():
        if name not in _FREE and saved.get(name) != value:
            raise CheckpointMismatchError(
                f"{path} was trained with {name}={saved.get(name)!r}; this run has {name}={value!r}.",
                hint="the settings of the interrupted run, or a new run folder",
            )


def clone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A copy that training does not change."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def is_finite(tensors: dict[str, Tensor]) -> bool:
    """Whether every floating-point entry is finite."""
    return all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point())
