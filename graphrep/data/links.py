"""What link prediction starts from: a graph of training links with pairs to test on, and knowledge graphs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts, check
from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_index, check_range

__all__ = ["KnowledgeGraph", "LinkSplit"]

_PAIRS = ("val_pos", "val_neg", "test_pos", "test_neg")


@dataclasses.dataclass(frozen=True, eq=False)
class LinkSplit:
    """A graph that holds the training links alone, and the pairs that are held out.

    Args:
        graph: the training links, both directions of each unless direction means something.
        val_pos, val_neg, test_pos, test_neg: (2, P) node numbers: links, each in one direction, and pairs that are
            none; stored as int64.
        name: what the set is called in reports.

    Raises:
        ShapeError, DTypeError, IndexRangeError: the pairs are malformed.

    Example:
        >>> split = LinkSplit(Graph([[0, 1], [1, 0]], num_nodes=3), test_pos=[[1], [2]], test_neg=[[0], [2]])
        >>> split
        LinkSplit(3 nodes, 2 stored edges; test_pos 1, test_neg 1)
    """

    graph: Graph
    val_pos: Tensor | None = None
    val_neg: Tensor | None = None
    test_pos: Tensor | None = None
    test_neg: Tensor | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.graph, Graph):
            raise DTypeError(f"graph is a {type(self.graph).__name__}, not a Graph.", hint="Graph.coerce(...)")
        for key in _PAIRS:
            given = getattr(self, key)
            if given is not None:
                with check.about(key):
                    pairs = _parts.as_edge_index(given)
                check_range(pairs, self.graph.num_nodes, key)
                object.__setattr__(self, key, pairs)

    def replace(self, **changes: Any) -> LinkSplit:
        """A copy with some fields changed: ``split.replace(graph=split.graph.replace(x=x))`` adds features.

        Raises:
            UnknownNameError: no such field.
        """
        copy: LinkSplit = _replaced(self, changes)
        return copy

    def to(self, device: torch.device | str) -> LinkSplit:
        """The same split with its tensors on `device`."""
        moved = {key: getattr(self, key).to(device) for key in _PAIRS if getattr(self, key) is not None}
        return self.replace(graph=self.graph.to(device), **moved)

    def __repr__(self) -> str:
        sizes = [f"{key} {getattr(self, key).shape[1]}" for key in _PAIRS if getattr(self, key) is not None]
        shown = repr(self.graph.replace(name=None)).removeprefix("Graph(").removesuffix(")")
        return f"LinkSplit({self.name + ': ' if self.name else ''}{shown}; {', '.join(sizes) or 'no pairs'})"


@dataclasses.dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Facts (head, relation, tail) in a training, a validation and a test part.

    Args:
        train, val, test: (3, T) integers: rows head, relation, tail; stored as int64.
        num_entities: default the largest entity number + 1.
        num_relations: default the largest relation number + 1.
        entity_ids, relation_ids: distinct external ids, integers or text.
        entity_text, relation_text: a string per entity and per relation.
        qualifiers: by part, ``(pairs, offsets)``: the qualifiers of fact i are the columns
            ``pairs[:, offsets[i]:offsets[i + 1]]`` with rows relation and entity.
        name: what the set is called in reports.

    Raises:
        ShapeError, DTypeError, IndexRangeError: the parts do not fit together.

    Example:
        >>> kg = KnowledgeGraph([[0, 1], [0, 0], [1, 2]], test=[[2], [0], [0]], entity_ids=["a", "b", "c"])
        >>> kg
        KnowledgeGraph(3 entities, 1 relation; train 2, test 1)
        >>> kg.graph().edge_index.tolist()
        [[0, 1], [1, 2]]
    """

    train: Tensor
    val: Tensor | None = None
    test: Tensor | None = None
    num_entities: int | None = None
    num_relations: int | None = None
    entity_ids: Tensor | np.ndarray[Any, Any] | None = None
    relation_ids: Tensor | np.ndarray[Any, Any] | None = None
    entity_text: np.ndarray[Any, Any] | None = None
    relation_text: np.ndarray[Any, Any] | None = None
    qualifiers: dict[str, tuple[Tensor, Tensor]] = dataclasses.field(default_factory=dict)
    name: str | None = None

    def __post_init__(self) -> None:
        def put(key: str, value: Any) -> None:
            object.__setattr__(self, key, value)

        parts = {key: getattr(self, key) for key in ("train", "val", "test") if getattr(self, key) is not None}
        facts = {key: _facts(part, key) for key, part in parts.items()}
        for key, part in facts.items():
            put(key, part)
        for what, rows in (("entity", (0, 2)), ("relation", (1,))):
            plural = {"entity": "entities", "relation": "relations"}[what]
            ids = _parts.as_ids(getattr(self, f"{what}_ids"))
            count = getattr(self, f"num_{plural}")
            if count is None:
                largest = [int(part[row].max()) + 1 for part in facts.values() for row in rows if part.shape[1]]
                count = len(ids) if ids is not None else max(largest, default=0)
            if ids is not None:
                with check.about(f"{what}_ids"):
                    check.check_ids(ids, int(count), f"the set of {plural}")
            for key, part in facts.items():
                for row in rows:
                    check_range(part[row], int(count), f"{key}[{row}] ({what})")
            put(f"num_{plural}", int(count))
            put(f"{what}_ids", ids)
            put(f"{what}_text", _parts.as_text(getattr(self, f"{what}_text"), int(count), f"the set of {plural}"))
        put("qualifiers", {key: self._qualifiers(key, *pair) for key, pair in self.qualifiers.items()})

    def _qualifiers(self, part: str, pairs: Any, offsets: Any) -> tuple[Tensor, Tensor]:
        with check.about(f"qualifiers of {part}"):
            columns = _parts.as_edge_index(pairs)
        bounds = _parts.as_tensor(offsets, "offsets").long()
        facts = self.part(part).shape[1]
        ends = bounds.numel() == facts + 1 and int(bounds[0]) == 0 and int(bounds[-1]) == columns.shape[1]
        if not ends or bool((bounds[1:] < bounds[:-1]).any()):
            raise ShapeError(
                f"The offsets of the qualifiers of {part} do not cut {columns.shape[1]} columns into {facts} pieces.",
                hint="offsets (T + 1,) from 0 to the number of columns, never decreasing",
            )
        check_range(columns[0], self.num_relations or 0, f"qualifiers of {part} (relation)")
        check_range(columns[1], self.num_entities or 0, f"qualifiers of {part} (entity)")
        return columns, bounds

    def part(self, name: str) -> Tensor:
        """(3, T) facts of a part; of a part that is not there, none.

        Raises:
            UnknownNameError: neither train, val nor test.
        """
        if name not in ("train", "val", "test"):
            raise UnknownNameError(f'Unknown part "{name}".', hint="train, val, test")
        found: Tensor | None = getattr(self, name)
        return self.train.new_empty(3, 0) if found is None else found

    def graph(self, part: str = "train") -> Graph:
        """The facts of a part as edges head -> tail, in their order and without their relations."""
        ids, text = self.entity_ids, self.entity_text
        return Graph(self.part(part)[[0, 2]], num_nodes=self.num_entities, ids=ids, text=text, name=self.name)

    def edge_type(self, part: str = "train") -> Tensor:
        """(T,) the relation of each edge of :meth:`graph`."""
        return self.part(part)[1]

    def replace(self, **changes: Any) -> KnowledgeGraph:
        """A copy with some fields changed.

        Raises:
            UnknownNameError: no such field.
        """
        copy: KnowledgeGraph = _replaced(self, changes)
        return copy

    def to(self, device: torch.device | str) -> KnowledgeGraph:
        """The same facts on `device` (ids stay where they are)."""
        moved: dict[str, Any] = {
            key: getattr(self, key).to(device) for key in ("train", "val", "test") if getattr(self, key) is not None
        }
        qualifiers = {key: (pairs.to(device), cuts.to(device)) for key, (pairs, cuts) in self.qualifiers.items()}
        return self.replace(**moved, qualifiers=qualifiers)

    def __repr__(self) -> str:
        sizes = [f"{key} {check.grouped(self.part(key).shape[1])}" for key in ("train", "val", "test")]
        kept = [text for text in sizes if not text.endswith(" 0")]
        relations = f"{check.grouped(self.num_relations or 0)} relation" + ("" if self.num_relations == 1 else "s")
        head = f"{self.name}: " if self.name else ""
        return f"KnowledgeGraph({head}{check.grouped(self.num_entities or 0)} entities, {relations}; {', '.join(kept)})"


def _facts(value: Any, key: str) -> Tensor:
    tensor = _parts.as_tensor(value, key)
    if tensor.numel() and tensor.dtype not in (torch.int32, torch.int64):
        tensor = tensor if tensor.is_floating_point() or tensor.is_complex() else tensor.long()
        check_index(tensor, key, ndim=tensor.dim())
    if tensor.dim() != 2 or tensor.shape[0] != 3:
        raise ShapeError(f"{key} must have shape (3, T); got {tuple(tensor.shape)}.", hint="rows head, relation, tail")
    return tensor.long()


def _replaced(data: Any, changes: dict[str, Any]) -> Any:
    known = [field.name for field in dataclasses.fields(data)]
    unknown = changes.keys() - set(known)
    if unknown:
        raise UnknownNameError(f"{type(data).__name__} has no field {sorted(unknown)[0]!r}.", hint=", ".join(known))
    return dataclasses.replace(data, **changes)
