"""Tokenizers of any kind behind one call: a model directory, a transformers tokenizer, or a function."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from graphrep.errors import DTypeError, FileFormatError, MissingExtraError

__all__ = ["TokenCall", "as_token_call", "load_tokenizer", "transformers"]


class TokenCall(NamedTuple):
    """A tokenizer as :class:`~graphrep.data.TextTable` uses it.

    Attributes:
        encode: strings to lists of token ids, special tokens included, cut to the length it was made for.
        pad_id: what fills up the rows of a batch.
        num_suffix: special tokens at the end of every text, which stay when a text is cut.
        vocab_size: ids lie below it; None where the tokenizer does not say.
        digest: hash of everything that decides the ids.
    """

    encode: Callable[[list[str]], list[Any]]
    pad_id: int
    num_suffix: int
    vocab_size: int | None
    digest: str


def transformers() -> Any:
    """The transformers library.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and a later fork lock each other
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError(
            "Language models need transformers, which is not installed.", hint='pip install "graphrep[text]"'
        ) from error
    return transformers


def load_tokenizer(path: str | os.PathLike[str]) -> Any:
    """The tokenizer of a model directory; no network is asked, and no code from the directory is run.

    Raises:
        FileFormatError: no such directory, or it holds no tokenizer.
        MissingExtraError: transformers is not installed.
    """
    library = transformers()
    folder = Path(path)
    if not folder.is_dir():
        raise FileFormatError(
            f"There is no model directory {folder}.",
            hint="a folder with config.json and tokenizer.json",
        )
    try:
        return library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a damaged directory may fail anywhere inside transformers
        raise FileFormatError(f"{folder} holds no tokenizer: {error}.", hint="tokenizer.json in the folder") from error


def as_token_call(tokenizer: Any, max_length: int) -> TokenCall:
    """Wraps what :meth:`TextTable.from_texts <graphrep.data.TextTable.from_texts>` takes as `tokenizer`.

    Raises:
        DTypeError: neither a path, nor a transformers tokenizer, nor a function.
        FileFormatError, MissingExtraError: see :func:`load_tokenizer`.
    """
    if isinstance(tokenizer, str | os.PathLike):
        tokenizer = load_tokenizer(tokenizer)
    if not callable(tokenizer):
        raise DTypeError(
            f"tokenizer is a {type(tokenizer).__name__}, which cannot be called.",
            hint="a transformers tokenizer, a model directory, or a function from list[str] to list[list[int]]",
        )
    if not hasattr(tokenizer, "get_vocab"):
        named = f"{getattr(tokenizer, '__module__', '')}.{getattr(tokenizer, '__qualname__', type(tokenizer).__name__)}"
        digest = str(getattr(tokenizer, "digest", named))
        return TokenCall(lambda texts: [ids[:max_length] for ids in tokenizer(texts)], 0, 0, None, digest)

    def encode(texts: list[str]) -> list[Any]:
        found = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)
        return found["input_ids"]  # type: ignore[no-any-return]

    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    return TokenCall(encode, int(pad), _suffix(tokenizer), len(tokenizer), _digest(tokenizer))


def _suffix(tokenizer: Any) -> int:
    """Special tokens behind every text: what "" ends with and "a" ends with too."""
    empty, letter = tokenizer(["", "a"])["input_ids"]
    start = next((i for i, pair in enumerate(zip(empty, letter, strict=False)) if pair[0] != pair[1]), len(empty))
    return len(empty) - start if empty[start:] == letter[len(letter) - len(empty) + start :] else 0


def _digest(tokenizer: Any) -> str:
    """Hash of the vocabulary and the rules; of the cut and the padding not, as these change with every call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else {"class": type(tokenizer).__name__}
    rules |= {"truncation": None, "padding": None}
    if backend is None:
        rules["vocab"] = sorted(tokenizer.get_vocab().items())
    return hashlib.blake2b(json.dumps(rules, sort_keys=True).encode(), digest_size=16).hexdigest()
