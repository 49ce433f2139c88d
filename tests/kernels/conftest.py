"""Both CPU backends, golden files, and kernel outputs that start as NaN so that an unwritten entry is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from graphrep.kernels import _numba

GOLDEN = Path(__file__).parents[1] / "golden" / "kernels"
Golden = Callable[[str], dict[str, Tensor]]


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test on the numba kernels and on the plain torch reference."""
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


@pytest.fixture(autouse=True)
def _poisoned_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _numba.empty_output

    def poisoned(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return plain(shape, dtype).fill_(float("nan") if dtype.is_floating_point else -77)

    monkeypatch.setattr(_numba, "empty_output", poisoned)


@pytest.fixture
def golden() -> Golden:
    def load(name: str) -> dict[str, Tensor]:
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files if arrays[key].dtype.kind in "ifb"}

    return load
