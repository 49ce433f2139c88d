"""The training of a stage of LMGNN: an objective on the vectors of a source, in parts of a pass over the batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.kernels._counter import DOMAIN_SAMPLE, torch_start, torch_word
from graphrep.methods._lmgnn_losses import Objective
from graphrep.methods._lmgnn_sources import JointSource, Source
from graphrep.train import History, distributed

__all__ = ["CacheRows", "StageTask", "Trained", "best_score", "decay_groups"]

_LOOKED_AT = 256  # rows of the embedding that the loop's signals see
Group = tuple[list[nn.Parameter], float, float]  # parameters, factor of the rate, weight decay


class CacheRows(nn.Module):
    """Rows of a source's cache as a part of a saved state: training goes on from stale ones, not from fresh ones."""

    def __init__(self, source: JointSource) -> None:
        super().__init__()
        self._source, self.cache = source, source.inputs.cache

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "rows"] = self.cache.gather(torch.arange(self.cache.num_nodes))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        self.cache.write(torch.arange(self.cache.num_nodes), state_dict[prefix + "rows"])
        self._source.fresh = False


class Trained(nn.ModuleDict):
    """The modules of a stage, of which the saved state leaves out frozen parameters: they come with the model."""

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """All buffers and the parameters that are trained."""
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad}
        return {name: value for name, value in super().state_dict(*args, **kwargs).items() if name not in frozen}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """What :meth:`state_dict` gave.

        Raises:
            RuntimeError: names differ, or shapes.
        """
        wanted = self.state_dict().keys()
        if strict and wanted != state_dict.keys():
            raise RuntimeError(f"the state has other parts: {', '.join(sorted(wanted ^ state_dict.keys())[:3])}")
        return super().load_state_dict(state_dict, strict=False, assign=assign)


def decay_groups(module: nn.Module, factor: float, weight_decay: float) -> list[Group]:
    """Trained matrices with weight decay, trained biases and norms without."""
    found = [p for p in module.parameters() if p.requires_grad]
    parts = [([p for p in found if (p.dim() > 1) is wide], wide) for wide in (True, False)]
    return [(part, factor, weight_decay if wide else 0.0) for part, wide in parts if part]


class StageTask:
    """A :class:`graphrep.train.JudgedTask` and ``GroupedTask``.

    An epoch of the loop is a part of a pass over all batches, so that a pass that takes hours has states in between.

    Args:
        module: everything that is trained or saved.
        source: of vectors.
        objective: on them.
        groups: parameters with factor of the rate and weight decay.
        seed: of the batches; those of a pass are a function of it and the number of the pass.
        pieces: parts of a pass.
        fingerprint: of data and settings.

    Attributes:
        before: score of the validation part that the stage has to raise, or None; :meth:`judge` tells it too.
    """

    supervised = True

    def __init__(
        self,
        module: nn.Module,
        source: Source,
        objective: Objective,
        *,
        groups: Sequence[Group],
        seed: int,
        pieces: int,
        fingerprint: str,
    ) -> None:
        self.module, self.source, self.objective = module, source, objective
        self._groups, self._seed, self.pieces, self._fingerprint = list(groups), seed, pieces, fingerprint
        self._pass: tuple[int, list[Any]] = (-1, [])
        self.before: float | None = None

    def groups(self) -> Sequence[Group]:
        """Every trained parameter once, with the factor of its rate and its weight decay."""
        return self._groups

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Any]:
        """The batches of part `epoch` of the passes."""
        number, piece = divmod(epoch - 1, self.pieces)
        if self._pass[0] != number:
            words = torch_word(torch_start(self._seed, DOMAIN_SAMPLE, torch.tensor([number])), 0)
            drawn = torch.Generator().manual_seed(int(words[0]) & (2**63 - 1))
            self._pass = (number, self.objective.batches(drawn))
        every = self._pass[1]
        first, last = (part * len(every) // self.pieces for part in (piece, piece + 1))
        refresh = self.source.refresh_every if isinstance(self.source, JointSource) else None
        for place, batch in enumerate(every[first:last], start=number * len(every) + first):
            if isinstance(self.source, JointSource) and place and self._due(place, len(every), refresh):
                self.source.refresh()
            yield batch

    @staticmethod
    def _due(place: int, steps: int, every: int | None) -> bool:
        return place % (steps if every is None else every) == 0

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The objective on the vectors of the batch."""
        seeds, excluded = self.objective.seeds(batch), self.objective.excluded(batch)
        vectors = self.source.vectors(seeds, excluded, generator)
        parts = {"live": float(self.source.live)} if isinstance(self.source, JointSource) else {}
        return self.objective.loss(vectors, batch), parts

    def embed(self) -> Tensor:
        """Some rows of the validation part; where nothing validates the loop is told not to look."""
        judged = self.objective.judged()
        assert judged is not None
        self._vectors = self.source.judged(judged)
        return self.objective.shown(self._vectors)[:_LOOKED_AT]

    def judge(self) -> Mapping[str, float]:
        """The objective's score on the validation part."""
        found = self.objective.judge(self._vectors)
        return found if self.before is None else {**found, "before": self.before}

    @torch.no_grad()
    def score(self) -> float:
        """Of the validation part, as the module is now; in all processes the main one's."""
        self.module.eval()
        self.embed()
        return distributed.from_main(self.objective.judge(self._vectors).get("score", -math.inf))

    def fingerprint(self) -> str:
        """Settings, graph and stage."""
        return self._fingerprint


def best_score(history: History) -> float:
    """The highest score of the validation part in a stage."""
    return max((log.signals.get("score", -math.inf) for log in history.epochs), default=-math.inf)
