"""Fine-tuning a text encoder on the labels of some texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphrep.data.text_table import TextTable
from graphrep.nn.text_encoder import TextEncoder

__all__ = ["TextLabelTask"]

_LOOKED_AT = 64  # texts that the loop's signals see


class TextLabelTask:
    """Cross-entropy of a linear layer on the vectors of labelled texts; a :class:`graphrep.train.Task`.

    Args:
        encoder: what is trained.
        head: its linear layer.
        table: N texts.
        y: (N,) classes.
        train_idx: texts to learn from.
        batch_size: texts of a step; batches are of equal size.
        label_smoothing: share of the target that is spread over all classes.
        fingerprint: settings of the method.
    """

    supervised = True

    def __init__(
        self,
        encoder: TextEncoder,
        head: nn.Linear,
        table: TextTable,
        y: Tensor,
        train_idx: Tensor,
        *,
        batch_size: int,
        label_smoothing: float,
        fingerprint: str,
    ) -> None:
        self.module: nn.Module = nn.ModuleDict({"encoder": encoder, "head": head})
        self.encoder, self.head, self.table = encoder, head, table
        self.y, self.train_idx = y, train_idx
        self.batch_size, self.label_smoothing = batch_size, label_smoothing
        self._fingerprint = fingerprint

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[Tensor]:
        """The labelled texts in random order."""
        order = self.train_idx[torch.randperm(len(self.train_idx), generator=generator)]
        return order.tensor_split(max(1, -(-len(order) // self.batch_size)))

    def loss(
        self, batch: Tensor, epoch: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Cross-entropy of a batch."""
        logits = self.head(self._vectors(batch))
        wanted = self.y[batch].to(logits.device)
        return functional.cross_entropy(logits.float(), wanted, label_smoothing=self.label_smoothing), {}

    def embed(self) -> Tensor:
        """Vectors of some of the labelled texts."""
        return self._vectors(self.train_idx[:_LOOKED_AT])

    def fingerprint(self) -> str:
        """Settings, texts, labels and which of them are learnt from."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.y, self.train_idx):
            digest.update(part.contiguous().numpy().data)
        return f"text labels {self._fingerprint} {self.table.digest} {digest.hexdigest()}"

    def _vectors(self, texts: Tensor) -> Tensor:
        ids, mask = (part.to(self.encoder.device) for part in self.table.batch(texts))
        rows: Any = self.encoder(ids, mask)
        return rows  # type: ignore[no-any-return]
