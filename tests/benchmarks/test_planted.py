"""The graph with planted groups: sizes, shares, the same for the same seed."""

from __future__ import annotations

import numpy as np

from benchmarks.planted import planted


def test_planted_groups() -> None:
    found = planted(2000, seed=3)
    source, target = found["edge_index"]
    assert found["edge_index"].shape == (2, 15_000)
    assert found["x"].shape == (2000, 32)
    same = (found["y"][source] == found["y"][target]).mean()
    assert abs(same - (0.8 + 0.2 / 20)) < 0.02
    assert all(np.array_equal(part, planted(2000, seed=3)[name]) for name, part in found.items())
    assert not np.array_equal(found["x"], planted(2000, seed=4)["x"])
