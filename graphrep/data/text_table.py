"""Texts as token ids: ragged, in the smallest integer type, in memory or mapped from a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data._token_files import TokenFiles, TokenLists, flat, open_arrays
from graphrep.data._tokenizer import as_token_call
from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels._check import check_index, check_range

__all__ = ["TextTable", "length_buckets"]

_CHUNK = 4096
_HASH_BLOCK = 1 << 22


class TextTable:
    """Token ids of N texts, one text behind the other; never a padded (N, L) array.

    Args:
        ids: (T,) unsigned or signed integers, all texts one behind the other.
        offsets: (N + 1,) where each text begins.
        max_length: the most tokens a text was cut to; part of what :func:`graphrep.nn.cache_key` compares.
        pad_id: what fills up the rows of a batch.
        num_suffix: special tokens at the end of each text, which stay when :meth:`batch` cuts it.
        tokenizer_digest: hash of the tokenizer.

    Attributes:
        lengths: (N,) int64 tokens of each text as an encoder gets them: 1 for a text without any token, which becomes
            one padding token that is attended to, so that its vector is finite.
        num_tokens: T.

    Raises:
        ShapeError, DTypeError: the arrays do not fit each other.

    Example:
        >>> table = TextTable.from_texts(["a b", "c"], lambda texts: [[ord(w) - 96 for w in t.split()] for t in texts])
        >>> table
        TextTable(2 texts, 3 tokens, at most 128 each)
        >>> ids, mask = table.batch(torch.tensor([1, 0]))
        >>> ids.tolist(), mask.tolist()
        ([[3, 0], [1, 2]], [[1, 0], [1, 1]])
    """

    def __init__(
        self,
        ids: np.ndarray[Any, Any],
        offsets: np.ndarray[Any, Any],
        *,
        max_length: int = 128,
        pad_id: int = 0,
        num_suffix: int = 0,
        tokenizer_digest: str = "",
    ) -> None:
        if ids.ndim != 1 or offsets.ndim != 1 or not offsets.size or offsets[0] != 0 or offsets[-1] != ids.size:
            raise ShapeError(
                f"ids {ids.shape} and offsets {offsets.shape} do not fit each other.",
                hint="offsets from 0 to len(ids), one more than texts",
            )
        if ids.dtype.kind not in "iu" or offsets.dtype.kind not in "iu":
            raise DTypeError(f"ids are {ids.dtype}, offsets {offsets.dtype}; integers are needed.")
        self.ids, self.offsets = ids, offsets.astype(np.int64, copy=False)
        self.max_length, self.pad_id, self.num_suffix = max_length, pad_id, num_suffix
        self.tokenizer_digest = tokenizer_digest

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        tokenizer: Any,
        *,
        max_length: int = 128,
        progress: Callable[[int, int | None], None] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> TextTable:
        """Tokenizes texts, some thousand at a time.

        Args:
            texts: N strings; "" becomes the special tokens alone.
            tokenizer: a transformers tokenizer, a model directory, or a function from strings to lists of ids.
            max_length: longer texts are cut; special tokens count.
            progress: called with the texts done and N (None where `texts` does not say how many it has).
            path: a folder to stream the ids to, for tables that do not fit in memory; it appears when it is complete,
                and a text table that is there is replaced. The result maps it, as :meth:`open` does.

        Raises:
            DTypeError: a text that is no string, or a tokenizer that is none or gives no integers.
            GraphrepError: a length below 1, another number of lists than texts, or a folder that cannot be written.
            FileFormatError, MissingExtraError: the model directory is none; transformers is not installed.
        """
        if max_length < 1:
            raise GraphrepError(f"max_length is {max_length}.", hint="max_length=128")
        call = as_token_call(tokenizer, max_length)
        total = len(texts) if isinstance(texts, Sized) else None
        sink: TokenLists | TokenFiles = TokenLists() if path is None else TokenFiles(path)
        sizes = [np.zeros(1, dtype=np.int64)]
        done = 0
        try:
            for chunk in _chunks(texts):
                rows = call.encode(chunk)
                if len(rows) != len(chunk):
                    raise GraphrepError(
                        f"the tokenizer gave {len(rows)} lists for {len(chunk)} texts.", hint="one list of ids per text"
                    )
                ids, lengths = flat(rows, done, call.vocab_size)
                sink.append(ids)
                sizes.append(lengths)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
            offsets = np.cumsum(np.concatenate(sizes))
            facts = {"max_length": max_length, "pad_id": call.pad_id, "num_suffix": call.num_suffix}
            counts = {"texts": done, "tokens": int(offsets[-1]), "tokenizer": call.digest}
            found = sink.finish(offsets, {**facts, **counts})
        finally:
            if isinstance(sink, TokenFiles):
                sink.drop()
        return cls(found, offsets, **facts, tokenizer_digest=call.digest)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> TextTable:
        """Maps a folder that :meth:`from_texts` wrote; token ids are read when a batch needs them.

        Raises:
            FileFormatError: no text table, or a damaged one.
        """
        ids, offsets, found = open_arrays(path)
        facts = {key: found[key] for key in ("max_length", "pad_id", "num_suffix")}
        return cls(ids, offsets, **facts, tokenizer_digest=str(found.get("tokenizer", "")))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"TextTable({len(self)} texts, {self.num_tokens} tokens, at most {self.max_length} each)"

    @property
    def num_tokens(self) -> int:
        """T, tokens of all texts together."""
        return int(self.ids.size)

    @cached_property
    def lengths(self) -> Tensor:
        """(N,) int64 tokens of each text as an encoder gets them."""
        return torch.from_numpy(np.maximum(np.diff(self.offsets), 1))

    @cached_property
    def digest(self) -> str:
        """Hash of all token ids and where texts begin, whatever type they are stored in."""
        found = hashlib.blake2b(f"{len(self)} {self.num_tokens}".encode(), digest_size=16)
        for values, dtype in ((self.offsets, "<i8"), (self.ids, "<u4")):
            for start in range(0, values.size, _HASH_BLOCK):
                found.update(np.ascontiguousarray(values[start : start + _HASH_BLOCK], dtype=dtype).data)
        return found.hexdigest()

    def batch(self, index: Tensor, *, max_length: int | None = None) -> tuple[Tensor, Tensor]:
        """Token ids of some texts, padded to the longest of them.

        Args:
            index: (B,) int32 or int64 numbers of texts, in any order; repeats are allowed.
            max_length: cuts longer texts; their special tokens at the end stay.

        Returns:
            ``(input_ids, attention_mask)``, both (B, L) int64; the mask is 1 at tokens, 0 at padding.

        Raises:
            ShapeError, DTypeError, IndexRangeError: bad `index`.
            GraphrepError: `max_length` leaves no token beside the special ones.
        """
        check_index(index, "index")
        check_range(index, len(self), "index")
        if max_length is not None and max_length <= self.num_suffix:
            raise GraphrepError(f"max_length is {max_length}.", hint=f"{self.num_suffix + 1} or more")
        rows = index.detach().cpu().numpy()
        start = self.offsets[rows]
        whole = self.offsets[rows + 1] - start
        kept = whole if max_length is None else np.minimum(whole, max_length)
        width = max(1, int(kept.max(initial=1)))
        column = np.arange(width)
        # Behind the cut come the special tokens of the end, counted from the end of the whole text.
        skip = np.where(column >= (kept - self.num_suffix)[:, None], (whole - kept)[:, None], 0)
        inside = column < kept[:, None]
        ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        ids[inside] = self.ids[(start[:, None] + column + skip)[inside]]
        inside[:, 0] = True  # a text without any token attends to one padding token
        return torch.from_numpy(ids), torch.from_numpy(inside.astype(np.int64))

    def buckets(self, index: Tensor | None = None, *, max_tokens: int = 8192) -> list[Tensor]:
        """Batches of texts of like length, the longest first, so that padding is little and the memory known.

        Args:
            index: (M,) numbers of texts; None for all.
            max_tokens: B times the longest of the batch stays at or below it (a longer text is a batch of its own).

        Returns:
            Parts of `index`, each (B,) int64.
        """
        chosen = torch.arange(len(self)) if index is None else index
        check_index(chosen, "index")
        check_range(chosen, len(self), "index")
        chosen = chosen.long().cpu()
        return [chosen[part] for part in length_buckets(self.lengths[chosen], max_tokens)]


def length_buckets(lengths: Tensor, max_tokens: int) -> list[Tensor]:
    """Positions of `lengths` (M,) in batches from long to short, each at most `max_tokens` when padded.

    Raises:
        GraphrepError: `max_tokens` is below 1.

    Example:
        >>> length_buckets(torch.tensor([2, 9, 3, 2]), 6)
        [tensor([1]), tensor([2, 0]), tensor([3])]
    """
    if max_tokens < 1:
        raise GraphrepError(f"max_tokens is {max_tokens}.", hint="max_tokens=8192")
    order = torch.argsort(lengths, descending=True, stable=True)
    parts, start = [], 0
    while start < len(order):
        take = max(1, max_tokens // max(1, int(lengths[order[start]])))
        parts.append(order[start : start + take])
        start += take
    return parts


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lists of some thousand plain strings.

    Raises:
        DTypeError: something that is no string.
    """
    if isinstance(texts, str):
        raise DTypeError("texts is one string.", hint="a list of strings")
    stream, done = iter(texts), 0
    while chunk := list(islice(stream, _CHUNK)):
        for position, text in enumerate(chunk):
            if not isinstance(text, str):
                raise DTypeError(f"text {done + position} is {text!r}, which is no string.", hint='"" for no text')
        yield [str(text) for text in chunk]
        done += len(chunk)
