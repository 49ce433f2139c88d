"""Training in several processes on ``torch.distributed``: who is who, shares of a batch, global rows, mean gradients.

Every function works without a process group too, where it does what one process needs; so a method is written once.
``torchrun`` launches the processes and tells each its place; :func:`process_group` joins them.

A method that trains in several processes follows three rules. (1) ``Task.batches`` draws, from its generator, the same
*whole* batches in every process and hands out :func:`shard` of each: the settings mean the same for any number of
processes. (2) ``Task.loss`` is the mean over the share of a process, or :func:`mean_over_all` where shares count
differently, or a loss over :func:`all_rows`; its generator is the process's own. (3) The gradient is averaged by
:func:`graphrep.train.train`, which takes every collective decision (stop, divergence, saving) in all processes alike.
"""

from __future__ import annotations

from graphrep.train.exchange import all_rows, average_gradients, is_sharded, mean_over_all, shard, synchronise, touch
from graphrep.train.processes import (
    agreed_path,
    any_of,
    any_process,
    barrier,
    from_main,
    is_active,
    is_main,
    largest,
    launched,
    local_device,
    mean_parts,
    on_all,
    process_group,
    process_seed,
    rank,
    world_size,
)
from graphrep.train.sharding import full_state, load_full_state, wrap

__all__ = [
    "agreed_path",
    "all_rows",
    "any_of",
    "any_process",
    "average_gradients",
    "barrier",
    "from_main",
    "full_state",
    "is_active",
    "is_main",
    "is_sharded",
    "largest",
    "launched",
    "load_full_state",
    "local_device",
    "mean_over_all",
    "mean_parts",
    "on_all",
    "process_group",
    "process_seed",
    "rank",
    "shard",
    "synchronise",
    "touch",
    "world_size",
    "wrap",
]
