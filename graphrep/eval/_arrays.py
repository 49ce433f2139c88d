"""Reading what the caller passes (torch on any device, numpy, lists) into fresh numpy arrays, with one check each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphrep.errors import DTypeError, GraphrepError, MissingLabelsError, NonFiniteError, ShapeError, UnknownNameError

__all__ = ["as_ks", "as_labels", "as_matrix", "as_numpy", "as_scores", "choose", "drop_unlabelled", "unit_rows"]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def as_numpy(value: Any, name: str) -> Array:
    """A numpy array over the values of a tensor, array, list or sparse matrix; the caller's is never written to."""
    if value is None:
        raise DTypeError(f"{name} is None.", hint=f"pass {name} as a tensor or an array")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.layout) != "torch.strided":
            value = value.to_dense()
        if value.is_floating_point() and value.element_size() < 4:  # numpy knows no bfloat16
            value = value.float()
        return np.asarray(value.numpy())
    if hasattr(value, "toarray"):
        return np.asarray(value.toarray())
    array = np.asarray(value)
    if array.dtype == object:
        raise DTypeError(f"{name} holds Python objects of mixed kinds or lengths.", hint="one number per entry")
    return array


def as_matrix(value: Any, name: str) -> Floats:
    """(N, d) float64, all entries finite, at least one row and one column."""
    array = _real(as_numpy(value, name), name)
    if array.ndim != 2:
        raise ShapeError(f"{name} must have shape (N, d); got {array.shape}.", hint="one row per node")
    if 0 in array.shape:
        raise ShapeError(f"{name} is empty: shape {array.shape}.", hint="at least one row and one column are needed")
    _reject(~np.isfinite(array), array, name)
    return array


def as_scores(value: Any, name: str, *, ndim: Sequence[int] = (1,)) -> Floats:
    """Float64 scores with one of the given numbers of axes; infinities have a place in an order, NaN has none."""
    array = _real(as_numpy(value, name), name)
    if array.ndim not in ndim:
        wanted = " or ".join(f"{n}-D" for n in ndim)
        raise ShapeError(f"{name} must be {wanted}; got shape {array.shape}.", hint=f"{name}.reshape(-1)")
    if array.size == 0:
        raise ShapeError(f"{name} is empty: shape {array.shape}.", hint="at least one score is needed")
    _reject(np.isnan(array), array, name)
    return array


def as_labels(value: Any, name: str) -> Ints:
    """(N,) int64 labels, any integers; whole numbers stored as floats are taken as such."""
    array = as_numpy(value, name)
    if array.ndim != 1:
        hint = f"{name}.squeeze(1)" if array.ndim == 2 and array.shape[1] == 1 else "one label per node"
        raise ShapeError(f"{name} must have shape (N,); got {array.shape}.", hint=hint)
    if array.size == 0:
        raise ShapeError(f"{name} is empty.", hint="at least one label is needed")
    whole = array.dtype.kind in "biu" or (array.dtype.kind == "f" and bool(np.all(array == np.floor(array))))
    if not whole:
        raise DTypeError(
            f"{name} must hold whole numbers; got {array.dtype}.",
            hint=f"numpy.unique({name}, return_inverse=True)[1] turns names into numbers",
        )
    return array.astype(np.int64)


def drop_unlabelled(y: Ints) -> Ints:
    """Positions of the labelled nodes; -1 marks the others."""
    kept = np.flatnonzero(y != -1)
    if kept.size == 0:
        raise MissingLabelsError(f"all {len(y)} labels are -1 (unlabelled).", hint="a label >= 0 for some nodes")
    return kept


def as_ks(ks: Iterable[Any]) -> tuple[int, ...]:
    """Cut-offs K as positive ints."""
    found = tuple(int(k) for k in ks)
    if any(k < 1 for k in found):
        raise GraphrepError(f"every K must be at least 1; got {found}.", hint="ks=(10, 20, 50, 100)")
    return found


def choose(name: str, options: Sequence[str], what: str) -> str:
    """`name` if it is one of `options`, else UnknownNameError that lists them."""
    if name not in options:
        raise UnknownNameError(f"unknown {what} {name!r}.", hint=" | ".join(options))
    return name


def unit_rows(z: Floats) -> Floats:
    """Rows scaled to unit L2 norm; an all-zero row stays zero."""
    # Dividing by the largest entry first keeps the squares of very large or very small rows in range.
    largest = np.abs(z).max(axis=1, keepdims=True)
    scaled = z / np.where(largest > 0, largest, 1.0)
    norm = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: Floats = scaled / np.where(norm > 0, norm, 1.0)
    return unit


def _real(array: Array, name: str) -> Floats:
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} must hold real numbers; got {array.dtype}.", hint=f"{name}.astype('float32')")
    return array.astype(np.float64)


def _reject(bad: Array, array: Array, name: str) -> None:
    if bad.any():
        where = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        place = where[0] if len(where) == 1 else where
        raise NonFiniteError(
            f"{name} holds {array[where]} at {place} ({int(bad.sum())} such entries of {bad.size}).",
            hint="did the training diverge? A lower learning rate, or check the features for NaN",
        )
