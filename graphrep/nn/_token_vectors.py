"""Vectors of tokens from the texts in which they occur: a start for word embeddings that already tells topics apart."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from graphrep.data.check import GraphWarning
from graphrep.data.text_table import TextTable
from graphrep.kernels import CSR
from graphrep.nn.svd import svd_view

__all__ = ["put_token_vectors"]

_ROUNDS = 4


def put_token_vectors(weight: Tensor, table: TextTable) -> None:
    """Writes ``V S`` of the truncated SVD of the texts' TF-IDF matrix over random word embeddings, at their scale.

    Tokens that say nothing (in no text, or in every one) and columns beyond the matrix's rank keep their random values.

    Args:
        weight: (V, d) random embeddings, changed in place.
        table: N texts.
    """
    counts = _tf_idf(table, len(weight))
    if counts is None:
        return
    rank = min(weight.shape[1], len(table), len(weight))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)  # equal singular values are no harm here
        found = svd_view(counts, rank, iters=_ROUNDS)
    vectors = found.V * found.S
    told = (vectors != 0).any(1)
    used = found.S > 0
    if not bool(told.any()):
        return
    with torch.no_grad():
        scaled = vectors * (weight.std() / vectors[told][:, used].std(correction=0).clamp(min=1e-12))
        rows = told.nonzero()
        weight[rows, used.nonzero().T] = scaled[told][:, used].to(weight.dtype)


def _tf_idf(table: TextTable, size: int) -> CSR | None:
    """(N, V) ``(1 + log tf) log((1 + N) / (1 + df))``, rows of unit length; None where every entry is zero."""
    text = np.repeat(np.arange(len(table)), np.diff(table.offsets))
    pairs, times = np.unique(text * size + table.ids.astype(np.int64), return_counts=True)
    text, token = pairs // size, pairs % size
    idf = np.log((1 + len(table)) / (1 + np.bincount(token, minlength=size)))
    value = (1 + np.log(times)) * idf[token]
    keep = value > 0
    if not keep.any():
        return None
    text, token, value = text[keep], token[keep], value[keep]
    value /= np.sqrt(np.bincount(text, value**2, minlength=len(table)))[text]
    edges = torch.from_numpy(np.stack([token, text]))
    return CSR.from_edge_index(edges, torch.from_numpy(value.astype(np.float32)), size=(size, len(table)))
