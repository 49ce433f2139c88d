"""Each positive's own negatives in a file: an npy array (n, k, 2), the form that HeaRT publishes them in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts, check
from graphrep.data._archive import read_array
from graphrep.data.check import grouped
from graphrep.data.write import atomic_write
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, ShapeError
from graphrep.kernels._check import check_range

__all__ = ["read_negatives", "write_negatives"]

_ANY = 2**62  # without a number of nodes, only negative numbers are refused


def read_negatives(path: str | os.PathLike[str], *, positives: Any = None, num_nodes: int | None = None) -> Tensor:
    """Loads a file of hard negatives such as ``heart_test_samples.npy``; nothing in it is ever unpickled.

    Args:
        path: an npy file of integers, shape (n, k, 2): k pairs for each of n positives.
        positives: (2, n) the positives that the rows belong to, to check that there are as many, and that each
            negative shares an end with its positive. The file does not say which positives it was made for.
        num_nodes: N, to check the node numbers.

    Returns:
        (n, k, 2) int64.

    Raises:
        FileFormatError: no such file, damaged, or Python objects.
        ShapeError, DTypeError, IndexRangeError: it holds something else than pairs of these nodes.
        GraphrepError: negatives of other positives.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "heart_test_samples.npy"
        >>> write_negatives(torch.tensor([[[0, 2], [3, 1]]]), target)
        >>> read_negatives(target, positives=[[0], [1]], num_nodes=4).tolist()
        [[[0, 2], [3, 1]]]
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            array = read_array(file, path.stat().st_size)
    except Exception as error:  # a damaged header may fail anywhere inside numpy
        what = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise FileFormatError(f"{path} is no npy file of numbers: {what}.", hint="numpy.save(path, pairs)") from error
    with check.about(path.name):
        found = _checked(torch.from_numpy(array.astype(np.int64)) if array.dtype.kind in "iu" else array)
        check_range(found, _ANY if num_nodes is None else num_nodes, "a negative")
        if positives is not None:
            _check_owner(found, _parts.as_edge_index(positives))
    return found


def write_negatives(negatives: Any, path: str | os.PathLike[str]) -> None:
    """Writes each positive's own negatives; the file appears only when it is complete.

    Args:
        negatives: (n, k, 2) integers, as :func:`graphrep.eval.heart_negatives` makes them.
        path: ending in ``.npy``.

    Raises:
        ShapeError, DTypeError: no pairs.
        GraphrepError: another ending, or the file cannot be written.

    Example:
        >>> write_negatives(torch.zeros(1, 2, 2), "negatives.npy")
        Traceback (most recent call last):
        graphrep.errors.DTypeError: negatives must hold integers; got torch.float32.
        Try: negatives.long()
    """
    if Path(path).suffix.lower() != ".npy":
        raise GraphrepError(f"{path} does not end in .npy.", hint=str(Path(path).with_suffix(".npy")))
    pairs = _checked(negatives).cpu().numpy()
    with atomic_write(path) as file:
        np.save(file, pairs, allow_pickle=False)


def _checked(value: Any) -> Tensor:
    pairs = _parts.as_tensor(value, "negatives")
    if pairs.is_floating_point() or pairs.is_complex() or pairs.dtype == torch.bool:
        raise DTypeError(f"negatives must hold integers; got {pairs.dtype}.", hint="negatives.long()")
    if pairs.dim() != 3 or pairs.shape[2] != 2:
        raise ShapeError(
            f"negatives must have shape (n, k, 2); got {tuple(pairs.shape)}.", hint="k pairs for each of n positives"
        )
    return pairs.long()


def _check_owner(negatives: Tensor, positives: Tensor) -> None:
    """Raises unless there are negatives for each positive, and each has one end in common with it."""
    if len(negatives) != positives.shape[1]:
        raise ShapeError(
            f"it holds negatives for {grouped(len(negatives))} positives, but there are {grouped(positives.shape[1])}.",
            hint="the positives of the split that the file was made for",
        )
    ends = positives.t()[:, None]
    shared = (negatives == ends) | (negatives == ends.flip(2)) | (negatives.flip(2) == ends)
    strange = ~shared.any(2)
    if bool(strange.any()):
        row, column = (int(i) for i in strange.nonzero()[0])
        owner, first = tuple(positives[:, row].tolist()), tuple(negatives[row, column].tolist())
        raise GraphrepError(
            f"{grouped(int(strange.sum()))} of {grouped(strange.numel())} negatives share no end with their positive "
            f"(first: {first} of positive {row}, {owner}).",
            hint="the positives in the order that the file was made for",
        )
