"""How far a decoder's output is from the features, without a dense copy of sparse features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphrep.kernels import CSR, spmm
from graphrep.nn.autoencoder import FeatureMLP

__all__ = ["expanded_error", "reconstruction_error", "squared_error"]


def reconstruction_error(decoder: FeatureMLP, z: Tensor, x: Tensor | CSR) -> Tensor:
    """Mean over all N F entries of ``(decoder(z) - x)^2``, by whichever form takes fewer operations.

    Args:
        decoder: d to F.
        z: (N, d).
        x: (N, F), dense or sparse.
    """
    last = decoder.layers[-1]
    hidden = decoder.hidden(z)
    assert isinstance(hidden, Tensor)
    rows, columns, width = x.shape[0], x.shape[1], last.in_features
    if isinstance(x, CSR) and width * (rows + columns) < rows * columns:
        return expanded_error(hidden, last.weight, last.bias, x)
    return squared_error(torch.addmm(last.bias, hidden, last.weight.t()), x)


def squared_error(x_hat: Tensor, x: Tensor | CSR) -> Tensor:
    """Mean of ``(x_hat - x)^2``; of sparse x only the entries are subtracted, in place: x_hat is used up.

    Args:
        x_hat: (N, F) dense, the result of an operation that does not need it again.
        x: (N, F).
    """
    if isinstance(x, CSR):
        assert x.value is not None
        place = x.row().long() * x.num_cols + x.col
        residual = x_hat.view(-1).index_add_(0, place, -x.value.to(x_hat.dtype))
    else:
        residual = x_hat.sub_(x)
    error: Tensor = torch.linalg.vector_norm(residual, dtype=_wide(x_hat)).square() / x_hat.numel()
    return error


def expanded_error(hidden: Tensor, weight: Tensor, bias: Tensor, x: CSR) -> Tensor:
    """Mean of ``(H W' + b - X)^2`` as |H W' + b|^2 - 2 <H W' + b, X> + |X|^2, none of which needs N F numbers.

    O((N + F) k^2 + nnz k) operations for k hidden channels. Rounding: of the order of that of |X|^2, so this is for
    features that the decoder does not reproduce to the last digits.

    Args:
        hidden: (N, k).
        weight: (F, k).
        bias: (F,).
        x: (N, F) sparse, no entry twice.
    """
    assert x.value is not None
    value = x.value.to(weight.dtype)
    sums = torch.zeros_like(bias).index_add_(0, x.col.long(), value)
    square = (hidden @ (weight.t() @ weight) * hidden).sum() + len(hidden) * bias.dot(bias)
    square = square + 2 * hidden.sum(0).dot(bias @ weight)
    cross = (spmm(x, weight) * hidden).sum() + sums.dot(bias)
    error: Tensor = (square - 2 * cross + value.square().sum()) / (x.num_rows * x.num_cols)
    return error


def _wide(x: Tensor) -> Any:
    return torch.float64 if x.dtype == torch.float64 else torch.float32
