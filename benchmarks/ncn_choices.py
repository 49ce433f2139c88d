"""Choices of ours in the training of NCN and NCNC, judged by validation links on splits that no table uses.

``python -m benchmarks.ncn_choices cora --method ncnc --choices inner`` writes ``results/ncn-choices.json``. Test links
play no part: what is written is the best Hits@100 (and MRR of that epoch) of the validation links of each seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.machine import circumstances, read_json, set_threads_and_allocator, write_json

__all__: list[str] = []

RESULTS = Path(__file__).parent / "results"


def _unequal(task: Any, epoch: int, generator: torch.Generator) -> Iterable[Any]:
    """Batches of the full size, the last one of whatever is left."""
    from graphrep.methods._link_data import non_links
    from graphrep.methods._link_task import LinkBatch
    from graphrep.methods._recommend_task import new_seed

    count = task.dropper.num_links
    rng = np.random.default_rng(new_seed(generator))
    negatives = non_links(task._used, count, task.dropper.num_nodes, rng)
    order = torch.randperm(count, generator=generator)
    for links, pairs in zip(order.split(task.batch_size), negatives.split(task.batch_size, dim=1), strict=True):
        yield LinkBatch(links, pairs)


def _full_ones(task: Any, epoch: int, generator: torch.Generator) -> Iterable[Any]:
    """Batches of the full size; whatever is left over waits for another epoch, as in the authors' program."""
    for batch in _unequal(task, epoch, generator):
        if batch.links.numel() == task.batch_size:
            yield batch


def _patched(batches: Callable[..., Iterable[Any]]) -> AbstractContextManager[Any]:
    from graphrep.methods._link_task import LinkTask

    return mock.patch.object(LinkTask, "batches", batches)


CHOICES: dict[str, dict[str, tuple[dict[str, Any], Callable[[], AbstractContextManager[Any]]]]] = {
    "batches": {
        "of equal size": ({}, nullcontext),
        "last one smaller": ({}, lambda: _patched(_unequal)),
        "last one left out": ({}, lambda: _patched(_full_ones)),
        "last one left out, weight of the layer drawn": ({"jk_init": "normal"}, lambda: _patched(_full_ones)),
    },
    "inner": {
        "of H": ({"inner_features": "input"}, nullcontext),
        "of X'": ({"inner_features": "transformed"}, nullcontext),
    },
    "program": {
        "paper": ({}, nullcontext),
        "authors' program": (
            {"inner_features": "transformed", "exclude_endpoints": False, "jk_init": "normal"},
            nullcontext,
        ),
    },
}


def _run(dataset: str, method: str, choice: str, label: str, seed: int) -> dict[str, Any]:
    from graphrep.cli.benching_linkpred import LinkBench
    from graphrep.recipes import recipe
    from graphrep.registry import METHODS

    settings, patch = CHOICES[choice][label]
    split, _ = LinkBench(dataset, None).parts(seed)
    params = {**recipe(f"{method}/{dataset}").params, **settings, "seed": seed}
    began = time.perf_counter()
    with patch():
        history = METHODS[method].load()(**params).fit(split).history_
    kept = history.epochs[history.kept_epoch - 1]
    return {
        "dataset": dataset, "method": method, "choice": choice, "label": label, "seed": seed,
        "val_hits": kept.signals["hits"], "val_mrr": kept.signals["mrr"], "kept_epoch": history.kept_epoch,
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def main() -> None:
    """Runs what the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=["cora", "citeseer"])
    parser.add_argument("--method", default="ncn", choices=["ncn", "ncnc"])
    parser.add_argument("--choices", default="batches", choices=list(CHOICES))
    parser.add_argument("--seeds", type=int, default=6, help="splits, from seed 100 on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "ncn-choices.json")
    options = parser.parse_args()
    set_threads_and_allocator(options.threads, huge_pages=False)
    result = read_json(options.out) if options.out.is_file() else {"runs": []}
    result["machine"] = circumstances()
    keys = ("dataset", "method", "choice", "label", "seed")
    known = {tuple(run[key] for key in keys) for run in result["runs"]}
    for seed in range(100, 100 + options.seeds):
        for label in CHOICES[options.choices]:
            case = (options.dataset, options.method, options.choices, label, seed)
            if case not in known:
                found = _run(*case)
                result["runs"].append(found)
                write_json(options.out, result)
                print(found, flush=True)


if __name__ == "__main__":
    main()
