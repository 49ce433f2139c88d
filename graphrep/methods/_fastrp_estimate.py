"""How much memory and time a FastRP run will take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from graphrep.kernels._numba import num_threads
from graphrep.methods._fastrp_passes import plan_passes
from graphrep.methods._fastrp_settings import Settings

__all__ = ["Estimate", "estimate_run"]

# Bytes per second and thread of rows gathered from memory and from cache, and signs per second: typical of servers of
# 2020-2025; a laptop or a machine under load may need twice as long.
_GATHER_RATE = 5e9
_CACHE_RATE = 20e9
_CACHE_BYTES = 32 << 20
_SIGN_RATE = 0.4e9


@dataclass(frozen=True)
class Estimate:
    """What a run needs.

    Attributes:
        bytes: peak memory of the embedding step: matrix, buffers and result.
        seconds: rough wall time on the threads that kernels use now, without compiling.
        threads: those threads.
    """

    bytes: int
    seconds: float
    threads: int


def estimate_run(settings: Settings, num_nodes: int, num_edges: int, *, weighted: bool, num_features: int) -> Estimate:
    """Counts buffers as `run_passes` allocates them; `num_edges` are stored entries."""
    entry = settings.work.itemsize
    block = num_nodes * settings.dim
    kept = settings.storage.itemsize
    matrix = (num_nodes + 1 + num_edges) * 4 + (num_edges * entry if weighted else 0) + num_nodes * (8 + 8 + 2 * entry)
    passes = plan_passes(settings)
    dense_start = settings.density == "gaussian" or settings.num_features_dims > 0
    if settings.concat:
        buffers = block * ((settings.num_powers + 1) * entry + min(2, settings.num_powers) * kept)
        buffers += block * (entry if dense_start else 1)
    else:
        in_place = len(passes) > 1 and not any(step.adds for step in passes[:-1]) and kept == entry
        powers = min(2, sum(step.keep for step in passes))
        buffers = block * (2 * entry if in_place else powers * kept + entry)
        if dense_start and (powers < 2 or kept != entry):
            buffers += block * entry
        elif powers < 2 and not in_place:
            buffers += block
    if settings.output != settings.work:
        buffers += block * settings.output.itemsize
    buffers += num_nodes * num_features * entry if settings.num_features_dims else 0
    threads = num_threads()
    seconds = block / _SIGN_RATE / threads
    for step in passes:
        first = step.power == 1 and not dense_start
        size = block * (1 if first else kept)
        rate = _GATHER_RATE if size > _CACHE_BYTES else _CACHE_RATE
        moved = num_edges * settings.dim * (2 if first else kept) + block * entry * 2
        seconds += moved / rate / threads
    return Estimate(int(matrix + buffers), seconds, threads)
