"""Rates of LMGNN's joint stage, judged by the validation part on splits that no table uses.

``python -m benchmarks.lmgnn_joint_choices --cache DIR`` writes ``results/lmgnn-joint-choices.json``: the score of the
validation part before the stage and after each of its passes. The test part plays no part.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import circumstances, read_json, set_threads_and_allocator, write_json

__all__: list[str] = []

RESULTS = Path(__file__).parent / "results"
RATES = {  # of the network, of the language model
    "node10": [(1e-3, 5e-5), (1e-4, 5e-5), (1e-4, 1e-5), (1e-4, 2e-6)],
    "link": [(1e-3, 5e-5), (1e-4, 5e-5), (1e-4, 1e-5)],
}
PASSES = {"node10": 4, "link": 1}


def _run(protocol: str, joint_lr: float, lm_lr: float, seed: int, folder: Path) -> dict[str, Any]:
    """Stages gnn and joint, on frozen vectors to begin with."""
    from graphrep.cli.benching_lmgnn import TextBench
    from graphrep.cli.texting.models import MINILM, find_lm
    from graphrep.cli.texting.parts import LinkParts
    from graphrep.methods import LMGNN

    data = TextBench("cora_text", None, folder)
    parts = data.parts(protocol, seed)
    link = isinstance(parts, LinkParts)
    options: dict[str, Any] = {"hidden_dim": 256, "lr": 0.005, "dropout": 0.2} if link else {}
    model = LMGNN(
        str(find_lm(MINILM)), stages=("gnn", "joint"), task="link" if link else "node", text_length=64, lm_layers=2,
        use_features=False, cache_dir=str(folder), joint_epochs=PASSES[protocol], joint_lr=joint_lr, lm_lr=lm_lr,
        seed=seed, **options,
    )  # fmt: skip
    began = time.perf_counter()
    if isinstance(parts, LinkParts):
        model.fit(parts.data)
    else:
        model.fit(data.graph, splits=parts.splits)
    looks = [log.signals for log in model.stages_["joint"].epochs if "score" in log.signals]
    return {
        "protocol": protocol, "joint_lr": joint_lr, "lm_lr": lm_lr, "seed": seed, "passes": PASSES[protocol],
        "before": looks[0]["before"], "scores": [look["score"] for look in looks],
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def main() -> None:
    """Runs what the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="splits, from seed 100 on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the frozen vectors")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "lmgnn-joint-choices.json")
    options = parser.parse_args()
    set_threads_and_allocator(options.threads, huge_pages=False)
    result = read_json(options.out) if options.out.is_file() else {"runs": []}
    result["machine"] = circumstances()
    keys = ("protocol", "joint_lr", "lm_lr", "seed")
    known = {tuple(run[key] for key in keys) for run in result["runs"]}
    cases = [
        (name, *rates, seed) for name in RATES for seed in range(100, 100 + options.seeds) for rates in RATES[name]
    ]
    for case in cases:
        if case not in known:
            found = _run(*case, options.cache)
            result["runs"].append(found)
            write_json(options.out, result)
            print(found, flush=True)


if __name__ == "__main__":
    main()
