"""Shared fixtures: toy graphs that every method meets, a seeded generator, and the data root for slow tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads this when kernels are defined; without a device they run in its interpreter, on CPU tensors.
    os.environ.setdefault("TRITON_INTERPRET", "1")

if "GRAPHREP_DATA" in os.environ:  # some tests work in a folder of their own
    os.environ["GRAPHREP_DATA"] = os.path.abspath(os.environ["GRAPHREP_DATA"])

GOLDEN = Path(__file__).parent / "golden"

TOY_GRAPHS: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "single_node": (1, []),
    "isolated_only": (4, []),
    "one_edge": (2, [(0, 1)]),
    "path": (5, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    "triangle_and_isolated": (5, [(0, 1), (1, 2), (2, 0)]),
    "star": (9, [(0, i) for i in range(1, 9)]),
    "two_components": (7, [(0, 1), (1, 2), (3, 4), (4, 5), (5, 6), (6, 3)]),
    "bipartite": (6, [(0, 3), (0, 4), (1, 4), (1, 5), (2, 5)]),
    "self_loops": (4, [(0, 0), (0, 1), (2, 2), (1, 3)]),
    "duplicates": (4, [(0, 1), (0, 1), (1, 2), (2, 3), (2, 3), (2, 3)]),
}


@pytest.fixture(params=sorted(TOY_GRAPHS))
def toy_graph(request: pytest.FixtureRequest) -> tuple[int, torch.Tensor]:
    """(num_nodes, edge_index with both directions) of one member of the toy family."""
    num_nodes, pairs = TOY_GRAPHS[request.param]
    one_way = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    return num_nodes, torch.cat([one_way, one_way.flip(0)], dim=1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def data_root() -> Path:
    """The folder of public data sets; the test is skipped where GRAPHREP_DATA does not name one."""
    root = os.environ.get("GRAPHREP_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("needs the public data sets: set GRAPHREP_DATA")
    return Path(root)
