"""Label-free signals: RankMe and the spread of the embedding, plateaus, collapse (evaluation by the spectrum)."""

from __future__ import annotations

import dataclasses
import math
import warnings

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.eval.spectrum import mean_feature_std, rankme
from graphrep.train.config import TrainConfig

__all__ = ["CollapseWarning", "Plateau", "look", "warn_of_collapse"]

_LEAST_ROWS = 2048
_LOOKED_AT = ("rankme", "changed", "recall", "hits", "score")
_RISING = ("rankme", "recall", "hits", "score")


class CollapseWarning(UserWarning):
    """The embedding uses few of its dimensions."""


def look(embedding: Tensor) -> dict[str, float]:
    """RankMe and mean feature standard deviation of at most max(5 d, 2048) evenly spaced rows of (n, d)."""
    rows = max(5 * embedding.shape[1], _LEAST_ROWS)
    if len(embedding) > rows:
        index = torch.linspace(0, len(embedding) - 1, rows, device=embedding.device).round().long()
        embedding = embedding[index]
    z = embedding.detach().double().cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an all-zero embedding: the collapse is told below
        return {"rankme": rankme(z), "feature_std": mean_feature_std(z)}


def warn_of_collapse(signals: dict[str, float], shape: torch.Size, epoch: int) -> bool:
    """Warns when RankMe is below a tenth of the dimensions that (n, d) can have; says whether it did."""
    full = min(shape)
    if full < 2 or signals["rankme"] >= 0.1 * full:
        return False
    warnings.warn(
        f"collapse: after epoch {epoch} RankMe of the embedding is {signals['rankme']:.2f} of {full} dimensions; "
        "its rows are nearly equal or lie in few directions. Try: a higher temperature, a lower learning rate, or "
        "weaker augmentation.",
        CollapseWarning,
        stacklevel=2,
    )
    return True


@dataclasses.dataclass
class Plateau:
    """Follows the signal of the stop rule: loss and share of nodes that changed shall fall, the others rise.

    Attributes:
        best: best value so far; NaN before the first.
        best_epoch: when it was seen.
    """

    config: TrainConfig
    best: float = math.nan
    best_epoch: int = 0

    def update(self, epoch: int, loss: float, signals: dict[str, float]) -> bool:
        """Takes in an epoch, with the signals it has; whether it is the best so far.

        Raises:
            GraphrepError: the rule is ``changed`` and the task does not tell how many nodes changed.
        """
        rule = self.config.stop
        if rule == "changed" and rule not in signals and epoch > self.config.patience:
            raise GraphrepError('stop="changed" is for methods that cluster.', hint='stop="loss" or stop="none"')
        if rule in _LOOKED_AT and rule not in signals:
            return False
        value = signals[rule] if rule in _LOOKED_AT else loss
        gain = (value - self.best) if rule in _RISING else (self.best - value)
        least = 0.0 if rule == "changed" else self.config.min_delta * abs(self.best)
        if math.isnan(self.best) or gain > least:
            self.best, self.best_epoch = value, epoch
            return True
        return False

    def reached(self, epoch: int) -> bool:
        """Whether the rule says stop after `epoch` epochs."""
        if self.config.stop == "none" or epoch < self.config.min_epochs:
            return False
        if self.config.stop == "changed":
            return self.best < self.config.min_delta
        return epoch - self.best_epoch >= self.config.patience
