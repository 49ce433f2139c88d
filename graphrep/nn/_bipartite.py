"""How many sources and destinations a layer is given."""

from __future__ import annotations

from torch import Tensor

from graphrep.errors import ShapeError

__all__ = ["bipartite_size"]


def bipartite_size(source: Tensor, target: Tensor | None, size: tuple[int, int] | None) -> tuple[int, int]:
    """(num_src, num_dst); without target features and `size` the number of destinations is that of sources, as in PyG.

    Raises:
        ShapeError: `size` contradicts the features.
    """
    num_src = source.shape[0]
    if target is not None:
        num_dst = target.shape[0]
    else:
        num_dst = size[1] if size is not None and size[1] is not None else num_src
    for given, found, name in zip(size or (), (num_src, num_dst), ("source", "target"), strict=False):
        if given is not None and given != found:
            raise ShapeError(
                f"size says {given} {name} nodes but there are features of {found}.", hint="leave out size"
            )
    return num_src, num_dst
