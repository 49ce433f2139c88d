"""What the metric objects share: tensors as state, filled by updates, that add up over batches and processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError

__all__ = ["Metric"]


class Metric(ABC):
    """Base of the metrics: ``update`` with each batch, ``compute`` the result of all of them, ``reset``.

    The state is a dictionary of tensors on the device of the batches (:meth:`state`); another process' state or metric
    joins by :meth:`merge`. Nothing that was passed in is kept or changed.

    Attributes:
        reduce: how two states of a name become one: "sum", "cat" along axis 0, or "triangle", the R factor of a QR
            decomposition of both above one another.
    """

    reduce: ClassVar[Mapping[str, str]]

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    @abstractmethod
    def compute(self) -> Any:
        """The result over everything since the last reset."""

    def reset(self) -> None:
        """Forgets all batches."""
        self._parts = {}

    def state(self) -> dict[str, Tensor]:
        """The state by name, to be saved or sent to other processes; empty before the first update."""
        self._parts = {name: [self._joined(name, parts)] for name, parts in self._parts.items()}
        return {name: parts[0] for name, parts in self._parts.items()}

    def merge(self, *others: Metric | Mapping[str, Tensor]) -> Self:
        """Takes in what other metrics of this kind, or their states, have seen.

        Raises:
            GraphrepError: a metric of another kind.
        """
        for other in others:
            if isinstance(other, Metric) and type(other) is not type(self):
                raise GraphrepError(
                    f"a {type(other).__name__} cannot be merged into a {type(self).__name__}.", hint="the same metric"
                )
            state = other.state() if isinstance(other, Metric) else other
            if not set(state) <= set(self.reduce):
                raise GraphrepError(
                    f"this state has {', '.join(state)}; a {type(self).__name__} has {', '.join(self.reduce)}.",
                    hint="metric.state() of the same metric",
                )
            for name, value in state.items():
                self._add(name, value)
        return self

    def to(self, device: torch.device | str) -> Self:
        """Moves the state."""
        self._parts = {name: [part.to(device) for part in parts] for name, parts in self._parts.items()}
        return self

    def __repr__(self) -> str:
        options = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"

    def _add(self, name: str, value: Tensor) -> None:
        parts = self._parts.setdefault(name, [])
        parts.append(value.detach().clone())
        if self.reduce[name] != "cat":
            parts[:] = [self._joined(name, parts)]

    def _joined(self, name: str, parts: list[Tensor]) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        device = parts[0].device
        parts = [part.to(device) for part in parts]
        shapes = {tuple(part.shape[(0 if self.reduce[name] == "sum" else 1) :]) for part in parts}
        if len(shapes) > 1:
            raise ShapeError(
                f"{type(self).__name__}: {name} has shapes {' and '.join(map(str, sorted(shapes)))} in its updates.",
                hint="the same width in every update",
            )
        if self.reduce[name] == "sum":
            return torch.stack(parts).sum(0)
        joined = torch.cat(parts)
        return joined if self.reduce[name] == "cat" or len(joined) <= joined.shape[1] else _triangle(joined)

    def _seen(self) -> dict[str, Tensor]:
        """The state, which must not be empty."""
        state = self.state()
        if not state:
            raise ShapeError(f"{type(self).__name__} has seen no batch.", hint="metric.update(...) before compute()")
        return state


def _triangle(rows: Tensor) -> Tensor:
    factor: Tensor = torch.linalg.qr(rows, mode="r").R
    return factor
