"""Whether a maximum also returns which entry it is, and in which type."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["INDEX_ARG", "INT64_ARG", "NO_ARG", "arg_dtype"]

NO_ARG, INDEX_ARG, INT64_ARG = 0, 1, 2  # positions are not wanted; in the type of the matrix's indices; in int64


def arg_dtype(rowptr: Tensor, need_arg: int) -> torch.dtype:
    """The type of the positions."""
    return torch.int64 if need_arg == INT64_ARG else rowptr.dtype
