"""A large graph with planted groups, for runs at scale: ``python -m benchmarks.planted big.npz --nodes 1000000``.

Each link starts at a random node and ends in the same group four times out of five, else anywhere. Features are the
mean of the group plus unit noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

__all__ = ["planted"]


def planted(
    num_nodes: int, *, degree: int = 15, groups: int = 20, width: int = 32, seed: int = 0
) -> dict[str, np.ndarray]:
    """`edge_index` (2, num_nodes * degree / 2), `x` (num_nodes, width) float32 and `y` (num_nodes,)."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, groups, num_nodes)
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(groups + 1))
    source = draw.integers(0, num_nodes, num_nodes * degree // 2)
    own = group[source]
    place = first[own] + (draw.random(len(source)) * (first[own + 1] - first[own])).astype(np.int64)
    inside = draw.random(len(source)) < 0.8
    target = np.where(inside, order[place], draw.integers(0, num_nodes, len(source)))
    mean = draw.normal(size=(groups, width))
    x = (0.7 * mean[group] + draw.normal(size=(num_nodes, width))).astype(np.float32)
    return {"edge_index": np.stack([source, target]).astype(np.int32), "x": x, "y": group}


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    np.savez(chosen.out, **planted(chosen.nodes, seed=chosen.seed))


if __name__ == "__main__":
    main()
