"""A language model with pooling: token ids in, one vector per text out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.data._tokenizer import load_tokenizer
from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels._check import check_floating, check_index, check_range
from graphrep.nn._lora import add_lora
from graphrep.nn._text_layers import SplitModel, enable_checkpointing, layer_list
from graphrep.nn.text_model import load_text_model, save_text_model

__all__ = ["TextEncoder"]

_POOLINGS = ("mean", "cls", "last")
_EPS = 1e-12


class TextEncoder(nn.Module):
    """``pool(model(input_ids, attention_mask))``, of unit length by default.

    - ``mean``: ``t = sum_i m_i H_i / max(sum_i m_i, eps)`` over the last hidden states H and the attention mask m;
    - ``cls``: the first token; ``last``: the last one that is attended to (decoder-only models).

    A model's own ``pooler_output`` is never used: in sentence encoders it is untrained.

    Args:
        model: a model directory (:func:`load_text_model`), a transformers model, or a callable with the keyword
            arguments `input_ids` and `attention_mask` that returns (B, L, h), or an object with ``last_hidden_state``.
        pooling: see above.
        normalize: scale to unit length.
        train_layers: n trains the top n transformer layers only, 0 nothing, None everything. Frozen parts stay in
            evaluation mode (no dropout), so that :class:`TokenCache` can stand for them.
        gradient_checkpointing: compute layers again in the backward pass instead of keeping their states.
        lora: a rank, or the arguments of peft's ``LoraConfig``: trains low-rank adapters of the top `train_layers`
            layers, and no weight of the model itself.
        seed: of the adapters' first values.

    Attributes:
        dim: h.
        max_length: the most tokens that the model has positions for; None if it does not say.

    Shapes:
        input_ids, attention_mask: (B, L) integers. Returns (B, h), float32 where the states are of a half type.

    Raises:
        UnknownNameError, DTypeError, GraphrepError: bad arguments, or a model that cannot do what they ask for.
        FileFormatError, MissingExtraError: see :func:`load_text_model`; `lora` without peft.

    Source: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, arXiv:1908.10084 (pooling); Hu et al., "LoRA",
    ICLR 2022, arXiv:2106.09685.

    Example:
        >>> table = nn.Embedding.from_pretrained(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]))
        >>> encoder = TextEncoder(lambda input_ids, attention_mask: table(input_ids), normalize=False)
        >>> encoder(torch.tensor([[1, 2], [2, 0]]), torch.tensor([[1, 1], [1, 0]]))
        tensor([[1.5000, 1.5000],
                [0.0000, 3.0000]])
    """

    def __init__(
        self,
        model: Any,
        *,
        pooling: str = "mean",
        normalize: bool = True,
        train_layers: int | None = None,
        gradient_checkpointing: bool = False,
        lora: int | dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if pooling not in _POOLINGS:
            raise UnknownNameError(f'pooling is "{pooling}".', hint="one of " + ", ".join(_POOLINGS))
        if isinstance(model, str | os.PathLike):
            model = load_text_model(model)
        if not callable(model):
            raise DTypeError(
                f"model is a {type(model).__name__}, which cannot be called.",
                hint="a model directory, a transformers model, or a function of input_ids and attention_mask",
            )
        self.model: Any = model
        self.pooling, self.normalize, self.train_layers = pooling, normalize, train_layers
        self._dim: int | None = None
        self._split: SplitModel | None = None
        if train_layers is not None or lora is not None or gradient_checkpointing:
            self._prepare(train_layers, lora, seed, gradient_checkpointing)
        self.train(bool(getattr(model, "training", True)))

    def _prepare(self, train_layers: int | None, lora: Any, seed: int, checkpointing: bool) -> None:
        if not isinstance(self.model, nn.Module):
            raise GraphrepError(
                "model is a function, whose layers cannot be told apart.", hint="an nn.Module, or train_layers=None"
            )
        if train_layers is not None:
            self._freeze(train_layers)
        if lora is not None:
            add_lora(self.model, lora, train_layers, seed)
        if checkpointing:
            enable_checkpointing(self.model)

    def _freeze(self, train_layers: int) -> None:
        if train_layers < 0:
            raise GraphrepError(f"train_layers is {train_layers}.", hint="0 or more, or None for all")
        self.model.requires_grad_(False)
        if train_layers == 0 and not any(isinstance(part, nn.ModuleList) for part in self.model.modules()):
            return
        layers = layer_list(self.model)[1]
        if train_layers > len(layers):
            raise GraphrepError(
                f"train_layers is {train_layers}, but the model has {len(layers)} layers.", hint="None trains all"
            )
        for layer in layers[len(layers) - train_layers :]:
            layer.requires_grad_(True)
        self._split = SplitModel(self.model, len(layers) - train_layers)

    def train(self, mode: bool = True) -> TextEncoder:
        """Sets the mode of what is trained; frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.train_layers is not None:
            self.model.eval()
            if self.train_layers:
                for layer in layer_list(self.model)[1][-self.train_layers :]:
                    layer.train(mode)
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Vectors of texts; shapes are those of the class.

        Raises:
            ShapeError, DTypeError, IndexRangeError: the arguments do not fit each other or the model.
        """
        self._check(input_ids, attention_mask)
        return self._pool(self._last(self.model(input_ids=input_ids, attention_mask=attention_mask)), attention_mask)

    def lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L, h) states of the frozen part, without gradient; :meth:`upper` goes on from them.

        Raises:
            GraphrepError: nothing is frozen (``train_layers=None``).
        """
        self._check(input_ids, attention_mask)
        with torch.no_grad():
            return self._parts().lower(input_ids, attention_mask)

    def upper(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, h) from the states that :meth:`lower` gave: ``upper(lower(ids, mask), mask)`` is ``forward(ids, mask)``.

        Args:
            hidden: (B, L, h); cast to the type of the model's weights.
            attention_mask: (B, L).

        Raises:
            GraphrepError: nothing is frozen.
            ShapeError, DTypeError: the arguments do not fit each other.
        """
        check_floating(hidden, "hidden")
        if hidden.dim() != 3 or hidden.shape[:2] != attention_mask.shape:
            raise ShapeError(
                f"hidden is {tuple(hidden.shape)}, attention_mask {tuple(attention_mask.shape)}.",
                hint="(B, L, h) and (B, L)",
            )
        weight = next(self.model.parameters())
        return self._pool(self._parts().upper(hidden.to(weight.dtype), attention_mask), attention_mask)

    def _parts(self) -> SplitModel:
        if self._split is None:
            raise GraphrepError("The encoder has no frozen part.", hint="TextEncoder(model, train_layers=2)")
        return self._split

    @property
    def dim(self) -> int:
        """h, width of the vectors; of a callable that does not say, found on one token."""
        config = getattr(self.model, "config", None)
        known = getattr(config, "hidden_size", None) or getattr(self.model, "dim", None) or self._dim
        if known is None:
            one = torch.ones(1, 1, dtype=torch.int64, device=self.device)
            with torch.no_grad():
                known = self._dim = self(one - 1, one).shape[-1]
        return int(known)

    @property
    def device(self) -> torch.device:
        """Where the weights are; cpu for a function."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def max_length(self) -> int | None:
        """The most tokens the model has positions for."""
        config = getattr(self.model, "config", None)
        limit = getattr(config, "max_position_embeddings", None)
        if not isinstance(limit, int) or limit < 1:
            return None
        table = getattr(getattr(self.model, "embeddings", None), "position_embeddings", None)
        offset = getattr(table, "padding_idx", None)  # RoBERTa counts positions from behind the padding
        return limit if offset is None else limit - offset - 1

    def parameter_groups(self, weight_decay: float = 0.01) -> list[dict[str, Any]]:
        """What an optimiser takes: trained matrices with weight decay, trained biases and norms without."""
        trained = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def weights_digest(self) -> str:
        """Hash of the weights; of a function its attribute ``digest``.

        Raises:
            GraphrepError: a function without it, whose weights nobody knows.
        """
        if not isinstance(self.model, nn.Module):
            if not hasattr(self.model, "digest"):
                raise GraphrepError(
                    "model is a function, whose weights cannot be hashed.", hint='model.digest = "version 1"'
                )
            return str(self.model.digest)
        return tensor_digest(self.model.state_dict())

    def lower_digest(self) -> str:
        """Hash of the weights that :meth:`lower` runs on.

        Raises:
            GraphrepError: nothing is frozen.
        """
        return tensor_digest(self._parts().lower_weights())

    def digest(self) -> str:
        """Hash of the weights, the pooling and whether vectors are normalised.

        Raises:
            GraphrepError: see :meth:`weights_digest`.
        """
        whole = f"{self.weights_digest()} {self.pooling} {self.normalize}"
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    def save(self, path: str | os.PathLike[str], tokenizer: Any = None) -> Path:
        """Writes the model as a directory that :func:`load_text_model` reads, with LoRA adapters merged in.

        Raises:
            GraphrepError: the model is not one of transformers, or the folder cannot be written.
        """
        return save_text_model(self.model, tokenizer, path)

    @staticmethod
    def load_tokenizer(path: str | os.PathLike[str]) -> Any:
        """The tokenizer of a model directory, offline.

        Raises:
            FileFormatError: no such directory, or it holds no tokenizer.
            MissingExtraError: transformers is not installed.
        """
        return load_tokenizer(path)

    def extra_repr(self) -> str:
        """Settings, for the module's repr."""
        return f"pooling={self.pooling!r}, normalize={self.normalize}, train_layers={self.train_layers}"

    def _check(self, input_ids: Tensor, attention_mask: Tensor) -> None:
        check_index(input_ids, "input_ids", ndim=2)
        if attention_mask.shape != input_ids.shape:
            raise ShapeError(
                f"attention_mask is {tuple(attention_mask.shape)}, input_ids {tuple(input_ids.shape)}.",
                hint="both (B, L)",
            )
        limit = self.max_length
        if limit is not None and input_ids.shape[1] > limit:
            raise ShapeError(
                f"input_ids has {input_ids.shape[1]} tokens per text; the model has positions for {limit}.",
                hint=f"max_length={limit} when the texts are tokenized",
            )
        size = getattr(getattr(self.model, "config", None), "vocab_size", None)
        if isinstance(size, int):
            check_range(input_ids, size, "input_ids")

    def _last(self, output: Any) -> Tensor:
        hidden = output if isinstance(output, Tensor) else getattr(output, "last_hidden_state", None)
        if not isinstance(hidden, Tensor) or hidden.dim() != 3:
            shape = f" of shape {tuple(hidden.shape)}" if isinstance(hidden, Tensor) else ""
            raise ShapeError(
                f"the model gave a {type(output).__name__}{shape}.", hint="(B, L, h), or .last_hidden_state of it"
            )
        return hidden

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        wide = hidden if hidden.dtype.itemsize > 2 else hidden.float()
        mask = attention_mask.to(torch.bool)
        if self.pooling == "cls":
            vectors = wide[:, 0]
        elif self.pooling == "last":
            place = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
            vectors = wide[torch.arange(len(wide), device=wide.device), place]
        else:
            total = wide.masked_fill(~mask[..., None], 0.0).sum(1)
            vectors = total / mask.sum(1, keepdim=True).clamp(min=1).to(wide.dtype)
        return functional.normalize(vectors, dim=-1, eps=_EPS) if self.normalize else vectors


def tensor_digest(tensors: dict[str, Tensor]) -> str:
    """Hash of named tensors, their types and shapes."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
