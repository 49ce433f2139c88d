"""How long, how fast and by which rule a method is trained."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from graphrep.errors import GraphrepError, UnknownNameError

__all__ = ["TrainConfig"]

_CHOICES = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("constant", "cosine", "decay"),
    "precision": ("float32", "float64", "bfloat16"),
    "stop": ("none", "loss", "rankme", "changed", "recall", "hits", "score"),
    "keep": ("last", "best"),
}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of the loop; no setting here looks at labels.

    Attributes:
        epochs: passes over the batches of the task, at most.
        lr: learning rate.
        weight_decay: L2 penalty (``adamw``: decoupled).
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        schedule: ``constant``, ``cosine`` from `lr` to zero over `epochs`, or ``decay``: 2 % less after each epoch,
            down to half of `lr`.
        warmup: epochs over which the rate grows linearly from zero.
        clip_norm: largest norm of the gradient; None does not clip.
        precision: ``float32``, ``float64``, or ``bfloat16``: matrix products under autocast, weights in float32.
        stop: ``loss``: when the training loss has not fallen by `min_delta` of itself for `patience` epochs;
            ``rankme``: when RankMe of the embedding has not risen by `min_delta` of itself for `patience` epochs
            (looked at every `eval_every`); ``changed``, for tasks that cluster: when fewer than the share `min_delta`
            of the nodes changed their cluster within `patience` epochs; ``recall``, for tasks that recommend: when the
            recall on the validation pairs has not risen likewise; ``hits``, for tasks that predict links: likewise by
            Hits@K of the validation links; ``score``: likewise by whatever the task scores on its validation part;
            ``none``: all epochs.
        patience: see `stop`, in epochs.
        min_delta: see `stop`, relative; for ``changed`` a share of the nodes.
        min_epochs: epochs before which no rule stops.
        keep: the state at the end: ``last``, or ``best`` by the signal of `stop` (by the loss when that is ``none``).
        eval_every: epochs between two looks at the embedding (RankMe, collapse, recall); 0: never.
        time_budget: seconds after which no further epoch begins; None: no limit.
        seed: of batches, views and dropout.

    Raises:
        GraphrepError, UnknownNameError: a value out of range.
    """

    epochs: int = 200
    lr: float = 1e-3
    weight_decay: float = 0.0
    optimizer: str = "adam"
    schedule: str = "constant"
    warmup: int = 0
    clip_norm: float | None = None
    precision: str = "float32"
    stop: str = "none"
    patience: int = 50
    min_delta: float = 0.0
    min_epochs: int = 0
    keep: str = "last"
    eval_every: int = 20
    time_budget: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UnknownNameError(f'{name} is "{value}".', hint="one of " + ", ".join(choices))
        for name, low in (("epochs", 0), ("warmup", 0), ("patience", 1), ("min_epochs", 0), ("eval_every", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise GraphrepError(
                    f"{name} must be an integer, {low} or more; got {value!r}.", hint=f"{name}={low + 1}"
                )
        for name in ("weight_decay", "min_delta"):
            self._positive(name, getattr(self, name), zero=True)
        for name in ("lr", "clip_norm", "time_budget"):
            if getattr(self, name) is not None or name == "lr":
                self._positive(name, getattr(self, name), zero=False)
        if self.stop in ("rankme", "recall", "hits", "score") and self.eval_every == 0:
            raise GraphrepError(f"stop by {self.stop} needs eval_every above 0.", hint="eval_every=20")

    @staticmethod
    def _positive(name: str, value: Any, *, zero: bool) -> None:
        if not isinstance(value, int | float) or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
            raise GraphrepError(
                f"{name} must be {'0 or more' if zero else 'positive'}; got {value!r}.", hint=f"{name}=0.001"
            )

    def rate(self, epoch: int) -> float:
        """The learning rate of epoch `epoch` (from 1).

        Example:
            >>> TrainConfig(epochs=10, lr=1.0, schedule="cosine", warmup=2).rate(1)
            0.5
        """
        factor = min(1.0, epoch / self.warmup) if self.warmup else 1.0
        if self.schedule == "cosine" and epoch > self.warmup:
            share = (epoch - self.warmup - 1) / max(1, self.epochs - self.warmup)
            factor *= (1 + math.cos(math.pi * share)) / 2
        if self.schedule == "decay":
            factor *= max(0.98 ** (epoch - 1), 0.5)
        return self.lr * factor
