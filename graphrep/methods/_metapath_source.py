"""What the meta-path methods read from a heterogeneous graph: matrices per meta-path, contexts, features, masks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch

from graphrep.data._relations import plain_names
from graphrep.data.check import grouped
from graphrep.data.hetero import HeteroGraph
from graphrep.errors import EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels.views import keep_mask
from graphrep.methods._views import scaled_features
from graphrep.nn._metapath_schema import Schema
from graphrep.nn.encoder import feature_matrix
from graphrep.nn.metapath_context import MetaPathContext, metapath_contexts
from graphrep.nn.metapath_encoder import MetaPathInputs
from graphrep.nn.metapath_names import parse_metapath, propose_metapaths
from graphrep.nn.metapaths import PathTies, metapath_adjacency, metapath_norm, top_metapath_neighbors
from graphrep.registry import suggest

__all__ = ["MetaPathShape", "MetaPathSource", "PathSettings"]


@dataclasses.dataclass(frozen=True)
class MetaPathShape:
    """What a trained module fits: types, widths and meta-paths.

    Attributes:
        target: the type that is embedded.
        paths: relation names of each meta-path.
        ends: node types that the steps of each meta-path reach.
        neighbors: relations that leave the target, and the types they lead to.
        channels: features by type, None without.
        num_nodes: by type.
    """

    target: str
    paths: tuple[tuple[str, ...], ...]
    ends: tuple[tuple[str, ...], ...]
    neighbors: Mapping[str, str]
    channels: Mapping[str, int | None]
    num_nodes: Mapping[str, int]

    @classmethod
    def of(cls, graph: HeteroGraph, metapaths: Any, target: str | None) -> Self:
        """From a graph and what the user said.

        Raises:
            UnknownNameError: no such type or relation.
            GraphrepError: no target, or a meta-path that does not come back to it.
            EmptyGraphError: no meta-path is possible.
        """
        chosen = target or graph.target
        if chosen is None:
            raise GraphrepError("Nothing says which node type to embed.", hint='target="paper"')
        if chosen not in graph.num_nodes:
            raise UnknownNameError(
                f'The graph has no node type "{chosen}".{suggest(chosen, graph.node_types)}',
                hint="target=" + " or ".join(graph.node_types),
            )
        given = [metapaths] if isinstance(metapaths, str) else metapaths
        if given is None:
            given = graph.metapaths or [
                proposal.path for proposal in propose_metapaths(graph, chosen) if proposal.entries
            ]
        paths = [parse_metapath(graph, path, target=chosen) for path in given]
        if not paths:
            raise EmptyGraphError(f"No meta-path leads from {chosen} back to it.", hint="metapaths=[...]")
        schema = Schema.of(graph)
        channels = {name: int(graph.x[name].shape[1]) if name in graph.x else None for name in graph.node_types}
        return cls(
            chosen,
            tuple(map(tuple, paths)),
            tuple(tuple(schema.types_along(path)[1:]) for path in paths),
            _neighbors(graph, chosen),
            channels,
            dict(graph.num_nodes),
        )

    @property
    def context_types(self) -> list[list[str]]:
        """Types that the contexts of each meta-path end in."""
        return [list(types[:-1]) for types in self.ends]

    @property
    def names(self) -> list[str]:
        """As in "paper>author>paper"."""
        return [">".join((self.target, *types)) for types in self.ends]

    def to_json(self) -> str:
        """For a file."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What :meth:`to_json` wrote."""
        parts = json.loads(text)
        tuples = {name: tuple(tuple(path) for path in parts[name]) for name in ("paths", "ends")}
        maps = (parts["neighbors"], parts["channels"], parts["num_nodes"])
        return cls(parts["target"], tuples["paths"], tuples["ends"], *maps)


def _neighbors(graph: HeteroGraph, target: str) -> dict[str, str]:
    """Relations from the target, turned where they lead to it, and the types at their ends."""
    found = {}
    for (source, _, end), name in plain_names(graph.edge_types).items():
        if source == target:
            found[name] = end
        elif end == target:
            found[f"~{name}"] = source
    return found


@dataclasses.dataclass(frozen=True)
class PathSettings:
    """How matrices and masks are made; see :class:`graphrep.methods.MEOW`."""

    num_neighbors: int | Sequence[int | None] | None
    edge_masks: float | Sequence[float]
    feature_mask: float
    scale_features: str
    contexts: bool
    ties: PathTies
    seed: int
    dtype: torch.dtype


class MetaPathSource:
    """A heterogeneous graph as :class:`MetaPathEncoder` reads it.

    Args:
        graph: the graph.
        shape: of the module.
        settings: how matrices and masks are made.
        device: where the matrices go.

    Raises:
        EmptyGraphError: a relation on a meta-path has no edges.
    """

    def __init__(self, graph: HeteroGraph, shape: MetaPathShape, settings: PathSettings, device: str = "cpu") -> None:
        self.graph, self.shape, self.settings, self.device = graph, shape, settings, torch.device(device)
        relations = graph.relations()
        limits = self._per_path(settings.num_neighbors, "num_neighbors")
        self.counts = [self._best(relations, list(path), k) for path, k in zip(shape.paths, limits, strict=True)]
        self.rates = [float(rate or 0) for rate in self._per_path(settings.edge_masks, "edge_masks")]
        self._features = {name: self._scaled(name) for name in self._types()}
        clean = [self._placed(metapath_norm(self._typed(csr))) for csr in self.counts]
        contexts: list[list[Any]] = [[] for _ in shape.paths]
        if settings.contexts:
            contexts = [
                [MetaPathContext(relations, part).to(device) for part in metapath_contexts(path)]
                for path in shape.paths
            ]
        self._inputs = self.masked(
            MetaPathInputs(self._features, None, clean, [], self.mean(clean), contexts), settings.seed
        )

    def _best(self, relations: Mapping[str, CSR], path: list[str], k: int | None) -> CSR:
        if k is None:
            return metapath_adjacency(relations, path)
        return top_metapath_neighbors(relations, path, k, ties=self.settings.ties, seed=self.settings.seed)

    def _per_path(self, value: Any, name: str) -> list[Any]:
        count = len(self.shape.paths)
        if value is None or isinstance(value, int | float):
            return [value] * count
        if len(value) != count:
            raise GraphrepError(
                f"{name} has {len(value)} numbers for {count} meta-paths ({', '.join(self.shape.names)}).",
                hint=f"one number for all, or {count}",
            )
        return list(value)

    def _types(self) -> list[str]:
        reached = [name for types in self.shape.context_types for name in types] if self.settings.contexts else []
        return list(dict.fromkeys([self.shape.target, *reached]))

    def _scaled(self, name: str) -> Any:
        """Features of a type: a dense tensor, a CSR, or None; rows are divided by their sum if nothing is negative."""
        if name not in self.graph.x:
            return None
        x = self.graph.x[name]
        values = x.values() if x.layout == torch.sparse_csr else x
        signed = bool((values < 0).any())
        scale = "none" if signed else self.settings.scale_features
        return feature_matrix(scaled_features(x, scale, self.settings.dtype).to(self.device))

    def _typed(self, csr: CSR) -> CSR:
        assert csr.value is not None
        return csr.with_value(csr.value.to(self.settings.dtype))

    def _placed(self, csr: CSR) -> CSR:
        return csr.to(self.device)

    def mean(self, matrices: Sequence[CSR]) -> CSR:
        """The mean of matrices; entries that several have are listed several times."""
        if len(matrices) == 1:
            return matrices[0]
        edges = torch.cat([torch.stack([csr.col.long(), csr.row().long()]) for csr in matrices], dim=1)
        values = torch.cat([csr.value for csr in matrices if csr.value is not None]) / len(matrices)
        return CSR.from_edge_index(edges, values, size=matrices[0].shape)

    def features(self, name: str) -> Any:
        """Features of a type, as the encoders take them."""
        if name not in self._features:
            self._features[name] = self._scaled(name)
        return self._features[name]

    def relation(self, name: str) -> CSR:
        """The pattern (N, N_t) of a relation that leaves the target, each entry once."""
        return self._placed(metapath_adjacency(self.graph.relations(), [name], counts=False))

    def plain(self) -> list[CSR]:
        """Normalised matrices in which every partner counts the same."""
        ones = (csr.with_value(torch.ones(csr.nnz, dtype=self.settings.dtype)) for csr in self.counts)
        return [self._placed(metapath_norm(csr)) for csr in ones]

    def inputs(self) -> MetaPathInputs:
        """With the masks that were drawn first."""
        return self._inputs

    def masked(self, inputs: MetaPathInputs, seed: int) -> MetaPathInputs:
        """The same with other masks."""
        masked = [
            self._mask(csr, rate, seed + i) for i, (csr, rate) in enumerate(zip(self.counts, self.rates, strict=True))
        ]
        return inputs._replace(masked=masked, masked_x=self._masked_features(seed - 1))

    def _mask(self, counts: CSR, rate: float, seed: int) -> CSR:
        """Pattern without a share of its directed entries, all self pairs there."""
        row, col = counts.row().long(), counts.col.long()
        keep = row != col
        if rate:
            keep &= keep_mask(len(row), rate, seed % (1 << 62)).to(keep.device)
        nodes = torch.arange(counts.num_rows)
        edges = torch.stack([torch.cat([col[keep], nodes]), torch.cat([row[keep], nodes])])
        ones = torch.ones(edges.shape[1], dtype=self.settings.dtype)
        return self._placed(metapath_norm(CSR.from_edge_index(edges, ones, size=counts.shape)))

    def _masked_features(self, seed: int) -> Any:
        x, rate = self._features[self.shape.target], self.settings.feature_mask
        seed %= 1 << 62
        if x is None:
            return keep_mask(self.shape_rows(), rate, seed).to(self.device) if rate else None
        if not rate:
            return x
        if isinstance(x, CSR):
            assert x.value is not None
            keep = keep_mask(x.nnz, rate, seed).to(self.device)
            return x.with_value(x.value * keep)
        return x * keep_mask(x.numel(), rate, seed).view(x.shape).to(self.device)

    def shape_rows(self) -> int:
        """Nodes of the target type."""
        return int(self.graph.num_nodes[self.shape.target])

    def notes(self) -> list[str]:
        """What a user must know: entries per meta-path, nodes that no meta-path reaches."""
        notes = []
        alone = torch.ones(self.shape_rows(), dtype=torch.bool)
        for csr in self.counts:
            row, col = csr.row().long(), csr.col.long()
            alone[row[row != col]] = False
        if bool(alone.any()):
            notes.append(
                f"{grouped(int(alone.sum()))} of {grouped(len(alone))} {self.shape.target} nodes have no partner on "
                "any meta-path: their own features alone place them."
            )
        return notes

    def digest(self) -> str:
        """Tells graphs apart."""
        found = hashlib.blake2b(digest_size=8)
        for csr in self.counts:
            for part in (csr.rowptr, csr.col):
                found.update(part.long().cpu().numpy().tobytes())
        paths = ", ".join(self.shape.names)
        return f"{self.shape_rows()} nodes of {self.shape.target}, meta-paths {paths}, {found.hexdigest()}"
