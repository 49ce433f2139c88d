"""What a trained LMGNN is asked: vectors of other graphs and of new texts, classes, scores of pairs; and its files."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.data.tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.data.write import atomic_write
from graphrep.errors import CheckpointMismatchError, FileFormatError, GraphrepError, ShapeError, UnknownNameError
from graphrep.methods._link_data import as_pairs
from graphrep.methods._lmgnn_graph import TextGraph, text_graph
from graphrep.methods._lmgnn_setup import Shape, heads, network, texts_of
from graphrep.methods._lmgnn_sources import NodeInputs, fill, whole_vectors
from graphrep.methods.base import params_from_toml, params_to_toml
from graphrep.methods.trained import TrainedEstimator
from graphrep.nn import EdgeHead, EmbeddingCache, LinkHead, TextEncoder, TextGraphEncoder
from graphrep.train import History

__all__ = ["TextGraphModel", "modules"]


class TextGraphModel(TrainedEstimator):
    """Base of :class:`~graphrep.methods.LMGNN`: everything after `fit`."""

    stages: Sequence[str]
    use_features: bool
    scorer: str
    pooling: str
    lm: Any

    encoder_: TextEncoder
    tokenizer_: Any
    embeddings_: dict[str, Tensor]
    text_embedding_: Tensor | None
    stages_: dict[str, History]
    notes_: list[str]
    lm_objective_: str
    _made: Shape

    @property
    def _has_network(self) -> bool:
        return bool({"gnn", "joint", "glem"} & set(self.stages))

    @torch.no_grad()
    def embed(self, graph: Any) -> Tensor:
        """(N, dim) vectors of the target type of another graph with texts, features and types of the same kind.

        Raises:
            NotFittedError: before `fit`.
            CheckpointMismatchError: other types or widths, or learned tables for other nodes.
        """
        self._fitted("module_")
        found = text_graph(graph, features=self.use_features, target=self._made["target"])
        self._check_graph(found)
        texts = texts_of(self, self.encoder_, self.tokenizer_, found.text)
        cache = EmbeddingCache(len(texts.table), self.encoder_.dim, device=self.device)
        fill(cache, texts, alone=True)
        if not self._has_network:
            rows = texts.rows(found.target, torch.arange(found.num_nodes[found.target]))
            alone: Tensor = cache.gather(rows).float()
            return alone.cpu()
        inputs = NodeInputs(found, texts, cache, torch.device(self.device))
        return whole_vectors(self._network, inputs, found.edges)[found.target].cpu()

    def _check_graph(self, graph: TextGraph) -> None:
        made, origin = self._made, self.__dict__.get("_origin", "The model")
        known = {tuple(kind) for kind in made["edge_types"]}
        widths = {kind: x.shape[1] for kind, x in graph.x.items()}
        for what, ours, theirs in (
            ("node types", list(made["num_nodes"]), list(graph.num_nodes)),
            ("texts of", sorted(made["text_dims"]), sorted(graph.text)),
            ("features", made["feature_dims"], widths),
        ):
            if ours != theirs:
                raise CheckpointMismatchError(
                    f"{origin} was trained with {what} {ours}; this graph has {theirs}.",
                    hint="a graph of the same kind",
                )
        unknown = [kind for kind in graph.edges if kind not in known]
        if unknown:
            raise CheckpointMismatchError(f"{origin} knows no edge type {unknown[0]}.", hint="a graph of the same kind")
        for kind, count in graph.num_nodes.items():
            learned = kind not in graph.text and kind not in graph.x
            if learned and count != made["num_nodes"][kind]:
                raise CheckpointMismatchError(
                    f"{origin} has learned vectors for {made['num_nodes'][kind]} {kind} nodes; this graph has {count}.",
                    hint="the same nodes of types with neither text nor features",
                )

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], x: Any = None, *, kind: str | None = None) -> Tensor:
        """(n, dim) vectors of new nodes of which only the text is known.

        They pass the same layers as nodes without any edge do: the network's own-node terms, with nothing to mean over.
        A network that leans on neighbours is worse there than on nodes with edges; compare both before relying on it.

        Args:
            texts: n strings.
            x: (n, F) features, where the model has been trained with some.
            kind: node type; None: the target.

        Raises:
            NotFittedError: before `fit`.
            ShapeError, UnknownNameError: features missing or of another width; a type without text.
        """
        self._fitted("module_")
        made, kind = self._made, kind or self._made["target"]
        if kind not in made["text_dims"]:
            raise UnknownNameError(f'"{kind}" has no text.', hint=", ".join(made["text_dims"]))
        found = texts_of(
            self, self.encoder_, self.tokenizer_, {kind: np.asarray(list(texts), dtype=np.dtypes.StringDType())}
        )
        cache = EmbeddingCache(len(found.table), self.encoder_.dim, device=self.device)
        fill(cache, found, alone=True)
        rows: Tensor = cache.gather(torch.arange(len(found.table))).float()
        if not self._has_network:
            return rows.cpu()
        width = made["feature_dims"].get(kind, 0)
        features = torch.empty(len(rows), 0) if x is None else torch.as_tensor(x).float()
        if features.shape != (len(rows), width):
            raise ShapeError(
                f"x has shape {tuple(features.shape)} for {len(rows)} texts.", hint=f"({len(rows)}, {width})"
            )
        inputs: dict[str, Tensor] = {}
        for name in made["num_nodes"]:
            wide = made["text_dims"].get(name, 0) + made["feature_dims"].get(name, 0)
            inputs[name] = torch.empty(0, wide) if wide else torch.empty(0, dtype=torch.int64)
        inputs[kind] = torch.cat([rows.cpu(), features], dim=1)
        vectors: dict[str, Tensor] = self._network.eval()({k: v.to(self.device) for k, v in inputs.items()}, {})
        return vectors[kind].cpu()

    @property
    def _network(self) -> TextGraphEncoder:
        part = self.module_.get_submodule("graph")
        assert isinstance(part, TextGraphEncoder)
        return part

    @torch.no_grad()
    def predict_proba(self, pairs: Any = None, *, vectors: Tensor | None = None) -> Tensor:
        """Class probabilities of the nodes (N, C), or, where pairs were learned, of `pairs` (2, P): (P, C).

        Args:
            pairs: for task ``"edge"``.
            vectors: (n, dim) in place of the training graph's, such as those of :meth:`embed_texts` or :meth:`embed`.

        Raises:
            NotFittedError: before `fit`.
            GraphrepError: the model was trained on links, or pairs are missing.
        """
        self._fitted("module_")
        task, on_text = self._made["task"], not self._has_network
        name = "text_head" if on_text else "head"
        if task == "link" or not hasattr(self.module_, name):
            raise GraphrepError("the model has learned no classes.", hint="model.score(pairs)")
        head = self.module_.get_submodule(name)
        if isinstance(head, EdgeHead):
            if pairs is None:
                raise GraphrepError("classes of pairs need pairs.", hint="model.predict_proba(pairs)")
            ends = self._made["pair_type"][0], self._made["pair_type"][2]
            index = as_pairs(pairs, max(len(self.embeddings_[end]) for end in ends)).long()
            rows = [self.embeddings_[end][row].to(self.device) for end, row in zip(ends, index, strict=True)]
            return head(*rows).softmax(1).cpu()  # type: ignore[no-any-return]
        found = self.embedding_ if vectors is None else vectors
        return head(found.to(self.device)).softmax(1).cpu()  # type: ignore[no-any-return]

    def predict(self, pairs: Any = None, *, vectors: Tensor | None = None) -> Tensor:
        """(N,) or (P,) classes; see :meth:`predict_proba`."""
        return self.predict_proba(pairs, vectors=vectors).argmax(1)

    @torch.no_grad()
    def score(self, pairs: Any, *, relation: Any = None) -> Tensor:
        """(P,) scores of pairs by the kind of score the model was trained with; larger is likelier.

        Args:
            pairs: (2, P) node numbers.
            relation: edge type or its name, where links of several were learned.

        Raises:
            NotFittedError: before `fit`.
            UnknownNameError, GraphrepError: no such relation, or the model was trained on labels.
            ShapeError, DTypeError, IndexRangeError: no such pairs.
        """
        self._fitted("module_")
        known = [tuple(kind) for kind in self._made["relations"]]
        if not known:
            raise GraphrepError("the model was trained on labels, not on links.", hint='task="link"')
        wanted = [i for i, kind in enumerate(known) if relation is None or relation in (kind, kind[1])]
        if not wanted or (relation is None and len(known) > 1):
            raise UnknownNameError(f"relation is {relation!r}.", hint=f"one of {', '.join(k[1] for k in known)}")
        source, _, target = known[wanted[0]]
        tables = self.embeddings_[source], self.embeddings_[target]
        index = as_pairs(pairs, max(len(table) for table in tables)).long()
        rows = [table[row].to(self.device) for table, row in zip(tables, index, strict=True)]
        head = self.module_.get_submodule("head")
        assert isinstance(head, LinkHead)
        found: Tensor = head(*rows, torch.full((len(rows[0]),), wanted[0], device=rows[0].device))
        return found.cpu()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ``model.toml``, ``model.safetensors`` and the language model, as folder ``lm``, into folder `path`.

        LoRA adapters are merged into the language model's weights.

        Raises:
            NotFittedError: before `fit`.
            GraphrepError: the language model is none of transformers, or the folder cannot be written.
        """
        module: nn.Module = self._fitted("module_")
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = self.tokenizer_
        if isinstance(tokenizer, str | os.PathLike):
            tokenizer = TextEncoder.load_tokenizer(tokenizer)
        self.encoder_.save(folder / "lm", tokenizer)
        tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
        tensors |= {f"embeddings.{kind}": rows for kind, rows in self.embeddings_.items()} | pack_ids(self.ids_)
        if self.text_embedding_ is not None:
            tensors["text_embedding"] = self.text_embedding_
        facts = {"graphrep": self._format(), "shape": json.dumps(self._made), "objective": self.lm_objective_}
        facts |= {"trained_on": self.trained_on_ or "", "notes": json.dumps(self.notes_)}
        facts["normalize"] = str(int(self.encoder_.normalize))
        write_tensors(folder / "model.safetensors", tensors, facts)
        plain = type(self)(**{**self.get_params(), "lm": None, "tokenizer": None})  # the folder has both
        with atomic_write(folder / "model.toml") as file:
            file.write(params_to_toml(plain).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model that :meth:`save` wrote; nothing in the files is executed.

        Raises:
            FileFormatError: the folder does not hold such a model.
        """
        folder = Path(path)
        tensors, facts = read_tensors(folder / "model.safetensors")
        if facts.get("graphrep") != cls._format():
            raise FileFormatError(f"{folder} does not hold a saved {cls.__name__} model.", hint="model.save(path)")
        try:
            params = params_from_toml((folder / "model.toml").read_text(encoding="utf8"))
            model = cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in params.items()})
            model._made = Shape(json.loads(facts["shape"]))
            model.lm_objective_, model.notes_ = facts["objective"], list(json.loads(facts["notes"]))
            head, text_head = heads(model, model._made, model.lm_objective_)
            model.module_ = modules(network(model, model._made), head, text_head)
            model.module_.load_state_dict(_part(tensors, "module."))
            model.embeddings_ = _part(tensors, "embeddings.")
            model.embedding_ = model.embeddings_[model._made["target"]]
            normalize = bool(int(facts["normalize"]))
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FileFormatError(f"{folder} cannot be read: {reason}.", hint="model.save(path)") from error
        model.lm = str(folder / "lm")
        model.encoder_ = TextEncoder(model.lm, pooling=model.pooling, normalize=normalize).to(model.device).eval()
        model.tokenizer_ = TextEncoder.load_tokenizer(model.lm)
        model.text_embedding_ = tensors.get("text_embedding")
        model.module_.to(model.device).eval()
        model.ids_, model.history_, model.stages_ = unpack_ids(tensors), History(), {}
        model.trained_on_ = facts.get("trained_on") or None
        model._origin = folder / "model.safetensors"
        return model


def modules(network: nn.Module, head: nn.Module, text_head: nn.Module | None) -> nn.ModuleDict:
    """Network and heads as one module."""
    parts = {"graph": network, "head": head, **({} if text_head is None else {"text_head": text_head})}
    return nn.ModuleDict(parts)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
