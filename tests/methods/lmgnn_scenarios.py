"""LMGNN in the processes of a group: what each scenario returns in several processes must be what it is in one."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from graphrep import Graph, HeteroGraph
from graphrep.data import TextTable
from graphrep.methods import LMGNN
from graphrep.methods._shared_encoding import fill_cache
from graphrep.nn import EmbeddingCache, TextEncoder
from graphrep.train import Interrupted
from graphrep.train.distributed import barrier, is_main, process_group, rank, world_size

WORDS = ["graph", "node", "edge", "walk", "text", "word", "page", "line"]
NODES = 24


def tokens(texts: list[str]) -> list[list[int]]:
    return [[2 + WORDS.index(word) for word in text.split() if word in WORDS] for text in texts]


def bert() -> Any:
    """A BERT with two layers and no dropout; the same in every process."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertModel(config, add_pooling_layer=False)


def texts(count: int = NODES) -> list[str]:
    """Two topics; lengths differ."""
    return [" ".join(WORDS[4 * (i % 2) + (i * j) % 4] for j in range(1, 3 + i % 5)) for i in range(count)]


def graph() -> Graph:
    """A ring of each topic with chords."""
    step = torch.arange(NODES)
    one_way = torch.cat([torch.stack([step, (step + hop) % NODES]) for hop in (2, 4)], dim=1)
    return Graph(torch.cat([one_way, one_way.flip(0)], dim=1), y=step % 2, text=texts())


def model(**settings: Any) -> LMGNN:
    common: dict[str, Any] = {
        "dim": 8, "dropout": 0.0, "epochs": 4, "lm_lr": 1e-3, "lm_batch_size": 8, "text_length": 16, "patience": 50,
        "precision": "float32", "num_negatives": 8, "lm_negatives": 6, "validation": 0.2, "layer_cache": False,
    }  # fmt: skip
    return LMGNN(bert(), tokenizer=tokens, **{**common, **settings})


def told(fitted: LMGNN) -> dict[str, Any]:
    return {
        "losses": {name: history.losses for name, history in fitted.stages_.items()},
        "embedding": fitted.embedding_.flatten().tolist(),
    }


def labels(folder: Path) -> dict[str, Any]:
    """Stage 1 by labels, the network on samples, then both together with every sampled text live."""
    fitted = model(
        stages=("lm", "gnn", "joint"),
        conv="sage",
        batch_size=8,
        num_neighbors=(9, 9),
        live_nodes=-1,
        lm_objective="label",
    )
    return told(fitted.fit(graph()))


def links(folder: Path) -> dict[str, Any]:
    """Links against the negatives of all processes."""
    return told(model(task="link", stages=("lm", "gnn"), links_per_step=16).fit(graph()))


def idle(folder: Path) -> dict[str, Any]:
    """Authors with labels, papers with texts; every second author has no paper, so a process may have no live text."""
    step = torch.arange(12)
    writes = torch.stack([step, 2 * (step // 2)])
    author, paper = 12, 12
    found = HeteroGraph(
        {("author", "writes", "paper"): writes[:, ::2], ("paper", "by", "author"): writes[:, ::2].flip(0)},
        num_nodes={"author": author, "paper": paper}, text={"paper": texts(12)}, y=step // 2 % 2,
        target="author",
    )  # fmt: skip
    finite = True
    for parallel in ("ddp", "fsdp"):
        fitted = model(stages=("gnn", "joint"), batch_size=2, live_nodes=4, joint_epochs=2, parallel=parallel)
        finite &= bool(torch.isfinite(fitted.fit(found).embedding_).all())
    return {"finite": finite}


def interrupted(folder: Path) -> dict[str, Any]:
    """Stopped by one process within a stage, and finished from the folder that both share."""
    place, calls = folder / "run", []

    def enough() -> bool:
        calls.append(1)
        return len(calls) >= 4 and rank() == world_size() - 1

    settings: dict[str, Any] = {"stages": ("lm", "gnn"), "dropout": 0.3, "epochs": 6}
    whole = told(model(**settings).fit(graph()))
    stopped = False
    try:
        model(**settings).fit(graph(), checkpoint=place, should_stop=enough)
    except Interrupted:
        stopped = True
    barrier()
    resumed = told(model(**settings).fit(graph(), checkpoint=place, resume=True))
    return {"stopped": stopped, "whole": whole, "resumed": resumed}


def sharded(folder: Path) -> dict[str, Any]:
    """The language model's layers in parts; processes call it a different number of times."""
    settings: dict[str, Any] = {"parallel": "fsdp", "chunk_size": 3, "conv": "sage", "lm_layers": None, "lm_epochs": 2}
    fitted = model(
        stages=("lm", "gnn", "joint"), batch_size=8, num_neighbors=(9, 9), live_nodes=-1, refresh_every=2, **settings
    ).fit(graph())
    whole = all(not hasattr(p, "full_tensor") for p in fitted.encoder_.parameters())
    return {**told(fitted), "whole": whole, "classes": len(fitted.predict())}


def encoding(folder: Path) -> dict[str, Any]:
    """Rows that all processes encode together, in memory and in a folder, also after a stop."""
    table = TextTable.from_texts(texts(301), tokens, max_length=16)
    lengths: list[int] = []
    encoder = TextEncoder(bert())
    encoder.register_forward_hook(lambda module, given, rows: lengths.append(len(rows)))
    options: dict[str, Any] = {"precision": "float32", "max_tokens": 16}
    whole = EmbeddingCache(len(table), encoder.dim)
    fill_cache(encoder, table, whole, **options)
    encoded, path = sum(lengths), folder / "cache"
    make = functools.partial(EmbeddingCache, len(table), encoder.dim, path=path)
    if is_main():
        make()
    barrier()
    kept, reports = make(), []
    try:
        fill_cache(
            encoder, table, kept, progress=lambda done, total, rate: reports.append([done, total]),
            should_stop=lambda: rank() == world_size() - 1, **options,
        )  # fmt: skip
    except Interrupted:
        barrier()
    again = make()
    left = len(again.missing())
    fill_cache(encoder, table, again, **options)
    every = torch.arange(len(table))
    rows = whole.gather(every)
    return {
        "rows": rows.double().flatten().tolist(), "encoded": encoded, "left": left, "reports": len(reports),
        "complete": again.complete, "equal": torch.equal(rows, again.gather(every)),
    }  # fmt: skip


SCENARIOS: dict[str, Callable[[Path], dict[str, Any]]] = {
    f.__name__: f for f in (labels, links, idle, interrupted, encoding, sharded)
}


def main(folder: Path, names: list[str]) -> None:
    """All scenarios, or those that are named; each process writes what it found."""
    with process_group():
        found = {name: run(folder) for name, run in SCENARIOS.items() if not names or name in names}
        (folder / f"found-{rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    os._exit(0)  # as in tests/train/scenarios.py
