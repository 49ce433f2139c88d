"""Checkpoints of a FastRP run: the last power and the result so far, tied to the graph and the settings."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphrep.data._tensor_files import read_tensors, write_tensors
from graphrep.errors import CheckpointMismatchError
from graphrep.methods._fastrp_input import Problem
from graphrep.methods._fastrp_passes import State
from graphrep.methods._fastrp_settings import Settings

__all__ = ["Checkpoint"]

_FORMAT = "graphrep fastrp checkpoint 1"


class Checkpoint:
    """Reads and writes the state of one run: the last power only, so no run that keeps all of them.

    Args:
        path: a file; its folder must exist.
        problem: the graph.
        settings: checked parameters.
        init: given start vectors, or None.
    """

    def __init__(self, path: str | os.PathLike[str], problem: Problem, settings: Settings, init: Any) -> None:
        self.path = Path(path)
        self._graph = _digest(problem, init)
        self._settings = repr(sorted(asdict(settings).items(), key=lambda item: item[0]))

    def save(self, state: State) -> None:
        """Writes the state after a pass; the file is always a whole state, of this pass or of the one before."""
        tensors = {"power": state.current}
        if state.result is not None:
            tensors["result"] = state.result
        numbers = {"graphrep": _FORMAT, "power": str(state.power), "graph": self._graph, "settings": self._settings}
        write_tensors(self.path, tensors, numbers)

    def load(self) -> State | None:
        """The saved state, or None when there is no file.

        Raises:
            CheckpointMismatchError: the file belongs to another graph, other settings or another kind of run.
            FileFormatError: the file cannot be read.
        """
        if not self.path.exists():
            return None
        tensors, numbers = read_tensors(self.path)
        if numbers.get("graphrep") != _FORMAT:
            raise CheckpointMismatchError(f"{self.path} is not a FastRP checkpoint.", hint="another checkpoint path")
        for key, mine, what in (
            ("graph", self._graph, "another graph"),
            ("settings", self._settings, "other settings"),
        ):
            if numbers.get(key) != mine:
                raise CheckpointMismatchError(
                    f"{self.path} was written for {what}.", hint="resume=False to start anew, or the same input"
                )
        return State(int(numbers["power"]), tensors["power"], tensors.get("result"))


def _digest(problem: Problem, init: Any) -> str:
    """Hash of everything of the input that the result depends on."""
    state = hashlib.blake2b(digest_size=16)
    csr = problem.csr
    for tensor in (csr.rowptr, csr.col, csr.value, problem.keys, problem.x, init):
        state.update(b"|")
        if isinstance(tensor, Tensor) and tensor.is_sparse_csr:
            for part in (tensor.crow_indices(), tensor.col_indices(), tensor.values()):
                state.update(_bytes(part))
        elif isinstance(tensor, Tensor) and tensor.numel():
            state.update(_bytes(tensor))
        elif tensor is not None:
            state.update(repr(getattr(tensor, "shape", tensor)).encode())
    return state.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
