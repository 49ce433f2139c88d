"""Which pairs of row blocks are visited together, and how large blocks are.

A round is a set of tasks that share no block, so threads may add to the sums and gradients of their blocks without
locks, and every block meets its partners in the same order however many threads there are.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from graphrep.kernels.blockwise._gemm import tile_shape

__all__ = ["BLOCK_COLUMNS", "BLOCK_ROWS", "Layout", "layout_of", "merged", "rounds_of", "symmetric_rounds"]

BLOCK_ROWS, BLOCK_COLUMNS = 96, 192  # a tile of weights that stays in the L2 cache; multiples of every tile shape
FEWEST_CHUNKS = 8  # a round then has that many tasks for both views
CHUNK_BYTES = 2_400_000  # both blocks, their gradients and the transposed copy, per thread
LINE = 64


class Layout(NamedTuple):
    """Sizes in numbers: `ld` and `lds` are the strides of a copied block's rows and of a tile's rows.

    Strides are odd numbers of cache lines, which spreads a column of rows over all sets of the L1 cache.
    """

    width: int
    ld: int
    chunk: int
    lds: int
    rows: int
    columns: int
    scratch: int


def layout_of(count_u: int, count_v: int, width: int, itemsize: int, block_size: int) -> Layout:
    """Block sizes from the shapes alone, so that results do not depend on the machine's thread count."""
    rows, columns = tile_shape(itemsize)
    line = LINE // itemsize
    lines = -(-width // columns) * (columns // line)
    ld = (lines + 1 + lines % 2) * line
    largest = max(BLOCK_COLUMNS, CHUNK_BYTES // (5 * ld * itemsize) // BLOCK_COLUMNS * BLOCK_COLUMNS)
    count = max(count_u, count_v, 1)
    chunks = max(-(-count // largest), FEWEST_CHUNKS)
    chunk = -(-(block_size or -(-count // chunks)) // BLOCK_ROWS) * BLOCK_ROWS
    lds = BLOCK_COLUMNS + line
    scratch = 4 * chunk * ld + chunk * width + (BLOCK_ROWS + 1) * lds + chunk + columns
    return Layout(width, ld, chunk, lds, rows, columns, -(-scratch // line) * line)


def rounds_of(num_rows: int, num_columns: int) -> list[np.ndarray[Any, Any]]:
    """Every pair (row block, column block), in rounds without a block used twice: (tasks, 2) each."""
    longer, shorter = max(num_rows, num_columns), min(num_rows, num_columns)
    first = np.arange(shorter)
    rounds = []
    for turn in range(longer):
        other = (first + turn) % longer
        rounds.append(np.stack([other, first] if num_rows > num_columns else [first, other], axis=1))
    return rounds


def symmetric_rounds(num_blocks: int) -> list[np.ndarray[Any, Any]]:
    """Every pair of different blocks once (the circle method of tournaments), then each block with itself."""
    even = num_blocks + num_blocks % 2
    rounds = []
    step = np.arange(1, even // 2)
    for turn in range(even - 1):
        left = np.concatenate([[turn], (turn + step) % (even - 1)])
        right = np.concatenate([[even - 1], (turn - step) % (even - 1)])
        real = (left < num_blocks) & (right < num_blocks)
        rounds.append(np.sort(np.stack([left, right], axis=1)[real], axis=1))
    itself = np.arange(num_blocks)
    return [*rounds, np.stack([itself, itself], axis=1)]


def merged(parts: list[list[np.ndarray[Any, Any]]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Lists of rounds that touch different blocks, run side by side: (first task of each round, all tasks)."""
    rounds = [np.concatenate([r for r in step if r is not None]) for step in itertools.zip_longest(*parts)]
    starts = np.cumsum([0, *(len(r) for r in rounds)])
    return starts.astype(np.int64), np.concatenate(rounds).astype(np.int64)
