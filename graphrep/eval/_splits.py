"""Train and test positions of a probe: random shares, or index arrays given by the caller, checked for leaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, MissingLabelsError, ShapeError
from graphrep.eval._arrays import as_numpy

__all__ = ["check_seeds", "given_parts", "given_split", "node_positions", "random_split"]

Ints = NDArray[np.int64]


def check_seeds(seeds: Any, default: Sequence[int]) -> list[int]:
    """Seeds as a list; None takes the protocol's own."""
    if seeds is None:
        return list(default)
    if isinstance(seeds, int | str) or not hasattr(seeds, "__iter__"):
        raise DTypeError(f"seeds must be a sequence of ints; got {seeds!r}.", hint=f"seeds=range({seeds})")
    found = [int(seed) for seed in seeds]
    if not found or min(found) < 0:
        raise GraphrepError(f"seeds must hold at least one seed, none negative; got {found}.", hint="seeds=range(5)")
    return found


def random_split(num_nodes: int, ratio: float, seed: int) -> tuple[Ints, Ints]:
    """(train, test) positions: the first floor(ratio * num_nodes) of a random permutation, and the rest.

    One seed permutes once whatever the ratio, so that the training parts of growing ratios contain each other.
    """
    order = np.random.default_rng(seed).permutation(num_nodes)
    size = int(ratio * num_nodes + 1e-9)  # 0.29 * 100 is 28.999...
    if not 0 < size < num_nodes:
        raise MissingLabelsError(
            f"{ratio:g} of {num_nodes} labelled nodes leaves {size} to train and {num_nodes - size} to test.",
            hint="more labelled nodes, another share, or split=(train, val, test)",
        )
    return order[:size], order[size:]


def given_split(split: Any, y_known: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """(train, test) node ids of split = (train, val, test) or (train, test), for protocols without a validation part.

    The validation part is only checked.
    """
    train, _, test = given_parts(split, y_known)
    return train, test


def given_parts(split: Any, y_known: NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """(train, val, test) node ids of split = (train, val, test) or (train, test); unlabelled nodes are dropped.

    The validation part may be None, missing or empty; it comes back empty then.
    """
    try:
        parts = list(split)
    except TypeError:
        parts = []
    if len(parts) not in {2, 3}:
        raise ShapeError("split must be (train, val, test) or (train, test).", hint="split=(train_idx, None, test_idx)")
    if len(parts) == 2:
        parts = [parts[0], None, parts[1]]
    names = ("train", "val", "test")
    ids = [node_positions(part, f"split {name}", len(y_known)) for part, name in zip(parts, names, strict=True)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        shared = np.intersect1d(ids[one], ids[other])
        if shared.size:
            raise GraphrepError(
                f"split: {shared.size} nodes are in both {names[one]} and {names[other]} (for example {shared[0]}).",
                hint="parts of a split must not overlap",
            )
    train, val, test = (part[y_known[part]] for part in ids)
    if not train.size or not test.size:
        raise MissingLabelsError(
            f"split leaves {train.size} labelled train and {test.size} labelled test nodes.",
            hint="at least one of each",
        )
    return train, val, test


def node_positions(part: Any, name: str, num_nodes: int) -> Ints:
    """Node ids from ids (n,), each once, or from a mask (N,); None is no node."""
    if part is None:
        return np.empty(0, dtype=np.int64)
    array = as_numpy(part, name)
    if array.dtype == bool and array.shape == (num_nodes,):
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DTypeError(
            f"{name} must be node ids (n,) or a mask ({num_nodes},); got {array.dtype} {array.shape}.",
            hint="int64 ids or a bool mask",
        )
    if array.min() < 0 or array.max() >= num_nodes:
        worst = array.min() if array.min() < 0 else array.max()
        raise IndexRangeError(f"{name} refers to node {worst} of {num_nodes}.", hint="ids from 0")
    if len(np.unique(array)) < len(array):
        raise GraphrepError(f"{name} holds a node twice.", hint="numpy.unique(ids)")
    return array.astype(np.int64)
