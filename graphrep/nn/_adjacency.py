"""From the forms of a graph that layers are given to the CSR that kernels take; built once per edge_index."""

from __future__ import annotations

from collections.abc import Callable, Hashable, MutableMapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.nn import MessagePassing

from graphrep.errors import GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_edge_index, check_range
from graphrep.kernels.norm import Norm, check_edge_weight, norm_pattern

__all__ = [
    "Edges",
    "LoopedPattern",
    "looped_pattern",
    "normalized",
    "pattern",
    "plain_edges",
    "reduction",
    "remembered",
    "takes_kernels",
    "weighted",
]

Edges: TypeAlias = "Tensor | CSR"  # (2, E), row 0 sources, row 1 destinations; or rows are destinations
T = TypeVar("T")

_KEPT: MutableMapping[Tensor, dict[Hashable, tuple[tuple[int, int | None], Tensor | None, Any]]] = (
    WeakTensorKeyDictionary()
)
_HOOKS = ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
_REDUCTIONS = {"add": "sum", "sum": "sum", "mean": "mean", "max": "max", "min": "min"}


def reduction(conv: MessagePassing) -> str | None:
    """The kernels' name of the layer's aggregation; None for those that are no plain sum, mean, maximum or minimum."""
    aggr = conv.aggr
    return _REDUCTIONS.get(aggr) if isinstance(aggr, str) else None


def takes_kernels(conv: MessagePassing, edge_index: Any, *features: Tensor | None) -> bool:
    """Whether a layer can skip PyG's message, aggregate and update steps, which nobody asked to see or change.

    Explainers and hooks on these steps need them run one by one, sparse tensors and features with more than two axes
    are PyG's own matter, and so are aggregations with parameters.
    """
    if isinstance(edge_index, CSR):
        if reduction(conv) is None or conv.flow != "source_to_target":
            raise GraphrepError(
                f"a CSR does not go with aggr={conv.aggr!r} and flow={conv.flow!r}.", hint="pass an edge_index"
            )
        return True
    if conv.flow != "source_to_target" and features[0] is not features[-1]:  # PyG swaps the parts of a pair
        return False
    if conv.explain or not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided:
        return False
    if reduction(conv) is None or any(x is not None and x.dim() > 2 for x in features):
        return False
    return not any(getattr(conv, f"_{step}_forward{kind}_hooks") for step in _HOOKS for kind in ("", "_pre"))


def pattern(edge_index: Edges, size: tuple[int, int], *, flow: str = "source_to_target") -> CSR:
    """The (num_dst, num_src) matrix without weights of an edge list; `size` is (num_src, num_dst).

    Raises:
        GraphrepError: a CSR with weights, where the layer has no use for them.
        ShapeError, DTypeError, IndexRangeError: `edge_index` does not fit.
    """
    if isinstance(edge_index, CSR):
        if edge_index.value is not None:
            raise GraphrepError(
                "the matrix has weights, which this layer does not use.", hint="csr.with_value(None) leaves them out"
            )
        return _sized(edge_index, size)
    return remembered(
        edge_index, ("pattern", size, flow), lambda: CSR.from_edge_index(plain_edges(edge_index, flow), size=size)
    )


def weighted(
    edge_index: Edges, edge_weight: Tensor | None, size: tuple[int, int], *, flow: str = "source_to_target"
) -> CSR:
    """As :func:`pattern`, with one weight per edge in the order of the edge list."""
    if isinstance(edge_index, CSR):
        _no_weights_beside(edge_weight)
        return _sized(edge_index, size)
    csr = pattern(edge_index, size, flow=flow)
    if edge_weight is None:
        return csr
    check_edge_weight(edge_weight, csr.nnz)
    return csr.with_value(edge_weight.index_select(0, csr.perm))


def normalized(
    edge_index: Edges,
    edge_weight: Tensor | None,
    num_nodes: int,
    *,
    add_self_loops: bool,
    dtype: torch.dtype,
    fill: float = 1.0,
    norm: Norm = "sym",
    flow: str = "source_to_target",
) -> CSR:
    """D^-1/2 (A + I) D^-1/2 as in :func:`graphrep.kernels.gcn_norm`; without weights it is kept like the pattern."""
    key = ("normalized", num_nodes, add_self_loops, flow)
    if isinstance(edge_index, CSR):
        _no_weights_beside(edge_weight)
        csr = _sized(edge_index, (num_nodes, num_nodes))
        edge_weight = csr.value
        entries = remembered(
            csr.col,
            key,
            lambda: norm_pattern(torch.stack([csr.col, csr.row()]), num_nodes, add_self_loops=add_self_loops),
        )
        owner = csr.col
    else:
        edges = edge_index
        if edge_weight is not None:
            check_edge_weight(edge_weight, edge_index.shape[1])
        entries = remembered(
            edge_index,
            key,
            lambda: norm_pattern(_checked(edges, num_nodes, flow), num_nodes, add_self_loops=add_self_loops),
        )
        owner = edge_index
    if edge_weight is not None:
        return entries.weighted(edge_weight, fill=fill, norm=norm)
    return remembered(
        owner, (*key, dtype, fill, norm), lambda: entries.weighted(None, dtype=dtype, fill=fill, norm=norm)
    )


class LoopedPattern(NamedTuple):
    """Edges without the given self-loops, then one loop per node."""

    csr: CSR  # perm counts the kept edges, then the loops
    kept: Tensor | None  # ids of the kept edges; None: all of them
    spare_row: bool  # given loops could not be taken out: they lie in one more row behind the others


def looped_pattern(
    edge_index: Edges, size: tuple[int, int], num_loops: int, *, flow: str = "source_to_target"
) -> LoopedPattern:
    """The (num_dst, num_src) pattern with exactly one self-loop at each of the first `num_loops` nodes."""
    if isinstance(edge_index, CSR):
        csr = pattern(edge_index, size)
        return remembered(
            csr.col, ("looped", size, num_loops), lambda: _looped(torch.stack([csr.col, csr.row()]), size, num_loops)
        )
    edges = edge_index
    return remembered(
        edge_index, ("looped", size, num_loops, flow), lambda: _looped(plain_edges(edges, flow), size, num_loops)
    )


def _looped(edge_index: Tensor, size: tuple[int, int], num_loops: int) -> LoopedPattern:
    is_loop = edge_index[0] == edge_index[1]
    nodes = torch.arange(num_loops, dtype=edge_index.dtype, device=edge_index.device).expand(2, -1)
    kept, spare = None, torch.compiler.is_compiling()
    if spare:
        check_range(edge_index[1], size[1], "edge_index[1] (destination)")
        edge_index = torch.stack([edge_index[0], edge_index[1].masked_fill(is_loop, size[1])])
        size = (size[0], size[1] + 1)
    elif bool(is_loop.any()):
        kept = (~is_loop).nonzero().squeeze(1)
        edge_index = edge_index[:, kept]
    return LoopedPattern(CSR.from_edge_index(torch.cat([edge_index, nodes], dim=1), size=size), kept, spare)


def plain_edges(edge_index: Tensor, flow: str = "source_to_target") -> Tensor:
    """A plain (2, E) tensor in which messages go from row 0 to row 1."""
    check_edge_index(edge_index)
    plain: Tensor = edge_index if type(edge_index) is Tensor else edge_index.as_subclass(Tensor)
    if hasattr(edge_index, "as_tensor"):  # PyG's EdgeIndex holds its numbers in another tensor
        plain = edge_index.as_tensor()
    return plain if flow == "source_to_target" else plain.flip(0)


def _checked(edge_index: Tensor, num_nodes: int, flow: str) -> Tensor:
    edges = plain_edges(edge_index, flow)
    check_range(edges, num_nodes, "edge_index")
    return edges


def _sized(csr: CSR, size: tuple[int, int]) -> CSR:
    if csr.shape != (size[1], size[0]):
        raise ShapeError(
            f"the matrix has shape {csr.shape} but there are {size[1]} destinations and {size[0]} sources.",
            hint="CSR.from_edge_index(edge_index, size=(num_src, num_dst))",
        )
    return csr


def _no_weights_beside(edge_weight: Tensor | None) -> None:
    if edge_weight is not None:
        raise GraphrepError("edge_weight goes with an edge_index; a CSR has its own.", hint="csr.with_value(weight)")


def remembered(owner: Tensor, key: Hashable, build: Callable[[], T], *, also: Tensor | None = None) -> T:
    """The result of `build`, kept until `owner` is no longer used, or it or `also` is changed in place or another."""
    if torch.compiler.is_compiling() or owner.is_inference() or (also is not None and also.is_inference()):
        return build()
    kept = _KEPT.get(owner)
    if kept is None:
        kept = _KEPT[owner] = {}
    versions = (owner._version, None if also is None else also._version)
    found = kept.get(key)
    if found is None or found[0] != versions or found[1] is not also:
        found = kept[key] = (versions, also, build())
    result: T = found[2]
    return result
