"""Hashes of ids to the rows of a smaller table that need no clusters: by frequency, universal, locality-sensitive."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR, spmm

__all__ = ["UNIVERSAL_PRIME", "frequency_rows", "lsh_rows", "universal_rows"]

UNIVERSAL_PRIME = 2**31 - 1
"""Products of two numbers below it stay below 2^62, so that nothing overflows int64."""


def universal_rows(ids: Tensor, num_rows: int, seed: int, number: int = 0) -> Tensor:
    """(n,) ``((a x + b) mod p) mod num_rows`` for ids x; a and b are those of hash `number` of a seed.

    Source: Carter, Wegman, "Universal classes of hash functions", JCSS 18, 1979.

    Raises:
        GraphrepError: an id of p = 2^31 - 1 or more.
    """
    if ids.numel() and int(ids.max()) >= UNIVERSAL_PRIME:
        raise GraphrepError(f"id {int(ids.max())} is too large to be hashed.", hint="ids below 2^31 - 1")
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(UNIVERSAL_PRIME, (2 * number + 2,), generator=generator)
    a, b = draws[-2:].tolist()
    rows: Tensor = (max(1, a) * ids.long() + b) % UNIVERSAL_PRIME % num_rows
    return rows


def frequency_rows(ids: Tensor, degree: Tensor, num_rows: int) -> Tensor:
    """(n,) rows: the ids of highest degree keep ``num_rows // 2`` rows for themselves, the others share the rest.

    Args:
        ids: (n,) ids; those of `len(degree)` or more were not there when degrees were counted.
        degree: (N,) of all ids; of equal ones the lower id is the more frequent.
        num_rows: of the table, 1 or more.
    """
    own = min(num_rows // 2, len(degree))
    best = degree.argsort(descending=True, stable=True)[:own]
    row = torch.arange(max(len(degree), int(ids.max()) + 1 if ids.numel() else 0)) % (num_rows - own) + own
    row[best] = torch.arange(own)
    return row[ids]


def lsh_rows(csr: CSR, num_rows: int, seed: int) -> Tensor:
    """(num_rows of `csr`,) the signs of random projections of each adjacency row as a number, modulo `num_rows`.

    Equal rows go to the same place, and rows at an angle of t agree in each bit with probability 1 - t / pi.

    Source: Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
    """
    bits = max(1, (num_rows - 1).bit_length())
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(csr.num_cols, bits, generator=generator, dtype=torch.float64)
    positive = spmm(csr.with_value(None if csr.value is None else csr.value.double()), plane) > 0
    code: Tensor = (positive.long() << torch.arange(bits)).sum(1)
    return code % num_rows
