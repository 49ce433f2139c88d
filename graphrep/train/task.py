"""What the loop and a method tell each other: the task, the log of an epoch, the history, callbacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = ["Callback", "EpochLog", "GroupedTask", "History", "JudgedTask", "Task"]


class Task(Protocol):
    """What a method hands to :func:`graphrep.train.train`.

    Attributes:
        module: everything that is trained or saved; its parameters get gradients.

    A task may also have ``supervised = True``: its targets may draw rows together, and nobody is warned of a collapse.
    """

    module: nn.Module

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Any]:
        """The batches of one epoch (from 1); one ``None`` for the whole graph at once."""
        ...

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar loss of a batch, and named parts of it for the log."""
        ...

    def embed(self) -> Tensor:
        """(n, d) embedding of the training graph (or of a fixed sample of it) for the signals; no gradient."""
        ...

    def fingerprint(self) -> str:
        """Text that tells whether a saved state belongs to this task: settings of the method and the graph."""
        ...


@runtime_checkable
class JudgedTask(Task, Protocol):
    """A task that can score itself on validation data; scores by name join the signals of the epoch."""

    def judge(self) -> Mapping[str, float]:
        """Called right after :meth:`embed`, without gradient; ``recall`` and ``hits`` are what the stop rules of those
        names follow.
        """
        ...


@runtime_checkable
class GroupedTask(Task, Protocol):
    """A task whose parameters learn at different rates."""

    def groups(
        self,
    ) -> Sequence[tuple[Sequence[nn.Parameter], float] | tuple[Sequence[nn.Parameter], float, float]]:
        """Every trained parameter once, with the factor of its group's learning rate and, where it is not that of the
        settings, its weight decay.
        """
        ...


@dataclasses.dataclass(frozen=True)
class EpochLog:
    """What is known after an epoch.

    Attributes:
        epoch: from 1.
        loss: mean over the batches.
        parts: named parts of the loss and whatever else the task counts, means over the batches.
        lr: learning rate.
        grad_norm: of the last batch, before clipping.
        seconds: of this epoch.
        signals: ``rankme`` and ``feature_std``, in the epochs in which they were looked at.
    """

    epoch: int
    loss: float
    parts: Mapping[str, float]
    lr: float
    grad_norm: float
    seconds: float
    signals: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**dataclasses.asdict(self), "parts": dict(self.parts), "signals": dict(self.signals)}


@dataclasses.dataclass
class History:
    """The course of a training.

    Attributes:
        epochs: a log per epoch.
        best_epoch: epoch with the best signal of the stop rule (the lowest loss without a rule); 0 before the first.
        kept_epoch: epoch whose state the module has now.
        stopped: why it ended: ``epochs``, ``time``, or the name of the stop rule.
        seconds: of training, over all resumed parts.
        earlier: courses of the trainings this one started from, such as that of an auto-encoder.
    """

    epochs: list[EpochLog] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    kept_epoch: int = 0
    stopped: str = "epochs"
    seconds: float = 0.0
    earlier: list[History] = dataclasses.field(default_factory=list)

    @property
    def losses(self) -> list[float]:
        """The loss of every epoch."""
        return [log.loss for log in self.epochs]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        logs, before = [log.to_dict() for log in self.epochs], [history.to_dict() for history in self.earlier]
        return {**dataclasses.asdict(self), "epochs": logs, "earlier": before}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> History:
        """The inverse of :meth:`to_dict`."""
        epochs = [EpochLog(**log) for log in facts["epochs"]]
        return cls(**{**facts, "epochs": epochs, "earlier": [cls.from_dict(h) for h in facts.get("earlier", ())]})

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epochs)"
        first, last = self.epochs[0].loss, self.epochs[-1].loss
        return (
            f"History({len(self.epochs)} epochs, loss {first:.4g} -> {last:.4g}, kept epoch {self.kept_epoch}, "
            f"stopped by {self.stopped})"
        )


class Callback:
    """Told about each step and epoch; subclasses override what they need."""

    def start(self, config: Any, done: int) -> None:
        """Before the first epoch; `done` epochs were trained before, in a run that is resumed."""

    def stage_started(self, name: str) -> None:
        """Before a stage of a method that trains, or computes something beside, in several."""

    def step_done(self, epoch: int, step: int, loss: float) -> None:
        """After step `step` (from 1) of an epoch."""

    def part_done(self, epoch: int, share: float) -> None:
        """Within an epoch, of methods whose epochs may be long; `share` of it is through."""

    def epoch_done(self, log: EpochLog) -> None:
        """After an epoch."""
