"""Both CPU backends and golden files for the objectives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from graphrep.objectives import _structure

GOLDEN = Path(__file__).parents[1] / "golden"
Golden = Callable[[str], dict[str, Tensor]]


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test on the numba kernels and on the plain torch reference."""
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


@pytest.fixture(params=["few rows", "by blocks"])
def both_forms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over all pairs of rows at once, and block by block as for many rows."""
    if request.param == "by blocks":
        monkeypatch.setattr(_structure, "FEW_ROWS", 0)


@pytest.fixture
def golden() -> Golden:
    """Arrays of ``family/file`` as tensors."""

    def load(name: str) -> dict[str, Tensor]:
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
            return {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}

    return load
