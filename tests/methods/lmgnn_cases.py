"""Small graphs with texts for the tests of LMGNN, and the run that the tests of resuming kill."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from graphrep import Graph, HeteroGraph
from graphrep.methods import LMGNN
from graphrep.train import Callback

WORDS = ["graph", "node", "edge", "walk", "text", "word", "page", "line", "song", "tune", "note", "beat"]
NODES = 48


def tokens(texts: list[str]) -> list[list[int]]:
    """A vocabulary of twelve words."""
    return [[2 + WORDS.index(word) for word in text.split() if word in WORDS] for text in texts]


def bert() -> Any:
    """A BERT with two layers and no dropout, the same at each call."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertModel(config, add_pooling_layer=False)


def texts(count: int = NODES, topics: int = 3) -> list[str]:
    """Texts of several topics with words of their own; lengths differ, the fourth is empty."""
    lines = [" ".join(WORDS[4 * (i % topics) + (i * j + j) % 4] for j in range(1, 4 + i % 5)) for i in range(count)]
    lines[3] = ""
    return lines


def graph(seed: int = 0) -> Graph:
    """Topics as communities; node 5 has no edge, and some labels are unknown."""
    generator = torch.Generator().manual_seed(seed)
    step = torch.arange(NODES)
    hops = torch.randint(1, 8, (3,), generator=generator).tolist()
    alike = [torch.stack([step, (step + 3 * hop) % NODES]) for hop in hops]
    pairs = torch.cat([*alike, torch.randint(NODES, (2, 6), generator=generator)], dim=1)
    pairs = pairs[:, (pairs != 5).all(0) & (pairs[0] != pairs[1])]
    y = step % 3
    return Graph(torch.cat([pairs, pairs.flip(0)], dim=1), y=y, text=texts(), num_nodes=NODES)


def typed_graph() -> HeteroGraph:
    """Papers and authors with texts, and venues that have neither texts nor features."""
    papers, authors, venues = 24, 12, 3
    step = torch.arange(papers)
    written = torch.stack([step, (step * 7 + step // 3) % authors])
    return HeteroGraph(
        {("paper", "by", "author"): written, ("paper", "in", "venue"): torch.stack([step, step % venues])},
        num_nodes={"paper": papers, "author": authors, "venue": venues},
        x={"author": torch.eye(authors)[:, :5]}, text={"paper": texts(papers), "author": texts(authors)},
        y=step % 3, target="paper",
    )  # fmt: skip


def model(**settings: Any) -> LMGNN:
    """LMGNN on that BERT, small and quick."""
    common: dict[str, Any] = {
        "dim": 8, "dropout": 0.1, "epochs": 8, "lm_lr": 1e-3, "lm_batch_size": 8, "text_length": 16,
        "precision": "float32", "num_negatives": 8, "lm_negatives": 6, "validation": 0.2,
    }  # fmt: skip
    return LMGNN(bert(), tokenizer=tokens, **{**common, **settings})


KILLED: dict[str, tuple[str, ...]] = {"lm": ("lm", "gnn"), "gnn": ("lm", "gnn"), "joint": ("gnn", "joint")}
LONG: dict[str, Any] = {
    "lm_epochs": 4,
    "joint_epochs": 4,
    "batch_size": 8,
    "dropout": 0.3,
    "lr": 1e-3,
    "joint_lr": 0.05,
}


class Killer(Callback):
    """Ends the process as ``kill -9`` does: after some epochs of a stage, or in the midst of encoding."""

    def __init__(self, stage: str, epochs: int) -> None:
        self.stage, self.epochs, self.now, self.done = stage, epochs, "", 0

    def stage_started(self, name: str) -> None:
        self.now = name

    def epoch_done(self, log: Any) -> None:
        self.done += self.now == self.stage
        if self.done == self.epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    def part_done(self, epoch: int, share: float) -> None:
        if self.stage == "encode" and share < 1:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    stage, folder = sys.argv[1], Path(sys.argv[2])
    if stage == "encode":
        import graphrep.nn.encoding

        graphrep.nn.encoding._FLUSH_SECONDS = 0.0
        graphrep.nn.encoding.length_buckets = lambda lengths, max_tokens: list(torch.arange(len(lengths)).split(8))
    stages = KILLED.get(stage, ("gnn",))
    fitted = model(stages=stages, **LONG)
    fitted.fit(graph(), checkpoint=folder, checkpoint_every=0.0, callbacks=[Killer(stage, 2)])
