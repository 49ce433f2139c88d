"""What LMGNN trains, built from its settings: the language model with its tokens, the graph network, the heads."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from graphrep.data.text_table import TextTable
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.methods._lmgnn_data import Lesson
from graphrep.methods._lmgnn_graph import TextGraph
from graphrep.methods._lmgnn_sources import Texts
from graphrep.nn import EdgeHead, LinkHead, NodeHead, TextEncoder, TextGraphEncoder, load_text_model
from graphrep.nn._text_layers import layer_list
from graphrep.nn.encoding import half_is_faster
from graphrep.train import distributed

__all__ = ["Shape", "check_settings", "check_task", "heads", "language_model", "network", "objective_of", "texts_of"]

STAGES = ("lm", "gnn", "joint", "glem")
_CHOICES = {
    "task": ("auto", "node", "edge", "link"),
    "conv": ("auto", "gcn", "sage", "rgcn", "hgt", "hetero_sage"),
    "lm_objective": ("auto", "link", "label"),
    "loss": ("info_nce", "bce", "bpr", "adversarial"),
    "scorer": ("cosine", "dot", "distmult", "transe"),
    "live_scheme": ("seeds", "uniform"),
    "pair_head": ("concat", "product"),
    "precision": ("float32", "bfloat16", "auto"),
    "layer_cache": (True, False),
    "parallel": ("ddp", "fsdp"),
}
_COUNTS = (
    "dim", "num_layers", "text_length", "lm_epochs", "lm_batch_size", "links_per_step", "joint_epochs", "rounds",
    "patience", "eval_every",
)  # fmt: skip
_RATES = ("lm_lr", "lr", "joint_lr", "temperature")
_LABELLED = 0.1  # share of labelled nodes from which stage 1 learns the labels


class Shape(dict[str, Any]):
    """What the sizes of the modules depend on, as plain values: types, widths, edge types, classes, task."""

    @classmethod
    def of(cls, lesson: Lesson, text_dim: int) -> Shape:
        """That of a lesson."""
        graph = lesson.graph
        return cls(
            task=lesson.task,
            num_nodes=graph.num_nodes,
            text_dims=dict.fromkeys(graph.text, text_dim),
            feature_dims={kind: x.shape[1] for kind, x in graph.x.items()},
            edge_types=[list(kind) for kind in graph.edges],
            target=graph.target,
            num_classes=lesson.num_classes,
            relations=[list(part.kind) for part in lesson.links] if lesson.task == "link" else [],
            pair_type=None if lesson.pairs is None else list(lesson.pairs[0]),
        )

    def text(self) -> str:
        """For a file."""
        return json.dumps(self)


def check_settings(own: Any) -> None:
    """Raises where a setting is out of range, whatever the graph."""
    for name, choices in _CHOICES.items():
        if getattr(own, name) not in choices:
            raise UnknownNameError(f"{name} is {getattr(own, name)!r}.", hint=f"one of {', '.join(map(str, choices))}")
    for name in _COUNTS:
        value = getattr(own, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise GraphrepError(f"{name} is {value!r}.", hint="an integer of 1 or more")
    for name in _RATES:
        if not getattr(own, name) > 0:
            raise GraphrepError(f"{name} is {getattr(own, name)!r}.", hint="a positive number")
    unknown = [stage for stage in own.stages if stage not in STAGES]
    if unknown or not own.stages or isinstance(own.stages, str):
        raise UnknownNameError(f"stages is {own.stages!r}.", hint=f"some of {', '.join(STAGES)}, in order")
    if len(set(own.stages)) < len(own.stages):
        raise GraphrepError(f"stages is {own.stages!r}.", hint="each stage once")
    if "glem" in own.stages and "gnn" not in own.stages[: own.stages.index("glem")]:
        raise GraphrepError("glem starts from a trained graph network.", hint='stages=("lm", "gnn", "glem")')
    if not 0 <= own.pseudo_weight <= 1:
        raise GraphrepError(f"pseudo_weight is {own.pseudo_weight!r}.", hint="in [0, 1]")
    if own.live_nodes < -1:
        raise GraphrepError(f"live_nodes is {own.live_nodes}.", hint="0 or more, or -1 for all")
    if min(own.num_negatives, own.lm_negatives) < 0:
        raise GraphrepError("a number of negatives is below 0.", hint="0 or more")
    if own.refresh_every is not None and own.refresh_every < 1:
        raise GraphrepError(f"refresh_every is {own.refresh_every}.", hint="1 or more steps, or None")


def check_task(own: Any, lesson: Lesson) -> None:
    """Raises where settings do not go with the task."""
    if "glem" in own.stages and lesson.task != "node":
        raise GraphrepError(
            f'glem is for node classification, and the task is "{lesson.task}".', hint='stages=("lm", "gnn")'
        )
    if own.lm_objective == "label" and lesson.task == "link":
        raise GraphrepError('lm_objective is "label", and the task has none.', hint='lm_objective="link"')
    if own.conv in ("gcn", "sage") and len(lesson.graph.num_nodes) > 1:
        raise GraphrepError(f'conv="{own.conv}" takes one node type.', hint='conv="rgcn", "hgt" or "hetero_sage"')


def objective_of(own: Any, lesson: Lesson) -> str:
    """``"label"`` or ``"link"`` for stage 1: labels where a tenth of the nodes has one, else links."""
    if own.lm_objective != "auto":
        return str(own.lm_objective)
    if lesson.task == "edge":
        return "label"
    if lesson.task == "link" or lesson.parts is None or lesson.graph.target not in lesson.graph.text:
        return "link"
    enough = len(lesson.parts.train) >= _LABELLED * lesson.graph.num_nodes[lesson.graph.target]
    return "label" if enough or not any(part.train.numel() for part in lesson.links) else "link"


def language_model(
    own: Any, graph: TextGraph, folder: Path | None, progress: Any
) -> tuple[TextEncoder, Any, str | None]:
    """Encoder, tokenizer, and what to tell where a small model was made from these texts alone."""
    told, model, tokenizer = None, own.lm, own.tokenizer
    if model is None:
        model, tokenizer, told = _scratch(own, graph, folder, progress)
    if isinstance(model, str | os.PathLike):
        tokenizer = TextEncoder.load_tokenizer(model) if tokenizer is None else tokenizer
        model = load_text_model(model)
    if tokenizer is None:
        raise GraphrepError("lm is a model without a tokenizer.", hint="tokenizer=, or lm= a model directory")
    if model is own.lm and isinstance(model, nn.Module):
        model = copy.deepcopy(model)  # what was given stays as it is
    if isinstance(model, TextEncoder):
        return model.to(own.device), tokenizer, told
    depth, layers = own.lm_layers, None
    if depth is not None and isinstance(model, nn.Module):
        layers = min(depth, len(layer_list(model)[1])) if depth else 0
    encoder = TextEncoder(
        model, pooling=own.pooling, train_layers=layers, lora=own.lora, seed=own.seed,
        gradient_checkpointing=False,
    )  # fmt: skip
    return encoder.to(own.device), tokenizer, told


def _scratch(own: Any, graph: TextGraph, folder: Path | None, progress: Any) -> tuple[Any, Any, str]:
    from graphrep.nn import small_bert

    told = "no language model was given: a small BERT was trained from scratch on these texts and knows nothing else."
    path = None if folder is None else folder / "lm-scratch"
    if path is not None and distributed.agreed_path(path / "config.json"):
        return path, None, told
    texts = [str(text) for part in graph.text.values() for text in part]
    options: dict[str, Any] = {"max_length": own.text_length, "seed": own.seed}
    found = small_bert(texts, progress=progress, path=path if distributed.is_main() else None, **options)
    distributed.barrier()
    return (path, None, told) if path is not None else (found.model, found.tokenizer, told)


def texts_of(own: Any, encoder: TextEncoder, tokenizer: Any, text: Mapping[str, np.ndarray[Any, Any]]) -> Texts:
    """The texts of all types as one table."""
    starts, sizes, start = {}, {}, 0
    for kind, part in text.items():
        starts[kind], sizes[kind] = start, len(part)
        start += len(part)
    length = own.text_length if encoder.max_length is None else min(own.text_length, encoder.max_length)
    lines = (str(line) for part in text.values() for line in part)
    table = TextTable.from_texts(lines, tokenizer, max_length=length)
    precision = own.precision
    if precision == "auto":
        longest = table.lengths.argsort(descending=True)[:64]
        precision = "bfloat16" if len(table) and half_is_faster(encoder, table, longest) else "float32"
    return Texts(
        encoder, table, table, starts, sizes, precision=precision, chunk_size=own.chunk_size,
        checkpointing=own.gradient_checkpointing,
    )  # fmt: skip


def network(own: Any, shape: Mapping[str, Any]) -> TextGraphEncoder:
    """The graph network."""
    kinds = [tuple(kind) for kind in shape["edge_types"]]
    conv = own.conv
    if conv == "auto":
        conv = "gcn" if len(kinds) == 1 and len(shape["num_nodes"]) == 1 else "rgcn"
    return TextGraphEncoder(
        shape["text_dims"], shape["feature_dims"], shape["num_nodes"], kinds,
        dim=own.hidden_dim or own.dim, out_dim=own.dim, num_layers=own.num_layers, conv=conv,
        num_bases=own.num_bases, heads=own.heads, dropout=own.dropout, jumping=own.jumping,
    )  # fmt: skip


def heads(own: Any, shape: Mapping[str, Any], objective: str) -> tuple[nn.Module, nn.Module | None]:
    """The head on the network's vectors, and that on text vectors alone where a stage needs one."""
    classes, task = shape["num_classes"], shape["task"]
    if task == "link":
        return LinkHead(own.dim, max(1, len(shape["relations"])), kind=own.scorer), None
    on_texts = objective == "label" and ("lm" in own.stages or "glem" in own.stages)
    if task == "edge":
        ends = [shape["text_dims"].get(shape["pair_type"][place]) for place in (0, 2)]
        options = {"kind": own.pair_head, "dropout": own.dropout}
        on_pairs: EdgeHead | None = None
        if on_texts and "lm" in own.stages:
            if None in ends:
                raise GraphrepError("the pairs' ends have no text to learn from.", hint='lm_objective="link"')
            on_pairs = EdgeHead((ends[0], ends[1]), classes, **options)
        return EdgeHead(own.dim, classes, **options), on_pairs
    wanted = on_texts or "glem" in own.stages
    if wanted and shape["target"] not in shape["text_dims"]:
        raise GraphrepError(f"{shape['target']} has labels but no text.", hint='lm_objective="link"')
    text_head = NodeHead(shape["text_dims"][shape["target"]], classes) if wanted else None
    return NodeHead(own.dim, classes), text_head
