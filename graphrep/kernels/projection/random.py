"""Random projections whose row depends on (seed, node id, coordinate) alone.

So the bytes are the same for any number of threads, any order of the nodes and whatever other nodes exist, and no
projection needs to be stored. Entries are signs (int8 codes -1, 0, 1: a quarter of the memory of float32) or Gaussian.
Source: Achlioptas, "Database-friendly random projections", JCSS 2003 (density 1/3); Li, Hastie, Church, "Very sparse
random projections", KDD 2006 (density 1/sqrt(N)).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._numba import empty_output
from graphrep.kernels.projection import _random_cpu, _random_reference

__all__ = ["StreamKind", "gds_feature_signs", "node_keys", "random_gaussian", "random_signs"]

StreamKind: TypeAlias = Literal["node", "feature", "gds"]
_MASK = (1 << 64) - 1
_NEEDED = (_random_cpu, _random_reference)  # importing them registers the implementations


def node_keys(ids: Any, num_nodes: int) -> Tensor:
    """64-bit keys of nodes: integer ids as they are, text ids by a stable hash of their code points.

    Args:
        ids: None (0..num_nodes-1), an integer tensor or array (N,), or a numpy array of str (N,).
        num_nodes: N.

    Returns:
        (N,) int64.

    Raises:
        ShapeError: another number of ids than nodes.
        DTypeError: ids are neither integers nor text.

    Example:
        >>> node_keys(torch.tensor([7, 3]), 2).tolist()
        [7, 3]
    """
    if ids is None:
        return torch.arange(num_nodes)
    if len(ids) != num_nodes:
        raise ShapeError(f"ids has {len(ids)} entries for {num_nodes} nodes.", hint="one id per node")
    if isinstance(ids, Tensor):
        if ids.is_floating_point() or ids.is_complex():
            raise DTypeError(f"ids must be integers or text; got {ids.dtype}.", hint="ids.long()")
        return ids.to(torch.int64)
    array = np.asarray(ids)
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64))
    if array.dtype.kind == "O":
        array = array.astype(np.str_)
    if array.dtype.kind != "U":
        raise DTypeError(f"ids must be integers or text; got {array.dtype}.", hint="ids.astype(str)")
    points = np.ascontiguousarray(array).view(np.uint32).reshape(num_nodes, -1)
    keys: Tensor = implementation("hash_text", torch.device("cpu"))(points)
    return keys


def random_signs(
    keys: Tensor,
    dim: int,
    *,
    density: float = 1 / 3,
    seed: int = 0,
    stream: StreamKind = "node",
    out: Tensor | None = None,
) -> Tensor:
    """Sign codes: 1 and -1 with probability density / 2 each, else 0.

    Args:
        keys: (N,) int64, one stream each.
        dim: number of coordinates.
        density: share of entries that are not zero, in (0, 1]; ``stream="gds"`` has 1/3 always.
        seed: any integer.
        stream: ``"node"`` and ``"feature"`` are independent families; ``"gds"`` reproduces Neo4j GDS.
        out: optional (N, dim) int8 to write into.

    Returns:
        (N, dim) int8. Multiply by sqrt(1 / (density * d)) for unit expected length over d coordinates.

    Raises:
        GraphrepError: `density` outside (0, 1].

    Example:
        >>> codes = random_signs(torch.tensor([5, 9]), 64, seed=1)
        >>> bool((codes[1] == random_signs(torch.tensor([9]), 64, seed=1)[0]).all())
        True
    """
    if not 0.0 < density <= 1.0:
        raise GraphrepError(f"density must lie in (0, 1]; got {density}.", hint="density=1/3")
    if out is None:
        out = empty_output((keys.numel(), dim), torch.int8)
    word = seed & _MASK
    if stream == "gds":
        implementation("gds_signs", keys.device)(keys, word, out)
    else:
        implementation("random_signs", keys.device)(keys, word, stream, density, out)
    return out


def gds_feature_signs(num_features: int, dim: int, *, seed: int = 0) -> Tensor:
    """(num_features, dim) int8 codes of the feature projection of Neo4j GDS: one stream, column after column."""
    out = torch.empty((num_features, dim), dtype=torch.int8)
    implementation("gds_feature_signs", torch.device("cpu"))(seed & _MASK, out)
    return out


def random_gaussian(keys: Tensor, dim: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, dim) standard normal entries by Box-Muller from each node's own stream, on the device of `keys`.

    Example:
        >>> random_gaussian(torch.tensor([5, 9]), 3, seed=1).shape
        torch.Size([2, 3])
    """
    work = torch.float64 if dtype == torch.float64 else torch.float32
    if keys.is_cuda:
        out = torch.empty((keys.numel(), dim), dtype=work, device=keys.device)
    else:
        out = empty_output((keys.numel(), dim), work)
    implementation("random_gaussian", keys.device)(keys, seed & _MASK, out)
    return out.to(dtype)
