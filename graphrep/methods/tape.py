"""Node features from texts (TAPE): vectors of texts and of explanations, ranked guesses of classes, one vote of all."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphrep.data._parts import as_labels, as_split, sparse_features
from graphrep.data.text_table import TextTable
from graphrep.errors import DTypeError, GraphrepError, MissingLabelsError, NonFiniteError, ShapeError
from graphrep.kernels._check import check_floating, check_index, check_range
from graphrep.methods._text_labels import TextLabelTask
from graphrep.nn.encoding import encode_texts
from graphrep.nn.text_encoder import TextEncoder
from graphrep.train import History, TrainConfig, train

__all__ = ["TextFeatures", "ensemble", "text_features", "top_class_features"]

_SUM_TOLERANCE = {2: 2e-2, 4: 1e-4, 8: 1e-8}  # by bytes of a number


class TextFeatures(NamedTuple):
    """What :func:`text_features` gives.

    Attributes:
        features: (N, h) float32.
        probabilities: (N, C) of the fine-tuned encoder's own classifier; None without fine-tuning.
        encoder: that made them.
        history: of the fine-tuning, or None.
    """

    features: Tensor
    probabilities: Tensor | None
    encoder: TextEncoder
    history: History | None


def text_features(
    texts: Sequence[str] | TextTable,
    *,
    encoder: TextEncoder | str | os.PathLike[str],
    tokenizer: Any = None,
    max_length: int = 128,
    finetune: bool = False,
    y: Any = None,
    train_idx: Any = None,
    pooling: str | None = None,
    train_layers: int | None = None,
    epochs: int = 4,
    lr: float = 2e-5,
    batch_size: int = 16,
    label_smoothing: float = 0.3,
    precision: str = "auto",
    max_tokens: int = 8192,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
    **training: Any,
) -> TextFeatures:
    """Vectors of texts as node features, of a language model as it is or fine-tuned on the labels first.

    TAPE trains one model on the nodes' own texts and one on a large model's explanations of them
    (:func:`graphrep.data.read_texts` reads those), one graph network on the features of each and one on
    :func:`top_class_features`, and takes the mean of their class probabilities (:func:`ensemble`).

    Args:
        texts: N strings, or a table of their tokens.
        encoder: a :class:`graphrep.nn.TextEncoder` (which is copied when it is trained), or a model directory.
        tokenizer: as for :meth:`graphrep.data.TextTable.from_texts`; that of the directory by default.
        max_length: tokens of a text.
        finetune: train the encoder and a linear layer on the labels of `train_idx` first.
        y: (N,) classes, -1 where unknown.
        train_idx: node numbers or a mask.
        pooling: for a model directory; default ``cls`` with fine-tuning, as TAPE does, and ``mean`` without.
        train_layers: for a model directory: top layers to train; None trains all.
        epochs: of the fine-tuning, all of them; no label outside `train_idx` is looked at.
        lr: learning rate, falling along a cosine after a first epoch of warming up.
        batch_size: labelled texts of a step.
        label_smoothing: share of the target that is spread over all classes.
        precision: ``bfloat16``, ``float32``, or ``auto``: float32 for training, the faster one for encoding.
        max_tokens: tokens of a batch of encoding.
        device: where to compute.
        seed: of the fine-tuning.
        progress: of the encoding: tokens done, tokens to do, tokens per second.
        training: ``callbacks``, ``checkpoint``, ``resume``, ... of :func:`graphrep.train.train`.

    Raises:
        GraphrepError: no tokenizer, no text, or a value out of range.
        MissingLabelsError: fine-tuning without labels.
        ShapeError, DTypeError, IndexRangeError: `y` or `train_idx` does not fit the texts.
        FileFormatError, MissingExtraError: see :func:`graphrep.nn.load_text_model`.

    Source: He et al., "Harnessing Explanations: LLM-to-LM Interpreter for Enhanced Text-Attributed Graph
    Representation Learning", ICLR 2024, arXiv:2305.19523.

    Example:
        >>> from graphrep.nn import small_bert
        >>> texts = ["red sun", "red moon", "blue sun", "blue moon"] * 4
        >>> bert = small_bert(texts, vocab_size=64, dim=16, epochs=0)
        >>> found = text_features(
        ...     texts, encoder=TextEncoder(bert.model), tokenizer=bert.tokenizer, finetune=True,
        ...     y=[0, 0, 1, 1] * 4, train_idx=range(8), epochs=8, lr=1e-2)
        >>> found.features.shape, found.probabilities.argmax(1).tolist() == [0, 0, 1, 1] * 4
        (torch.Size([16, 16]), True)
    """
    model = _encoder(encoder, pooling or ("cls" if finetune else "mean"), train_layers, finetune).to(device)
    table = _table(texts, tokenizer, encoder, max_length)
    history, probabilities = None, None
    if finetune:
        labels, chosen = _labels(y, train_idx, len(table))
        settings = f"epochs={epochs} lr={lr} batch_size={batch_size} label_smoothing={label_smoothing}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = nn.Linear(model.dim, int(labels.max()) + 1, device=device)
        task = TextLabelTask(
            model, head, table, labels, chosen, batch_size=_positive("batch_size", batch_size),
            label_smoothing=_share("label_smoothing", label_smoothing), fingerprint=settings,
        )  # fmt: skip
        config = TrainConfig(
            epochs=epochs, lr=lr, optimizer="adamw", schedule="cosine", warmup=min(1, epochs - 1) if epochs else 0,
            clip_norm=1.0, precision="float32" if precision == "auto" else precision, eval_every=0, seed=seed,
        )  # fmt: skip
        history = train(task, config, **training)
    elif y is not None or train_idx is not None or training:
        raise GraphrepError("labels and arguments of a training have no effect here.", hint="finetune=True")
    features = encode_texts(model, table, precision=precision, max_tokens=max_tokens, progress=progress)
    assert isinstance(features, Tensor)
    if finetune:
        with torch.no_grad():
            probabilities = head.eval()(features.to(head.weight.dtype)).softmax(-1)
    return TextFeatures(features.float(), probabilities, model.eval(), history)


def _encoder(encoder: Any, pooling: str, train_layers: int | None, finetune: bool) -> TextEncoder:
    if isinstance(encoder, TextEncoder):
        if finetune and not isinstance(encoder.model, nn.Module):
            raise GraphrepError("the encoder's model is a function, which cannot be trained.", hint="finetune=False")
        return copy.deepcopy(encoder).train() if finetune else encoder
    if not isinstance(encoder, str | os.PathLike):
        raise DTypeError(f"encoder is a {type(encoder).__name__}.", hint="a TextEncoder or a model directory")
    normalize = not finetune  # the linear layer of the fine-tuning needs more than a direction
    return TextEncoder(encoder, pooling=pooling, normalize=normalize, train_layers=train_layers).train(finetune)


def _table(texts: Any, tokenizer: Any, encoder: Any, max_length: int) -> TextTable:
    if isinstance(texts, TextTable):
        table = texts
    else:
        if tokenizer is None and isinstance(encoder, TextEncoder):
            raise GraphrepError("a TextEncoder does not know its tokenizer.", hint="tokenizer=..., or a TextTable")
        table = TextTable.from_texts(texts, encoder if tokenizer is None else tokenizer, max_length=max_length)
    if not len(table):
        raise GraphrepError("there is no text.", hint="one string per node")
    return table


def _labels(y: Any, train_idx: Any, count: int) -> tuple[Tensor, Tensor]:
    if y is None or train_idx is None:
        raise MissingLabelsError("fine-tuning learns from labels.", hint="y=graph.y, train_idx=graph.train_idx")
    labels = as_labels(y)
    if labels is None or labels.shape != (count,) or labels.is_floating_point():
        shape = None if labels is None else tuple(labels.shape)
        raise ShapeError(f"y must hold one class per text; got {shape} for {count} texts.", hint="(N,) integers")
    given = list(train_idx) if isinstance(train_idx, range) else train_idx
    chosen = as_split(given, count, "train_idx")
    if chosen is None or not len(chosen):
        raise MissingLabelsError("train_idx is empty.", hint="some nodes with labels")
    chosen = chosen.cpu()
    labels = labels.long().cpu()
    if int(labels[chosen].min()) < 0:
        raise MissingLabelsError(f"text {int(chosen[labels[chosen].argmin()])} of train_idx has no label.")
    return labels, chosen


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise GraphrepError(f"{name} is {value}.", hint=f"{name}=16")
    return value


def _share(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise GraphrepError(f"{name} is {value}; it lies in [0, 1).", hint=f"{name}=0.1")
    return value


def top_class_features(guesses: Tensor, num_classes: int) -> Tensor:
    """Ranked guesses of classes as sparse features: one block of `num_classes` columns for each rank.

    A linear layer on them is a table of learned vectors for each rank, added up (TAPE's prediction features).

    Args:
        guesses: (N, k) int32 or int64 classes, the likeliest first, -1 for no guess.
        num_classes: C.

    Returns:
        (N, k C) float32 sparse CSR with a 1 for each guess; O(N k) memory, usable as ``graph.x``.

    Raises:
        ShapeError, DTypeError, IndexRangeError: not (N, k) integers of -1..C-1.
        GraphrepError: a class twice in one row.

    Example:
        >>> top_class_features(torch.tensor([[1, 0], [2, -1]]), 3).to_dense().int()
        tensor([[0, 1, 0, 1, 0, 0],
                [0, 0, 1, 0, 0, 0]], dtype=torch.int32)
    """
    check_index(guesses, "guesses", ndim=2)
    ranks = guesses.long()
    told = ranks != -1
    check_range(ranks[told], num_classes, "guesses")
    ordered = ranks.sort(1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1)
    if bool(twice.any()):
        raise GraphrepError(
            f"row {int(twice.nonzero()[0])} guesses a class twice.", hint="distinct classes, -1 for none"
        )
    column = ranks + torch.arange(ranks.shape[1], device=ranks.device) * num_classes
    rowptr = torch.cat([told.new_zeros(1, dtype=torch.int64), told.sum(1).cumsum(0)])
    size = (len(ranks), ranks.shape[1] * num_classes)
    ones = torch.ones(int(rowptr[-1]))
    return sparse_features(rowptr, column[told], ones, size).to(guesses.device)


def ensemble(probabilities: Sequence[Tensor], *, weights: Sequence[float] | None = None) -> Tensor:
    """The (weighted) mean of class probabilities of several models.

    Args:
        probabilities: one (N, C) tensor per model, rows that add up to 1.
        weights: one number per model, not negative; equal by default.

    Returns:
        (N, C) in the widest of the dtypes.

    Raises:
        GraphrepError: no model, rows that are no probabilities, or weights that do not fit.
        ShapeError, DTypeError, NonFiniteError: shapes differ, integers, or NaN.

    Example:
        >>> ensemble([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])])
        tensor([[0.7500, 0.2500]])
    """
    parts = list(probabilities)
    if not parts:
        raise GraphrepError("there is no model to ask.", hint="one (N, C) tensor per model")
    share = [1.0] * len(parts) if weights is None else [float(weight) for weight in weights]
    if len(share) != len(parts) or min(share) < 0 or not 0 < sum(share) < float("inf"):
        raise GraphrepError(f"weights {share} do not fit {len(parts)} models.", hint="one number per model, 0 or more")
    total: Tensor | None = None
    for number, (part, weight) in enumerate(zip(parts, share, strict=True)):
        _check_probabilities(part, f"probabilities[{number}]", parts[0])
        term = part * (weight / sum(share))
        total = term if total is None else total + term
    assert total is not None
    return total


def _check_probabilities(part: Tensor, name: str, first: Tensor) -> None:
    check_floating(part, name)
    if part.dim() != 2 or part.shape != first.shape:
        raise ShapeError(f"{name} is {tuple(part.shape)}, the first {tuple(first.shape)}.", hint="all (N, C)")
    if not bool(part.isfinite().all()):
        raise NonFiniteError(f"{name} holds NaN or infinity.")
    off = (part.double().sum(1) - 1).abs() > _SUM_TOLERANCE[part.element_size()]
    if bool(off.any()) or (part.numel() and float(part.min()) < 0):
        raise GraphrepError(f"rows of {name} are no probabilities.", hint="logits.softmax(-1)")
