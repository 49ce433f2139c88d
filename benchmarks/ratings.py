"""Users and items that recommendation is measured on: public sets where the data root has them, else generated ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SETS", "Ratings", "load_ratings"]

# users, items, interactions of training and test: of the public sets what is generated in their place
SETS: dict[str, tuple[int, int, int]] = {
    "tiny": (300, 200, 4_000),
    "lastfm": (1_892, 4_489, 52_668),
    "gowalla": (29_858, 40_981, 1_027_370),
}
_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Ratings:
    """Interactions with a train and a test part, and what the results call them."""

    name: str
    interactions: Any

    def facts(self) -> dict[str, Any]:
        """What a result file says about them."""
        data = self.interactions
        counts = {part: int(data.csr(part).nnz) for part in ("train", "test")}
        return {"graph": self.name, "num_users": data.num_users, "num_items": data.num_items, **counts}


def load_ratings(key: str) -> Ratings:
    """The set of that key in :data:`SETS`; a generated one says so in its name."""
    import graphrep

    root = os.environ.get("GRAPHREP_DATA")
    if key != "tiny" and root and (Path(root) / f"rec/{key}.npz").is_file():
        return Ratings(key, graphrep.load(key))
    return Ratings("tiny" if key == "tiny" else f"generated-{key}-size", _generated(*SETS[key]))


def _generated(num_users: int, num_items: int, count: int) -> Any:
    """Pairs drawn with probabilities that fall as a power of the rank of user and item, split at random by user."""
    from graphrep.data import Interactions

    rng = np.random.default_rng(5)
    pairs = np.empty(0, np.int64)
    while pairs.size < count:
        users, items = (_ranks(rng, size, 2 * count) for size in (num_users, num_items))
        pairs = np.unique(np.concatenate([pairs, users * num_items + items]))
    pairs = rng.permutation(pairs)[:count]
    data = Interactions(pairs // num_items, pairs % num_items, num_users=num_users, num_items=num_items)
    return data.split(val=0.0, test=_TEST_SHARE, seed=0)


def _ranks(rng: np.random.Generator, size: int, count: int) -> Any:
    """(count,) numbers below `size`, of which r has probability ~ (r + 10)^-0.6, under shuffled names."""
    first, last = 10.0**0.4, (size + 10.0) ** 0.4
    rank = ((first + rng.random(count) * (last - first)) ** 2.5 - 10.0).astype(np.int64).clip(0, size - 1)
    return rng.permutation(size)[rank]
