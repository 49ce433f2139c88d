"""States of the frozen lower layers of a text encoder for every token, ragged, in memory or in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphrep.data.text_table import TextTable, length_buckets
from graphrep.errors import DTypeError, NonFiniteError, UnknownNameError
from graphrep.kernels._check import check_index, check_range
from graphrep.nn._cache_files import FLOATS, RowFiles
from graphrep.nn.embedding_cache import cache_key
from graphrep.nn.encoding import PRECISIONS, Meter, evaluating, half_is_faster, precision_context
from graphrep.nn.text_encoder import TextEncoder

__all__ = ["TokenCache"]


class TokenCache:
    """(T, h) states of T tokens below the trained layers, so that training runs these layers only.

    Memory: ``T h`` numbers of two bytes (142 k tokens of width 384: 104 MB); with `path` it is mapped, not held.
    Made by :meth:`build`; the attributes are for reading.

    Attributes:
        hidden: (T, h) states, all texts one behind the other.
        offsets: (N + 1,) int64, where each text begins.

    Example:
        >>> from graphrep.nn import TextEncoder, small_bert
        >>> bert = small_bert(["a b", "b c d"], dim=16, epochs=0, vocab_size=64)
        >>> table = TextTable.from_texts(["a b", "b c d"], bert.tokenizer)
        >>> encoder = TextEncoder(bert.model, train_layers=1).eval()
        >>> cache = TokenCache.build(encoder, table, dtype=torch.float32, precision="float32")
        >>> cache
        TokenCache(2 texts, 12 tokens x 16 float32)
        >>> rows = encoder.upper(*cache.batch(torch.tensor([1, 0])))
        >>> torch.allclose(rows, encoder(*table.batch(torch.tensor([1, 0]))), atol=1e-6)
        True
    """

    def __init__(self, hidden: Tensor, offsets: Tensor, *, device: torch.device | str = "cpu") -> None:
        self.hidden, self.offsets, self.device = hidden, offsets, torch.device(device)

    @classmethod
    def build(
        cls,
        encoder: TextEncoder,
        table: TextTable,
        *,
        dtype: torch.dtype = torch.bfloat16,
        path: str | os.PathLike[str] | None = None,
        precision: str = "auto",
        max_tokens: int = 8192,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> TokenCache:
        """Runs the frozen layers on all texts.

        Args:
            encoder: with frozen layers below trained ones (``train_layers=n``).
            table: N texts.
            dtype: of the states.
            path: a folder to keep them in. One that is there goes on where it stopped; it must be of the same lower
                layers and the same texts.
            precision: as for :func:`graphrep.nn.encode_texts`.
            max_tokens: tokens of a batch, padding included.
            progress: called after each batch with tokens done, tokens to do and tokens per second.

        Raises:
            GraphrepError: nothing is frozen, or the folder cannot be written.
            UnknownNameError, DTypeError: another precision or dtype.
            NonFiniteError: the model gave NaN or infinity.
            CheckpointMismatchError, FileFormatError: the folder is of something else, or damaged.
        """
        if precision not in PRECISIONS:
            raise UnknownNameError(f'precision is "{precision}".', hint="one of " + ", ".join(PRECISIONS))
        if dtype not in FLOATS:
            raise DTypeError(f"dtype is {dtype}.", hint="torch.bfloat16, float16, float32 or float64")
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), table.lengths.cumsum(0)])
        shape = (int(offsets[-1]), encoder.dim)
        files = None
        if path is not None:
            key = {**cache_key(encoder, table, dtype=dtype), "weights": encoder.lower_digest()}
            del key["pooling"], key["normalize"]  # these come above the cut
            files = RowFiles(Path(path), shape, len(table), dtype, {**key, "train_layers": encoder.train_layers})
        hidden = torch.zeros(shape, dtype=dtype) if files is None else files.rows
        cache = cls(hidden, offsets, device=encoder.device)
        todo = torch.arange(len(table)) if files is None else torch.from_numpy(np.flatnonzero(files.done == 0))
        with evaluating(encoder), torch.no_grad():
            cache._fill(encoder, table, todo, files, precision, max_tokens, progress)
        return cache

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """States of some texts, padded with zeros to the longest of them: what ``encoder.upper`` takes.

        Args:
            index: (B,) numbers of texts.

        Returns:
            ``(hidden, attention_mask)``: (B, L, h) in the cache's dtype and (B, L) int64, on the encoder's device.

        Raises:
            ShapeError, DTypeError, IndexRangeError: bad `index`.
        """
        check_index(index, "index")
        check_range(index, len(self), "index")
        rows = index.long().cpu()
        start, length = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        column = torch.arange(int(length.max()) if len(rows) else 1)
        inside = column < length[:, None]
        hidden = self.hidden.new_zeros(*inside.shape, self.hidden.shape[1])
        hidden[inside] = self.hidden[(start[:, None] + column)[inside]]
        return hidden.to(self.device), inside.long().to(self.device)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        tokens, width = self.hidden.shape
        return (
            f"TokenCache({len(self)} texts, {tokens} tokens x {width} {str(self.hidden.dtype).removeprefix('torch.')})"
        )

    def _fill(
        self,
        encoder: TextEncoder,
        table: TextTable,
        todo: Tensor,
        files: RowFiles | None,
        precision: str,
        max_tokens: int,
        progress: Callable[[int, int, float], None] | None,
    ) -> None:
        lengths = table.lengths[todo]
        batches = length_buckets(lengths, max_tokens)
        if precision == "auto":
            precision = "bfloat16" if batches and half_is_faster(encoder, table, todo[batches[0]]) else "float32"
        meter, waiting = Meter(int(lengths.sum()), progress), []
        try:
            for part in batches:
                texts = todo[part]
                self._put(encoder, table, texts, precision)
                waiting.append(texts)
                if meter.add(int(lengths[part].sum())) and files is not None:
                    files.mark(torch.cat(waiting).numpy())
                    waiting = []
        finally:
            if files is not None and waiting:
                files.mark(torch.cat(waiting).numpy())

    def _put(self, encoder: TextEncoder, table: TextTable, texts: Tensor, precision: str) -> None:
        ids, mask = (part.to(encoder.device) for part in table.batch(texts))
        with precision_context(encoder.device, precision):
            hidden = encoder.lower(ids, mask)
        inside = mask.bool()
        states = hidden[inside].to("cpu", self.hidden.dtype)
        if not bool(states.isfinite().all()):
            raise NonFiniteError(
                f"states of texts {texts[:3].tolist()}, ... are not finite as {self.hidden.dtype}.",
                hint='dtype=torch.bfloat16, or precision="float32"',
            )
        column = torch.arange(mask.shape[1])
        self.hidden[(self.offsets[texts][:, None] + column)[inside.cpu()]] = states
