"""The graph half of a language model trained with a graph network: input layers per node type, then message passing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn.module_dict import ModuleDict

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, spmm
from graphrep.kernels._check import check_index, check_range
from graphrep.nn._adjacency import Edges
from graphrep.nn._arguments import check_rate
from graphrep.nn._typed_blocks import block_ends, input_rows, layer_rows, row_count
from graphrep.nn._typed_layers import EdgeType, make_layer, prepared
from graphrep.nn.encoder import feature_matrix
from graphrep.nn.encoding import evaluating

__all__ = ["TextGraphEncoder"]

Inputs: TypeAlias = Mapping[str, Any]


class TextGraphEncoder(nn.Module):
    """Vectors of all nodes from their texts' vectors, their features and their neighbours.

    1. Input layer per type, ``z_v = W_t [t_v ; x_v] + b_t``; a type with neither text nor features has a row of a
       learned table per node.
    2. `num_layers` layers of message passing of one kind, with dropout before each and, but for HGT, which has an
       activation of its own, ReLU between them.

    A graph with one node type is type ``"node"`` and edge type ``("node", "to", "node")``.

    Args:
        text_dims: h by type, for types with text.
        feature_dims: F by type, for types with features.
        num_nodes: N by type, in the order of the types; read for tables only.
        edge_types: the (source, relation, destination) that messages follow.
        dim: width of the input layers and of the layers between.
        out_dim: width of the result; default `dim`.
        num_layers: K, 1 or more.
        conv: ``"gcn"`` (symmetric normalisation with self-loops) and ``"sage"`` (mean), for one node type, whose edge
            types are joined; ``"rgcn"`` (weights per relation), ``"hgt"``, ``"hetero_sage"`` (one SAGE per relation,
            summed).
        num_bases: RGCN's weights as sums of so many bases.
        heads: of HGT; divides `dim`.
        dropout: share of the entries dropped before each layer in training.
        jumping: the result is a linear map of the input layer's and all layers' vectors side by side.

    Shapes:
        inputs: {type: (N_t, h + F), text first; or a pair (text (N_t, h), features (N_t, F), dense or sparse); or, for
        tables, (N_t,) int32 or int64 node numbers}. edges: {edge type: (2, E) or a :class:`~graphrep.kernels.CSR`
        (N_dst, N_src)}; a type left out has no edges; for ``"gcn"`` a CSR with weights is taken as normalised already.
        Returns {type: (N_t, out_dim)}.

    Raises:
        UnknownNameError, GraphrepError: a kind or type that is not there, or that do not go together.
        ShapeError, DTypeError, IndexRangeError, DeviceError: the arguments of a call do not fit each other.

    Source: Ioannidis et al., "Efficient and effective training of language and graph neural network models", 2022,
    arXiv:2206.10781.

    Example:
        >>> kind = ("node", "to", "node")
        >>> encoder = TextGraphEncoder({"node": 8}, {}, {"node": 3}, [kind], dim=4)
        >>> encoder({"node": torch.ones(3, 8)}, {kind: torch.tensor([[0, 1], [1, 2]])})["node"].shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        text_dims: Mapping[str, int],
        feature_dims: Mapping[str, int],
        num_nodes: Mapping[str, int],
        edge_types: Sequence[EdgeType],
        *,
        dim: int = 128,
        out_dim: int | None = None,
        num_layers: int = 2,
        conv: str = "gcn",
        num_bases: int | None = None,
        heads: int = 4,
        dropout: float = 0.5,
        jumping: bool = False,
    ) -> None:
        super().__init__()
        self.types, self.edge_types = list(num_nodes), [(a, r, b) for a, r, b in edge_types]
        self.text_dims, self.feature_dims = dict(text_dims), dict(feature_dims)
        self.num_nodes = {name: int(count) for name, count in num_nodes.items()}
        self.dim, self.out_dim, self.conv, self.jumping = dim, dim if out_dim is None else out_dim, conv, jumping
        self.dropout = check_rate(dropout, "dropout")
        self._check_types()
        if num_layers < 1:
            raise GraphrepError(f"num_layers is {num_layers}.", hint="1 or more")
        if conv == "hgt" and (heads < 1 or dim % heads):
            raise GraphrepError(f"heads is {heads} and dim {dim}.", hint="heads divide dim: heads=4, dim=128")
        self.inputs = ModuleDict({name: self._input(name) for name in self.types})
        keeps_width = jumping or conv == "hgt"
        widths = [dim] * num_layers + [dim if keeps_width else self.out_dim]
        self.layers = nn.ModuleList(
            make_layer(conv, a, b, self.types, self.edge_types, num_bases=num_bases, heads=heads)
            for a, b in itertools.pairwise(widths)
        )
        self.out: nn.Module = nn.Identity()
        if jumping or (conv == "hgt" and self.out_dim != dim):
            self.out = nn.Linear(dim * (num_layers + 1) if jumping else dim, self.out_dim)

    def _check_types(self) -> None:
        named = [*self.text_dims, *self.feature_dims, *(end for a, _, b in self.edge_types for end in (a, b))]
        unknown = [name for name in named if name not in self.types]
        if unknown:
            raise UnknownNameError(f'"{unknown[0]}" is not in num_nodes.', hint="num_nodes names every node type")
        if not self.types:
            raise GraphrepError("There is no node type.", hint='num_nodes={"node": 100}')

    def _input(self, name: str) -> nn.Module:
        width = self.in_dim(name)
        if not width:
            return nn.Embedding(self.num_nodes[name], self.dim)
        linear = nn.Linear(width, self.dim)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)  # a unit text vector has small entries, which a random bias would drown
        return linear

    def in_dim(self, name: str) -> int:
        """Width of a type's text and features together; 0 for a type with a table.

        Raises:
            UnknownNameError: no such type.
        """
        if name not in self.types:
            raise UnknownNameError(f'There is no node type "{name}".', hint=", ".join(self.types))
        return self.text_dims.get(name, 0) + self.feature_dims.get(name, 0)

    def forward(self, inputs: Inputs, edges: Mapping[EdgeType, Edges]) -> dict[str, Tensor]:
        """Runs all layers; shapes are those of the class."""
        h = self.project(inputs)
        sizes = {name: rows.shape[0] for name, rows in h.items()}
        rows = next(iter(h.values()))
        matrices = prepared(self.conv, edges, self.edge_types, sizes, rows.dtype, rows.device)
        kept = [h]
        for number in range(len(self.layers)):
            h = self._step(number, h, h, matrices)
            kept.append(h)
        return self._finished(kept if self.jumping else [h])

    def prepare(
        self, edges: Mapping[EdgeType, Edges], num_nodes: Mapping[str, int] | None = None
    ) -> dict[EdgeType, CSR]:
        """Edges as the layers read them, to be passed in their place: checked and, for ``"gcn"``, normalised once.

        Args:
            edges: as for a call.
            num_nodes: by type; default the numbers that the encoder was made with.

        Returns:
            A matrix by edge type; ``"gcn"`` and ``"sage"`` have the edges of all types in that of the first.
        """
        sizes = {name: self.num_nodes[name] for name in self.types} if num_nodes is None else dict(num_nodes)
        weight = next(self.parameters())
        return prepared(self.conv, edges, self.edge_types, sizes, weight.dtype, weight.device)

    @torch.no_grad()
    def inference(
        self, inputs: Inputs, edges: Mapping[EdgeType, Edges], *, block_size: int = 65536
    ) -> dict[str, Tensor]:
        """The same for all nodes in evaluation mode: layer by layer over blocks of nodes, with all their neighbours.

        Beside the vectors of two layers (of all with `jumping`) and the edges, which stay where the edges are, only a
        block and its neighbours take memory, on the device of the weights.

        Args:
            inputs: as for a call; or, by type, a function of (B,) int64 node numbers that gives such rows, for inputs
                that are not in memory, such as ``cache.gather``.
            edges: as for a call.
            block_size: nodes per block.

        Returns:
            {type: (N_t, out_dim)} on the device of the edges.
        """
        if block_size < 1:
            raise GraphrepError(f"block_size is {block_size}.", hint="1 or more")
        weight = next(self.parameters())
        home = next((edges[kind].device for kind in edges), weight.device)
        with evaluating(self):
            h = {name: self._inputs_in_blocks(inputs, name, block_size, home) for name in self.types}
            sizes = {name: rows.shape[0] for name, rows in h.items()}
            matrices = prepared(self.conv, edges, self.edge_types, sizes, weight.dtype, home)
            kept = [h]
            for number in range(len(self.layers)):
                h = layer_rows(partial(self._step, number), h, matrices, block_size, weight.device)
                kept = [*kept, h] if self.jumping else [h]
            return self._finished(kept)

    def _inputs_in_blocks(self, inputs: Inputs, name: str, block_size: int, home: torch.device) -> Tensor:
        given, device = self._given(inputs, name), next(self.parameters()).device
        ends = block_ends(row_count(given, self.num_nodes[name]), block_size)
        return torch.cat([self._projected(name, input_rows(given, a, b, device)).to(home) for a, b in ends])

    def project(self, inputs: Inputs) -> dict[str, Tensor]:
        """{type: (N_t, dim)}: the input layers alone, what a node is without its neighbours."""
        return {name: self._projected(name, self._given(inputs, name)) for name in self.types}

    def _given(self, inputs: Inputs, name: str) -> Any:
        unknown = [other for other in inputs if other not in self.types]
        if unknown:
            raise UnknownNameError(f'There is no node type "{unknown[0]}".', hint=", ".join(self.types))
        if name not in inputs:
            raise GraphrepError(f'inputs has nothing for node type "{name}".', hint="0 rows where a batch has none")
        return inputs[name]

    def _projected(self, name: str, given: Any) -> Tensor:
        layer, width = self.inputs[name], self.in_dim(name)
        if not width:
            check_index(given, f'inputs["{name}"] (node numbers: the type has neither text nor features)')
            check_range(given, self.num_nodes[name], f'inputs["{name}"]')
            out: Tensor = layer(given.long())
            return out
        if isinstance(given, tuple | list):
            return self._from_parts(name, layer, given)
        if not isinstance(given, Tensor) or not given.is_floating_point():
            raise DTypeError(f'inputs["{name}"] must hold floating-point numbers.', hint="text vectors, then features")
        if given.dim() != 2 or given.shape[1] != width:
            raise ShapeError(f'inputs["{name}"] has shape {tuple(given.shape)}.', hint=f"(N, {width})")
        return layer(given.to(layer.weight.dtype))  # type: ignore[no-any-return]

    def _step(self, number: int, source: Any, target: Any, matrices: Mapping[EdgeType, CSR]) -> dict[str, Tensor]:
        """Layer `number` with what belongs around it."""
        dropped = {name: functional.dropout(rows, self.dropout, self.training) for name, rows in source.items()}
        others = dropped
        if target is not source:
            others = {name: functional.dropout(rows, self.dropout, self.training) for name, rows in target.items()}
        h: dict[str, Tensor] = self.layers[number](dropped, others, matrices)
        if self.conv != "hgt" and (self.jumping or number + 1 < len(self.layers)):
            h = {name: rows.relu() for name, rows in h.items()}
        return h

    def _finished(self, kept: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        device = next(self.parameters()).device
        found = {}
        for name in self.types:
            rows = torch.cat([h[name] for h in kept], dim=1)
            found[name] = self.out(rows.to(device)).to(rows.device)
        return found

    def _from_parts(self, name: str, layer: Any, parts: Sequence[Any]) -> Tensor:
        """The input layer on text and features that are not side by side, as when the features are sparse."""
        text_dim, feature_dim = self.text_dims.get(name, 0), self.feature_dims.get(name, 0)
        if len(parts) != 2 or not text_dim or not feature_dim:
            raise ShapeError(f'inputs["{name}"] has {len(parts)} parts.', hint="(text, features), for types with both")
        text, features = parts[0], feature_matrix(parts[1])
        if text.shape[1:] != (text_dim,) or features.shape != (text.shape[0], feature_dim):
            found = f"{tuple(text.shape)} and {tuple(features.shape)}"
            raise ShapeError(f'inputs["{name}"] has parts {found}.', hint=f"(N, {text_dim}) and (N, {feature_dim})")
        weight = layer.weight.t()
        own = spmm(features, weight[text_dim:]) if isinstance(features, CSR) else features @ weight[text_dim:]
        out: Tensor = text.to(weight.dtype) @ weight[:text_dim] + own + layer.bias
        return out
