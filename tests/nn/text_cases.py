"""A small BERT with random weights, and texts as token ids, for the tests of the text side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphrep.data import TextTable

VOCABULARY = 60


def tiny_bert(*, layers: int = 2, seed: int = 0, **options: Any) -> Any:
    """A BertModel of width 32 in evaluation mode."""
    from transformers import BertConfig, BertModel

    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4}
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, **options}
    config = BertConfig(**sizes, intermediate_size=64, max_position_embeddings=64, **rates)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(config, add_pooling_layer=False).eval()


def words(texts: list[str]) -> list[list[int]]:
    """A tokenizer: 1, the length of each word + 3, 2."""
    return [[1, *(len(word) + 3 for word in text.split()), 2] for text in texts]


def random_table(lengths: list[int], seed: int = 0) -> TextTable:
    """Texts of those many random tokens; 0 stands for padding."""
    offsets = np.cumsum([0, *lengths])
    ids = np.random.default_rng(seed).integers(1, VOCABULARY, offsets[-1]).astype(np.uint8)
    return TextTable(ids, offsets, tokenizer_digest="random")
